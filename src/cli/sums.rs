//! Runs in numbers, summed up from their records.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;

use super::record::{Cost, Record};

/// What calls cost, in each currency that counted meanwhile; in millionths.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
#[serde(transparent)]
pub(super) struct Costs(BTreeMap<String, u64>);

impl Costs {
    pub(super) fn add(&mut self, cost: &Cost) {
        let sum = self.0.entry(cost.currency.clone()).or_default();
        *sum = sum.saturating_add(cost.micros);
    }

    /// `0.30 USD`; nothing where nothing was paid.
    pub(super) fn shown(&self) -> String {
        let each = self.0.iter().map(|(currency, micros)| Cost {
            micros: *micros,
            currency: currency.clone(),
        });
        let each: Vec<String> = each.map(|cost| cost.to_string()).collect();
        each.join(" + ")
    }
}

/// One run in numbers.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize)]
pub(super) struct Run {
    pub(super) run: String,
    pub(super) agent: String,
    pub(super) owner: String,
    pub(super) first: Option<Timestamp>,
    pub(super) last: Option<Timestamp>,
    pub(super) calls: usize,
    pub(super) done: usize,
    /// Calls that ended with a question to the agent.
    pub(super) asked: usize,
    pub(super) failed: usize,
    pub(super) refused: usize,
    pub(super) unknown: usize,
    pub(super) open: usize,
    /// Time that its calls took, in milliseconds.
    #[serde(serialize_with = "exact")]
    pub(super) busy_ms: f64,
    /// Time that they waited before they left, where that is known.
    #[serde(serialize_with = "exact_if_known")]
    pub(super) wait_ms: Option<f64>,
    /// What its calls cost, in millionths of each currency.
    pub(super) cost: Costs,
    /// `killed` or `paused`, if its agent was halted in it and still is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) halt: Option<String>,
    /// Why there may be more of it than is summed up here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) incomplete: Option<Lacks>,
    /// The number of its first record.
    #[serde(skip)]
    pub(super) begins: Option<u64>,
}

/// What a sum may lack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Lacks {
    /// Older records that were not read: it would have taken too long.
    NotRead,
    /// Older records that are not kept.
    NotKept,
}

/// To the microsecond, as the record has it: a sum of such numbers is off by less than
/// anybody measured, and shows it.
fn exact<S: serde::Serializer>(ms: &f64, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_f64((ms * 1000.0).round() / 1000.0)
}

#[expect(clippy::ref_option, reason = "serde asks so")]
fn exact_if_known<S: serde::Serializer>(ms: &Option<f64>, to: S) -> Result<S::Ok, S::Error> {
    match ms {
        Some(ms) => exact(ms, to),
        None => to.serialize_none(),
    }
}

/// What is known of a call that has begun.
struct Begun {
    /// Which run, by its place.
    at: usize,
    estimate: Option<Cost>,
}

/// The runs that these records are of, in the order in which they began.
pub(super) fn summed(records: &[Record]) -> Vec<Run> {
    let mut sums = Sums::default();
    records.iter().for_each(|record| sums.add(record));
    sums.runs
}

/// Runs while they are summed up, record by record.
#[derive(Default)]
pub(super) struct Sums {
    pub(super) runs: Vec<Run>,
    of_call: HashMap<String, Begun>,
}

impl Sums {
    pub(super) fn add(&mut self, record: &Record) {
        let call = record.str("call");
        let known = call.and_then(|call| self.of_call.get(call));
        let (at, estimate) = match (known, record.str("run"), record.kind()) {
            (Some(begun), _, _) => (begun.at, begun.estimate.as_ref()),
            (None, Some(name), "call.intent" | "call.refused") => {
                let at = self.runs.iter().position(|run| run.run == name);
                let at = at.unwrap_or_else(|| {
                    self.runs.push(Run {
                        run: name.to_owned(),
                        agent: record.str("agent").unwrap_or("?").to_owned(),
                        owner: record.str("owner").unwrap_or("?").to_owned(),
                        first: record.at(),
                        begins: record.seq(),
                        ..Run::default()
                    });
                    self.runs.len() - 1
                });
                if let Some(call) = call {
                    let estimate = record.estimate();
                    self.of_call.insert(call.to_owned(), Begun { at, estimate });
                }
                (at, None)
            }
            (None, _, _) => return,
        };
        if let Some(run) = self.runs.get_mut(at) {
            count(run, record, estimate);
        }
    }
}

fn count(run: &mut Run, record: &Record, estimate: Option<&Cost>) {
    run.last = record.at().max(run.last);
    match record.kind() {
        "call.intent" => {
            run.calls += 1;
            run.open += 1;
        }
        "call.refused" => {
            run.calls += 1;
            run.refused += 1;
        }
        "call.outcome" => {
            run.open = run.open.saturating_sub(1);
            run.busy_ms += record.number("duration_ms").unwrap_or_default();
            if let Some(wait) = record.number("wait_ms") {
                *run.wait_ms.get_or_insert(0.0) += wait;
            }
            if let Some(cost) = record.cost(estimate) {
                run.cost.add(&cost);
            }
            match record.str("outcome") {
                Some("done") => run.done += 1,
                Some("asked") => run.asked += 1,
                Some("unknown") => run.unknown += 1,
                Some(_) | None => run.failed += 1,
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_no_end_and_times_are_exact_to_the_microsecond() {
        let lines = [
            ("c-1", "done", 0.154),
            ("c-2", "asked", 0.154),
            ("c-3", "failed", 0.154),
        ];
        let records: Vec<Record> = lines
            .iter()
            .flat_map(|(call, outcome, ms)| {
                [
                    format!(r#"{{"kind":"call.intent","call":"{call}","run":"r-1"}}"#),
                    format!(
                        r#"{{"kind":"call.outcome","call":"{call}","outcome":"{outcome}","duration_ms":{ms},"wait_ms":0.1}}"#
                    ),
                ]
            })
            .map(|line| Record::parse(&line).unwrap())
            .collect();
        let runs = summed(&records);
        let run = &runs[0];
        assert_eq!((run.done, run.asked, run.failed), (1, 1, 1));
        let json = serde_json::to_string(run).unwrap();
        assert!(json.contains(r#""busy_ms":0.462,"wait_ms":0.3,"#), "{json}");
    }

    #[test]
    fn a_call_whose_end_nobody_saw_costs_what_was_kept_back_for_it() {
        let records: Vec<Record> = [
            r#"{"kind":"call.intent","call":"c-1","run":"r-1","charge":{"calls":1,"cost":300000},"estimated_cost":"0.30 USD"}"#,
            r#"{"kind":"call.intent","call":"c-2","run":"r-1","charge":{"calls":1,"cost":300000},"estimated_cost":"0.30 USD"}"#,
            r#"{"kind":"call.intent","call":"c-3","run":"r-1","charge":{"calls":1}}"#,
            r#"{"kind":"call.outcome","call":"c-1","outcome":"done","charged":{"calls":1,"cost":250001},"cost":"0.250001 USD"}"#,
            r#"{"kind":"call.outcome","call":"c-2","outcome":"unknown"}"#,
            r#"{"kind":"call.outcome","call":"c-3","outcome":"done","charged":{"calls":1}}"#,
        ]
        .iter()
        .map(|line| Record::parse(line).unwrap())
        .collect();
        let runs = summed(&records);
        assert_eq!(runs[0].cost.shown(), "0.550001 USD");
        assert_eq!(
            serde_json::to_string(&runs[0].cost).unwrap(),
            r#"{"USD":550001}"#
        );
    }
}
