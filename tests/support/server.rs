//! What a test sees and wants of a tool server that plays a script.

use std::io::{BufRead, BufReader, Write};
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
    told: Receiver<String>,
    heard: Vec<String>,
    /// The first word of everything that was not looked at yet.
    seen: usize,
    instances: Arc<Mutex<Vec<UnixStream>>>,
}

impl Server {
    pub(super) fn listen(script: &Path, socket: &Path) -> Server {
        let listener = UnixListener::bind(socket).unwrap();
        let (tell, told) = mpsc::channel();
        let instances = Arc::new(Mutex::new(Vec::new()));
        let known = instances.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                known.lock().unwrap().push(stream.try_clone().unwrap());
                let tell = tell.clone();
                std::thread::spawn(move || listen_to(stream, &tell));
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

    /// Waits until an instance has ended.
    pub fn ends(&mut self) {
        self.until("its end", |line| line == "end");
    }

    /// How many lines with this method have come by now.
    pub fn count(&mut self, method: &str) -> usize {
        self.heard.extend(self.told.try_iter());
        self.heard
            .iter()
            .filter(|line| has_method(line, method))
            .count()
    }

    /// How many instances have started by now.
    pub fn count_starts(&mut self) -> usize {
        self.heard.extend(self.told.try_iter());
        self.heard
            .iter()
            .filter(|line| line.starts_with("start "))
            .count()
    }

    /// Waits this long for anything to happen; says whether nothing did.
    pub fn is_quiet(&mut self, limit: Duration) -> bool {
        match self.told.recv_timeout(limit) {
            Ok(line) => {
                self.heard.push(line);
                false
            }
            Err(_) => true,
        }
    }

    /// Tells the instance that started last to do something now.
    pub fn order(&mut self, order: &str) {
        if self.instances.lock().unwrap().is_empty() {
            self.starts();
        }
        let instances = self.instances.lock().unwrap();
        let mut last = instances.last().unwrap();
        last.write_all(format!("{order}\n").as_bytes()).unwrap();
    }

    fn until(&mut self, what: &str, is_it: impl Fn(&str) -> bool) -> String {
        loop {
            while let Some(line) = self.heard.get(self.seen) {
                self.seen += 1;
                if is_it(line) {
                    return line.clone();
                }
            }
            match self.told.recv_timeout(DEADLINE) {
                Ok(line) => self.heard.push(line),
                Err(_) => panic!("the server waits for {what} and got {:#?}", self.heard),
            }
        }
    }
}

fn listen_to(stream: UnixStream, tell: &Sender<String>) {
    for line in BufReader::new(stream).lines().map_while(Result::ok) {
        if tell.send(line).is_err() {
            return;
        }
    }
    // A test that has ended does not listen any more.
    let _ = tell.send("end".to_owned());
}

fn has_method(line: &str, method: &str) -> bool {
    member(line, "method")
        .and_then(|found| unquote(&found))
        .as_deref()
        == Some(method)
}
