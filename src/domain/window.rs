//! Hours of operation: on which days, between which hours, in which zone.
//!
//! A window is open exactly while a clock on the wall of its zone shows a time
//! within it. So an hour that the spring leaves out opens nothing, and one that
//! the autumn repeats counts both times; no rule for either is needed.

use std::fmt;

use jiff::{
    SignedDuration, Timestamp,
    civil::{Time, Weekday},
    tz::TimeZone,
};

/// A time zone by its name, such as `Europe/Paris`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone(TimeZone);

impl Zone {
    /// Greenwich, without a summer.
    pub const UTC: Zone = Zone(TimeZone::UTC);

    /// The zone of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        TimeZone::get(name).ok().map(Self)
    }

    /// For reckoning.
    #[must_use]
    pub fn tz(&self) -> &TimeZone {
        &self.0
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }
}

/// See the module. As it was written: `Mon-Fri 08:00-18:00 Europe/Paris`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// As written.
    pub text: String,
    /// With the zone of each, also where it was left out.
    shown: String,
    /// Open while one of them is.
    spans: Vec<Span>,
}

/// Days and hours in one zone.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Span {
    days: Days,
    /// The minute of the day at which it opens …
    from: u16,
    /// … and at which it closes: not above `from` when that is on the next day.
    to: u16,
    zone: Zone,
}

const DAY: u16 = 24 * 60;

/// Beyond this nothing new happens: a week repeats, and the worst that a change
/// of the clock can do is to leave one of its hours out.
const HORIZON: SignedDuration = SignedDuration::from_hours(4 * 7 * 24);

impl Window {
    /// Reads `Mon-Fri 08:00-18:00 Europe/Paris`; `default` counts where the zone
    /// is left out.
    ///
    /// # Errors
    /// A phrase that says what is wrong, without a word of the text itself.
    pub fn parse(text: &str, default: &Zone) -> Result<Self, String> {
        const SHAPE: &str = "write days, hours and a zone: \"Mon-Fri 08:00-18:00 Europe/Paris\"";
        let mut parts = text.split_whitespace();
        let (Some(days), Some(hours)) = (parts.next(), parts.next()) else {
            return Err(SHAPE.to_owned());
        };
        let zone = parts.next();
        if parts.next().is_some() {
            return Err(SHAPE.to_owned());
        }
        let days = Days::parse(days)?;
        let (from, to) = parse_hours(hours)?;
        let (zone, shown) = match zone {
            Some(name) => {
                let zone = Zone::parse(name)
                    .ok_or("no time zone has this name: names are like `Europe/Paris`")?;
                (zone, text.to_owned())
            }
            None => (
                default.clone(),
                format!("{} {}", text.trim(), default.name()),
            ),
        };
        Ok(Window {
            text: text.to_owned(),
            shown,
            spans: vec![Span {
                days,
                from,
                to,
                zone,
            }],
        })
    }

    /// A window that is open while any of these is; none without any.
    #[must_use]
    pub fn any(windows: Vec<Window>) -> Option<Self> {
        let joined =
            |of: fn(&Window) -> &str| windows.iter().map(of).collect::<Vec<_>>().join(", ");
        let (text, shown) = (
            joined(|window| &window.text),
            joined(|window| &window.shown),
        );
        let spans: Vec<Span> = windows
            .into_iter()
            .flat_map(|window| window.spans)
            .collect();
        (!spans.is_empty()).then_some(Window { text, shown, spans })
    }

    /// Whether it is open: at the instant it begins it is, at its end it is not.
    #[must_use]
    pub fn is_open(&self, now: Timestamp) -> bool {
        self.spans.iter().any(|span| span.is_open(now))
    }

    /// The first instant from `now` on at which it is open: `now` itself if it is.
    #[must_use]
    pub fn next_opening(&self, now: Timestamp) -> Option<Timestamp> {
        if self.is_open(now) {
            Some(now)
        } else {
            self.first_change(now, true)
        }
    }

    /// When it closes; none if it is not open, or stays open for good.
    #[must_use]
    pub fn closes(&self, now: Timestamp) -> Option<Timestamp> {
        if self.is_open(now) {
            self.first_change(now, false)
        } else {
            None
        }
    }

    fn first_change(&self, now: Timestamp, to_open: bool) -> Option<Timestamp> {
        let end = now.checked_add(HORIZON).unwrap_or(Timestamp::MAX);
        let mut at = now;
        loop {
            let edges = self.spans.iter().filter_map(|span| span.edge_after(at));
            at = edges.min().filter(|edge| *edge <= end)?;
            if self.is_open(at) == to_open {
                return Some(at);
            }
        }
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl Span {
    fn is_open(&self, now: Timestamp) -> bool {
        let shown = self.zone.tz().to_datetime(now);
        let hour = u16::from(shown.hour().unsigned_abs());
        let minute = hour * 60 + u16::from(shown.minute().unsigned_abs());
        let today = shown.weekday();
        if self.from < self.to {
            self.days.contains(today) && (self.from..self.to).contains(&minute)
        } else {
            let begun_today = self.days.contains(today) && minute >= self.from;
            begun_today || (self.days.contains(today.previous()) && minute < self.to)
        }
    }

    /// The next instant at which it may open or close: the clock shows one of its
    /// hours, on whichever day, or is set.
    fn edge_after(&self, now: Timestamp) -> Option<Timestamp> {
        let tz = self.zone.tz();
        let offset = tz.to_offset(now);
        let today = offset.to_datetime(now).date();
        // Up to the next change of the clock, the offset of now holds.
        let changed = tz.following(now).map(|change| change.timestamp());
        let changed = changed.into_iter().find(|at| *at > now);
        let days = [Some(today), today.tomorrow().ok()].into_iter().flatten();
        let shown = days.flat_map(|day| [self.from, self.to].map(|minute| (day, minute)));
        let edges = shown.filter_map(|(day, minute)| {
            let (day, minute) = match minute {
                DAY => (day.tomorrow().ok()?, 0),
                _ => (day, minute),
            };
            let hour = i8::try_from(minute / 60).ok()?;
            let time = Time::new(hour, i8::try_from(minute % 60).ok()?, 0, 0).ok()?;
            offset.to_timestamp(day.to_datetime(time)).ok()
        });
        edges.chain(changed).filter(|at| *at > now).min()
    }
}

/// A set of days of the week, Monday in the lowest bit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Days(u8);

const DAY_NAMES: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

impl Days {
    /// Reads `Mon-Fri`, `Mon,Wed,Sat-Sun` or `daily`.
    fn parse(text: &str) -> Result<Self, String> {
        if text == "daily" {
            return Ok(Days(0b111_1111));
        }
        let mut days = 0;
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (day_of(first)?, day_of(last)?);
            // `Sat-Mon` goes on over the end of the week.
            let length = (last + 7 - first) % 7;
            days |= (first..=first + length).fold(0, |days, day| days | 1 << (day % 7));
        }
        Ok(Days(days))
    }

    fn contains(self, day: Weekday) -> bool {
        let bit = day.to_monday_zero_offset().unsigned_abs();
        self.0 & (1 << bit) != 0
    }
}

fn day_of(name: &str) -> Result<usize, String> {
    let found = DAY_NAMES.iter().position(|known| *known == name);
    found.ok_or_else(|| {
        let days = DAY_NAMES.join(", ");
        format!("days are {days}, or `daily` for all of them")
    })
}

/// Reads `08:00-18:00` as minutes of the day.
fn parse_hours(text: &str) -> Result<(u16, u16), String> {
    let shape = || "write the hours as \"08:00-18:00\"".to_owned();
    let (from, to) = text.split_once('-').ok_or_else(shape)?;
    let from = parse_minute(from).ok_or_else(shape)?;
    let to = parse_minute(to).ok_or_else(shape)?;
    if from == DAY {
        return Err("a day begins at 00:00; 24:00 can only be the end".to_owned());
    }
    if from == to {
        return Err("it would close when it opens; the whole day is 00:00-24:00".to_owned());
    }
    Ok((from, to))
}

fn parse_minute(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':')?;
    let number = |part: &str| {
        let plain = part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
        plain.then(|| part.parse::<u16>().ok()).flatten()
    };
    let (hour, minute) = (number(hour)?, number(minute)?);
    let within = minute < 60 && (hour < 24 || (hour == 24 && minute == 0));
    within.then_some(hour * 60 + minute)
}

#[cfg(test)]
mod tests;
