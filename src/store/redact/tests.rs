use super::*;

fn cleaned(json: &str) -> String {
    let bounded = value(json, ARGUMENTS);
    assert_eq!(bounded.cut_from, None);
    serde_json::from_str::<&serde_json::value::RawValue>(&bounded.json).unwrap();
    bounded.json
}

#[test]
fn what_is_no_secret_stays_byte_for_byte() {
    for json in [
        r#"{ "path": "/a\n\"b", "n": 1e400, "max_tokens": 5, "deep": [{"a":[]},"x=1: y"] }"#,
        "null",
        "[]",
        r#"{"token":null,"id":"task-1234567890123456789012"}"#,
        r#"{"url":"https://example.org:8080/a?b=c"}"#,
    ] {
        assert_eq!(cleaned(json), json);
    }
}

#[test]
fn values_of_keys_that_name_secrets_are_taken_out_whatever_they_are() {
    assert_eq!(
        cleaned(
            r#"{"user":"x","API_Key" : "abc","b":{"accessToken":{"v":["]",1]},"pwd":12},"c":1}"#
        ),
        r#"{"user":"x","API_Key":"[REDACTED]","b":{"accessToken":"[REDACTED]","pwd":"[REDACTED]"},"c":1}"#
    );
}

#[test]
fn a_key_that_is_written_with_an_escape_or_names_several_names_secrets() {
    for secret in [
        r#"{"pass\u0077ord":"abc"}"#,
        r#"{"\u0053ecret":["abc"]}"#,
        r#"{"passwords":["abc"]}"#,
        r#"{"API_Keys":{"a":"abc"}}"#,
        r#"{"cookies":"abc"}"#,
        r#"{"refresh_tokens":["abc"]}"#,
        r#"{"client-secrets":"abc"}"#,
        r#"{"credential":"abc"}"#,
        r#"{"text":"cookies=abcdef; x"}"#,
    ] {
        let clean = cleaned(secret);
        assert!(
            clean.contains("[REDACTED]") && !clean.contains("abc"),
            "{clean}"
        );
    }
    for plain in [
        r#"{"max_tokens":4096,"inputTokens":12,"text":"total_tokens=4096"}"#,
        r#"{"pass\u0077":"abc","s":"abc"}"#,
    ] {
        assert_eq!(cleaned(plain), plain);
    }
}

#[test]
fn half_a_surrogate_pair_hides_no_secret_and_makes_no_other_text_of_it() {
    for (json, clean) in [
        (
            r#"{"text":"\ud800 password=\"abcd\nef\""}"#,
            "{\"text\":\"\u{fffd} password=\\\"[REDACTED]\\nef\\\"\"}",
        ),
        (
            r#"["\ud800 p\u0061ssword=hunter22"]"#,
            "[\"\u{fffd} password=[REDACTED]\"]",
        ),
        (
            r#"{"\ud800p\u0061ssword":"hunter22"}"#,
            r#"{"\ud800p\u0061ssword":"[REDACTED]"}"#,
        ),
        // What follows is on another line, and none.
        (
            r#"["\ud800 password=\nabcdefgh"]"#,
            r#"["\ud800 password=\nabcdefgh"]"#,
        ),
    ] {
        assert_eq!(cleaned(json), clean);
    }
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config {
        failure_persistence: None,
        ..Default::default()
    })]

    #[test]
    fn what_is_whole_stays_json_whatever_was_taken_out(
        texts in proptest::collection::vec(
            proptest::collection::vec(proptest::sample::select(&PIECES[..]), 0..8),
            1..5,
        ),
    ) {
        let texts: Vec<String> = texts.into_iter().map(|text| text.concat()).collect();
        let json = format!("{{\"{}\":[\"{}\"]}}", texts[0], texts.join("\",\""));
        let bounded = value(&json, ARGUMENTS);
        let read = serde_json::from_str::<serde::de::IgnoredAny>(&bounded.json);
        proptest::prop_assert!(read.is_ok(), "{json}\n{}", bounded.json);
    }
}

/// What texts are made of.
const PIECES: [&str; 16] = [
    "secret=",
    "abcdefgh",
    "password=hunter22 ",
    " token: hunter22,",
    "p\\u0061ssword=hunter22;",
    "\\ud800",
    "\\udc00",
    "\\ud83d\\ude00",
    "\\\\",
    "\\\"",
    "\\n",
    "\\/",
    "https://u:hunter22@example.org/ ",
    "secret = \\\"hunter22\\\" ",
    "é",
    " and ",
];

#[test]
fn known_shapes_are_found_within_texts_and_behind_escapes() {
    for secret in [
        "sk-abcdefghijklmnopqrstuvwx",
        "sk_live_abcdefghijkl",
        "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
        "github_pat_abcdefghijklmnop",
        "glpat-abcdefghijklmnopqrst",
        "AKIAIOSFODNN7EXAMPLE",
        "ASIAIOSFODNN7EXAMPLE",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dBjftJeZ4CVP",
        "Bearer abcdef123456",
        "bearer abcdef123456",
        "xoxb-1234567890-abc",
    ] {
        let json = format!(r#"["see {secret} there","\n{secret}"]"#);
        let clean = cleaned(&json);
        assert!(!clean.contains(secret), "{clean}");
        assert!(clean.contains("there"), "{clean}");
    }
    let escaped = r#"["\u0073k-abcdefghijklmnopqrstuvwx"]"#;
    assert_eq!(cleaned(escaped), r#"["[REDACTED]"]"#);
    let inner = r#"["{\"password\": \"hunter22\", \"a\": 1}","curl -H 'Authorization: Bearer abc12345' x","postgres://u:hunter2@db/x"]"#;
    let clean = cleaned(inner);
    assert!(
        !clean.contains("hunter2") && !clean.contains("abc12345"),
        "{clean}"
    );
    let key = r#"["-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----"]"#;
    assert!(!cleaned(key).contains("MIIE"));
}

#[test]
fn a_secret_of_several_words_within_a_text_is_taken_out_whole() {
    for (text, clean) in [
        (
            r#"{"password": "correct horse, battery; staple", "a": 1}"#,
            r#"{"password": "[REDACTED]", "a": 1}"#,
        ),
        ("passphrase='correct horse' x", "passphrase='[REDACTED]' x"),
        ("password: correct horse", "password: [REDACTED] horse"),
        ("password=\"ab}cd\n next", "password=\"[REDACTED]\n next"),
        (r#"password="ab\"c d" x"#, r#"password="[REDACTED]" x"#),
        (r#"password="" and no more"#, r#"password="" and no more"#),
    ] {
        assert_eq!(words(text, ARGUMENTS), clean);
        let json = wire::quote(text);
        assert_eq!(cleaned(&json), wire::quote(clean));
    }
    let twice = wire::quote(r#"{"a":"{\"password\":\"correct horse\"}"}"#);
    assert!(!cleaned(&twice).contains("horse"), "{}", cleaned(&twice));
}

#[test]
fn a_secret_that_is_a_key_is_taken_out() {
    assert_eq!(
        cleaned(
            r#"{"auths":{"https://u:hunter2@example.org/":{"a":1},"sk-abcdefghijklmnopqrstuvwx":2}}"#
        ),
        r#"{"auths":{"https://u:[REDACTED]@example.org/":{"a":1},"[REDACTED]":2}}"#
    );
}

#[test]
fn what_is_too_long_becomes_a_string_cut_between_characters() {
    for pad in 0..9 {
        let json = format!(r#"{{"{}":"{}"}}"#, "x".repeat(pad), "é\\\"".repeat(4000));
        let bounded = value(&json, RESULT);
        assert!(bounded.json.len() <= RESULT, "{}", bounded.json.len());
        assert_eq!(bounded.cut_from, Some(json.len()));
        let text: String = serde_json::from_str(&bounded.json).unwrap();
        assert!(text.ends_with(&format!("… [cut, {} bytes in all]", json.len())));
    }
}

#[test]
fn a_secret_across_the_cut_is_not_half_shown() {
    let json = format!(r#"["{} sk-{}"]"#, "x ".repeat(490), "a".repeat(300));
    assert!(!value(&json, RESULT).json.contains("sk-a"));
    let text = format!("{} sk-{}", "x ".repeat(20), "a".repeat(300));
    assert!(!words(&text, 60).contains("sk-a"));
}

#[test]
fn a_secret_across_the_cut_is_not_half_shown_where_what_stands_before_it_became_shorter() {
    let long = "x".repeat(1500);
    for secret in ["postgres://admin:", "sk-", "password="] {
        for pad in 0..40 {
            let json = format!(
                r#"{{"token":"{long}","pad":"{}","dsn":"{secret}{}@db"}}"#,
                "y ".repeat(pad),
                "P4ssw0rd".repeat(200),
            );
            let bounded = value(&json, RESULT);
            assert!(!bounded.json.contains("P4ss"), "{}", bounded.json);
            let text = format!(
                "token={long} {} {secret}{}@db",
                "y ".repeat(pad),
                "P4ssw0rd".repeat(200)
            );
            let words = words(&text, RESULT);
            assert!(!words.contains("P4ss"), "{words}");
        }
    }
}

#[test]
fn any_beginning_of_a_value_is_handled() {
    let json = r#"{"token":{"a":"\\\"","b":[1,{"c":"sk-abcdefghijklmnopqrst"}]},"d":"\u0041é"}"#;
    for end in (0..json.len()).filter(|end| json.is_char_boundary(*end)) {
        let mut out = String::new();
        clean_json(json.get(..end).unwrap(), &mut out, None);
        assert!(!out.contains("sk-abc"), "{out}");
    }
}

#[test]
fn a_known_secret_is_taken_out_first_whatever_it_looks_like_and_the_rest_stays_json() {
    let known = Known::of(["plainword", "20261123", "cor\"rect"]);
    for (json, clean) in [
        (
            r#"{"a":"a plainword b","plainword":1}"#,
            r#"{"a":"a [REDACTED] b","[REDACTED]":1}"#,
        ),
        (
            r#"{"n":20261123,"m":[120261123.5,7]}"#,
            r#"{"n":"[REDACTED]","m":["[REDACTED]",7]}"#,
        ),
        (r#"["plainw\u006frd"]"#, r#"["[REDACTED]"]"#),
        (
            r#"["{\"a\":\"cor\\\"rect\"}"]"#,
            r#"["{\"a\":\"[REDACTED]\"}"]"#,
        ),
    ] {
        let bounded = bounded(json, json.len(), ARGUMENTS, Some(&known));
        assert_eq!(bounded.json, clean);
        serde_json::from_str::<&serde_json::value::RawValue>(&bounded.json).unwrap();
    }
    let says = "it said plainword and more";
    let clean = words_without(says, ARGUMENTS, Some(&known));
    assert_eq!(clean, "it said [REDACTED] and more");
}

#[test]
fn of_a_known_secret_that_a_bound_cuts_nothing_stays() {
    let secret: String = ('a'..='z').cycle().take(4000).collect();
    let known = Known::of([secret.as_str()]);
    let json = format!(r#"["{}{secret}"]"#, "- ".repeat(100));
    let cut = bounded(
        head(&json, RESULT + SLACK),
        json.len(),
        RESULT,
        Some(&known),
    );
    assert!(!cut.json.contains("abcd"), "{}", cut.json);
    assert!(cut.json.contains("- "), "{}", cut.json);
    let says = json.as_str();
    assert!(!words_without(says, 512, Some(&known)).contains("abcd"));
    // Somebody else has cut it.
    let says = format!("it is {}…\" and more", head(&secret, 40));
    let clean = words_without(&says, 512, Some(&known));
    assert_eq!(clean, "it is …\" and more");
}
