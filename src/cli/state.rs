//! `tollgate state`: what is kept beside the journal, which is the truth.

use std::fs;
use std::io::ErrorKind;

use super::out::Out;
use super::{LONG, Trouble, ask_patiently, beside_the_point};
use crate::clock::{Clock, SystemClock};
use crate::control::{Question, Reply};
use crate::daemon::{Failure, Place, StateLock};
use crate::store;

/// Check the state against the journal, or have it built anew
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Compare the state with the journal that it follows from
    Check,
    /// Move the state aside; the next start builds it from the journal
    Rebuild {
        /// Go on behind the last record that is in order, where records that were
        /// safe are damaged or gone; what is cut off is kept beside the journal
        #[arg(long)]
        accept_loss: bool,
    },
}

/// The database, below the state directory.
const DATABASE: &str = "state.sled";

pub(super) fn run(place: &Place, args: &Args, out: &mut Out) -> Result<(), Trouble> {
    match args.what {
        What::Check => check(place, out),
        What::Rebuild { accept_loss } => rebuild(place, accept_loss, out),
    }
}

fn check(place: &Place, out: &mut Out) -> Result<(), Trouble> {
    let Reply::StateChecked { says } = ask_patiently(place, Question::CheckState, LONG)? else {
        return Err(beside_the_point().into());
    };
    Ok(out.line(format_args!("ok  {says}"))?)
}

/// Nothing is deleted: the journal has it all, but who knows.
fn rebuild(place: &Place, accept_loss: bool, out: &mut Out) -> Result<(), Trouble> {
    // A daemon that started while the journal is walked would lose its state under it.
    let _held = match place.state.is_dir() {
        true => Some(StateLock::take_free(place)?),
        false => None,
    };
    if !accept_loss {
        // What is kept may be the only one that is whole.
        store::can_rebuild(&place.state, &SystemClock::new()).map_err(|fault| {
            let failure = Failure::fault(fault.says);
            match fault.hint {
                Some(hint) => failure.hint(hint),
                None => failure,
            }
        })?;
    }
    if accept_loss {
        let path = place.accept_loss_file();
        fs::write(&path, "").map_err(|cause| {
            Failure::io(format_args!("can't write `{}`", path.display()), &cause)
        })?;
        out.line("the next start accepts the loss of damaged records, once")?;
    }
    let from = place.state.join(DATABASE);
    let now = SystemClock::new().now();
    let to = place
        .state
        .join(format!("{DATABASE}.aside-{}", now.as_second()));
    match fs::rename(&from, &to) {
        Ok(()) => {
            out.line(format_args!(
                "moved `{}` aside, to `{}`",
                from.display(),
                to.display()
            ))?;
            Ok(out.line("the next start builds it anew from the journal")?)
        }
        Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(
            out.line("there is no state to move aside: the next start builds it from the journal")?
        ),
        Err(cause) => Err(Failure::io(
            format_args!("can't move `{}` aside", from.display()),
            &cause,
        )
        .into()),
    }
}
