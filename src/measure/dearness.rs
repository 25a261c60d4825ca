//! How many values a condition of a JSONPath looks at, each time that it is asked.
//!
//! At least one. What looks for several comes by all that there are, at the most; what looks
//! for several in each of these, by all of them again.

use jsonpath_rust::parser::model::{
    Comparable, Comparison, Filter, FilterAtom, FnArg, JpQuery, Segment, Selector, SingularQuery,
    Test, TestFunction,
};

/// A regular expression is made ready anew for each text that it is held against.
const PATTERN: usize = 50;

/// Of a condition that is asked within a whole of so many values.
pub(super) fn of(condition: &Filter, all: usize) -> usize {
    filter(condition, all).max(1)
}

fn filter(condition: &Filter, all: usize) -> usize {
    match condition {
        Filter::Or(parts) | Filter::And(parts) => sum(parts.iter().map(|part| filter(part, all))),
        Filter::Atom(FilterAtom::Filter { expr, .. }) => filter(expr, all),
        Filter::Atom(FilterAtom::Test { expr, .. }) => test(expr, all),
        Filter::Atom(FilterAtom::Comparison(both)) => comparison(both, all),
    }
}

fn comparison(both: &Comparison, all: usize) -> usize {
    let is_root =
        |side: &Comparable| matches!(side, Comparable::SingularQuery(SingularQuery::Root(_)));
    let side = |side: &Comparable| match side {
        Comparable::Function(call) => function(call, all),
        Comparable::Literal(_) | Comparable::SingularQuery(_) => 0,
    };
    match both.vals() {
        // Both are as large as they like, each time.
        (left, right) if is_root(left) && is_root(right) => all,
        (left, right) => side(left).saturating_add(side(right)),
    }
}

fn test(test: &Test, all: usize) -> usize {
    match test {
        Test::RelQuery(way) => segments(way, all),
        Test::AbsQuery(JpQuery { segments: way }) => all.saturating_mul(segments(way, all)),
        Test::Function(call) => function(call, all),
    }
}

fn function(call: &TestFunction, all: usize) -> usize {
    match call {
        TestFunction::Length(of) => argument(of, all),
        TestFunction::Value(of) | TestFunction::Count(of) => argument(of, all),
        TestFunction::Search(of, by) | TestFunction::Match(of, by) => {
            let asked = argument(of, all).saturating_add(argument(by, all));
            asked.saturating_add(PATTERN)
        }
        // None that is written in a file; nobody knows what they look at.
        TestFunction::Custom(..) => usize::MAX,
    }
}

fn argument(of: &FnArg, all: usize) -> usize {
    match of {
        FnArg::Literal(_) => 0,
        FnArg::Test(one) => test(one, all),
        FnArg::Filter(condition) => filter(condition, all),
    }
}

/// Each step is taken from wherever the one before it can lead.
fn segments(way: &[Segment], all: usize) -> usize {
    let each = way.iter().map(|step| segment(step, all));
    each.fold(1, usize::saturating_mul)
}

fn segment(step: &Segment, all: usize) -> usize {
    match step {
        Segment::Descendant(within) => all.saturating_mul(segment(within, all)),
        Segment::Selector(one) => selector(one, all),
        Segment::Selectors(several) => sum(several.iter().map(|one| selector(one, all))),
    }
}

fn selector(one: &Selector, all: usize) -> usize {
    match one {
        Selector::Name(_) | Selector::Index(_) => 1,
        Selector::Wildcard | Selector::Slice(..) => all,
        Selector::Filter(condition) => all.saturating_mul(of(condition, all)),
    }
}

fn sum(parts: impl Iterator<Item = usize>) -> usize {
    parts.fold(0, usize::saturating_add)
}
