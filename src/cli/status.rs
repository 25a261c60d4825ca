//! Bare `tollgate`: one screen.

use std::path::Path;

use super::budget::left_alone;
use super::check::has_changed;
use super::out::Out;
use super::record::Record;
use super::resume::{halted, stopped};
use super::rows::{Row, merged};
use super::servers::server_table;
use super::{
    NO_CONFIG, STARTS, Trouble, all_records, ask_if_running, beside_the_point, elsewhere_hint,
};
use crate::clock::{Clock, SystemClock};
use crate::control::proto::Status;
use crate::control::{AgentRow, Happening, Question, Reply, Wrong};
use crate::daemon::{Place, StateLock, elsewhere};
use crate::domain::Stop;
use crate::ports::Query;
use crate::store::{self, stop_file};

pub(super) fn run(place: &Place, out: &mut Out) -> Result<(), Trouble> {
    match ask_if_running(place, Question::Status)? {
        None => Ok(not_running(place, out)?),
        Some(Reply::Status(status)) => {
            screen(&status, &place.config, out)?;
            latest(place, &status.latest, out)
        }
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
    let mut stops = stop_file::pulled(&place.stop_file());
    match recorded_stops(place) {
        Ok(recorded) => {
            let laid: Vec<_> = stops.iter().map(|stop| stop.scope.clone()).collect();
            stops.extend(
                recorded
                    .into_iter()
                    .filter(|stop| !laid.contains(&stop.scope)),
            );
        }
        Err(why) => out.line(format_args!("stops in its record are not known: {why}"))?,
    }
    for stop in stops {
        out.line(format_args!(
            "STOPPED from its next start: {}",
            stopped(&stop)
        ))?;
    }
    match elsewhere(place).as_slice() {
        [] if !place.config.is_dir() => out.step(NO_CONFIG),
        [] => out.step(STARTS),
        others => out.line(elsewhere_hint(others)),
    }
}

/// The stops that the next start finds in the record; none where nothing was recorded.
fn recorded_stops(place: &Place) -> Result<Vec<Stop>, String> {
    if !place.state.join("journal").is_dir() {
        return Ok(Vec::new());
    }
    // A daemon that starts meanwhile waits for it.
    let _held = StateLock::take_free(place).map_err(|failure| failure.message)?;
    store::stops_of_files(&place.state)
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
        latest: _,
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
    Ok(())
}

/// Lines that the screen has for what happened last.
const LATEST: usize = 20;

/// Records that are looked at for them: a call has two, and what limits do some more.
const LOOKED_AT: usize = 100;

/// What the daemon remembers, and behind it what it was before this daemon started.
fn latest(place: &Place, remembered: &[Happening], out: &mut Out) -> Result<(), Trouble> {
    out.line("latest:")?;
    for happening in remembered {
        out.line(format_args!("  {:.0}  {}", happening.at, happening.what))?;
    }
    let room = LATEST.saturating_sub(remembered.len());
    if room == 0 {
        return Ok(());
    }
    let query = Query {
        limit: Some(LOOKED_AT),
        no_checkpoints: true,
        ..Query::default()
    };
    let mut found = Vec::new();
    let read = all_records(place, query, |lines| {
        found.extend(lines.iter().filter_map(|line| Record::parse(line)));
        Ok(())
    });
    if let Err(Trouble::Failure(failure)) = read {
        // The rest of the screen is as good as ever.
        return Ok(out.line(format_args!("  earlier calls can't be read: {failure}"))?);
    }
    let earlier = earlier(&merged(&found), remembered, room);
    if earlier.is_empty() && remembered.is_empty() {
        out.line("  nothing yet")?;
    }
    Ok(out.lines(earlier)?)
}

/// Calls that have ended and are not remembered, the newest first. One of which the
/// beginning was not looked at is left out: nobody knows whose it is.
fn earlier(rows: &[Row], remembered: &[Happening], room: usize) -> Vec<String> {
    let is_known = |row: &Row| {
        let mut ids = remembered
            .iter()
            .filter_map(|one| one.what.split(' ').next());
        ids.any(|id| id == row.call)
    };
    let ended = rows.iter().rev().filter(|row| {
        row.call.starts_with("c-") && row.has_ended && !row.who.is_empty() && !is_known(row)
    });
    let line = |row: &Row| {
        let Row {
            date,
            time,
            call,
            who,
            what,
            verdict,
            note,
            ..
        } = row;
        let became = match verdict.as_str() {
            "REFUSED" => note.clone(),
            ended => ended.to_lowercase(),
        };
        format!("  {date}T{time}Z  {call}  {who}  {what}  {became}")
    };
    ended.take(room).map(line).collect()
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
