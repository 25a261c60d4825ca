use serde_json::json;

use super::*;
use crate::config::FORMATS;

#[test]
fn every_format_that_a_rule_can_ask_for_is_checked() {
    for format in FORMATS {
        let schema = Checked::of_rule(&json!({"format": format})).unwrap();
        // No text of any of them, not even a regular expression or a reference.
        let wrong = json!("(\u{0} {\\");
        let told = schema.check(&wrong, 8, Effort::AtOnce).unwrap();
        assert_eq!(told.len(), 1, "{format}");
    }
    for unknown in ["emial", "idn-email", "color"] {
        assert!(Checked::of_rule(&json!({"format": unknown})).is_err());
    }
}

#[test]
fn a_host_that_is_not_allowed_is_told_with_those_that_are() {
    let mut rule = Rule {
        argument: "url".into(),
        schema: Checked::of_rule(&serde_json::json!({})),
        names: None,
        under: None,
        host: vec!["a.example".into(), "*.b.example".into()],
        absent: false,
        place: Place {
            file: "tools.d/web.toml".into(),
            line: 1,
        },
    };
    let url = serde_json::json!("https://c.example/");
    let says = |rule: &Rule| {
        let said = rule.check(Some(&url), &|_| None, (20, Effort::AtOnce));
        said.ok().flatten().unwrap()
    };
    assert_eq!(
        says(&rule),
        r#""https://c.example/" names a host that is not allowed; a.example, *.b.example may be named"#
    );
    rule.host = vec!["a.example".into(); MAX_HOSTS + 1];
    assert!(says(&rule).ends_with("a.example and others may be named"));
}

#[test]
fn a_host_is_read_as_a_client_would_read_it() {
    for same in [
        "https://A.example:8080/x",
        "HTTP://a.example.",
        "wss://a.example?@evil.example",
        "https://a.example:#@evil.example",
        "https://a.example/https://evil.example/",
        "https://a.example/?re=\\d+",
        "https://a.example/\\@evil.example/",
    ] {
        assert_eq!(host_of(same).as_deref(), Ok("a.example"), "{same}");
    }
    for odd in [
        "https://a.example@evil.example/",
        "https://a.example\\/",
        "https:\\\\a.example/",
        "https://a.example\\@evil.example/",
        "https://a.example:80@evil.example/",
        "https://a.example:80:90/",
        "https://a.example:99999/",
        "https://a.example:+80/",
        "https://..a.example/",
        "https://.a.example/",
        "https://a..example/",
        "https://a.example../",
        "https:///a.example",
        "https://[::1]/",
        "https://a.ex ample/",
        " https://a.example/",
        "https://a.example/\t",
        "https://a.example/ https://evil.example/",
        "https://a.example/\u{a0}https://evil.example/",
        "https://a.example/search?q=hello world",
        "https://a.example/ ",
        "https://a.example/\u{2028}x",
        "https://a.example\0/",
        "https://a.example\u{7f}/",
        "https://a.example%2eevil.example/",
        "https://a\u{3002}example/",
        "a.example",
        "//a.example",
        "javascript://a.example/%0aalert(1)",
        "file://a.example/etc/passwd",
        "gopher://a.example:25/_x",
        "view-source:https://a.example/",
    ] {
        assert!(host_of(odd).is_err(), "{odd}");
    }
    assert_eq!(
        host_of("https://my_a.example/x").as_deref(),
        Ok("my_a.example")
    );
    for (odd, why) in [
        ("https://a.ex ample/", "has a blank; encode it"),
        (
            "https://a.example\\@evil.example/",
            "has a `\\` in front of its path; encode it",
        ),
        ("https://me@a.example/", "names a user before its host"),
        (
            "ftp://a.example/",
            "is no URL that begins with http, https, ws or wss",
        ),
        ("https://a.example:x/", "has a port that is no number"),
        ("https://[::1]/", "has no plain name for a host"),
    ] {
        assert!(host_of(odd).unwrap_err().contains(why), "{odd}");
    }
    assert!(host_fits("x.acme.example", "*.acme.example"));
    assert!(!host_fits("acme.example", "*.acme.example"));
    assert!(!host_fits("evilacme.example", "*.acme.example"));
}

#[test]
fn a_path_lies_under_a_directory_after_its_links() {
    let links = |path: &Path| match path.strip_prefix("/srv/link") {
        Ok(rest) => Some(Path::new("/etc").join(rest)),
        Err(_) => Some(path.to_owned()),
    };
    let of = |path: &str| lies_under(Path::new(path), Path::new("/srv"), &links);
    let under = |path: &str| of(path).unwrap();
    assert!(under("/srv/a"));
    assert!(!under("/srv/link/passwd"));
    assert!(!under("/srv/a/../../etc/passwd"));
    assert!(!under("srv/a"));
    assert!(!under("/srvx/a"));
}

#[test]
fn a_path_that_leads_nobody_knows_where_lies_nowhere() {
    for known in ["/srv", "/srv/a", ""] {
        let links = |path: &Path| (path == Path::new(known)).then(|| path.to_owned());
        let under = lies_under(Path::new("/srv/a"), Path::new("/srv"), &links);
        assert_eq!(under, None);
    }
}
