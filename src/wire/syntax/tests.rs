use proptest::prelude::*;
use serde::de::IgnoredAny;

use super::*;

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn members(line: &str) -> Option<Vec<(&str, &str)>> {
    let mut members = Vec::new();
    checked(line.as_bytes(), |key, value| {
        members.push((text(key), text(value)));
    })?;
    Some(members)
}

fn judged(line: &[u8]) -> Option<Checked> {
    checked(line, |_, _| {})
}

fn is_json(line: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(line).is_ok() && std::str::from_utf8(line).is_ok()
}

#[test]
fn the_members_of_an_object_are_found_as_they_are_written() {
    let line = r#" { "b" : 1e400 ,"a\n":{"x":["}",","]}, "c":"q\"}","":[] , "n":null } "#;
    assert_eq!(
        members(line).unwrap(),
        [
            (r#""b""#, "1e400"),
            (r#""a\n""#, r#"{"x":["}",","]}"#),
            (r#""c""#, r#""q\"}""#),
            (r#""""#, "[]"),
            (r#""n""#, "null"),
        ]
    );
    for without in ["{}", "[]", "7", r#"[{"a":1}]"#] {
        assert_eq!(members(without).unwrap(), [], "{without}");
    }
}

#[test]
fn what_is_not_json_is_found_out_wherever_it_stands() {
    for line in [
        "",
        " ",
        "{",
        "}",
        "[",
        "]",
        "[}",
        "{]",
        "{}}",
        "[]]",
        "{} {}",
        "1 2",
        ",",
        ":",
        "[,]",
        "[1,]",
        "[1 2]",
        "{,}",
        "{1:2}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{\"a\" 1}",
        "{\"a\":1 \"b\":2}",
        "[\"a\":1]",
        "[:]",
        "\"",
        "\"\\\"",
        "\"\\x\"",
        "\"\\u12g4\"",
        "\"\\u123\"",
        "\"\\u",
        "\"\t\"",
        "\"\u{1f}\"",
        "\"a\nb\"",
        "-",
        "+1",
        "01",
        "-01",
        "1.",
        ".1",
        "1.e2",
        "1e",
        "1e+",
        "0x1",
        "1_0",
        "tru",
        "truer",
        "nul",
        "True",
        "NaN",
        "Infinity",
        "'a'",
        "\u{feff}{}",
        "\u{a0}1",
        "\u{c}1",
    ] {
        assert!(!is_json(line.as_bytes()), "{line}");
        assert!(judged(line.as_bytes()).is_none(), "{line}");
    }
    assert!(judged(b"\"\xff\"").is_none());
}

#[test]
fn what_is_json_is_taken_however_it_is_written() {
    for line in [
        "0",
        "-0",
        "-0.0e-0",
        "1E+9",
        "12.50",
        "1e400",
        "true",
        "false",
        "null",
        "\"\"",
        "\"\\ud800\"",
        "\"\\u00e9\\/\\b\"",
        "\"\u{7f}é\u{2028}\"",
        " [ [ ] , { } ] ",
        "\r\n\t {} \r",
    ] {
        assert!(is_json(line.as_bytes()), "{line}");
        assert!(judged(line.as_bytes()).is_some(), "{line}");
    }
}

#[test]
fn a_return_is_seen_between_values() {
    let has_return = |line: &[u8]| judged(line).unwrap().has_return;
    assert!(has_return(b"{\r}"));
    assert!(has_return(b"[1]\r"));
    assert!(!has_return(b"{ \"a\\r\": \"\\r\" }"));
}

#[test]
fn a_key_that_could_be_meta_is_seen_at_any_depth_and_in_any_spelling() {
    let may = |line: &str| judged(line.as_bytes()).unwrap().may_have_meta;
    for line in [
        r#"{"_meta":1}"#,
        r#"[0,[{"a":[{"_META":1}]}]]"#,
        r#"{"a":{ "\u005fmeta":{}}}"#,
        r#"{"_\u006deta":{}}"#,
        r#"{"_m":1}"#,
    ] {
        assert!(may(line), "{line}");
    }
    for line in [
        r#"{"a":"_meta","b":["_meta","\u005fmeta"],"_id":1,"":2,"x_meta":3}"#,
        r#"["_meta"]"#,
        r#""_meta""#,
    ] {
        assert!(!may(line), "{line}");
    }
}

#[test]
fn a_long_text_is_looked_at_wherever_something_stands_in_it() {
    let text = "x".repeat(3 * NEAR);
    for at in 0..text.len() {
        for odd in [
            "\"", "\\", "\\n", "\u{1f}", "\u{7f}", "é", "\\u00e9", "\\u00g9",
        ] {
            let (before, after) = text.split_at(at);
            let line = format!("[\"{before}{odd}{after}\",\"{odd}\"]");
            let taken = judged(line.as_bytes()).is_some();
            assert_eq!(taken, is_json(line.as_bytes()), "{line}");
        }
    }
}

#[test]
fn a_million_levels_are_one_pass() {
    let deep = 1_000_000;
    let line = format!("{}{}", "[".repeat(deep), "]".repeat(deep));
    assert!(judged(line.as_bytes()).is_some());
    assert!(judged(&line.as_bytes()[..2 * deep - 1]).is_none());
}

/// Texts that are JSON or nearly: pieces of it, one after another.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"a\"",
        "\"\"",
        "\"\\",
        "\"",
        "\\n",
        "\\u00e9",
        "\\u0",
        "0",
        "-",
        "1",
        ".",
        "e",
        "+",
        "true",
        "null",
        "fals",
        " ",
        "\r",
        "\n",
        "\t",
        "\u{1}",
        "é",
        "\"b\":1",
        "{\"c\":[]}",
        "[1,2]",
        "\u{7f}",
    ]);
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

/// A value, with one byte of it changed or left out.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let leaf = prop_oneof![
        any::<f64>().prop_map(|number| serde_json::json!(number)),
        any::<String>().prop_map(|text| serde_json::json!(text)),
        any::<Option<bool>>().prop_map(|word| serde_json::json!(word)),
    ];
    let value = leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
            prop::collection::hash_map(".{0,3}", inner, 0..4)
                .prop_map(|members| serde_json::json!(members)),
        ]
    });
    (value, any::<prop::sample::Index>(), any::<Option<u8>>()).prop_map(|(value, place, byte)| {
        let mut line = serde_json::to_vec(&value).unwrap();
        let at = place.index(line.len());
        match byte {
            Some(byte) => line[at] = byte,
            None => drop(line.remove(at)),
        }
        line
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn what_serde_json_takes_is_taken_and_nothing_else(line in pieces()) {
        prop_assert_eq!(judged(line.as_bytes()).is_some(), is_json(line.as_bytes()));
    }

    #[test]
    fn what_is_nearly_json_is_judged_as_serde_json_does(line in damaged()) {
        prop_assert_eq!(judged(&line).is_some(), is_json(&line));
    }
}
