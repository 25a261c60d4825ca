//! Everything that limits a call, as data: who wrote it, for whom, how much.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::{BreakerRule, Currency, Limit, Loops, Place, Rate, Tier, Window};

/// The terms that one author wrote: for everything, for an agent, for a server and
/// its tool. A call meets several of them, and all of them hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Terms {
    /// What may be used.
    pub limits: Vec<Limit>,
    /// When it may be called at all.
    pub windows: Vec<(Window, Place)>,
    /// When it is left alone.
    pub breakers: Vec<BreakerRule>,
    /// How often.
    pub rates: Vec<Rate>,
    /// What counts as a loop, for each tier.
    pub loops: BTreeMap<Tier, Arc<Loops>>,
    /// How long an agent may go on without a person.
    pub autonomy: Option<(Duration, Option<Place>)>,
    /// How many new runs an agent may begin, as a rate over them.
    pub runs: Option<Rate>,
    /// So many times faster than it used to spend, and the agent is paused.
    pub spend: Option<(u32, Option<Place>)>,
    /// Where it says that no server may ask the model of an agent's client.
    pub no_sampling: Option<Place>,
}

/// What a call costs, moves and touches, as far as the operator says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prices {
    /// The currency of everything.
    pub currency: Currency,
    /// For each call, in millionths.
    pub call: u64,
    /// For each thing that it touches.
    pub each: u64,
    /// For each KiB that it answers.
    pub kib: u64,
    /// Kept back beside what is known before the call, until the answer says the rest.
    pub keep: u64,
    /// Where the arguments say what it will cost.
    pub estimate: Option<Path>,
    /// Where the result says what it did cost.
    pub actual: Option<Path>,
    /// Where the arguments hold the things that it touches.
    pub count: Option<Path>,
    /// Where the arguments say what it moves.
    pub amount: Option<Path>,
    /// Where all this is written.
    pub places: PricePlaces,
}

/// Where the keys of [`Prices`] stand; none for those that are not written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PricePlaces {
    /// What a call costs.
    pub cost: Option<Place>,
    /// What it touches.
    pub count: Option<Place>,
    /// What it moves.
    pub amount: Option<Place>,
}

impl Prices {
    /// Nothing is said: the call is free and moves nothing.
    #[must_use]
    pub const fn free(currency: Currency) -> Self {
        Self {
            currency,
            call: 0,
            each: 0,
            kib: 0,
            keep: 0,
            estimate: None,
            actual: None,
            count: None,
            amount: None,
            places: PricePlaces {
                cost: None,
                count: None,
                amount: None,
            },
        }
    }
}

/// A JSONPath (RFC 9535) that was read once, and where it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    /// As written.
    pub text: String,
    /// The numbers that it finds are minor units: cents.
    pub minor: bool,
    /// Where.
    pub place: Place,
}
