//! `tollgate demo-server`: the tool server of the demo.

use crate::daemon::Failure;
use crate::demo;

/// Serve a mailbox, files and payments that only pretend, over stdio
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

pub(super) fn run(_args: &Args) -> Result<(), Failure> {
    demo::serve()
}
