//! The tool server that the official conformance suite is run against: it offers, over stdio, every tool, prompt and
//! resource the suite calls by name, in both protocol eras. `--era=legacy|modern` (or `FIXTURE_ERA`) makes it speak one
//! era only, for the runs where the broker has to bridge. It is not an example of a good tool server: it does what the suite asks.
#![expect(
    deprecated,
    reason = "sampling, roots and logging are deprecated, and the suite tests them"
)]

#[path = "fixture/calls.rs"]
mod calls;
#[path = "fixture/dialogue.rs"]
mod dialogue;
#[path = "fixture/era.rs"]
mod era;
#[path = "fixture/prompts.rs"]
mod prompts;
#[path = "fixture/resources.rs"]
mod resources;
#[path = "fixture/server.rs"]
mod server;
#[path = "fixture/tools.rs"]
mod tools;

use std::error::Error;

use rmcp::ServiceExt;
use rmcp::transport::async_rw::AsyncRwTransport;
use rmcp::transport::io::stdio_pipes;

use crate::era::{Era, EraGate};
use crate::server::Fixture;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let era = Era::from_invocation()?;
    let (read, write) = stdio_pipes();
    let transport = EraGate::new(AsyncRwTransport::new_server(read, write), era);
    Fixture::new(era).serve(transport).await?.waiting().await?;
    Ok(())
}
