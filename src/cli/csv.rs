//! Records as comma-separated values, one row a record, for spreadsheets.

use super::record::Record;

/// The columns. A key that a record does not have is empty. New ones stand last: some
/// people read a row by position.
pub(super) const COLUMNS: &[&str] = &[
    "seq",
    "at",
    "kind",
    "call",
    "run",
    "trace",
    "agent",
    "owner",
    "server",
    "tool",
    "method",
    "name",
    "tier",
    "decision",
    "code",
    "gate",
    "rule",
    "outcome",
    "reason",
    "result_bytes",
    "duration_ms",
    "wait_ms",
    "cost",
    "estimated_cost",
    "by",
    "digest",
    "scope",
    "text",
    "notice",
    "severity",
    "about",
    "says",
    "step",
    "model",
    "tokens",
    "budget_left",
    "arguments",
    "answers",
    "asks",
    "answer",
    "result",
    "halt",
    "state",
    "until",
    "alone",
    "added",
    "bound",
    "limit",
    "used",
    "requested",
    "retry_at",
];

pub(super) fn header() -> String {
    COLUMNS.join(",")
}

pub(super) fn row(record: &Record) -> String {
    let cells: Vec<String> = COLUMNS
        .iter()
        .map(|key| cell(&value(record, key)))
        .collect();
    cells.join(",")
}

/// What stands under a key; what the client reports of a call stands together in it.
fn value(record: &Record, key: &str) -> String {
    let value = match key {
        "step" => record.step(),
        "model" | "tokens" => record.reported(key),
        _ => record.shown(key),
    };
    value.unwrap_or_default()
}

/// What a formula begins with; in some languages also in full width.
const FORMULA: [char; 11] = ['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'];

/// RFC 4180; and a text that a spreadsheet would take for a formula is told apart
/// by an apostrophe, because agents write part of these texts.
fn cell(text: &str) -> String {
    let formula = text.starts_with(FORMULA) && text.parse::<f64>().is_err();
    let text = match formula {
        true => format!("'{text}"),
        false => text.to_owned(),
    };
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_quotes_and_formulas_do_not_leave_their_cell() {
        assert_eq!(cell("a,b"), "\"a,b\"");
        assert_eq!(cell("say \"hi\""), "\"say \"\"hi\"\"\"");
        assert_eq!(cell("=1+1"), "'=1+1");
        assert_eq!(cell("@SUM(A1)"), "'@SUM(A1)");
        assert_eq!(cell("＝1+1"), "'＝1+1");
        assert_eq!(cell("-1.5"), "-1.5");
    }

    #[test]
    fn nothing_that_people_look_for_is_missing() {
        let shown = |line: &str| {
            let record = Record::parse(line).unwrap();
            let values = COLUMNS.iter().map(|key| (*key, value(&record, key)));
            values.collect::<std::collections::HashMap<_, _>>()
        };
        let stop = shown(r#"{"kind":"stop","scope":"agent","agent":"dev","text":"runaway"}"#);
        assert_eq!((&*stop["scope"], &*stop["text"]), ("agent", "runaway"));
        let notice = shown(
            r#"{"kind":"notice","notice":"first_use","severity":"info","about":"dev a.b","says":"it is new"}"#,
        );
        assert_eq!(
            (&*notice["notice"], &*notice["says"]),
            ("first_use", "it is new")
        );
        let call = shown(
            r#"{"kind":"call.intent","reported":{"model":"m-1","tokens":7,"step":4},"arguments":{"path":"a"},"budget_left":{"run.calls":3}}"#,
        );
        assert_eq!(
            ["step", "model", "tokens", "arguments", "budget_left"].map(|key| &*call[key]),
            ["4", "m-1", "7", r#"{"path":"a"}"#, r#"{"run.calls":3}"#]
        );
    }

    #[test]
    fn what_changes_a_limit_or_meets_one_is_in_the_table() {
        let shown = |line: &str, keys: &[&str]| {
            let record = Record::parse(line).unwrap();
            let cells = keys.iter().map(|key| {
                assert!(COLUMNS.contains(key), "{key}");
                value(&record, key)
            });
            cells.collect::<Vec<_>>().join("|")
        };
        let lines = [
            (
                r#"{"kind":"extend","run":"r-1","added":{"calls":10},"alone":true,"until":"2026-11-20T18:04:17Z"}"#,
                &["added", "alone", "until"][..],
                r#"{"calls":10}|true|2026-11-20T18:04:17Z"#,
            ),
            (
                r#"{"kind":"halt","halt":"paused","until":"2026-11-21T16:05:16Z"}"#,
                &["halt", "until"],
                "paused|2026-11-21T16:05:16Z",
            ),
            (
                r#"{"kind":"breaker","state":"open","until":"2026-11-20T16:03:14Z"}"#,
                &["state", "until"],
                "open|2026-11-20T16:03:14Z",
            ),
            (
                r#"{"kind":"call.refused","bound":"run.calls","limit":"3","used":"3","requested":"1","retry_at":"2026-11-21T00:00:00Z"}"#,
                &["bound", "limit", "used", "requested", "retry_at"],
                "run.calls|3|3|1|2026-11-21T00:00:00Z",
            ),
        ];
        for (line, keys, said) in lines {
            assert_eq!(shown(line, keys), said);
        }
        // Who reads a row by position goes on reading it.
        assert_eq!((COLUMNS[0], COLUMNS[40]), ("seq", "result"));
    }

    #[test]
    fn what_a_server_was_told_is_in_the_table() {
        let line = r#"{"kind":"answer","answer":"accept","result":{"action":"accept"}}"#;
        let record = Record::parse(line).unwrap();
        assert_eq!(
            ["answer", "result"].map(|key| value(&record, key)),
            ["accept", r#"{"action":"accept"}"#]
        );
    }

    #[test]
    fn every_row_has_every_column() {
        let record = Record::parse(r#"{"seq":7,"kind":"stop","by":"ana"}"#).unwrap();
        let row = row(&record);
        assert!(row.starts_with("7,,stop,"), "{row}");
        assert_eq!(row.matches(',').count(), header().matches(',').count());
    }
}
