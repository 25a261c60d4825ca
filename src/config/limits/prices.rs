//! `cost`, `count` and `amount` of a tool: what a call costs, touches and moves.

use jsonpath_rust::parser::parse_json_path;
use toml::de::DeValue;

use super::Units;
use super::{functions, quantity::amount};
use crate::config::decode::{Field, Table, Vocabulary};
use crate::config::error::{Code, quoted};
use crate::domain::{Currency, Path, PricePlaces, Prices};

pub(in crate::config) const COST: Vocabulary = Vocabulary {
    keys: &["actual", "call", "each", "estimate", "keep", "kib"],
    later: &[],
    elsewhere: &[],
};

pub(in crate::config) const AMOUNT: Vocabulary = Vocabulary {
    keys: &["currency", "minor", "path"],
    later: &[],
    elsewhere: &[],
};

pub(in crate::config) const COST_PATH: Vocabulary = Vocabulary {
    keys: &["minor", "path"],
    later: &[],
    elsewhere: &[],
};

/// Longer than any that a person can check.
const LONGEST: usize = 256;
const MOST_BRACKETS: usize = 4;

pub(super) fn decode(tool: &Table<'_>, units: &Units) -> Prices {
    let (cost, count, moved) = (tool.get("cost"), tool.get("count"), tool.get("amount"));
    let place = |field: &Option<Field<'_>>| field.as_ref().map(Field::at);
    let mut prices = Prices::free(units.shown());
    prices.places = PricePlaces {
        cost: place(&cost),
        count: place(&count),
        amount: place(&moved),
    };
    if let Some(cost) = &cost {
        read_cost(cost, units, count.is_some(), &mut prices);
    }
    prices.count = count.and_then(|field| path(&field, false));
    prices.amount = moved.and_then(|field| path_or_table(&field, &AMOUNT, units));
    prices
}

fn read_cost(field: &Field<'_>, units: &Units, has_count: bool, prices: &mut Prices) {
    if !matches!(field.value(), DeValue::Table(_)) {
        prices.call = amount(field, units).unwrap_or_default();
        return;
    }
    let Some(table) = field.table(&COST, "an amount or a table") else {
        return;
    };
    let price = |key: &str| table.get(key).and_then(|field| amount(&field, units));
    let (call, each, keep) = (price("call"), price("each"), price("keep"));
    prices.call = call.unwrap_or_default();
    prices.each = each.unwrap_or_default();
    prices.keep = keep.unwrap_or_default();
    prices.kib = price("kib").unwrap_or_default();
    if let Some(each) = table.get("each").filter(|_| !has_count) {
        field.file.report(
            each.key_problem(Code::MissingKey, "`each` needs `count`")
                .label("each of what?")
                .hint(
                    "add `count` to the tool, where its arguments hold them: count = \"$.ids[*]\"",
                ),
        );
    }
    let path = |key: &str| path_or_table(&table.get(key)?, &COST_PATH, units);
    prices.estimate = path("estimate");
    prices.actual = path("actual");
    // What cannot be read is an error of its own.
    let is_some =
        |key: &str, price: Option<u64>| price.map_or(table.get(key).is_some(), |price| price > 0);
    let keeps = is_some("keep", keep);
    let known = is_some("call", call) || is_some("each", each) || table.get("estimate").is_some();
    check_kept(&table, keeps, known, units);
}

/// A price that is known only when the call has ended keeps nothing back by itself: calls
/// at the same time would spend the same money, no call would be too dear, and a kill
/// would make it free.
fn check_kept(table: &Table<'_>, keeps: bool, known: bool, units: &Units) {
    let report = |key: &str| {
        let Some(field) = table.get(key) else { return };
        let message = format!("`{key}` needs `keep`, what is kept back until the price is known");
        field.file.report(
            field
                .key_problem(Code::MissingKey, message)
                .label("this is known only when the call has ended")
                .hint(format!(
                    "add to `cost` what a call costs at the most: keep = \"0.50 {}\"",
                    units.shown()
                )),
        );
    };
    if !keeps {
        report("kib");
    }
    if !keeps && !known {
        report("actual");
    }
    let is_open = table.get("actual").is_some() || table.get("kib").is_some();
    if let Some(keep) = table.get("keep").filter(|_| !is_open) {
        keep.file.report(
            keep.key_problem(
                Code::NeverMatches,
                "`keep` has no effect without `actual` or `kib`",
            )
            .label("the price is known before the call")
            .hint("`call` is the price of each call"),
        );
    }
}

/// `"$.amount"` or `{ path = "$.amount", minor = true }`.
fn path_or_table(field: &Field<'_>, words: &'static Vocabulary, units: &Units) -> Option<Path> {
    if !matches!(field.value(), DeValue::Table(_)) {
        return path(field, false);
    }
    let table = field.table(words, "a JSONPath or a table")?;
    if let Some(field) = table.get("currency") {
        check_currency(&field, units);
    }
    let minor = table.get("minor").and_then(|field| field.boolean());
    let Some(found) = table.get("path") else {
        let message = format!("{} does not say where it stands", field.subject());
        field.file.report(
            field
                .key_problem(Code::MissingKey, message)
                .hint("add `path`, for example path = \"$.amount\""),
        );
        return None;
    };
    path(&found, minor.unwrap_or_default())
}

fn path(field: &Field<'_>, minor: bool) -> Option<Path> {
    let text = field.text()?;
    let Err(label) = check_path(text) else {
        return Some(Path {
            text: text.to_owned(),
            minor,
            place: field.at(),
        });
    };
    let message = format!("{} is not a JSONPath", quoted(text));
    field
        .file
        .report(field.problem(Code::BadJsonPath, message).label(label));
    None
}

/// The error is a phrase for the label.
pub(super) fn check_path(text: &str) -> Result<(), &'static str> {
    if !text.starts_with('$') {
        return Err("start with `$`, which is all the arguments or the whole result");
    }
    // The parser would take a blank as a part of the name.
    let names = [text.split('[').next(), text.rsplit(']').next()];
    let is_plain = |name: &&str| !name.contains(['[', ']', '\'', '"']);
    let mut names = names.into_iter().flatten().filter(is_plain);
    if names.any(|name| name.contains(char::is_whitespace)) {
        return Err("a name with a blank stands in brackets: `$['a b']`");
    }
    // The parser tries every way to read what stands in brackets, and again
    // within each: deep ones would keep it busy for ever.
    let opened = text.matches('(').count();
    if text.len() > LONGEST || opened > MOST_BRACKETS {
        return Err("this is more than anybody can check");
    }
    match parse_json_path(text) {
        Ok(path) => functions::check(&path),
        Err(_) => Err("write for example `$.amount`, `$.order.total` or `$.ids[*]`"),
    }
}

fn check_currency(field: &Field<'_>, units: &Units) {
    let Some(found) = currency(field) else { return };
    if units.currency.is_some_and(|ours| ours != found) {
        let message = format!("this is in {found}, but {} counts here", units.shown());
        field.file.report(
            field
                .problem(Code::WrongCurrency, message)
                .label("one currency counts, and nothing is converted")
                .hint("`currency` at the top of tollgate.toml says which"),
        );
    }
}

/// Reads `currency`.
pub(super) fn currency(field: &Field<'_>) -> Option<Currency> {
    let text = field.text()?;
    let currency = Currency::parse(text);
    if currency.is_none() {
        let message = format!("{} is not a currency", quoted(text));
        field.file.report(
            field
                .problem(Code::UnknownWord, message)
                .label("write its code of three capital letters: \"USD\""),
        );
    }
    currency
}
