//! Hours of operation: on which days, between which hours, in which zone.

use jiff::tz::TimeZone;

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
}
