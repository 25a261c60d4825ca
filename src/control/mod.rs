//! The control protocol: what the command line asks the daemon.
//!
//! One JSON line each way over the control socket. The words are in `proto`,
//! those of limits in `limits`; `loosens` says what only a person may ask; `client` asks,
//! `serve` answers. Who may connect, and where the socket is,
//! is the business of `daemon`.

pub mod client;
pub mod limits;
mod loosens;
pub mod proto;
pub(crate) mod serve;

pub use client::ClientError;
pub use limits::{
    Alone, BreakerRow, Budget, BudgetQuery, CloseOrder, ExtendOrder, Extended, HaltRow, LimitRow,
    Quantity,
};
pub use proto::{
    AgentRow, GateRow, Happening, Judged, PinRow, PinTexts, Question, Records, Refused,
    RefusedCode, Reply, Request, ServerRow, Status, StopOrder, StopReport, StruckRow, ToolRow,
    Trial,
};
