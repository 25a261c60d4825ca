//! `tollgate demo`: the main job, played.

use std::path::Path;

use super::Trouble;
use super::out::Out;
use crate::demo;

/// Watch a scripted agent work through tollgate with tools that only pretend
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

pub(super) fn run(config: Option<&Path>, _args: &Args, out: &mut Out) -> Result<(), Trouble> {
    demo::play(config, &mut |line| out.line(line)).map_err(|trouble| match trouble {
        demo::Trouble::Failure(failure) => Trouble::Failure(failure),
        demo::Trouble::Output(cause) => Trouble::Output(cause),
    })
}
