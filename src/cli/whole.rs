//! Runs summed up over all of their records, wherever those are. An index finds them, and
//! still one run may have a million: what takes too long is told, not guessed.

use std::collections::HashMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::audit::not_kept;
use super::out::aside;
use super::record::Record;
use super::sums::{Lacks, Run, Sums};
use super::{Trouble, records};
use crate::clock::{Clock, SystemClock};
use crate::control::{Question, Records};
use crate::daemon::Place;
use crate::ports::Query;

/// So long all runs of a list are summed up.
const PATIENCE: Duration = Duration::from_secs(5);

/// See the module.
pub(super) struct Whole<'p> {
    place: &'p Place,
    query: Query,
    clock: SystemClock,
    end: Duration,
    /// Those that are done.
    done: HashMap<String, Run>,
}

impl<'p> Whole<'p> {
    /// Of each run what matches the query counts.
    pub(super) fn new(place: &'p Place, query: Query) -> Self {
        let clock = SystemClock::new();
        Self {
            place,
            query: Query {
                limit: None,
                ..query
            },
            end: clock.elapsed().saturating_add(PATIENCE),
            clock,
            done: HashMap::new(),
        }
    }

    /// Of these runs, of which only the newest records were found, those that began last, as
    /// many as are wanted and perhaps more; the newest stands last.
    pub(super) fn newest(
        &mut self,
        found: Vec<Run>,
        most: Option<usize>,
    ) -> Result<Vec<Run>, Trouble> {
        let mut runs: Vec<Run> = Vec::new();
        for run in found.into_iter().rev() {
            // All that are left began before they were found, at the latest.
            if let Some(most) = most
                && runs
                    .iter()
                    .filter(|known| known.begins >= run.begins)
                    .count()
                    >= most
            {
                break;
            }
            runs.push(self.whole(run)?);
        }
        runs.sort_by_key(|run| run.begins);
        Ok(runs)
    }

    fn whole(&mut self, found: Run) -> Result<Run, Trouble> {
        if let Some(done) = self.done.get(&found.run) {
            return Ok(done.clone());
        }
        let mut query = Query {
            run: Some(found.run.clone()),
            ..self.query.clone()
        };
        let mut sums = Sums::default();
        // Its oldest records come first.
        while self.clock.elapsed() < self.end {
            let page = records(self.place, Question::Audit(Box::new(query.clone())))?;
            let Records {
                lines,
                upto,
                more,
                sought,
                ..
            } = page;
            let read = lines.iter().filter_map(|line| Record::parse(line));
            read.for_each(|record| sums.add(&record));
            if !more {
                let whole = sums.runs.into_iter().find(|run| run.run == found.run);
                let whole = whole.unwrap_or(found);
                self.done.insert(whole.run.clone(), whole.clone());
                return Ok(whole);
            }
            query.go_on(upto, sought);
        }
        Ok(partly(found, sums.runs))
    }
}

/// A run of which the newest records were found and some of the oldest were read, perhaps.
fn partly(found: Run, read: Vec<Run>) -> Run {
    let begun = read.into_iter().find(|run| run.run == found.run);
    let begun = begun.map(|run| (run.first, run.begins));
    let (first, begins) = begun.unwrap_or((found.first, found.begins));
    Run {
        first,
        begins,
        incomplete: Some(Lacks::NotRead),
        ..found
    }
}

/// A run goes on as long as no day passes without a call.
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// Marks the runs that may have begun before the records that are kept. Who asks for a time
/// after that misses nothing.
pub(super) fn mark(runs: &mut [Run], asked: Option<Timestamp>, kept: Option<Timestamp>) {
    let Some(kept) = kept.filter(|kept| asked.is_none_or(|asked| asked < *kept)) else {
        return;
    };
    for run in runs {
        if run
            .first
            .is_none_or(|first| first.duration_since(kept) < DAY)
        {
            run.incomplete = run.incomplete.or(Some(Lacks::NotKept));
        }
    }
}

/// Says what the sums may lack, and what to do.
pub(super) fn tell(runs: &[Run], kept: Option<Timestamp>) {
    let lack = |what| {
        let runs = runs.iter().filter(|run| run.incomplete == Some(what));
        match runs.count() {
            0 => None,
            1 => Some("1 run".to_owned()),
            many => Some(format!("{many} runs")),
        }
    };
    if let Some(runs) = lack(Lacks::NotRead) {
        aside(format_args!(
            "{runs} not summed up whole, and perhaps begun earlier: that takes longer than {} s; `tollgate runs ID` sums up one, \
             and --limit 0 all, however long it takes",
            PATIENCE.as_secs()
        ));
    }
    if let (Some(runs), Some(kept)) = (lack(Lacks::NotKept), kept) {
        aside(format_args!(
            "{}: {runs} may have begun earlier and used more than is told here",
            not_kept(kept)
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(calls: usize, begins: u64, first: &str) -> Run {
        Run {
            run: "r-1".to_owned(),
            calls,
            begins: Some(begins),
            first: first.parse().ok(),
            ..Run::default()
        }
    }

    #[test]
    fn a_run_that_was_not_read_whole_says_so_and_when_it_began_if_that_is_known() {
        let newest = run(9, 500, "2026-11-20T16:00:00Z");
        let oldest = run(4, 7, "2026-11-19T16:00:00Z");
        for (read, begins) in [(vec![oldest], 7), (Vec::new(), 500)] {
            let run = partly(newest.clone(), read);
            assert_eq!((run.calls, run.begins), (9, Some(begins)));
            let json = serde_json::to_string(&run).unwrap();
            assert!(json.ends_with(r#""incomplete":"not_read"}"#), "{json}");
        }
    }

    #[test]
    fn who_asks_for_a_time_of_which_all_is_kept_misses_nothing() {
        let kept: Timestamp = "2026-11-20T12:00:00Z".parse().unwrap();
        let lacks = |first: &str, asked: Option<&str>, kept| {
            let mut runs = [run(1, 1, first)];
            let asked = asked.map(|asked| asked.parse().unwrap());
            mark(&mut runs, asked, kept);
            runs[0].incomplete
        };
        let soon = "2026-11-20T16:00:00Z";
        assert_eq!(lacks(soon, None, Some(kept)), Some(Lacks::NotKept));
        let before = Some("2026-11-20T11:00:00Z");
        assert_eq!(lacks(soon, before, Some(kept)), Some(Lacks::NotKept));
        assert_eq!(lacks(soon, Some("2026-11-20T13:00:00Z"), Some(kept)), None);
        assert_eq!(lacks("2026-11-21T12:00:00Z", None, Some(kept)), None);
        assert_eq!(lacks(soon, None, None), None);
    }
}
