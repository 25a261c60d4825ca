//! What a test sees and wants of a tool server that plays a script.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::DEADLINE;
use super::raw::{member, unquote};

/// One registered tool server, whatever its number of instances.
pub struct Server {
    pub script: PathBuf,
    pub socket: PathBuf,
    told: Receiver<Told>,
    heard: Vec<Told>,
    /// What was waited for so far.
    seen: usize,
    instances: Arc<Mutex<Vec<UnixStream>>>,
}

/// A line of one instance.
struct Told {
    instance: usize,
    line: String,
}

impl Server {
    pub(super) fn listen(script: &Path, socket: &Path) -> Server {
        let listener = UnixListener::bind(socket).unwrap();
        let (tell, told) = mpsc::channel();
        let instances = Arc::new(Mutex::new(Vec::new()));
        let known = instances.clone();
        std::thread::spawn(move || {
            for (instance, stream) in listener.incoming().map_while(Result::ok).enumerate() {
                known.lock().unwrap().push(stream.try_clone().unwrap());
                let tell = tell.clone();
                std::thread::spawn(move || listen_to(instance, stream, &tell));
            }
        });
        Server {
            script: script.to_owned(),
            socket: socket.to_owned(),
            told,
            heard: Vec::new(),
            seen: 0,
            instances,
        }
    }

    /// Waits for the next start of an instance; its process id.
    pub fn starts(&mut self) -> i32 {
        let line = self.until("start", |line| line.starts_with("start "));
        line["start ".len()..].parse().unwrap()
    }

    /// Waits for the next line that it gets with this method.
    pub fn gets(&mut self, method: &str) -> String {
        self.until(method, |line| has_method(line, method))
    }

    /// The same; none if an instance ends before.
    pub fn gets_or_ends(&mut self, method: &str) -> Option<String> {
        let line = self.until(method, |line| line == "end" || has_method(line, method));
        (line != "end").then_some(line)
    }

    /// Waits for the answer to something that it was told to ask.
    pub fn is_answered(&mut self, id: &str) -> String {
        self.until(id, |line| {
            member(line, "id").as_deref() == Some(id) && member(line, "method").is_none()
        })
    }

    /// Waits until an instance has ended.
    pub fn ends(&mut self) {
        self.until("its end", |line| line == "end");
    }

    /// How many lines with this method have come by now.
    pub fn count(&mut self, method: &str) -> usize {
        self.count_lines(|line| has_method(line, method))
    }

    /// The process id of the instance that has started last by now; what has come is not
    /// waited for any more. One that was started before it was known what its agent can be
    /// asked may have been replaced.
    pub fn latest(&mut self) -> i32 {
        self.settle();
        self.seen = self.heard.len();
        let mut latest = self.heard.iter().rev();
        let started = latest.find_map(|told| told.line.strip_prefix("start "));
        started.expect("one has started").parse().unwrap()
    }

    /// How many instances have started by now.
    pub fn count_starts(&mut self) -> usize {
        self.count_lines(|line| line.starts_with("start "))
    }

    /// Waits this long for anything to happen; says whether nothing did.
    pub fn is_quiet(&mut self, limit: Duration) -> bool {
        match self.told.recv_timeout(limit) {
            Ok(told) => {
                self.heard.push(told);
                false
            }
            Err(_) => true,
        }
    }

    /// Tells the instance that started or was sent something last to do something now.
    pub fn order(&mut self, order: &str) {
        assert!(self.order_if_there(order), "nobody is there to {order}");
    }

    /// The same; says whether it was there.
    pub fn order_if_there(&mut self, order: &str) -> bool {
        if self.instances.lock().unwrap().is_empty() {
            self.starts();
        }
        self.settle();
        let ended = |instance| {
            let mut end = self.heard.iter().filter(|told| told.line == "end");
            end.any(|told| told.instance == instance)
        };
        // One that serves the catalogue may be about to end, and still take an order.
        let is_served =
            |told: &&Told| told.line.starts_with('{') || told.line.starts_with("start ");
        let mut served = self.heard.iter().rev().filter(is_served);
        let latest = served.find(|told| !ended(told.instance));
        latest.is_some_and(|latest| self.tell(latest.instance, order).is_ok())
    }

    /// Tells one of the instances, in the order in which they started, to do something
    /// now.
    pub fn order_to(&self, nth: usize, order: &str) {
        let is_start = |told: &&Told| told.line.starts_with("start ");
        let mut starts = self.heard.iter().filter(is_start);
        let started = starts.nth(nth).expect("it was seen to start");
        self.tell(started.instance, order).unwrap();
    }

    fn tell(&self, nth: usize, order: &str) -> io::Result<()> {
        let mut instance = &self.instances.lock().unwrap()[nth];
        instance.write_all(format!("{order}\n").as_bytes())
    }

    fn until(&mut self, what: &str, is_it: impl Fn(&str) -> bool) -> String {
        loop {
            while let Some(Told { line, .. }) = self.heard.get(self.seen) {
                self.seen += 1;
                if is_it(line) {
                    return line.clone();
                }
            }
            match self.told.recv_timeout(DEADLINE) {
                Ok(told) => self.heard.push(told),
                Err(_) => {
                    let heard: Vec<_> = self.heard.iter().map(|told| &told.line).collect();
                    panic!("the server waits for {what} and got {heard:#?}");
                }
            }
        }
    }

    /// How many lines that are so have come by now.
    pub fn count_lines(&mut self, is_it: impl Fn(&str) -> bool) -> usize {
        self.settle();
        self.heard.iter().filter(|told| is_it(&told.line)).count()
    }

    /// Waits until everything that has reached an instance has been told.
    fn settle(&mut self) {
        // An instance may have connected and not been let in yet: a visit of our own comes after it.
        let visit = format!("visit {}", self.heard.len());
        let mut visitor = UnixStream::connect(&self.socket).unwrap();
        visitor.write_all(format!("{visit}\n").as_bytes()).unwrap();
        drop(visitor);
        while !self.heard.iter().any(|told| told.line == visit) {
            self.heard.push(self.told.recv_timeout(DEADLINE).unwrap());
        }
        let before = self.heard.len();
        let instances = {
            let instances = self.instances.lock().unwrap();
            for mut instance in instances.iter() {
                // One that has ended has told its end, or will.
                let _ = instance.write_all(b"mark\n");
            }
            instances.len()
        };
        let settled = |heard: &[Told], instance: usize| {
            heard.iter().enumerate().any(|(nth, told)| {
                told.instance == instance
                    && (told.line == "end"
                        || told.line.starts_with("visit ")
                        || (told.line == "mark" && nth >= before))
            })
        };
        while !(0..instances).all(|instance| settled(&self.heard, instance)) {
            self.heard.push(self.told.recv_timeout(DEADLINE).unwrap());
        }
    }
}

fn listen_to(instance: usize, stream: UnixStream, tell: &Sender<Told>) {
    let lines = BufReader::new(stream).lines().map_while(Result::ok);
    for line in lines.chain(["end".to_owned()]) {
        // A test that has ended does not listen any more.
        let visit = line.starts_with("visit ");
        // A visit of our own is no instance that ends.
        if tell.send(Told { instance, line }).is_err() || visit {
            return;
        }
    }
}

fn has_method(line: &str, method: &str) -> bool {
    member(line, "method")
        .and_then(|found| unquote(&found))
        .as_deref()
        == Some(method)
}
