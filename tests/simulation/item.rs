//! Items and responses as JSON.

use serde_json::Value;

/// Credits of packs, by the `trans_no` of their grants.
pub type Parts = Vec<(String, i64)>;

/// A text field of an item or a response; empty if it has none.
pub fn text(object: &Value, name: &str) -> String {
    object[name].as_str().unwrap_or_default().to_owned()
}

/// The elements of a list in an item or a response.
pub fn list<'a>(object: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    object[name].as_array().into_iter().flatten()
}

/// The sum of the credits.
pub fn sum(parts: &Parts) -> i64 {
    parts.iter().map(|(_, credits)| credits).sum()
}

/// The packs and credits of allocations.
pub fn parts(object: &Value, name: &str) -> Parts {
    list(object, name).map(|part| (text(part, "i"), part["n"].as_i64().expect("credits"))).collect()
}

/// A map of attributes as plain JSON.
pub fn plain_map(attributes: &Value) -> Value {
    let attributes = attributes.as_object().expect("a map of attributes");
    attributes.iter().map(|(name, value)| (name.clone(), plain(value))).collect()
}

fn plain(attribute: &Value) -> Value {
    let (kind, value) = attribute.as_object().and_then(|typed| typed.iter().next()).expect("a typed value");
    match kind.as_str() {
        "N" => Value::from(value.as_str().and_then(|digits| digits.parse::<i64>().ok()).expect("a number")),
        "L" => value.as_array().expect("a list").iter().map(plain).collect(),
        "M" => plain_map(value),
        _ => value.clone(),
    }
}
