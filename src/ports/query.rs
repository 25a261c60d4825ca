//! What is asked of the record, and what it answers.

/// Which records are wanted. What is not said does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Query {
    /// Of this run.
    pub run: Option<String>,
    /// Of this agent.
    pub agent: Option<String>,
    /// Of this tool: `server.tool`, or a server.
    pub tool: Option<String>,
    /// Of this tier.
    pub tier: Option<String>,
    /// Calls that ended so: `done`, `failed`, `unknown`, `refused`.
    pub outcome: Option<String>,
    /// Not before this time.
    pub since: Option<jiff::Timestamp>,
    /// Not after this time.
    pub until: Option<jiff::Timestamp>,
    /// With this trace id.
    pub trace: Option<String>,
    /// Without checkpoints, which tell people nothing.
    #[serde(default)]
    pub no_checkpoints: bool,
    /// After this record.
    pub after: Option<u64>,
    /// At most this many, the newest; without it all of them.
    pub limit: Option<usize>,
    /// How far the search for these has come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sought: Option<Sought>,
}

impl Query {
    /// The question for what comes behind a page.
    pub fn go_on(&mut self, upto: u64, sought: Option<Sought>) {
        if sought.is_none() {
            self.limit = None;
        }
        if sought.is_none_or(|sought| sought.is_over()) {
            self.after = Some(upto);
        }
        self.sought = sought;
    }
}

/// How far a search for the newest records has come, which goes backwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Sought {
    /// It goes on before this record; 0 once they are found.
    pub before: u64,
    /// How many were found behind that.
    pub found: usize,
    /// The first of them.
    pub first: Option<u64>,
    /// The last record there was when it began.
    pub last: u64,
}

impl Sought {
    /// Whether they are found: what follows are they, page after page.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.before == 0
    }
}

/// Records that were found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// One JSON line each, oldest first.
    pub lines: Vec<String>,
    /// The number up to which was searched.
    pub upto: u64,
    /// Whether there may be more behind that.
    pub more: bool,
    /// The newest are not found yet, or not all on this page: the same question goes on
    /// with this.
    pub sought: Option<Sought>,
}

/// What walking the chain found.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Verified {
    /// Records that are in order.
    pub records: u64,
    /// The first and the last of them.
    pub first: u64,
    /// See `first`.
    pub last: u64,
    /// Why earlier ones are not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pruned: Option<PrunedBy>,
    /// The first one that is not, and why.
    pub broken: Option<String>,
    /// Where the end begins that was never synced and is not whole: what a kill or a power
    /// cut leaves, and what the next start cuts off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unsynced: Option<String>,
    /// Why they were not held against the state that is kept beside them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uncompared: Option<String>,
}

/// The record that says that earlier records were pruned.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PrunedBy {
    /// Its number.
    pub record: u64,
    /// When it was made, as RFC 3339.
    pub at: String,
    /// What was wrong with the records that went, if something was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken: Option<String>,
}
