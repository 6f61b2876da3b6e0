//! The fields of a request, from JSON or from a URL, and the problems in them.

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::{Map, Value, error::Category, value::RawValue};

use super::{
    error::RequestError,
    field,
    route::{PathParameters, parameter_names},
};
use crate::callback::ProviderReport;

/// The field that the header `Idempotency-Key` replaces.
const KEY: &str = "idempotency_key";
/// The field of the event of a payment provider.
const EVENT: &str = "event";
/// How many problems an error names.
const NAMED_MAX: usize = 20;
/// The length to which an error shortens the name of an unknown field, in characters.
const NAME_CHARS_MAX: usize = 64;

/// The fields of an HTTP request or a direct payload. Parsing collects the problems, so that
/// one error names all of them.
#[derive(Default)]
pub(super) struct RequestFields {
    fields: BTreeMap<String, Value>,
    /// The header `Idempotency-Key`.
    key_header: Option<String>,
    problems: Vec<String>,
}

impl RequestFields {
    /// Parses a JSON object. An empty body is an object without fields.
    pub(super) fn from_json(body: &[u8]) -> Result<RequestFields, RequestError> {
        RequestFields::from_body(PathParameters::new(), body)
    }

    /// The named segments of a path, and the members of a JSON object.
    pub(super) fn from_body(segments: PathParameters, body: &[u8]) -> Result<RequestFields, RequestError> {
        let body = if body.is_empty() { b"{}" } else { body };
        let Object(pairs) = serde_json::from_slice(body).map_err(|error| json_error(&error))?;
        let mut request = RequestFields::default().with_segments(segments);
        pairs.into_iter().for_each(|(name, value)| request.add(name, parse_value(value)));
        Ok(request)
    }

    /// With the named segments of a path.
    fn with_segments(mut self, segments: PathParameters) -> RequestFields {
        segments.into_iter().for_each(|(name, text)| self.add(name.to_owned(), Value::String(text)));
        self
    }

    /// The named segments of a path, and the query's parameters.
    pub(super) fn from_url(segments: BTreeMap<&'static str, String>, query: &str) -> RequestFields {
        let mut request = RequestFields::default().with_segments(segments);
        query_parameters(query).for_each(|(name, text)| request.add(name, Value::String(text)));
        request
    }

    /// The named segments of a path, and the fields `status` and `error` that a provider's JSON
    /// has in a form of its own. A `status` in the query comes before the one in the JSON. An
    /// empty body says nothing.
    pub(super) fn from_provider(
        segments: PathParameters,
        query: &str,
        body: &[u8],
    ) -> Result<RequestFields, RequestError> {
        let body = if body.trim_ascii().is_empty() { b"null" } else { body };
        let body: Value = serde_json::from_slice(body).map_err(|error| json_error(&error))?;
        let report = ProviderReport::read(&body);
        let mut queried = query_parameters(query).filter(|(name, text)| name == "status" && !text.is_empty());
        let status = queried.next().map(|(_, text)| text).or(report.status);
        let mut request = RequestFields::from_url(segments, "");
        let said = [("status", status), ("error", report.error)];
        for (name, text) in said.into_iter().filter_map(|(name, text)| Some((name, text?))) {
            request.add(name.to_owned(), Value::String(text));
        }
        Ok(request)
    }

    /// The same for a direct payload, which also has the segments of the operation's path.
    pub(super) fn into_provider_fields(
        mut self,
        path: &'static str,
        payload: &[u8],
    ) -> Result<RequestFields, RequestError> {
        let named = parameter_names(path);
        let segments = named.filter_map(|name| Some((name, self.optional(name, field::text)?))).collect();
        let fields = RequestFields::from_provider(segments, "", payload)?;
        Ok(RequestFields { problems: self.problems, ..fields })
    }

    /// The event of a payment provider, as the only field.
    pub(super) fn from_event(body: &[u8]) -> Result<RequestFields, RequestError> {
        let event = serde_json::from_slice(body).map_err(|error| json_error(&error))?;
        let mut request = RequestFields::default();
        request.add(EVENT.to_owned(), event);
        Ok(request)
    }

    /// The event of [`Self::from_event`].
    pub(super) fn into_event(mut self) -> Value {
        self.fields.remove(EVENT).unwrap_or_default()
    }

    /// Rejects the query of a request whose fields are in its body.
    pub(super) fn reject_query(&mut self, query: &str) {
        self.problems.extend(
            query_parameters(query)
                .map(|(name, _)| format!("`{}` must not be in the query.", shortened(&name))),
        );
    }

    /// Stores the header `Idempotency-Key`. It has no effect until [`Self::merge_key_header`].
    pub(super) fn set_key_header(&mut self, header: Option<&str>) {
        self.key_header = header.map(str::to_owned);
    }

    /// Uses the header `Idempotency-Key` as the field `idempotency_key`, for a request that
    /// nothing else identifies. If both are present, they must be equal.
    pub(super) fn merge_key_header(&mut self) {
        let Some(header) = self.key_header.take() else { return };
        match self.fields.get(KEY) {
            None | Some(Value::Null) => drop(self.fields.insert(KEY.to_owned(), Value::String(header))),
            Some(Value::String(field)) if *field == header => {}
            Some(_) => self.problems.push(format!("`{KEY}` and its header must be equal.")),
        }
    }

    /// Ignores all fields that were not taken.
    pub(super) fn ignore_rest(&mut self) {
        self.fields.clear();
    }

    /// Whether a field is present and not `null`.
    pub(super) fn has(&self, name: &str) -> bool {
        self.fields.get(name).is_some_and(|value| !value.is_null())
    }

    /// A field that must be present.
    pub(super) fn required<T, E: std::fmt::Display>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&Value) -> Result<T, E>,
    ) -> Option<T> {
        if !self.has(name) {
            self.problems.push(format!("`{name}` is required."));
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
        parse(&value).map_err(|problem| self.add_problem(name, problem)).ok()
    }

    /// Adds a problem, which completes the sentence "`name` ...".
    pub(super) fn add_problem(&mut self, name: &str, problem: impl std::fmt::Display) {
        self.problems.push(format!("`{name}` {problem}."));
    }

    /// The request, or an error that names every problem, unknown fields among them.
    pub(super) fn into_request<T>(mut self, request: Option<T>) -> Result<T, RequestError> {
        self.problems.extend(
            self.fields.keys().map(|name| format!("`{}` is not a field of this request.", shortened(name))),
        );
        match request {
            Some(request) if self.problems.is_empty() => Ok(request),
            _ => Err(self.into_error()),
        }
    }

    /// An error that names every problem so far.
    pub(super) fn into_error(mut self) -> RequestError {
        let more = self.problems.len().saturating_sub(NAMED_MAX);
        self.problems.truncate(NAMED_MAX);
        if more > 0 {
            self.problems.push(format!("{more} more problems were found."));
        }
        RequestError::Invalid(self.problems.join(" "))
    }

    fn add(&mut self, name: String, value: Value) {
        if self.fields.contains_key(&name) {
            self.problems.push(format!("`{}` occurs twice.", shortened(&name)));
        }
        self.fields.insert(name, value);
    }
}

/// Names the position of a syntax error, never the text there, which may be a secret.
fn json_error(error: &serde_json::Error) -> RequestError {
    RequestError::Invalid(match error.classify() {
        Category::Data => "The request must be a JSON object.".to_owned(),
        Category::Io | Category::Syntax | Category::Eof => {
            format!("The JSON is malformed at line {}, column {}.", error.line(), error.column())
        }
    })
}

/// The parameters of a query. A `+` is not decoded to a space: no field contains spaces,
/// and the offset of a timestamp is often sent unencoded.
fn query_parameters(query: &str) -> impl Iterator<Item = (String, String)> {
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs.map(move |pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decoded(name), decoded(value))
    })
}

fn shortened(name: &str) -> String {
    name.chars().take(NAME_CHARS_MAX).collect()
}

/// Parses the value of a field: a scalar, or an object or list of scalars. Anything else, such
/// as a lone surrogate, a repeated name or a deeper list, becomes an empty list, which every
/// field rejects.
fn parse_value(json: &RawValue) -> Value {
    match json.get().as_bytes().first() {
        Some(b'{') => serde_json::from_str(json.get()).ok().and_then(parse_members),
        Some(b'[') => serde_json::from_str(json.get())
            .ok()
            .map(|elements: Vec<&RawValue>| elements.into_iter().map(parse_scalar).collect()),
        _ => Some(parse_scalar(json)),
    }
    .unwrap_or_else(invalid)
}

fn parse_members(Object(pairs): Object<'_>) -> Option<Value> {
    let count = pairs.len();
    let members: Map<_, _> = pairs.iter().map(|(name, value)| (name.clone(), parse_scalar(value))).collect();
    (members.len() == count).then_some(Value::Object(members))
}

/// serde_json would read some objects as the number or text in them, so these are not parsed.
fn parse_scalar(json: &RawValue) -> Value {
    let text = Some(json.get()).filter(|text| !text.starts_with(['{', '[']));
    text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_else(invalid)
}

fn invalid() -> Value {
    Value::Array(Vec::new())
}

/// A JSON object with repeated fields.
struct Object<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Object<'de>, D::Error> {
        struct ObjectVisitor;
        impl<'de> Visitor<'de> for ObjectVisitor {
            type Value = Object<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<'de>, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Object(pairs))
            }
        }
        deserializer.deserialize_map(ObjectVisitor)
    }
}
