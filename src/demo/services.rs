//! Two services of others that pretend: one wants to be paid for every look-up,
//! the other is down.

use schemars::JsonSchema;
use serde::Deserialize;

use super::offer::Answer;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LookUpCompany {
    /// The name of the company, for example Alder & Finch.
    #[schemars(length(min = 2, max = 100))]
    name: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TrackParcel {
    /// The id of the parcel, for example px-104200.
    #[schemars(regex(pattern = "^px-[0-9]{6}$"))]
    id: String,
}

/// What a company register sells.
pub(super) fn look_up(asked: &LookUpCompany) -> Answer {
    let known = COMPANIES.iter().find(|(name, _)| *name == asked.name);
    match known {
        Some((name, says)) => Answer::text(format!(
            "{name}: {says} (No money moved: this service only pretends.)"
        )),
        None => Answer::wrong(format!("there is no company `{}`", asked.name)),
    }
}

/// What a carrier says on a bad day.
pub(super) fn track(asked: &TrackParcel) -> Answer {
    Answer::wrong(format!(
        "the carrier's service is down; it cannot say where parcel {} is",
        asked.id
    ))
}

const COMPANIES: [(&str, &str); 4] = [
    ("Alder & Finch", "wholesale of tools, Leeds, 85 people."),
    ("Brightwater", "boats and their parts, Porto, 40 people."),
    ("Castell Freight", "carrier, Antwerp, 310 people."),
    ("Dunmore Paper", "paper and cartons, Cork, 120 people."),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_company_is_found_by_its_name() {
        let found = |name: &str| {
            look_up(&LookUpCompany {
                name: name.to_owned(),
            })
        };
        assert!(matches!(found("Brightwater"), Answer::Text(says) if says.contains("Porto")));
        assert!(matches!(found("Nobody"), Answer::Wrong(_)));
    }
}
