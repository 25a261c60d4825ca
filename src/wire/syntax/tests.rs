use proptest::prelude::*;
use serde::de::IgnoredAny;

use super::super::json::MemberRanges;
use super::*;

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn members(line: &str) -> Option<Vec<(&str, &str)>> {
    let mut members = Vec::new();
    checked(line.as_bytes(), |found| {
        members.push((text(found.key), text(found.value)));
    })?;
    Some(members)
}

fn judged(line: &[u8]) -> Option<Checked> {
    checked(line, |_| {})
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

#[test]
fn a_text_of_many_blocks_is_looked_at_wherever_something_stands_in_it() {
    let text = "x".repeat(2 * BLOCK + NEAR + 3);
    let edges = [NEAR, BLOCK, NEAR + BLOCK, NEAR + 2 * BLOCK, text.len()];
    for at in edges.into_iter().flat_map(|edge| edge - 3..edge + 3) {
        for odd in ["\"", "\\n", "\u{1f}", "\u{7f}", "é", "\u{1f}é", "é\u{1f}"] {
            let (before, after) = text.split_at(at.min(text.len()));
            let line = format!("[\"{before}{odd}{after}\"]");
            let taken = judged(line.as_bytes()).is_some();
            assert_eq!(taken, is_json(line.as_bytes()), "{at} {odd:?}");
        }
    }
}

#[test]
fn what_is_not_utf_8_is_found_out_wherever_it_stands() {
    let text = "x".repeat(BLOCK + 2 * NEAR);
    for at in (0..2 * NEAR).chain([BLOCK, text.len()]) {
        for odd in ["\u{e9}".as_bytes(), b"\xe9", b"\xff", b"\xc3"] {
            let (before, after) = text.split_at(at);
            let ends: [&[u8]; 2] = [b"\"", after.as_bytes()];
            for end in ends {
                let line = [b"[\"", before.as_bytes(), odd, end, b"\"]"].concat();
                assert_eq!(judged(&line).is_some(), is_json(&line), "{at} {odd:?}");
            }
        }
    }
}

/// Where the members of a result stand, as this pass found them and as they are found
/// in the result alone.
fn of_result(line: &str) -> (Option<Vec<Member>>, Vec<Member>) {
    let mut of_result = (None, Vec::new());
    let json = checked(line.as_bytes(), |found| {
        if text(found.key) == "\"result\"" {
            let ranges = MemberRanges::of(found.value);
            let again = ranges.map(|(key, value)| Member { key, value });
            of_result = (found.members, again.collect());
        }
    });
    assert!(json.is_some(), "{line}");
    of_result
}

#[test]
fn where_the_members_of_a_result_stand_is_remembered() {
    for result in [
        "7",
        "null",
        "[]",
        "{}",
        r#"[{"a":1},{"b":2}]"#,
        r#"{"content":[{"type":"text","text":"{\"a\":1}"}],"isError":false}"#,
        " { \"a\" : 1e400 , \"b\\n\" : { \"c\" : [ { } ] } , \"d\":[[{\"e\":{}}]] } ",
    ] {
        let line = format!(r#"{{"before":{{"x":1}},"result":{result},"after":{{"y":2}}}}"#);
        let (known, again) = of_result(&line);
        assert_eq!(known, Some(again), "{result}");
    }
}

#[test]
fn the_members_of_a_large_object_and_of_what_is_no_result_are_not_remembered() {
    let object = |members: usize| {
        let members: Vec<String> = (0..members).map(|nth| format!("\"{nth}\":0")).collect();
        format!(r#"{{"result":{{{}}}}}"#, members.join(","))
    };
    assert_eq!(
        of_result(&object(A_FEW)).0.map(|known| known.len()),
        Some(A_FEW)
    );
    assert_eq!(of_result(&object(A_FEW + 1)).0, None);
    assert_eq!(of_result(&object(3 * A_FEW)).0, None);
    checked(br#"{"params":{"a":1},"error":{"b":2}}"#, |found| {
        assert_eq!(found.members, None);
    });
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
    fn members_of_a_result_stand_where_they_are_found_again(pieces in pieces()) {
        let line = format!(r#"{{"result":{pieces}}}"#);
        if is_json(line.as_bytes()) {
            let (known, again) = of_result(&line);
            prop_assert_eq!(known, Some(again));
        }
    }

    #[test]
    fn what_is_nearly_json_is_judged_as_serde_json_does(line in damaged()) {
        prop_assert_eq!(judged(&line).is_some(), is_json(&line));
    }
}
