//! What a JSONPath finds in a value.
//!
//! The parser is a library's, and so is the judgement of conditions. The way there is our
//! own: the library writes down the path to each value that it comes by, which holds the
//! agent's keys, and a long key above many values would fill the memory.

use jsonpath_rust::{
    parser::{
        model::{Filter, FilterAtom, JpQuery, Segment, Selector},
        parse_json_path,
    },
    query::{Query as _, state::State},
};
use serde_json::Value;

use super::dearness;

/// Values up to which a path is followed: each that it comes by is kept until all are found.
pub(super) const MOST: usize = 1_000_000;

/// Bytes of paths that may be written down for one condition.
const WRITTEN: usize = 16 * 1024 * 1024;

/// A path that would be followed through too much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooMuch;

/// A path that was taken apart.
#[derive(Debug)]
pub(super) struct Way(JpQuery);

impl Way {
    /// Takes a path apart; none of a text that is no path.
    pub(super) fn of(text: &str) -> Option<Self> {
        parse_json_path(text).ok().map(Self)
    }

    pub(super) fn segments(&self) -> &[Segment] {
        &self.0.segments
    }

    /// Whether it leads to one place at most.
    pub(super) fn is_single(&self) -> bool {
        self.segments().iter().all(|segment| match segment {
            Segment::Selector(Selector::Name(_) | Selector::Index(_)) => true,
            Segment::Selector(Selector::Wildcard | Selector::Slice(..) | Selector::Filter(_))
            | Segment::Descendant(_)
            | Segment::Selectors(_) => false,
        })
    }

    /// The names on its way, if it has nothing else on its way.
    pub(super) fn names(&self) -> Option<Vec<&str>> {
        let names = self.segments().iter().map(|segment| match segment {
            Segment::Selector(Selector::Name(name)) => Some(name.as_str()),
            Segment::Selector(_) | Segment::Descendant(_) | Segment::Selectors(_) => None,
        });
        names.collect()
    }

    /// All that it finds in a value.
    pub(super) fn follow<'v>(&self, value: &'v Value) -> Result<Vec<&'v Value>, TooMuch> {
        self.follow_within(value, MOST)
    }

    fn follow_within<'v>(&self, value: &'v Value, most: usize) -> Result<Vec<&'v Value>, TooMuch> {
        let mut walk = Walk {
            root: value,
            size: None,
            left: most,
        };
        let mut found = vec![value];
        for segment in self.segments() {
            found = walk.step(segment, found)?;
        }
        Ok(found)
    }
}

struct Walk<'v> {
    root: &'v Value,
    /// How many values there are in all, and the bytes of the longest path to one.
    size: Option<(usize, usize)>,
    left: usize,
}

impl<'v> Walk<'v> {
    fn spend(&mut self, visits: usize) -> Result<(), TooMuch> {
        self.left = self.left.checked_sub(visits).ok_or(TooMuch)?;
        Ok(())
    }

    fn step(&mut self, segment: &Segment, from: Vec<&'v Value>) -> Result<Vec<&'v Value>, TooMuch> {
        let mut found = Vec::new();
        match segment {
            Segment::Descendant(segment) => {
                for value in from {
                    self.containers(value, &mut found)?;
                }
                return self.step(segment, found);
            }
            Segment::Selector(selector) => self.select(selector, &from, &mut found)?,
            Segment::Selectors(selectors) => {
                for selector in selectors {
                    self.select(selector, &from, &mut found)?;
                }
            }
        }
        Ok(found)
    }

    /// Whatever has something in it, at any depth.
    fn containers(&mut self, value: &'v Value, found: &mut Vec<&'v Value>) -> Result<(), TooMuch> {
        self.spend(1)?;
        match value {
            Value::Array(items) => {
                found.push(value);
                items.iter().try_for_each(|one| self.containers(one, found))
            }
            Value::Object(members) => {
                found.push(value);
                let mut members = members.values();
                members.try_for_each(|one| self.containers(one, found))
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
        }
    }

    fn select(
        &mut self,
        selector: &Selector,
        from: &[&'v Value],
        found: &mut Vec<&'v Value>,
    ) -> Result<(), TooMuch> {
        for value in from {
            let value: &'v Value = value;
            match selector {
                Selector::Name(name) => self.keep(value.get(name), found)?,
                Selector::Index(index) => {
                    let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
                    self.keep(
                        place(*index, items.len()).and_then(|at| items.get(at)),
                        found,
                    )?;
                }
                Selector::Wildcard => self.keep(within(value), found)?,
                Selector::Slice(start, end, step) => {
                    let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
                    let places = slice(*start, *end, *step, items.len());
                    self.keep(places.filter_map(|at| items.get(at)), found)?;
                }
                Selector::Filter(filter) => {
                    let fits = self.fitting(filter, value)?;
                    self.keep(fits, found)?;
                }
            }
        }
        Ok(())
    }

    fn keep(
        &mut self,
        values: impl IntoIterator<Item = &'v Value>,
        found: &mut Vec<&'v Value>,
    ) -> Result<(), TooMuch> {
        for value in values {
            self.spend(1)?;
            found.push(value);
        }
        Ok(())
    }

    /// For which values within another a condition holds.
    fn fitting(&mut self, filter: &Filter, value: &'v Value) -> Result<Vec<&'v Value>, TooMuch> {
        self.bounded(filter, within(value).count())?;
        let root = self.root;
        Ok(within(value)
            .filter(|one| fits(filter, one, root))
            .collect())
    }

    /// Refuses a condition on so many values if it would look at too much.
    fn bounded(&mut self, filter: &Filter, values: usize) -> Result<(), TooMuch> {
        let root = self.root;
        let (all, longest) = *self.size.get_or_insert_with(|| size(root));
        let each = dearness::of(filter, all);
        // Where it comes by several, the way to each is written down.
        if each > 1 && each.saturating_mul(longest) > WRITTEN {
            return Err(TooMuch);
        }
        self.spend(values.saturating_mul(each))
    }
}

/// Whether a condition holds for a value. What is written down here is the way to what the
/// condition looks at, counted from that value.
fn fits(filter: &Filter, value: &Value, root: &Value) -> bool {
    match filter {
        Filter::Or(parts) => parts.iter().any(|part| fits(part, value, root)),
        Filter::And(parts) => parts.iter().all(|part| fits(part, value, root)),
        Filter::Atom(FilterAtom::Filter { expr, not }) => fits(expr, value, root) != *not,
        Filter::Atom(atom) => {
            let at = State::data(root, State::root(value).data);
            let holds = atom.process(at).ok_val();
            holds.is_some_and(|holds| holds == Value::Bool(true))
        }
    }
}

/// What is in a value.
fn within(value: &Value) -> impl Iterator<Item = &Value> {
    let (items, members) = match value {
        Value::Array(items) => (Some(items), None),
        Value::Object(members) => (None, Some(members)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => (None, None),
    };
    let members = members.into_iter().flat_map(|members| members.values());
    items.into_iter().flatten().chain(members)
}

/// How many values there are, and how long the path to the last of them is at most.
fn size(value: &Value) -> (usize, usize) {
    let mut sum = (1_usize, 0_usize);
    let mut take = |key: usize, (all, longest): (usize, usize)| {
        sum.0 = sum.0.saturating_add(all);
        // A letter can take six, and what stands around it.
        let longest = longest
            .saturating_add(key.saturating_mul(6))
            .saturating_add(8);
        sum.1 = sum.1.max(longest);
    };
    match value {
        Value::Array(items) => items.iter().for_each(|one| take(2, size(one))),
        Value::Object(members) => members
            .iter()
            .for_each(|(key, one)| take(key.len(), size(one))),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    sum
}

/// The place that a number means, which counts from the end below zero.
fn place(index: i64, length: usize) -> Option<usize> {
    match usize::try_from(index) {
        Ok(at) => Some(at),
        Err(_) => length.checked_sub(usize::try_from(index.unsigned_abs()).ok()?),
    }
}

/// The places of a slice, as RFC 9535 says in 2.3.4.2.
fn slice(
    start: Option<i64>,
    end: Option<i64>,
    step: Option<i64>,
    length: usize,
) -> impl Iterator<Item = usize> {
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    let step = step.unwrap_or(1);
    let normal = |at: i64| match at < 0 {
        true => length.saturating_add(at),
        false => at,
    };
    let (mut at, last) = match step > 0 {
        true => (
            normal(start.unwrap_or(0)).clamp(0, length),
            normal(end.unwrap_or(length)).clamp(0, length),
        ),
        false => (
            start.map_or(length - 1, normal).clamp(-1, length - 1),
            end.map_or(-1, normal).clamp(-1, length - 1),
        ),
    };
    std::iter::from_fn(move || {
        let goes_on = step > 0 && at < last || step < 0 && at > last;
        let here = usize::try_from(at).ok().filter(|_| goes_on)?;
        at = at.saturating_add(step);
        Some(here)
    })
}

#[cfg(test)]
mod tests {
    use jsonpath_rust::JsonPath as _;
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_found_is_what_the_library_finds() {
        let value = json!({
            "a": [{"id": 1, "n": [1, 2, 3]}, {"id": 2, "n": []}, 7, "x", null],
            "b": {"id": "3", "a": {"id": 4}, "dc:id": [[5], [6, 7]]},
            "": 8,
        });
        for text in [
            "$",
            "$.a",
            "$.a[*]",
            "$.a[*].id",
            "$.a[0]",
            "$.a[-1]",
            "$.a[-9]",
            "$.a[9]",
            "$.b['dc:id'][*][*]",
            "$['a','b']",
            "$['a','a']",
            "$.a[0,1,-1]",
            "$..id",
            "$..*",
            "$..[0]",
            "$..['id','n']",
            "$.*.*",
            "$.a[1:]",
            "$.a[:2]",
            "$.a[-2:]",
            "$.a[::2]",
            "$.a[::-1]",
            "$.a[3:0:-2]",
            "$.a[3:0]",
            "$.a[::0]",
            "$.a[-9:9]",
            "$.a[?@.id]",
            "$.a[?@.id > 1].n",
            "$.a[?@.id == $.a[0].id]",
            "$.a[?@.n[*]]",
            "$..[?@.id == '3']",
            "$.a[?count(@.n[*]) > 2]",
            "$.b[?@ == '3']",
            "$.a[?!@.id]",
            "$.a[?@.n[?@ > 2]]",
            "$.none",
            "$.a.id",
        ] {
            let path = Way::of(text).unwrap();
            let sorted = |found: Vec<&Value>| {
                let mut found: Vec<String> = found.into_iter().map(Value::to_string).collect();
                found.sort();
                found
            };
            let found = sorted(path.follow(&value).unwrap());
            assert_eq!(found, sorted(value.query(text).unwrap()), "{text}");
        }
    }

    #[test]
    fn a_path_is_followed_through_so_many_values_and_no_more() {
        let value = json!({"a": vec![json!({"id": 1}); 100]});
        let within = |text: &str, most| {
            Way::of(text)
                .unwrap()
                .follow_within(&value, most)
                .map(|found| found.len())
        };
        assert_eq!(within("$.a[*].id", 201), Ok(100));
        for text in ["$.a[*].id", "$..id", "$.a[*,*,*]", "$.a[?@.id == 1].id"] {
            assert_eq!(within(text, 200), Err(TooMuch), "{text}");
        }
    }

    #[test]
    fn a_condition_writes_down_no_long_paths() {
        // The library would write down the key for each value below it.
        let values = json!({"k".repeat(20_000): vec![1; 200]});
        let value = json!({"a": [values], "x": 1});
        let of = |text: &str| {
            Way::of(text)
                .unwrap()
                .follow(&value)
                .map(|found| found.len())
        };
        assert_eq!(of("$.a[?@..id]"), Err(TooMuch));
        assert_eq!(of("$.a[?@.*[*]]"), Err(TooMuch));
        assert_eq!(of("$.a[?@.x == 1]"), Ok(0));
        assert_eq!(of("$.a[*].*[*]"), Ok(200));
        assert_eq!(of("$..*"), Ok(204));
    }

    #[test]
    fn what_stands_behind_a_condition_or_in_its_texts_makes_it_no_dearer() {
        let item = json!({"type": "a", "kind": "external", "tags": [1, 2], "n": {"x": 1}});
        let value = json!({"items": vec![item; 400], "kind": "a", "text": "x"});
        let of = |text: &str| {
            let found = Way::of(text).unwrap().follow(&value);
            found.map(|found| found.len())
        };
        for (text, count) in [
            ("$.items[?@.type == 'a'].tags[*]", 800),
            ("$.items[?@.type == 'a'].tags[0,1]", 800),
            ("$.items[?match(@.kind, 'external')]", 400),
            ("$.items[?match(@.kind, '.*:?,[a-z]*|ext.*')]", 400),
            ("$.items[?@.type == 'a' && @.kind == 'external'].n..x", 400),
            ("$.items[?@['type'] == '$..*']", 0),
            ("$.items[?@.type == $.kind].tags[*]", 800),
            ("$.items[?@.type == $.kind][?@.x == 1]", 400),
        ] {
            assert_eq!(of(text), Ok(count), "{text}");
        }
        for text in [
            "$.items[?@..x]",
            "$.items[?@[*]]",
            "$.items[?@.tags[0:]]",
            "$.items[?@.tags[?@ > 1]]",
            "$.items[?@['tags','n']['x','x']['x','x']['x','x']['x','x']['x','x']['x','x']['x','x']['x','x']['x','x']['x','x']['x','x']]",
            "$.items[?$.items[*].n]",
            "$.items[?$.items]",
            "$.items[?$.items == $.items]",
            "$.items[?count(@..x) > 1]",
            "$.items[?count($.items) > 1]",
            "$.items[?!(@.a || (@.b && @..x))]",
            "$.items[*][?@.x][?@..x]",
        ] {
            assert_eq!(of(text), Err(TooMuch), "{text}");
        }
    }

    #[test]
    fn a_condition_begins_again_with_the_whole_wherever_it_stands() {
        let value = json!({"a": {"b": [{"id": 1}, {"id": 2}]}, "want": 2, "any": [2, 3]});
        for text in [
            "$.a.b[?@.id == $.want]",
            "$..[?@.id == $.want].id",
            "$.a.b[?$.any[?@ == 3]]",
            "$.a.b[?count($.any[*]) == @.id]",
        ] {
            let found = Way::of(text).unwrap().follow(&value).unwrap();
            assert_eq!(found, value.query(text).unwrap(), "{text}");
            assert!(!found.is_empty(), "{text}");
        }
    }
}
