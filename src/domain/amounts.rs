//! What is counted, and how much of each.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::money::{Currency, show_money};

/// What is counted.
///
/// To count something else, add a variant here, and what measures it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dimension {
    /// Turns of the agent.
    Steps,
    /// Calls that were let through.
    Calls,
    /// How long tools worked, in microseconds.
    Time,
    /// How long the run has lasted, in microseconds.
    Elapsed,
    /// What calls cost the operator, in millionths.
    Cost,
    /// What calls move, in millionths.
    Amount,
    /// How many things calls touch.
    Count,
    /// Size of what tools answered.
    Bytes,
    /// Of the model, as the agent reports them.
    Tokens,
}

impl Dimension {
    /// How many there are.
    pub const NUMBER: usize = 9;

    /// All of them, in the order of their values.
    pub const ALL: [Dimension; Self::NUMBER] = [
        Dimension::Steps,
        Dimension::Calls,
        Dimension::Time,
        Dimension::Elapsed,
        Dimension::Cost,
        Dimension::Amount,
        Dimension::Count,
        Dimension::Bytes,
        Dimension::Tokens,
    ];

    /// The word in files, records and lists.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Dimension::Steps => "steps",
            Dimension::Calls => "calls",
            Dimension::Time => "time",
            Dimension::Elapsed => "elapsed",
            Dimension::Cost => "cost",
            Dimension::Amount => "amount",
            Dimension::Count => "count",
            Dimension::Bytes => "bytes",
            Dimension::Tokens => "tokens",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.name() == name)
    }

    /// A quantity of it, for people.
    #[must_use]
    pub fn show(self, quantity: u64, currency: Currency) -> String {
        match self {
            Dimension::Cost | Dimension::Amount => show_money(quantity, currency),
            Dimension::Time | Dimension::Elapsed => {
                // Rounded, so that what is used and what is left add up.
                let millis = quantity.saturating_add(500) / 1_000;
                let (seconds, millis) = (millis / 1_000, millis % 1_000);
                if millis == 0 {
                    format!("{seconds} s")
                } else {
                    format!("{seconds}.{millis:03} s")
                }
            }
            Dimension::Steps => counted(quantity, "step"),
            Dimension::Calls => counted(quantity, "call"),
            Dimension::Count => counted(quantity, "item"),
            Dimension::Bytes => counted(quantity, "byte"),
            Dimension::Tokens => counted(quantity, "token"),
        }
    }

    /// Whether `total`, of which nothing is left to be measured, together with
    /// what is asked for goes beyond `limit`.
    #[must_use]
    pub const fn exceeds(self, total: u64, asked: u64, limit: u64) -> bool {
        let with = total.saturating_add(asked);
        match self {
            // Known beforehand: one call more, a thing more, an amount more.
            Dimension::Steps | Dimension::Amount | Dimension::Count => asked > 0 && with > limit,
            // What is used up is used up, also for what seems to cost nothing.
            Dimension::Calls | Dimension::Cost | Dimension::Bytes | Dimension::Tokens => {
                total >= limit || with > limit
            }
            // Known only afterwards.
            Dimension::Time | Dimension::Elapsed => total > limit,
        }
    }
}

/// So many, in words.
fn counted(quantity: u64, what: &str) -> String {
    match quantity {
        1 => format!("1 {what}"),
        _ => format!("{quantity} {what}s"),
    }
}

/// A quantity of every dimension.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Amounts([u64; Dimension::NUMBER]);

impl Amounts {
    /// Nothing.
    pub const ZERO: Amounts = Amounts([0; Dimension::NUMBER]);

    /// How much of one.
    #[must_use]
    pub fn get(&self, dimension: Dimension) -> u64 {
        self.0.get(dimension as usize).copied().unwrap_or_default()
    }

    /// Sets how much of one.
    pub fn set(&mut self, dimension: Dimension, quantity: u64) {
        if let Some(place) = self.0.get_mut(dimension as usize) {
            *place = quantity;
        }
    }

    /// The same with so much of one.
    #[must_use]
    pub fn with(mut self, dimension: Dimension, quantity: u64) -> Self {
        self.set(dimension, quantity);
        self
    }

    /// Adds; never wraps.
    pub fn add(&mut self, other: &Amounts) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine = mine.saturating_add(theirs);
        }
    }

    /// Takes away, down to nothing.
    pub fn subtract(&mut self, other: &Amounts) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine = mine.saturating_sub(theirs);
        }
    }

    /// Whether there is nothing of anything.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.0.iter().all(|quantity| *quantity == 0)
    }

    /// What there is something of.
    pub fn nonzero(&self) -> impl Iterator<Item = (Dimension, u64)> {
        Dimension::ALL
            .into_iter()
            .zip(self.0)
            .filter(|(_, quantity)| *quantity > 0)
    }
}

/// By name, without what there is nothing of.
impl Serialize for Amounts {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.nonzero().map(|(dimension, n)| (dimension.name(), n)))
    }
}

impl<'de> Deserialize<'de> for Amounts {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let mut amounts = Amounts::ZERO;
        for (name, quantity) in BTreeMap::<String, u64>::deserialize(from)? {
            let dimension = Dimension::parse(&name)
                .ok_or_else(|| D::Error::custom(format!("`{name}` is nothing that is counted")))?;
            amounts.set(dimension, quantity);
        }
        Ok(amounts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_and_what_is_left_add_up() {
        let show = |micros| Dimension::Time.show(micros, Currency::USD);
        assert_eq!(show(300), "0 s");
        assert_eq!(show(120_000_000 - 300), "120 s");
        assert_eq!(show(120_000_000 - 1_250_000), "118.750 s");
        assert_eq!(show(1_250_000), "1.250 s");
    }
}
