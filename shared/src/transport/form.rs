use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::{Value, error::Category, value::RawValue};

use super::error::RequestError;

/// How many problems an error names.
const NAMED_MAX: usize = 20;
/// How much of an unknown field's name an error repeats, in characters.
const NAME_CHARS_MAX: usize = 64;

/// The fields of a request, wherever they came from. Reading them collects what
/// is wrong, so that one answer names every problem.
pub(super) struct Form {
    fields: BTreeMap<String, Value>,
    problems: Vec<String>,
}

impl Form {
    /// The fields of a JSON object; no bytes are an object without fields.
    pub(super) fn from_json(body: &[u8]) -> Result<Form, RequestError> {
        let body = if body.is_empty() { b"{}" } else { body };
        let Object(pairs) = serde_json::from_slice(body).map_err(|error| unreadable(&error))?;
        let mut form = Form { fields: BTreeMap::new(), problems: Vec::new() };
        pairs.into_iter().for_each(|(name, value)| form.add(name, value));
        Ok(form)
    }

    /// The named segments of a path, and the query's parameters.
    pub(super) fn from_url(segments: BTreeMap<&'static str, String>, query: &str) -> Form {
        let mut form = Form { fields: BTreeMap::new(), problems: Vec::new() };
        segments.into_iter().for_each(|(name, text)| form.add(name.to_owned(), Value::String(text)));
        parameters(query).for_each(|(name, text)| form.add(name, Value::String(text)));
        form
    }

    /// Refuses what stands in the query of a request whose fields are its body.
    pub(super) fn refuse_query(&mut self, query: &str) {
        self.problems
            .extend(parameters(query).map(|(name, _)| format!("{}: not taken in the query", shown(&name))));
    }

    /// Takes a header for a field; both must agree where both are given.
    pub(super) fn merge_header(&mut self, name: &str, header: String) {
        match self.fields.get(name) {
            None | Some(Value::Null) => drop(self.fields.insert(name.to_owned(), Value::String(header))),
            Some(Value::String(field)) if *field == header => {}
            Some(_) => self.problems.push(format!("{name}: differs from its header")),
        }
    }

    /// A field that must be there.
    pub(super) fn required<T, E: std::fmt::Display>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&Value) -> Result<T, E>,
    ) -> Option<T> {
        if matches!(self.fields.get(name), None | Some(Value::Null)) {
            self.problems.push(format!("{name}: missing"));
        }
        self.optional(name, parse)
    }

    /// A field that may be absent or `null`.
    pub(super) fn optional<T, E: std::fmt::Display>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&Value) -> Result<T, E>,
    ) -> Option<T> {
        let value = self.fields.remove(name).filter(|value| !value.is_null())?;
        parse(&value).map_err(|problem| self.refuse(name, problem)).ok()
    }

    /// Notes what is wrong with a field.
    pub(super) fn refuse(&mut self, name: &str, problem: impl std::fmt::Display) {
        self.problems.push(format!("{name}: {problem}"));
    }

    /// The command that was read, or every problem, unknown fields among them.
    pub(super) fn finish<T>(mut self, command: Option<T>) -> Result<T, RequestError> {
        self.problems.extend(self.fields.keys().map(|name| format!("{}: unknown", shown(name))));
        match command {
            Some(command) if self.problems.is_empty() => Ok(command),
            _ => Err(self.refusal()),
        }
    }

    /// Every problem so far.
    pub(super) fn refusal(mut self) -> RequestError {
        let more = self.problems.len().saturating_sub(NAMED_MAX);
        self.problems.truncate(NAMED_MAX);
        let tail = if more > 0 { format!("; and {more} more") } else { String::new() };
        RequestError::Invalid(self.problems.join("; ") + &tail)
    }

    fn add(&mut self, name: String, value: Value) {
        if self.fields.contains_key(&name) {
            self.problems.push(format!("{}: given twice", shown(&name)));
        }
        self.fields.insert(name, value);
    }
}

/// Says where a body stops being JSON; never what stands there, which may be a
/// secret.
fn unreadable(error: &serde_json::Error) -> RequestError {
    RequestError::Invalid(match error.classify() {
        Category::Data => "must be a JSON object".to_owned(),
        Category::Io | Category::Syntax | Category::Eof => {
            format!("malformed JSON at line {} column {}", error.line(), error.column())
        }
    })
}

/// The parameters of a query. A `+` stays one: no field here holds a space, and
/// the offset of a timestamp is often sent as it is.
fn parameters(query: &str) -> impl Iterator<Item = (String, String)> {
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs.map(move |pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decoded(name), decoded(value))
    })
}

fn shown(name: &str) -> String {
    name.chars().take(NAME_CHARS_MAX).collect()
}

/// What a field holds. No field takes a list or an object, so none is looked
/// into: serde_json would take some objects for the number or text in them. What
/// is no value at all, such as half a surrogate, is as good as a list.
fn scalar(json: &RawValue) -> Value {
    let text = Some(json.get()).filter(|text| !text.starts_with(['{', '[']));
    text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_else(|| Value::Array(Vec::new()))
}

/// A JSON object as it was written, fields given twice too.
struct Object(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Object, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Object;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                let mut pairs = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, &'de RawValue>()? {
                    pairs.push((name, scalar(value)));
                }
                Ok(Object(pairs))
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}
