//! The language of the double's scripts, one thing a line:
//!
//!     era legacy | modern                  without it: both
//!     probe silence | exit STATUS | error RAW     to `server/discover` only
//!     start stderr BYTES | fork | wait | exit STATUS     before the first line is read
//!     start lines COUNT          nothing is answered before so many lines came
//!     start alone                leaves with 7 if another one of its script runs
//!     capabilities RAW
//!     tool RAW, prompt RAW, resource RAW, template RAW     what is listed
//!     shy RAW                    a tool for clients whose user can be asked something
//!     call NAME: STEP                      `on tools/call NAME: STEP`
//!     on METHOD [KEY]: STEP                KEY is the name or URI in the parameters
//!
//! Further steps stand on lines of their own:
//!
//!     result RAW | error RAW     answers, verbatim
//!     text TEXT                  answers with this text
//!     fill BYTES                 answers with a text of this size
//!     echo                       answers with its own parameters, as a text
//!     answers                    answers with what it was answered, as a text
//!     line RAW                   a line, verbatim; $id, $token, $sub are filled in
//!     long BYTES                 asks for roots under the id of the request, at this length
//!     progress COUNT             1 to COUNT
//!     storm COUNT RAW            the same line many times
//!     ask METHOD RAW             a question in the terms of the request's era
//!     nag COUNT METHOD RAW       so many questions, each withdrawn at once; legacy only
//!     wait                       until the test says `go`
//!     exit STATUS
//!     deaf                       reads nothing any more until told to `hear`; the first step
//!     mute                       closes its output and lives on

/// What the double plays.
#[derive(Debug, Default)]
pub(crate) struct Script {
    pub(crate) legacy: bool,
    pub(crate) modern: bool,
    pub(crate) start: Vec<String>,
    pub(crate) capabilities: Option<String>,
    pub(crate) tools: Vec<String>,
    pub(crate) shy: Vec<String>,
    pub(crate) prompts: Vec<String>,
    pub(crate) resources: Vec<String>,
    pub(crate) templates: Vec<String>,
    pub(crate) acts: Vec<Act>,
}

/// What it does when it gets one kind of request.
#[derive(Debug)]
pub(crate) struct Act {
    pub(crate) method: String,
    pub(crate) key: Option<String>,
    pub(crate) steps: Vec<Step>,
}

/// A verb and the rest of its line.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) verb: String,
    pub(crate) rest: String,
}

impl Script {
    pub(crate) fn parse(text: &str) -> Script {
        let mut script = Script {
            legacy: true,
            modern: true,
            ..Script::default()
        };
        for line in text.lines().map(str::trim) {
            let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
            let rest = rest.trim();
            match verb {
                "" | "#" => {}
                "era" => (script.legacy, script.modern) = (rest == "legacy", rest == "modern"),
                "probe" => script.acts.push(Act::new("server/discover", None, rest)),
                "start" => script.start.push(rest.to_owned()),
                "capabilities" => script.capabilities = Some(rest.to_owned()),
                "tool" => script.tools.push(rest.to_owned()),
                "shy" => script.shy.push(rest.to_owned()),
                "prompt" => script.prompts.push(rest.to_owned()),
                "resource" => script.resources.push(rest.to_owned()),
                "template" => script.templates.push(rest.to_owned()),
                "call" => {
                    let (name, step) = rest.split_once(": ").expect("call NAME: STEP");
                    script.offer(name);
                    let act = Act::new("tools/call", Some(name.to_owned()), step);
                    script.acts.push(act);
                }
                "on" => {
                    let (head, step) = rest.split_once(": ").expect("on METHOD KEY: STEP");
                    let (method, key) = match head.split_once(' ') {
                        Some((method, key)) => (method, Some(key.to_owned())),
                        None => (head, None),
                    };
                    script.acts.push(Act::new(method, key, step));
                }
                _ => {
                    let act = script.acts.last_mut().expect("a step belongs to an act");
                    act.steps.push(Step::parse(line));
                }
            }
        }
        script
    }

    /// A tool that is called is listed, at least plainly.
    fn offer(&mut self, name: &str) {
        let named = format!("\"name\":\"{name}\"");
        let mut listed = self.tools.iter().chain(&self.shy);
        if !listed.any(|tool| tool.contains(&named)) {
            let tool = format!("{{{named},\"inputSchema\":{{\"type\":\"object\"}}}}");
            self.tools.push(tool);
        }
    }
}

impl Act {
    fn new(method: &str, key: Option<String>, step: &str) -> Act {
        Act {
            method: method.to_owned(),
            key,
            steps: vec![Step::parse(step)],
        }
    }
}

impl Step {
    fn parse(line: &str) -> Step {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        Step {
            verb: verb.to_owned(),
            rest: rest.trim().to_owned(),
        }
    }
}
