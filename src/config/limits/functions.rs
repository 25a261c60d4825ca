//! Which functions a condition of a JSONPath may call.
//!
//! The parser knows more than RFC 9535 does: `in`, `none_of`, `subset_of` and others, which
//! hold each of one list against each of another. An agent writes both lists.

use jsonpath_rust::parser::model::{
    Comparable, Filter, FilterAtom, FnArg, JpQuery, Segment, Selector, Test, TestFunction,
};

/// The error is a phrase for the label.
type Checked = Result<(), &'static str>;

const KNOWN: &str = "a condition has `length`, `count`, `match`, `search` and `value`, no others";
const WRITTEN: &str = "the regular expression of `match` and `search` stands here, as a text";

/// Whether a path calls only what takes no more than one look at what it is given.
pub(super) fn check(path: &JpQuery) -> Checked {
    segments(&path.segments)
}

fn segments(all: &[Segment]) -> Checked {
    all.iter().try_for_each(segment)
}

fn segment(segment: &Segment) -> Checked {
    match segment {
        Segment::Descendant(within) => self::segment(within),
        Segment::Selector(one) => selector(one),
        Segment::Selectors(all) => all.iter().try_for_each(selector),
    }
}

fn selector(selector: &Selector) -> Checked {
    match selector {
        Selector::Filter(condition) => filter(condition),
        Selector::Name(_) | Selector::Wildcard | Selector::Index(_) | Selector::Slice(..) => Ok(()),
    }
}

fn filter(condition: &Filter) -> Checked {
    match condition {
        Filter::Or(all) | Filter::And(all) => all.iter().try_for_each(filter),
        Filter::Atom(FilterAtom::Filter { expr, .. }) => filter(expr),
        Filter::Atom(FilterAtom::Test { expr, .. }) => test(expr),
        Filter::Atom(FilterAtom::Comparison(both)) => {
            let (left, right) = both.vals();
            comparable(left).and_then(|()| comparable(right))
        }
    }
}

fn test(test: &Test) -> Checked {
    match test {
        Test::RelQuery(way) => segments(way),
        Test::AbsQuery(way) => segments(&way.segments),
        Test::Function(call) => function(call),
    }
}

fn comparable(side: &Comparable) -> Checked {
    match side {
        Comparable::Function(call) => function(call),
        Comparable::Literal(_) | Comparable::SingularQuery(_) => Ok(()),
    }
}

fn function(call: &TestFunction) -> Checked {
    match call {
        TestFunction::Custom(..) => Err(KNOWN),
        TestFunction::Length(of) => argument(of),
        TestFunction::Value(of) | TestFunction::Count(of) => argument(of),
        // It is made ready anew for each text that it is held against.
        TestFunction::Match(of, FnArg::Literal(_))
        | TestFunction::Search(of, FnArg::Literal(_)) => argument(of),
        TestFunction::Match(..) | TestFunction::Search(..) => Err(WRITTEN),
    }
}

fn argument(of: &FnArg) -> Checked {
    match of {
        FnArg::Literal(_) => Ok(()),
        FnArg::Test(one) => test(one),
        FnArg::Filter(condition) => filter(condition),
    }
}
