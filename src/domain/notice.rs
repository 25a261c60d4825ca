//! What people are told without having asked.

/// Of what kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum NoticeKind {
    /// A limit is used up to where its author wants to hear of it.
    BudgetWarn,
    /// The same, for people beyond the operator.
    BudgetNotify,
    /// A limit has stopped a call.
    BudgetStop,
    /// More was spent than the limit and a tenth of it.
    BudgetOverrun,
    /// A price could not be read from an answer: what was kept back is charged.
    PriceUnknown,
    /// A breaker has opened.
    BreakerOpen,
    /// A breaker has closed again.
    BreakerClosed,
    /// An agent does the same again and again.
    Loop,
    /// A run was ended.
    Killed,
    /// A run was paused.
    Paused,
    /// An agent used a tool for the first time.
    FirstUse,
    /// Somebody who is not taken for a person tried to loosen something.
    Tripwire,
}

impl NoticeKind {
    /// All of them.
    pub const ALL: [NoticeKind; 12] = [
        NoticeKind::BudgetWarn,
        NoticeKind::BudgetNotify,
        NoticeKind::BudgetStop,
        NoticeKind::BudgetOverrun,
        NoticeKind::PriceUnknown,
        NoticeKind::BreakerOpen,
        NoticeKind::BreakerClosed,
        NoticeKind::Loop,
        NoticeKind::Killed,
        NoticeKind::Paused,
        NoticeKind::FirstUse,
        NoticeKind::Tripwire,
    ];

    /// The word in records and lists.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            NoticeKind::BudgetWarn => "budget.warn",
            NoticeKind::BudgetNotify => "budget.notify",
            NoticeKind::BudgetStop => "budget.stop",
            NoticeKind::BudgetOverrun => "budget.overrun",
            NoticeKind::PriceUnknown => "price.unknown",
            NoticeKind::BreakerOpen => "breaker.open",
            NoticeKind::BreakerClosed => "breaker.closed",
            NoticeKind::Loop => "loop",
            NoticeKind::Killed => "killed",
            NoticeKind::Paused => "paused",
            NoticeKind::FirstUse => "first_use",
            NoticeKind::Tripwire => "tripwire",
        }
    }

    /// Whether it is told once a period. What somebody tries is told each time, and is
    /// not kept in mind: it is their text, and as much of it as they like.
    #[must_use]
    pub const fn is_remembered(self) -> bool {
        match self {
            NoticeKind::BudgetWarn
            | NoticeKind::BudgetNotify
            | NoticeKind::BudgetStop
            | NoticeKind::BudgetOverrun
            | NoticeKind::PriceUnknown
            | NoticeKind::BreakerOpen
            | NoticeKind::BreakerClosed
            | NoticeKind::Loop
            | NoticeKind::Killed
            | NoticeKind::Paused
            | NoticeKind::FirstUse => true,
            NoticeKind::Tripwire => false,
        }
    }

    /// How much it matters: `info`, `warning` or `critical`.
    #[must_use]
    pub const fn severity(self) -> &'static str {
        match self {
            NoticeKind::FirstUse | NoticeKind::BreakerClosed => "info",
            NoticeKind::BudgetWarn
            | NoticeKind::BudgetNotify
            | NoticeKind::BudgetStop
            | NoticeKind::PriceUnknown
            | NoticeKind::BreakerOpen
            | NoticeKind::Loop => "warning",
            NoticeKind::BudgetOverrun
            | NoticeKind::Killed
            | NoticeKind::Paused
            | NoticeKind::Tripwire => "critical",
        }
    }
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Of what kind.
    pub kind: NoticeKind,
    /// What it is about, so that it is told once a period: a limit, a breaker, a tool.
    pub about: String,
    /// In one sentence.
    pub says: String,
}
