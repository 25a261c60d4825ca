//! What a JSONPath finds in a value.
//!
//! The parser is a library's, and so is the judgement of conditions. The way there is our
//! own: the library writes down the path to each value that it comes by, which holds the
//! agent's keys, and a long key above many values would fill the memory.

use jsonpath_rust::{
    parser::{
        model::{Filter, JpQuery, Segment, Selector},
        parse_json_path,
    },
    query::js_path_process,
};
use serde_json::Value;

/// Values up to which a path is followed: each that it comes by is kept until all are found.
pub(super) const MOST: usize = 1_000_000;

/// Bytes of paths that may be written down for one condition.
const WRITTEN: usize = 16 * 1024 * 1024;

/// A path that would be followed through too much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooMuch;

/// A path that was taken apart.
#[derive(Debug)]
pub(super) struct Way {
    query: JpQuery,
    /// How often a condition in it looks for several, at the most.
    several: u32,
    /// Whether a condition in it may begin with the whole again.
    looks_back: bool,
}

impl Way {
    /// Takes a path apart; none of a text that is no path.
    pub(super) fn of(text: &str) -> Option<Self> {
        let condition = text.split_once('?').map_or("", |(_, condition)| condition);
        // Also where a sign stands in a name: then it is followed less far.
        let signs = ["..", "*", ":", ",", "?", "$"];
        let several = signs.iter().map(|sign| condition.matches(sign).count());
        Some(Self {
            query: parse_json_path(text).ok()?,
            several: u32::try_from(several.sum::<usize>()).unwrap_or(u32::MAX),
            looks_back: condition.contains('$'),
        })
    }

    pub(super) fn segments(&self) -> &[Segment] {
        &self.query.segments
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
            several: self.several,
            size: None,
            left: most,
        };
        if self.looks_back {
            // A condition that begins with the whole again needs the library for all of it.
            walk.bounded(size(value).0)?;
            return Ok(by_library(&self.query, value));
        }
        let mut found = vec![value];
        for segment in self.segments() {
            found = walk.step(segment, found)?;
        }
        Ok(found)
    }
}

struct Walk<'v> {
    root: &'v Value,
    several: u32,
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
        self.bounded(within(value).count())?;
        // What is written down here are the keys within this one value, once.
        let filter = Segment::Selector(Selector::Filter(filter.clone()));
        Ok(by_library(&JpQuery::new(vec![filter]), value))
    }

    /// Refuses conditions on so many values if they would look at too much.
    fn bounded(&mut self, values: usize) -> Result<(), TooMuch> {
        let root = self.root;
        let (all, longest) = *self.size.get_or_insert_with(|| size(root));
        // What looks for several in a condition comes by all of them, once more with each.
        let each = all.saturating_pow(self.several);
        if self.several > 0 && each.saturating_mul(longest) > WRITTEN {
            return Err(TooMuch);
        }
        self.spend(values.saturating_mul(each))
    }
}

fn by_library<'v>(path: &JpQuery, value: &'v Value) -> Vec<&'v Value> {
    // It does not fail where the path was read.
    let found = js_path_process(path, value).unwrap_or_default();
    found.into_iter().map(|one| one.val).collect()
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
}
