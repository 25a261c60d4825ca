//! Bare `tollgate`: one screen.

use std::path::Path;

use super::budget::left_alone;
use super::check::has_changed;
use super::out::Out;
use super::resume::{halted, stopped};
use super::servers::server_table;
use super::{Trouble, ask_if_running, beside_the_point, elsewhere_hint};
use crate::clock::{Clock, SystemClock};
use crate::control::proto::Status;
use crate::control::{AgentRow, Question, Reply, Wrong};
use crate::daemon::{Place, elsewhere};
use crate::store::stop_file;

pub(super) fn run(place: &Place, out: &mut Out) -> Result<(), Trouble> {
    match ask_if_running(place, Question::Status)? {
        None => Ok(not_running(place, out)?),
        Some(Reply::Status(status)) => Ok(screen(&status, &place.config, out)?),
        Some(_) => Err(beside_the_point().into()),
    }
}

fn not_running(place: &Place, out: &mut Out) -> std::io::Result<()> {
    out.line("tollgate is not running")?;
    let none = match place.config.is_dir() {
        true => "",
        false => " (there is none yet)",
    };
    out.line(format_args!(
        "  configuration  {}{none}",
        place.config.display()
    ))?;
    out.line(format_args!("  state          {}", place.state.display()))?;
    for stop in stop_file::pulled(&place.stop_file()) {
        out.line(format_args!(
            "STOPPED from its next start: {}",
            stopped(&stop)
        ))?;
    }
    match elsewhere(place).as_slice() {
        [] => out.step("an agent's `tollgate stdio --agent NAME` starts it, or `tollgate daemon`"),
        others => out.line(elsewhere_hint(others)),
    }
}

fn screen(status: &Status, files: &Path, out: &mut Out) -> std::io::Result<()> {
    let Status {
        version,
        pid,
        up_since,
        config,
        generation,
        agents,
        servers,
        latest,
        stops,
        halts,
        breakers,
        changed,
        troubles,
    } = status;
    out.line(format_args!(
        "tollgate {version} is running since {up_since:.0} (process {pid})"
    ))?;
    out.line(format_args!(
        "  configuration  {config}, generation {generation}"
    ))?;
    if has_changed(files, *up_since) {
        out.step("  its files have changed since: tollgate check, then tollgate stop-daemon")?;
    }
    for Wrong { says, hint } in troubles {
        out.line(format_args!("TROUBLE: {says}"))?;
        if let Some(hint) = hint {
            out.step(format_args!("  {hint}"))?;
        }
    }
    for stop in stops {
        out.line(format_args!("STOPPED: {}", stopped(stop)))?;
    }
    for halt in halts {
        out.line(format_args!("HALTED: {}", halted(halt)))?;
    }
    let now = SystemClock::new().now();
    for breaker in breakers {
        out.line(format_args!("breakers  {}", left_alone(breaker, now)))?;
    }
    if *changed > 0 {
        out.step(changed_tools(*changed))?;
    }
    out.line(format_args!("agents: {}", agents.len()))?;
    let rows: Vec<_> = agents
        .iter()
        .map(|agent| {
            vec![
                agent.name.to_string(),
                agent.owner.to_string(),
                agent.run.clone(),
                calls(agent),
                format!("since {:.0}", agent.since),
            ]
        })
        .collect();
    out.table(&rows)?;
    out.line(format_args!("servers: {}", servers.len()))?;
    server_table(servers, out)?;
    out.line("latest:")?;
    for happening in latest {
        out.line(format_args!("  {:.0}  {}", happening.at, happening.what))?;
    }
    if latest.is_empty() {
        out.line("  nothing yet")?;
    }
    Ok(())
}

fn changed_tools(count: usize) -> String {
    let tools = match count {
        1 => "1 tool is".to_owned(),
        many => format!("{many} tools are"),
    };
    format!("CHANGED: {tools} refused until a person accepts what is new: tollgate pins --changed")
}

fn calls(agent: &AgentRow) -> String {
    let calls = match agent.calls {
        1 => "1 call".to_owned(),
        many => format!("{many} calls"),
    };
    match agent.under_way {
        0 => calls,
        some => format!("{calls}, {some} under way"),
    }
}
