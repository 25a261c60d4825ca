//! `tollgate daemon`: the broker in the foreground, as a service.

use std::sync::Arc;
use std::time::Duration;

use crate::daemon::{self, Failure, FailureKind, Ground, Place, Ready, Service, Stays};

/// Run the broker in the foreground, as a service
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Started by a shim, which waits on stdin for the report
    #[arg(long, hide = true)]
    autostarted: bool,
}

pub(super) fn run<S, B>(place: Place, args: &Args, build: B) -> Result<(), Failure>
where
    S: Service,
    B: AsyncFnOnce(Ground) -> Result<Arc<S>, Failure>,
{
    super::log::log_to_stderr("info");
    let ready = if args.autostarted {
        Ready::inherited().map_err(|cause| Failure::io("can't leave the shim", &cause))?
    } else {
        Ready::nobody_waits()
    };
    let stays = match args.autostarted {
        true => idle_exit().map(|long| long.map_or(Stays::WhileNeeded, Stays::ThisLong)),
        false => Ok(Stays::UntilTold),
    };
    let stays = match stays {
        Ok(stays) => stays,
        Err(failure) => {
            // Else it would say this to its log alone.
            ready.report(Err(&failure));
            return Err(failure);
        }
    };
    daemon::carry(daemon::run(place, stays, ready, build))
}

/// The variable wins over the configuration: it is there for tests.
fn idle_exit() -> Result<Option<Duration>, Failure> {
    const NAME: &str = "TOLLGATE_IDLE_EXIT";
    let Some(text) = std::env::var_os(NAME) else {
        return Ok(None);
    };
    text.to_str()
        .and_then(|text| text.parse().ok())
        .map(Duration::from_secs)
        .map(Some)
        .ok_or_else(|| {
            Failure::new(
                FailureKind::Usage,
                format!("{NAME} is `{}`, not a number of seconds", text.display()),
            )
        })
}
