//! The program. Branches to the command line; what it carries is built here.

use std::process::ExitCode;
use std::sync::Arc;

use tollgate::control::{Question, Refused, RefusedCode, Reply};
use tollgate::daemon::{Guest, Hello, Service, Stop};

fn main() -> ExitCode {
    // First of all: a keeper is a process of its own kind that shares only the file.
    #[cfg(target_os = "linux")]
    if let Some(code) = tollgate::tools::keeper::entry() {
        return code;
    }
    tollgate::cli::main(async |_| Ok(Arc::new(NoBroker)))
}

/// Lets nobody in.
struct NoBroker;

impl NoBroker {
    fn refused() -> Refused {
        Refused::new(RefusedCode::Unavailable, "this build carries no broker")
    }
}

impl Service for NoBroker {
    fn admit(&self, _: &Hello) -> Result<(), Refused> {
        Err(Self::refused())
    }

    async fn agent(self: Arc<Self>, _: Guest, _: Stop) {}

    async fn control(&self, _: Question) -> Result<Reply, Refused> {
        Err(Self::refused())
    }

    fn pending(&self) -> bool {
        false
    }

    async fn drain(&self) {}
}
