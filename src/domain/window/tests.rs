use super::*;

fn window(text: &str) -> Window {
    Window::parse(text, &Zone::UTC).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// Opens and closes at these instants and not a nanosecond earlier.
#[track_caller]
fn opens(text: &str, asked: &str, open: &str, close: &str) {
    let window = window(text);
    let (asked, open, close) = (at(asked), at(open), at(close));
    let tick = SignedDuration::from_nanos(1);
    assert!(!window.is_open(asked), "open when asked");
    assert_eq!(window.closes(asked), None);
    assert_eq!(window.next_opening(asked), Some(open));
    assert!(!window.is_open(open - tick) && window.is_open(open));
    assert_eq!(window.next_opening(open), Some(open));
    assert_eq!(window.closes(open), Some(close));
    assert_eq!(window.closes(close - tick), Some(close));
    assert!(window.is_open(close - tick) && !window.is_open(close));
}

#[test]
fn a_working_day_has_its_hours_and_a_weekend_none() {
    let hours = "Mon-Fri 08:00-18:00 Europe/Paris";
    // 2027-01-04 is a Monday; Paris is one hour ahead in winter.
    opens(
        hours,
        "2027-01-04T06:00:00Z",
        "2027-01-04T07:00:00Z",
        "2027-01-04T17:00:00Z",
    );
    opens(
        hours,
        "2027-01-08T17:00:00Z",
        "2027-01-11T07:00:00Z",
        "2027-01-11T17:00:00Z",
    );
    // The same hours of the clock are other instants in summer.
    opens(
        hours,
        "2027-07-03T12:00:00Z",
        "2027-07-05T06:00:00Z",
        "2027-07-05T16:00:00Z",
    );
}

#[test]
fn days_are_ranges_lists_and_wrap_around_the_week() {
    let days = |text: &str| Days::parse(text).map(|days| days.0);
    assert_eq!(days("daily"), Ok(0b111_1111));
    assert_eq!(days("Mon"), Ok(0b000_0001));
    assert_eq!(days("Mon-Fri"), Ok(0b001_1111));
    assert_eq!(days("Mon,Wed,Sat-Sun"), Ok(0b110_0101));
    assert_eq!(days("Sat-Mon"), Ok(0b110_0001));
    assert_eq!(days("Tue-Mon"), Ok(0b111_1111));
    for bad in [
        "",
        "mon",
        "Monday",
        "Mon-",
        "-Mon",
        "Mon,,Tue",
        "Mon-Tue-Wed",
    ] {
        assert!(days(bad).is_err(), "{bad}");
    }
}

#[test]
fn what_is_no_window_is_said_in_a_phrase() {
    let error = |text: &str| Window::parse(text, &Zone::UTC).unwrap_err();
    assert!(error("").starts_with("write days, hours and a zone"));
    assert!(error("08:00-18:00").starts_with("write days"));
    assert!(error("Mon 08:00-18:00 UTC and more").starts_with("write days"));
    assert!(error("Moon 08:00-18:00").starts_with("days are Mon, Tue"));
    for hours in [
        "8:00-18:00",
        "08:00",
        "08:00-18:60",
        "08:00-25:00",
        "08:00-24:01",
        "08.00-18.00",
        "+8:00-18:00",
    ] {
        assert!(
            error(&format!("Mon {hours}")).contains("write the hours"),
            "{hours}"
        );
    }
    assert!(error("Mon 24:00-08:00").contains("begins at 00:00"));
    assert!(error("Mon 08:00-08:00").contains("close when it opens"));
    assert!(error("Mon 08:00-18:00 Europe/Pariss").contains("no time zone has this name"));
}

#[test]
fn a_zone_that_is_left_out_is_the_configured_one_and_the_text_stays() {
    let kolkata = Zone::parse("Asia/Kolkata").unwrap();
    let window = Window::parse("daily 09:00-17:00", &kolkata).unwrap();
    assert_eq!(window.text, "daily 09:00-17:00");
    assert_eq!(window.to_string(), "daily 09:00-17:00 Asia/Kolkata");
    assert!(window.is_open(at("2027-01-04T03:30:00Z")));
    assert!(!window.is_open(at("2027-01-04T03:29:59Z")));
    assert!(!window.is_open(at("2027-01-04T11:30:00Z")));
}

#[test]
fn a_zone_may_lie_half_an_hour_beside_the_others() {
    opens(
        "Mon-Fri 08:15-18:45 Asia/Kolkata",
        "2027-01-02T12:00:00Z",
        "2027-01-04T02:45:00Z",
        "2027-01-04T13:15:00Z",
    );
}

#[test]
fn a_night_belongs_to_the_day_on_which_it_begins() {
    let nights = "Fri-Sat 22:00-06:00 UTC";
    // 2027-01-08 is a Friday.
    opens(
        nights,
        "2027-01-08T05:59:00Z",
        "2027-01-08T22:00:00Z",
        "2027-01-09T06:00:00Z",
    );
    opens(
        nights,
        "2027-01-09T06:00:00Z",
        "2027-01-09T22:00:00Z",
        "2027-01-10T06:00:00Z",
    );
    opens(
        nights,
        "2027-01-10T22:30:00Z",
        "2027-01-15T22:00:00Z",
        "2027-01-16T06:00:00Z",
    );
    for until_midnight in ["Fri 22:00-24:00 UTC", "Fri 22:00-00:00 UTC"] {
        opens(
            until_midnight,
            "2027-01-08T12:00:00Z",
            "2027-01-08T22:00:00Z",
            "2027-01-09T00:00:00Z",
        );
    }
}

#[test]
fn days_that_touch_are_one_opening() {
    opens(
        "Mon-Fri 00:00-24:00 UTC",
        "2027-01-03T12:00:00Z",
        "2027-01-04T00:00:00Z",
        "2027-01-09T00:00:00Z",
    );
    let always = window("daily 00:00-24:00 Europe/Paris");
    assert!(always.is_open(at("2027-03-28T01:00:00Z")));
    assert_eq!(always.closes(at("2027-03-27T12:00:00Z")), None);
}

#[test]
fn an_hour_that_the_spring_leaves_out_opens_nothing() {
    // Paris, 2027-03-28: 02:00 becomes 03:00 at 01:00Z.
    opens(
        "Sun 02:30-05:00 Europe/Paris",
        "2027-03-28T00:59:59Z",
        "2027-03-28T01:00:00Z",
        "2027-03-28T03:00:00Z",
    );
    opens(
        "Sun 01:00-02:30 Europe/Paris",
        "2027-03-27T12:00:00Z",
        "2027-03-28T00:00:00Z",
        "2027-03-28T01:00:00Z",
    );
    opens(
        "Sun 02:15-02:45 Europe/Paris",
        "2027-03-27T12:00:00Z",
        "2027-04-04T00:15:00Z",
        "2027-04-04T00:45:00Z",
    );
    // New York, 2027-03-14: 02:00 becomes 03:00 at 07:00Z.
    opens(
        "Sun 02:30-05:00 America/New_York",
        "2027-03-14T06:59:59Z",
        "2027-03-14T07:00:00Z",
        "2027-03-14T09:00:00Z",
    );
    // The hours of the day after are those of summer.
    opens(
        "Mon 08:00-18:00 America/New_York",
        "2027-03-14T12:00:00Z",
        "2027-03-15T12:00:00Z",
        "2027-03-15T22:00:00Z",
    );
}

#[test]
fn an_hour_that_the_autumn_repeats_counts_both_times() {
    // Paris, 2027-10-31: 03:00 becomes 02:00 at 01:00Z.
    let twice = "Sun 02:15-02:45 Europe/Paris";
    opens(
        twice,
        "2027-10-30T23:00:00Z",
        "2027-10-31T00:15:00Z",
        "2027-10-31T00:45:00Z",
    );
    opens(
        twice,
        "2027-10-31T00:45:00Z",
        "2027-10-31T01:15:00Z",
        "2027-10-31T01:45:00Z",
    );
    // Until 02:30: open till the clock shows it, and again when it is set back.
    let early = "Sun 01:00-02:30 Europe/Paris";
    opens(
        early,
        "2027-10-30T12:00:00Z",
        "2027-10-30T23:00:00Z",
        "2027-10-31T00:30:00Z",
    );
    opens(
        early,
        "2027-10-31T00:30:00Z",
        "2027-10-31T01:00:00Z",
        "2027-10-31T01:30:00Z",
    );
    // A window around the change is an hour longer.
    opens(
        "Sun 00:00-06:00 Europe/Paris",
        "2027-10-30T12:00:00Z",
        "2027-10-30T22:00:00Z",
        "2027-10-31T05:00:00Z",
    );
    // New York, 2027-11-07: 02:00 becomes 01:00 at 06:00Z.
    opens(
        "Sun 01:30-03:00 America/New_York",
        "2027-11-07T06:00:00Z",
        "2027-11-07T06:30:00Z",
        "2027-11-07T08:00:00Z",
    );
}

#[test]
fn a_night_of_a_change_is_an_hour_shorter_or_longer() {
    let night = "Sat 22:00-06:00 Europe/Paris";
    opens(
        night,
        "2027-03-27T12:00:00Z",
        "2027-03-27T21:00:00Z",
        "2027-03-28T04:00:00Z",
    );
    opens(
        night,
        "2027-10-30T12:00:00Z",
        "2027-10-30T20:00:00Z",
        "2027-10-31T05:00:00Z",
    );
    opens(
        "Sat 22:00-02:30 America/New_York",
        "2027-03-13T12:00:00Z",
        "2027-03-14T03:00:00Z",
        "2027-03-14T07:00:00Z",
    );
}

#[test]
fn any_of_several_opens_and_the_last_closes() {
    let both = Window::any(vec![
        window("Mon 08:00-12:00 UTC"),
        window("Mon 12:00-14:00 UTC"),
        window("Mon 09:00-10:00 America/New_York"),
    ])
    .unwrap();
    assert_eq!(
        both.to_string(),
        "Mon 08:00-12:00 UTC, Mon 12:00-14:00 UTC, Mon 09:00-10:00 America/New_York"
    );
    let monday = at("2027-01-04T09:00:00Z");
    assert_eq!(both.closes(monday), Some(at("2027-01-04T15:00:00Z")));
    let after = at("2027-01-04T15:00:00Z");
    assert_eq!(both.next_opening(after), Some(at("2027-01-11T08:00:00Z")));
    assert_eq!(Window::any(Vec::new()), None);
}

/// The slow truth: every minute is asked.
#[test]
fn openings_and_closings_are_where_the_minutes_say() {
    let minute = SignedDuration::from_mins(1);
    for text in [
        "Sun 02:30-05:00 Europe/Paris",
        "Sat-Sun 22:00-02:30 Europe/Paris",
        "Sat 23:15-01:45 America/New_York",
        "daily 00:00-24:00 America/New_York",
        "Sun,Mon 01:30-01:45 Australia/Lord_Howe",
        // Its clock is set at midnight.
        "Sat-Sun 23:30-00:30 America/Santiago",
    ] {
        let window = window(text);
        for start in ["2027-03-12", "2027-04-02", "2027-09-03", "2027-10-29"] {
            let start = at(&format!("{start}T00:00:00Z"));
            let end = start + SignedDuration::from_hours(17 * 24);
            let mut asked = Vec::new();
            let mut now = start;
            while now < end {
                let before = window.is_open(now);
                now += minute;
                if window.is_open(now) != before {
                    asked.push(now);
                }
            }
            let mut told = Vec::new();
            let mut now = start;
            while let Some(change) = if window.is_open(now) {
                window.closes(now)
            } else {
                window.next_opening(now)
            } {
                now = change;
                if now > end {
                    break;
                }
                told.push(now);
            }
            assert_eq!(told, asked, "{text} from {start}");
        }
    }
}
