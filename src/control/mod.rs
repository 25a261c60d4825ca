//! The control protocol: what the command line asks the daemon.
//!
//! One JSON line each way over the control socket. The words are in `proto`, what answers
//! list in `rows`, what is about limits in `limits`; `loosens` says what only a person may
//! ask; `client` asks, `serve` answers. Who may connect, and where the socket is, is the
//! business of `daemon`.

pub mod client;
pub mod limits;
mod loosens;
pub mod proto;
mod rows;
pub(crate) mod serve;

pub use client::ClientError;
pub use limits::{
    Alone, BreakerRow, Budget, BudgetQuery, CloseOrder, ExtendOrder, Extended, HaltRow, LimitRow,
    Quantity,
};
pub use proto::{
    Judged, PinTexts, Question, Records, Refused, RefusedCode, Reply, Request, Status, StopOrder,
    StopReport, Trial, Unknown, Wrong,
};
pub use rows::{AgentRow, GateRow, Happening, PinRow, ServerRow, StruckRow, ToolRow};
