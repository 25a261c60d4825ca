//! Looking into JSON without changing it: members as the text they were written in.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

/// The member `key` of the object `text`, as written.
pub fn member(text: &str, key: &str) -> Option<String> {
    let members: BTreeMap<String, &RawValue> = serde_json::from_str(text).ok()?;
    members.get(key).map(|value| value.get().to_owned())
}

/// The value below a path of members: `dig(line, "result.content")`.
pub fn dig(text: &str, path: &str) -> Option<String> {
    path.split('.')
        .try_fold(text.to_owned(), |text, key| member(&text, key))
}

/// The elements of the array `text`, as written.
pub fn elements(text: &str) -> Vec<String> {
    let elements: Vec<&RawValue> = serde_json::from_str(text).unwrap_or_default();
    elements
        .iter()
        .map(|value| value.get().to_owned())
        .collect()
}

/// The string that the JSON string `text` stands for.
pub fn unquote(text: &str) -> Option<String> {
    serde_json::from_str(text).ok()
}

/// A JSON string.
pub fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The members of the object `text` in their order, as written.
pub fn members(text: &str) -> Vec<(String, String)> {
    struct InOrder;
    impl<'de> serde::de::Visitor<'de> for InOrder {
        type Value = Vec<(String, String)>;

        fn expecting(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            to.write_str("an object")
        }

        fn visit_map<A: serde::de::MapAccess<'de>>(
            self,
            mut map: A,
        ) -> Result<Self::Value, A::Error> {
            let mut found = Vec::new();
            while let Some((key, value)) = map.next_entry::<String, &RawValue>()? {
                found.push((key, value.get().to_owned()));
            }
            Ok(found)
        }
    }
    let mut from = serde_json::Deserializer::from_str(text);
    serde::Deserializer::deserialize_map(&mut from, InOrder).unwrap_or_default()
}
