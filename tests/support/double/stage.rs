//! Playing a script: what every server does, and the steps of the acts.
//!
//! Every request is played on a thread of its own, so that one that waits holds
//! nobody up.

use std::collections::HashMap;
use std::io::Write;
use std::process::{Command, Stdio, exit};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Condvar, Mutex};

use crate::raw::{dig, elements, member, quote, unquote};
use crate::script::{Script, Step};

/// See the module.
pub(crate) struct Stage {
    script: Script,
    tools: Mutex<Vec<String>>,
    /// Questions that wait for an answer.
    asked: Mutex<HashMap<String, Sender<String>>>,
    /// The `subscriptions/listen` request that is open.
    listening: Mutex<String>,
    go: (Mutex<usize>, Condvar),
    questions: Mutex<usize>,
    /// Whether the client of the handshake era has a user who can be asked something.
    asks_users: AtomicBool,
    deaf: AtomicBool,
    /// What reads, once it has to stop.
    reader: Mutex<Option<std::thread::Thread>>,
}

/// One request.
#[derive(Clone)]
struct Request {
    id: String,
    method: String,
    params: String,
}

impl Stage {
    pub(crate) fn new(script: Script) -> Stage {
        Stage {
            tools: Mutex::new(script.tools.clone()),
            script,
            asked: Mutex::default(),
            listening: Mutex::default(),
            go: Default::default(),
            questions: Mutex::default(),
            asks_users: AtomicBool::new(false),
            deaf: AtomicBool::new(false),
            reader: Mutex::default(),
        }
    }

    /// What happens before the first line is read.
    pub(crate) fn begin(&self) {
        for start in &self.script.start {
            let (verb, rest) = start.split_once(' ').unwrap_or((start, ""));
            match verb {
                "stderr" => {
                    let noise = vec![b'x'; rest.parse().unwrap()];
                    std::io::stderr().write_all(&noise).unwrap();
                }
                "fork" => {
                    let child = Command::new("sh")
                        .args(["-c", "setsid sleep 1000 & sleep 1000"])
                        .stdin(Stdio::null())
                        .spawn();
                    drop(child.unwrap());
                }
                "wait" => self.wait(),
                "exit" => exit(rest.parse().unwrap()),
                "alone" => {
                    let script = std::env::args().nth(1).unwrap();
                    let script = std::fs::File::open(script).unwrap();
                    if script.try_lock().is_err() {
                        exit(7);
                    }
                    // Until this process ends.
                    std::mem::forget(script);
                }
                "lines" => {}
                _ => panic!("cannot start with `{start}`"),
            }
        }
    }

    /// How many lines must have come before the first is answered.
    pub(crate) fn lines(&self) -> usize {
        let mut starts = self.script.start.iter();
        starts
            .find_map(|start| start.strip_prefix("lines "))
            .map_or(0, |count| count.parse().unwrap())
    }

    /// An order of the test.
    pub(crate) fn obey(&self, order: &str) {
        let (verb, rest) = order.split_once(' ').unwrap_or((order, ""));
        match verb {
            "say" => say(&self.filled(rest, None)),
            "go" => {
                *self.go.0.lock().unwrap() += 1;
                self.go.1.notify_one();
            }
            "offer" => {
                let name = member(rest, "name");
                let mut tools = self.tools.lock().unwrap();
                match tools.iter_mut().find(|tool| member(tool, "name") == name) {
                    Some(tool) => *tool = rest.to_owned(),
                    None => tools.push(rest.to_owned()),
                }
            }
            "hear" => {
                self.deaf.store(false, Ordering::SeqCst);
                if let Some(reader) = &*self.reader.lock().unwrap() {
                    reader.unpark();
                }
            }
            "exit" => exit(rest.parse().unwrap()),
            _ => panic!("unknown order `{order}`"),
        }
    }

    /// A line from the client that the test has not been told of: once it knows of a
    /// stream, it may order something to be said on it.
    pub(crate) fn overhear(&self, line: &str) {
        let listens = line.contains("subscriptions/listen")
            && member(line, "method").is_some_and(|method| method == r#""subscriptions/listen""#);
        if listens && let Some(id) = member(line, "id") {
            *self.listening.lock().unwrap() = id;
        }
    }

    /// Comes back if it is to read another line.
    pub(crate) fn reads_on(&self) {
        *self.reader.lock().unwrap() = Some(std::thread::current());
        while self.deaf.load(Ordering::SeqCst) {
            std::thread::park();
        }
    }

    /// A line from the client.
    pub(crate) fn receive(self: &Arc<Self>, line: &str) {
        let method = member(line, "method").and_then(|method| unquote(&method));
        match (member(line, "id"), method) {
            (Some(id), Some(method)) => {
                let params = member(line, "params").unwrap_or_else(|| "{}".to_owned());
                let request = Request { id, method, params };
                // Here, and not where it is played: what comes next must not be read.
                let steps = self.steps(&request).unwrap_or_default();
                if steps.first().is_some_and(|step| step.verb == "deaf") {
                    self.deaf.store(true, Ordering::SeqCst);
                }
                let stage = self.clone();
                std::thread::spawn(move || stage.play(&request));
            }
            (Some(id), None) => {
                let answer = member(line, "result")
                    .unwrap_or_else(|| format!("{{\"error\":{}}}", member(line, "error").unwrap()));
                if let Some(asker) = self.asked.lock().unwrap().remove(&id) {
                    asker.send(answer).unwrap();
                }
            }
            (None, _) => {}
        }
    }

    fn play(&self, request: &Request) {
        match self.steps(request) {
            Some(steps) => self.perform(request, steps),
            None => self.improvise(request),
        }
    }

    /// What the script says of a request.
    fn steps(&self, request: &Request) -> Option<&[Step]> {
        let key = request.key();
        let mut acts = self.script.acts.iter();
        let act =
            acts.find(|act| act.method == request.method && (act.key.is_none() || act.key == key))?;
        Some(&act.steps)
    }

    fn perform(&self, request: &Request, steps: &[Step]) {
        let mut answers = request.answers();
        // A modern call that asked begins again at its question.
        let resumed = request.step();
        for (at, step) in steps.iter().enumerate().skip(resumed.unwrap_or(0)) {
            let rest = step.rest.as_str();
            match step.verb.as_str() {
                "result" => say_result(request, rest),
                "error" => say(&format!(
                    "{{\"jsonrpc\":\"2.0\",\"id\":{},\"error\":{rest}}}",
                    request.id
                )),
                "text" => say_result(request, &text(rest)),
                "fill" => {
                    let text = "x".repeat(rest.parse().unwrap());
                    let result = format!(r#"{{"content":[{{"type":"text","text":"{text}"}}]}}"#);
                    say_result(request, &result);
                }
                "echo" => say_result(request, &text(&request.params)),
                "answers" => say_result(request, &text(&format!("[{}]", answers.join(",")))),
                "line" => say(&self.filled(rest, Some(request))),
                "long" => say(&format!(
                    r#"{{"jsonrpc":"2.0","id":{},"method":"roots/list","params":{{"x":"{}"}}}}"#,
                    request.id,
                    "x".repeat(rest.parse().unwrap())
                )),
                "progress" => {
                    for nth in 1..=rest.parse().unwrap() {
                        self.progress(request, nth);
                    }
                }
                "storm" => {
                    let (count, line) = rest.split_once(' ').unwrap();
                    let line = self.filled(line, Some(request));
                    let thousand = vec![line; 1000].join("\n");
                    for _ in 0..count.parse::<usize>().unwrap().div_ceil(1000) {
                        say(&thousand);
                    }
                }
                "ask" => {
                    let (method, params) = rest.split_once(' ').unwrap();
                    if request.is_modern() {
                        match request.response() {
                            Some(answer) if resumed == Some(at) => answers.push(answer),
                            _ => return request.ask(method, params, at, &answers),
                        }
                    } else {
                        answers.push(self.ask(method, params));
                    }
                }
                "nag" => {
                    let (count, question) = rest.split_once(' ').unwrap();
                    let (method, params) = question.split_once(' ').unwrap();
                    for nth in 0..count.parse::<usize>().unwrap() {
                        say(&format!(
                            "{{\"jsonrpc\":\"2.0\",\"id\":\"nag {nth}\",\"method\":{},\"params\":{params}}}\n{{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{{\"requestId\":\"nag {nth}\"}}}}",
                            quote(method)
                        ));
                    }
                }
                "wait" => self.wait(),
                "exit" => exit(rest.parse().unwrap()),
                "deaf" if at == 0 => {} // since it was read
                "mute" => mute(),
                "silence" => return,
                verb => panic!("unknown step `{verb}`"),
            }
        }
    }

    /// What any server of its era does.
    fn improvise(&self, request: &Request) {
        let page = |key: &str, entries: &[String]| {
            let hints = if request.is_modern() {
                ",\"resultType\":\"complete\",\"ttlMs\":0,\"cacheScope\":\"private\""
            } else {
                ""
            };
            format!("{{\"{key}\":[{}]{hints}}}", entries.join(","))
        };
        let script = &self.script;
        let result = match request.method.as_str() {
            "server/discover" if script.modern => format!(
                "{{\"resultType\":\"complete\",\"supportedVersions\":[\"2026-07-28\"],\"capabilities\":{},\"ttlMs\":0,\"cacheScope\":\"private\",\"_meta\":{{\"io.modelcontextprotocol/serverInfo\":{INFO}}}}}",
                self.capabilities()
            ),
            "initialize" if script.legacy => {
                let can = dig(&request.params, "capabilities.elicitation");
                self.asks_users.store(can.is_some(), Ordering::SeqCst);
                format!(
                    "{{\"protocolVersion\":{},\"capabilities\":{},\"serverInfo\":{INFO}}}",
                    member(&request.params, "protocolVersion").unwrap(),
                    self.capabilities()
                )
            }
            "initialize" => {
                return say_error(
                    request,
                    r#"{"code":-32022,"message":"unsupported","data":{"supported":["2026-07-28"],"requested":"2025-11-25"}}"#,
                );
            }
            "ping" | "logging/setLevel" | "resources/subscribe" | "resources/unsubscribe"
                if script.legacy =>
            {
                "{}".to_owned()
            }
            "tools/list" => {
                let mut tools = self.tools.lock().unwrap().clone();
                if self.asks_users.load(Ordering::SeqCst)
                    || (request.is_modern() && request.params.contains(r#""elicitation":"#))
                {
                    tools.extend_from_slice(&script.shy);
                }
                page("tools", &tools)
            }
            "prompts/list" => page("prompts", &script.prompts),
            "resources/list" => page("resources", &script.resources),
            "resources/templates/list" => page("resourceTemplates", &script.templates),
            "subscriptions/listen" if script.modern => {
                let id = &request.id;
                let filter = member(&request.params, "notifications").unwrap();
                return say(&format!(
                    r#"{{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{{"_meta":{{"io.modelcontextprotocol/subscriptionId":{id}}},"notifications":{filter}}}}}"#
                ));
            }
            "tools/call" | "prompts/get" => {
                return say_error(request, r#"{"code":-32602,"message":"unknown name"}"#);
            }
            _ => return say_error(request, r#"{"code":-32601,"message":"Method not found"}"#),
        };
        say_result(request, &result);
    }

    fn capabilities(&self) -> String {
        let script = &self.script;
        if let Some(capabilities) = &script.capabilities {
            return capabilities.clone();
        }
        let mut found = vec![r#""tools":{"listChanged":true}"#, r#""logging":{}"#];
        if !script.prompts.is_empty() {
            found.push(r#""prompts":{"listChanged":true},"completions":{}"#);
        }
        if !script.resources.is_empty() || !script.templates.is_empty() {
            found.push(r#""resources":{"listChanged":true,"subscribe":true}"#);
        }
        format!("{{{}}}", found.join(","))
    }

    fn ask(&self, method: &str, params: &str) -> String {
        let id = {
            let mut questions = self.questions.lock().unwrap();
            *questions += 1;
            format!("\"question {questions}\"")
        };
        let (asker, answer) = mpsc::channel();
        self.asked.lock().unwrap().insert(id.clone(), asker);
        say(&format!(
            "{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":{},\"params\":{params}}}",
            quote(method)
        ));
        answer.recv().unwrap()
    }

    fn progress(&self, request: &Request, nth: usize) {
        if request.token().is_none() {
            return;
        }
        let line = format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":$token,"progress":{nth},"unknown":1e400}}}}"#
        );
        say(&self.filled(&line, Some(request)));
    }

    fn wait(&self) {
        let mut go = self.go.0.lock().unwrap();
        while *go == 0 {
            go = self.go.1.wait(go).unwrap();
        }
        *go -= 1;
    }

    fn filled(&self, line: &str, request: Option<&Request>) -> String {
        let mut line = line.replace("$sub", &self.listening.lock().unwrap());
        if let Some(request) = request {
            line = line.replace("$id", &request.id);
            line = line.replace("$token", &request.token().unwrap_or_default());
        }
        line
    }
}

const INFO: &str = r#"{"name":"double","version":"1"}"#;

impl Request {
    fn key(&self) -> Option<String> {
        ["name", "uri", "ref.name", "ref.uri"]
            .iter()
            .find_map(|path| dig(&self.params, path))
            .and_then(|name| unquote(&name))
    }

    fn meta(&self, key: &str) -> Option<String> {
        member(&member(&self.params, "_meta")?, key)
    }

    fn is_modern(&self) -> bool {
        self.meta("io.modelcontextprotocol/protocolVersion")
            .is_some()
    }

    fn token(&self) -> Option<String> {
        self.meta("progressToken")
    }

    fn state(&self, key: &str) -> Option<String> {
        member(&unquote(&member(&self.params, "requestState")?)?, key)
    }

    /// The step that a repeated call goes on with.
    fn step(&self) -> Option<usize> {
        self.state("step").map(|step| step.parse().unwrap())
    }

    fn answers(&self) -> Vec<String> {
        self.state("answers")
            .map_or(Vec::new(), |all| elements(&all))
    }

    fn response(&self) -> Option<String> {
        dig(&self.params, "inputResponses.question")
    }

    fn ask(&self, method: &str, params: &str, step: usize, answers: &[String]) {
        let state = format!("{{\"step\":{step},\"answers\":[{}]}}", answers.join(","));
        let result = format!(
            "{{\"resultType\":\"input_required\",\"inputRequests\":{{\"question\":{{\"method\":{},\"params\":{params}}}}},\"requestState\":{}}}",
            quote(method),
            quote(&state)
        );
        say_result(self, &result);
    }
}

fn text(text: &str) -> String {
    format!(
        "{{\"content\":[{{\"type\":\"text\",\"text\":{}}}]}}",
        quote(text)
    )
}

fn say_result(request: &Request, result: &str) {
    say(&format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":{},\"result\":{result}}}",
        request.id
    ));
}

fn say_error(request: &Request, error: &str) {
    say(&format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":{},\"error\":{error}}}",
        request.id
    ));
}

/// Puts something else in the place of stdout.
fn mute() {
    let null = std::fs::OpenOptions::new().write(true).open("/dev/null");
    rustix::stdio::dup2_stdout(null.unwrap()).unwrap();
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    // The client may have gone; then so do we, at the end of our input.
    let _ = out
        .write_all(line.as_bytes())
        .and_then(|()| out.write_all(b"\n"));
    let _ = out.flush();
}
