//! What the demo server offers: each tool with its definition and its deed.
//!
//! A tool's inputSchema is made from the type of its arguments, and arguments
//! are judged by that schema before they become the type.

use std::fmt;

use rmcp::model::{ErrorData, JsonObject, Tool, ToolAnnotations};
use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::files::Files;
use super::mailbox::Mailbox;
use super::payments::{Payment, Payments};
use super::services;

/// Everything the tools work with.
#[derive(Debug)]
pub(super) struct World {
    pub(super) mailbox: Mailbox,
    pub(super) files: Files,
    pub(super) payments: Payments,
}

impl World {
    pub(super) fn seeded() -> Self {
        Self {
            mailbox: Mailbox::seeded(),
            files: Files::seeded(),
            payments: Payments::seeded(),
        }
    }
}

/// What a tool answers.
#[derive(Debug)]
pub(super) enum Answer {
    /// Words.
    Text(String),
    /// An object that fits the tool's outputSchema.
    Structured(Value),
    /// What was asked for cannot be done, and why.
    Wrong(String),
    /// After this long.
    After(Wait),
}

impl Answer {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Answer::Text(text.into())
    }

    pub(super) fn structured(value: &impl Serialize) -> Self {
        match serde_json::to_value(value) {
            Ok(value) => Answer::Structured(value),
            Err(cause) => Answer::Wrong(format!("can't write the answer: {cause}")),
        }
    }

    pub(super) fn wrong(text: impl Into<String>) -> Self {
        Answer::Wrong(text.into())
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Wait {
    /// How long.
    #[schemars(range(min = 0, max = 30))]
    pub(super) seconds: f64,
}

/// One tool.
pub(super) struct Offer {
    pub(super) tool: Tool,
    arguments: jsonschema::Validator,
    run: Box<Run>,
}

type Run = dyn Fn(&mut World, Value) -> Answer + Send + Sync;

impl Offer {
    /// Does what the tool does, if the arguments fit.
    pub(super) fn call(&self, world: &mut World, arguments: JsonObject) -> Answer {
        let arguments = Value::Object(arguments);
        let misfits = self.arguments.iter_errors(&arguments);
        let misfits: Vec<_> = misfits.map(|misfit| misfit.to_string()).collect();
        if misfits.is_empty() {
            (self.run)(world, arguments)
        } else {
            Answer::wrong(misfits.join("; "))
        }
    }
}

impl fmt::Debug for Offer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Offer")
            .field("tool", &self.tool.name)
            .finish_non_exhaustive()
    }
}

/// Every tool, in the order of lists.
///
/// # Errors
/// When a schema that was made from a type is none.
pub(super) fn all() -> Result<Vec<Offer>, ErrorData> {
    Ok(vec![
        offer(
            ("list_mail", "List mail"),
            "List the mails of one folder, newest first: id, date, sender and subject.",
            looks(),
            |world, asked| world.mailbox.list(&asked),
        )?,
        offer(
            ("read_mail", "Read a mail"),
            "Read one mail with its headers. What is in a mail was written by its sender.",
            looks(),
            |world, asked| world.mailbox.read(&asked),
        )?,
        offer(
            ("search_mail", "Search mail"),
            "Find the mails of all folders that contain some words.",
            looks(),
            |world, asked| world.mailbox.search(&asked),
        )?,
        offer(
            ("draft_mail", "Draft a mail"),
            "Save a mail as a draft. Nobody receives it.",
            changes().destructive(false).open_world(false),
            |world, letter| world.mailbox.draft(letter),
        )?,
        offer(
            ("send_mail", "Send a mail"),
            "Send a mail to its recipients at once. It cannot be called back.",
            // It adds a mail and destroys nothing; that it reaches others is the open world.
            changes().destructive(false).open_world(true),
            |world, letter| world.mailbox.send(letter),
        )?,
        offer(
            ("list_files", "List files"),
            "List the files with their size and their newest version.",
            looks(),
            |world, asked| world.files.list(&asked),
        )?,
        offer(
            ("read_file", "Read a file"),
            "Read one file, the newest version or an older one.",
            looks(),
            |world, asked| world.files.read(&asked),
        )?,
        offer(
            ("write_file", "Write a file"),
            "Write a new version of a file. Older versions are kept and can be read.",
            changes().destructive(false).open_world(false),
            |world, asked| world.files.write(asked),
        )?,
        offer(
            ("delete_file", "Delete a file"),
            "Delete a file with all its versions. It cannot be brought back.",
            changes()
                .destructive(true)
                .idempotent(true)
                .open_world(false),
            |world, asked| world.files.delete(&asked),
        )?,
        returning::<Payment>(offer(
            ("get_payment", "Look up a payment"),
            "Look up one payment: who paid, how much, and how much was refunded.",
            looks(),
            |world, asked| world.payments.get(&asked),
        )?)?,
        offer(
            ("refund", "Refund a payment"),
            "Give a customer money back, all of a payment or a part. It cannot be undone.",
            changes().destructive(true).open_world(true),
            |world, asked| world.payments.refund(&asked),
        )?,
        offer(
            ("look_up_company", "Look up a company"),
            "Look up what a company does and how large it is. The service is paid for each look-up.",
            looks().open_world(true),
            |_, asked| services::look_up(&asked),
        )?,
        offer(
            ("track_parcel", "Track a parcel"),
            "Ask the carrier where a parcel is.",
            looks().open_world(true),
            |_, asked| services::track(&asked),
        )?,
        offer(
            ("wait", "Wait"),
            "Wait up to 30 seconds and report progress meanwhile.",
            looks(),
            |_, wait| Answer::After(wait),
        )?,
    ])
}

fn looks() -> ToolAnnotations {
    ToolAnnotations::new().read_only(true).open_world(false)
}

fn changes() -> ToolAnnotations {
    ToolAnnotations::new().read_only(false).idempotent(false)
}

fn offer<T: DeserializeOwned + JsonSchema>(
    (name, title): (&'static str, &'static str),
    description: &'static str,
    hints: ToolAnnotations,
    run: impl Fn(&mut World, T) -> Answer + Send + Sync + 'static,
) -> Result<Offer, ErrorData> {
    let schema = schema_of::<T>(SchemaSettings::draft2020_12())?;
    let arguments = jsonschema::validator_for(&Value::Object(schema.clone())).map_err(internal)?;
    let tool = Tool::new(name, description, schema)
        .with_title(title)
        .with_annotations(hints);
    Ok(Offer {
        tool,
        arguments,
        run: Box::new(move |world, value| match serde_json::from_value(value) {
            Ok(asked) => run(world, asked),
            Err(misfit) => Answer::wrong(misfit.to_string()),
        }),
    })
}

fn returning<T: JsonSchema>(mut offer: Offer) -> Result<Offer, ErrorData> {
    let schema = schema_of::<T>(SchemaSettings::draft2020_12().for_serialize())?;
    offer.tool = offer.tool.with_raw_output_schema(schema.into());
    Ok(offer)
}

fn schema_of<T: JsonSchema>(settings: SchemaSettings) -> Result<JsonObject, ErrorData> {
    let schema = SchemaGenerator::new(settings).into_root_schema_for::<T>();
    let Value::Object(mut schema) = schema.to_value() else {
        return Err(internal("a type without a schema of its own"));
    };
    // What the type is called and says of itself is our business, not the model's.
    for ours in ["$schema", "title", "description"] {
        schema.remove(ours);
    }
    let properties = schema.get_mut("properties").and_then(Value::as_object_mut);
    for property in properties.into_iter().flat_map(|all| all.values_mut()) {
        // The width of Rust's integers: some clients reject a format they don't know.
        if let Some(property) = property.as_object_mut() {
            property.remove("format");
        }
    }
    Ok(schema)
}

pub(super) fn internal(cause: impl fmt::Display) -> ErrorData {
    ErrorData::internal_error(cause.to_string(), None)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config;
    use crate::domain::{Offer as Offered, Tier};

    fn call(name: &str, arguments: Value) -> Answer {
        let offers = all().unwrap();
        let offer = offers.iter().find(|offer| offer.tool.name == name).unwrap();
        let Value::Object(arguments) = arguments else {
            panic!("not an object: {arguments}");
        };
        offer.call(&mut World::seeded(), arguments)
    }

    #[test]
    fn arguments_that_do_not_fit_the_schema_do_nothing() {
        for (tool, arguments) in [
            ("list_mail", json!({ "limit": 51 })),
            ("list_mail", json!({ "folder": "spam" })),
            ("read_mail", json!({})),
            ("read_mail", json!({ "id": "m-1", "format": "html" })),
            (
                "send_mail",
                json!({ "to": ["nobody"], "subject": "s", "body": "b" }),
            ),
            ("read_file", json!({ "path": "../secret" })),
            (
                "read_file",
                json!({ "path": "notes/todo.md", "version": null }),
            ),
            ("look_up_company", json!({ "name": "A" })),
            ("track_parcel", json!({ "id": "104200" })),
            ("wait", json!({ "seconds": 31 })),
        ] {
            let answer = call(tool, arguments.clone());
            assert!(
                matches!(answer, Answer::Wrong(_)),
                "{tool} {arguments} {answer:?}"
            );
        }
    }

    #[test]
    fn defaults_need_not_be_given() {
        assert!(matches!(call("list_mail", json!({})), Answer::Text(page) if page.contains("m-5")));
        assert!(
            matches!(call("list_files", json!({})), Answer::Text(page) if page.contains("notes/"))
        );
    }

    #[test]
    fn a_payment_fits_its_output_schema() {
        let Answer::Structured(payment) = call("get_payment", json!({ "id": "pay-1042" })) else {
            panic!("not an object");
        };
        let offers = all().unwrap();
        let tool = offers.iter().find(|offer| offer.tool.name == "get_payment");
        let schema = tool.unwrap().tool.output_schema.clone().unwrap();
        let schema = Value::Object(schema.as_ref().clone());
        jsonschema::validate(&schema, &payment).unwrap();
    }

    /// A stricter hint would raise a tool above the tier that the file gives it.
    #[test]
    fn the_hints_agree_with_the_tiers_of_the_repository() {
        let sources = config::read(std::path::Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap();
        let generation = config::load(&sources).unwrap();
        let server = generation
            .servers
            .iter()
            .find(|server| server.name.as_str() == "demo")
            .unwrap();
        let offers = all().unwrap();
        assert_eq!(offers.len(), server.tools.len());
        for Offer { tool, .. } in &offers {
            let Offered::At(tier) = server.tools[tool.name.as_ref()].offer else {
                panic!("{} has no tier", tool.name);
            };
            let hints = tool.annotations.as_ref().unwrap();
            let least = if hints.read_only_hint == Some(true) {
                Tier::Read
            } else if hints.destructive_hint == Some(false) {
                Tier::Reversible
            } else {
                Tier::Consequential
            };
            assert!(
                least <= tier,
                "{} is {tier}, its hints say {least}",
                tool.name
            );
            assert_eq!(tier == Tier::Read, least == Tier::Read, "{}", tool.name);
        }
    }
}
