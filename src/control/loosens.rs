//! What of the control protocol loosens something: only a person may ask for it.

use super::proto::Question;
use crate::domain::shown;

impl Question {
    /// What would be loosened, as a fragment; none if it reads or tightens. Only a
    /// person may loosen something.
    #[must_use]
    pub fn loosens(&self) -> Option<String> {
        match self {
            Question::Resume { scope, .. } => Some(format!("lifting the stop of {scope}")),
            Question::Clear { agent, .. } => Some(format!("lifting the halt of agent `{agent}`")),
            Question::Extend(order) => Some(format!("adding to run {}", order.run)),
            Question::Accept { title, .. } => {
                Some(format!("accepting the definition of `{}`", shown(title)))
            }
            Question::CloseBreaker(order) => {
                Some(format!("closing the breaker of `{}`", shown(&order.scope)))
            }
            Question::Status
            | Question::Tools
            | Question::Servers
            | Question::Server { .. }
            | Question::Stop(_)
            | Question::Stops
            | Question::Try(_)
            | Question::Call { .. }
            | Question::Audit(_)
            | Question::Follow(_)
            | Question::Verify
            | Question::Pins
            | Question::Pin { .. }
            | Question::CheckState
            | Question::Budget(_)
            | Question::Halts => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::{CloseOrder, ExtendOrder, StopOrder};
    use crate::domain::{AgentName, Amounts, RunId, ServerName, StopScope};

    #[test]
    fn what_lifts_or_adds_is_for_people_and_what_stops_is_for_anybody() {
        let by = || "ana".to_owned();
        let agent = || AgentName::parse("dev").unwrap();
        let server = || ServerName::parse("mail").unwrap();
        let resume = |scope| Question::Resume {
            scope,
            shown: None,
            by: by(),
        };
        let loosens = [
            resume(StopScope::Everything),
            resume(StopScope::Agent(agent())),
            resume(StopScope::Server(server())),
            resume(StopScope::Run(RunId::from_tail("1"))),
            Question::Clear {
                agent: agent(),
                shown: None,
                by: by(),
            },
            Question::Extend(ExtendOrder {
                run: RunId::from_tail("1"),
                added: Amounts::ZERO,
                alone: None,
                by: by(),
            }),
            Question::Accept {
                title: "mail.send".into(),
                seen: String::new(),
                by: by(),
            },
            Question::CloseBreaker(CloseOrder {
                scope: "server mail".into(),
                by: by(),
            }),
        ];
        for question in loosens {
            assert!(question.loosens().is_some(), "{question:?}");
        }
        let stop = Question::Stop(StopOrder {
            scope: StopScope::Everything,
            by: by(),
            text: None,
        });
        assert_eq!(stop.loosens(), None);
        assert_eq!(Question::Status.loosens(), None);
    }
}
