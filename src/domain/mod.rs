//! The words of tollgate: plain data, no I/O, no clock, no async.

mod call;
mod era;
mod fault;
mod fingerprint;
mod id;
mod name;
mod outcome;
mod place;
mod refusal;
mod stop;
mod tier;

pub use call::{Call, Finding, Findings, Principal, Reach, Standing, Subject};
pub use era::{Capabilities, Era};
pub use fault::{Fault, ToolFault};
pub use fingerprint::Fingerprint;
pub use id::{AskId, CallId, RunId};
pub use name::{AgentName, NameError, Owner, ServerName};
pub use outcome::Outcome;
pub use place::Place;
pub use refusal::{Code, Refusal};
pub use stop::{Became, Stop, StopScope};
pub use tier::{Offer, Tier};
