//! An agent and a tool server of any two eras, and questions between them.

use super::agent::Agent;
use super::home::Home;
use super::raw::{member, members, quote, unquote};
use super::server::Server;

/// A question to a user.
pub const FORM: &str = r#"{"message":"Your name?","requestedSchema":{"type":"object","properties":{"name":{"type":"string","pattern":"^[a-z]+$"}},"required":["name"]}}"#;

/// How one side speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Era {
    Legacy,
    Modern,
}

/// An agent of one era, and a server of one.
pub struct Pair {
    pub home: Home,
    pub alpha: Server,
    pub agent: Agent,
    pub speaks: Era,
    pub served: Era,
}

/// Runs the test for all pairs of eras, for agents that can be asked everything.
pub fn each_pair(script: &str, test: impl Fn(&mut Pair)) {
    let everything = r#"{"elicitation":{"form":{}},"sampling":{},"roots":{"listChanged":true}}"#;
    each_pair_with(everything, script, test);
}

pub fn each_pair_with(capabilities: &str, script: &str, test: impl Fn(&mut Pair)) {
    for speaks in [Era::Legacy, Era::Modern] {
        for served in [Era::Legacy, Era::Modern] {
            println!("a {speaks:?} agent and a {served:?} server");
            test(&mut Pair::new(speaks, served, capabilities, script));
        }
    }
}

impl Pair {
    pub fn new(speaks: Era, served: Era, capabilities: &str, script: &str) -> Pair {
        Pair::with(speaks, served, capabilities, script, "")
    }

    /// With more settings in the server's file.
    pub fn with(
        speaks: Era,
        served: Era,
        capabilities: &str,
        script: &str,
        settings: &str,
    ) -> Pair {
        let home = Home::new();
        let era = match served {
            Era::Legacy => "legacy",
            Era::Modern => "modern",
        };
        let script = format!("era {era}\n{script}\ncall ready: text ready");
        let alpha = home.server_with("alpha", &script, settings);
        let mut agent = match speaks {
            Era::Legacy => home.legacy_with(capabilities),
            Era::Modern => home.modern_with(capabilities),
        };
        agent.until_listed(&["alpha__ready"]);
        Pair {
            home,
            alpha,
            agent,
            speaks,
            served,
        }
    }

    /// Waits for a question in the middle of the request `id`.
    pub fn is_asked(&mut self, id: u64) -> Question {
        match self.speaks {
            Era::Legacy => {
                let line = self.agent.request_from_server();
                Question {
                    method: unquote(&member(&line, "method").unwrap()).unwrap(),
                    params: member(&line, "params").unwrap_or_default(),
                    asked: line,
                }
            }
            Era::Modern => {
                let result = self.agent.result(id);
                assert_eq!(
                    member(&result, "resultType").unwrap(),
                    r#""input_required""#
                );
                let requests = members(&member(&result, "inputRequests").unwrap());
                let [(_, request)] = requests.as_slice() else {
                    panic!("not one question: {result}");
                };
                Question {
                    method: unquote(&member(request, "method").unwrap()).unwrap(),
                    params: member(request, "params").unwrap_or_default(),
                    asked: result,
                }
            }
        }
    }

    /// Answers a question; the request that now waits for the result.
    pub fn answers(&mut self, id: u64, question: &Question, call: &str, answer: &str) -> u64 {
        match self.speaks {
            Era::Legacy => {
                self.agent.respond(&question.asked, answer);
                id
            }
            Era::Modern => {
                let params = question.retry(call, answer);
                self.agent.request("tools/call", &params)
            }
        }
    }

    pub fn is_well(&mut self) {
        let id = self.agent.call("alpha__ready", "{}");
        assert_eq!(self.agent.text(id), "ready");
    }
}

/// A question, in the terms of no era.
pub struct Question {
    pub method: String,
    pub params: String,
    /// The request of the legacy era, or the result of the modern one.
    asked: String,
}

impl Question {
    pub fn state(&self) -> String {
        member(&self.asked, "requestState").unwrap()
    }

    /// The parameters `call` again, with the answer.
    pub fn retry(&self, call: &str, answer: &str) -> String {
        self.retry_with(call, answer, &self.state())
    }

    pub fn retry_with(&self, call: &str, answer: &str, state: &str) -> String {
        let requests = members(&member(&self.asked, "inputRequests").unwrap());
        let key = quote(&requests[0].0);
        let body = call.strip_suffix('}').unwrap();
        format!(r#"{body},"inputResponses":{{{key}:{answer}}},"requestState":{state}}}"#)
    }
}

/// A call of the tool that asks.
pub const ASK: &str = r#"{"name":"alpha__ask","arguments":{"b":1,"a":2}}"#;
