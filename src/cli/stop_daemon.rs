//! `tollgate stop-daemon`: the daemon leaves in order; done when it has left.

use std::time::Duration;

use super::out::Out;
use super::{Trouble, beside_the_point, elsewhere_hint};
use crate::control::{Reply, Request, client};
use crate::daemon::{Door, Failure, Holder, Place, connect, elsewhere};

/// Stop the daemon in order: open calls are told to cancel and answered so, agents are told
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

/// Longer than the daemon's own graces together.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) fn run(place: &Place, _args: &Args, out: &mut Out) -> Result<(), Trouble> {
    let Some(daemon) = connect(place, Door::Control)? else {
        out.line(format_args!(
            "tollgate is not running for the configuration `{}`",
            place.config.display()
        ))?;
        return match elsewhere(place).as_slice() {
            [] => Ok(()),
            others => Ok(out.line(elsewhere_hint(others))?),
        };
    };
    let asked = client::ask(&daemon, &place.config_text(), Request::StopDaemon);
    let Reply::Stopping { pid } = asked.map_err(|error| by_force(place, error.into()))? else {
        return Err(beside_the_point().into());
    };
    client::wait_for_end(&daemon, PATIENCE).map_err(|cause| {
        by_force(
            place,
            Failure::waited(format_args!("process {pid} does not end"), &cause, PATIENCE),
        )
    })?;
    Ok(out.line(format_args!("stopped the daemon (process {pid})"))?)
}

fn by_force(place: &Place, failure: Failure) -> Failure {
    match Holder::read(place) {
        Some(holder) => failure.hint(format!(
            "`kill {0}` asks it once more, `kill -9 {0}` ends it; no record is lost either way",
            holder.pid
        )),
        None => failure,
    }
}
