//! The events of Lambda: HTTP requests of API Gateway, and direct payloads.

use std::{borrow::Cow, collections::BTreeMap};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};
use serde_json::{Value, value::RawValue};

use super::{
    error::RequestError,
    operation::BodyForm,
    route::{PathParameters, parameter_names},
};
use crate::callback::SignatureHeaders;

/// The unparsed payload of an event. The runtime's own parser would return an undocumented
/// `errorType`.
pub type Payload = Box<RawValue>;

/// A parsed event.
pub(super) enum Event {
    /// A request through API Gateway (HTTP API, payload format 2.0).
    Http(Box<HttpRequest>),
    /// The payload of a direct invocation.
    Direct(Vec<u8>),
}

/// The used fields of an HTTP API's event. The types of `aws_lambda_events` reject claims that
/// are numbers or lists. Empty fields may be `null`, as `cargo lambda watch` writes them.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct HttpRequest {
    #[serde(default, deserialize_with = "null_as_default")]
    raw_path: String,
    route_key: Option<String>,
    #[serde(default, deserialize_with = "null_as_default")]
    path_parameters: BTreeMap<String, String>,
    #[serde(default, rename = "rawQueryString", deserialize_with = "null_as_default")]
    pub(super) query: String,
    #[serde(default, deserialize_with = "null_as_default")]
    headers: Headers,
    #[serde(rename = "requestContext")]
    context: RequestContext,
    body: Option<String>,
    #[serde(default, deserialize_with = "null_as_default")]
    is_base64_encoded: bool,
}

fn null_as_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    value: D,
) -> Result<T, D::Error> {
    Option::deserialize(value).map(Option::unwrap_or_default)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RequestContext {
    http: Http,
    request_id: Option<String>,
    stage: Option<String>,
    authorizer: Option<Authorizer>,
}

#[derive(Deserialize)]
struct Http {
    method: String,
}

#[derive(Deserialize)]
struct Authorizer {
    jwt: Option<Jwt>,
}

#[derive(Deserialize)]
struct Jwt {
    claims: Option<Claims>,
}

/// The used claims of a token that API Gateway's authorizer has validated.
#[derive(Deserialize)]
pub(super) struct Claims {
    pub(super) sub: Option<Value>,
    pub(super) scope: Option<Value>,
    pub(super) scp: Option<Value>,
}

/// The used headers. Names are compared without case.
#[derive(Default)]
struct Headers {
    idempotency_key: Option<String>,
    x_signature: Option<String>,
    webhook_id: Option<String>,
    webhook_timestamp: Option<String>,
    webhook_signature: Option<String>,
    stripe_signature: Option<String>,
}

impl Headers {
    /// The place of a used header.
    fn place(&mut self, name: &str) -> Option<&mut Option<String>> {
        [
            ("idempotency-key", &mut self.idempotency_key),
            ("x-signature", &mut self.x_signature),
            ("webhook-id", &mut self.webhook_id),
            ("webhook-timestamp", &mut self.webhook_timestamp),
            ("webhook-signature", &mut self.webhook_signature),
            ("stripe-signature", &mut self.stripe_signature),
        ]
        .into_iter()
        .find_map(|(used, place)| used.eq_ignore_ascii_case(name).then_some(place))
    }
}

#[derive(Deserialize)]
struct HeaderName<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Deserialize<'de> for Headers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Headers, D::Error> {
        struct HeadersVisitor;
        impl<'de> Visitor<'de> for HeadersVisitor {
            type Value = Headers;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("headers")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Headers, A::Error> {
                let mut headers = Headers::default();
                while let Some(HeaderName(name)) = map.next_key()? {
                    match headers.place(&name) {
                        Some(place) => *place = map.next_value()?,
                        None => drop(map.next_value::<IgnoredAny>()?),
                    }
                }
                Ok(headers)
            }
        }
        deserializer.deserialize_map(HeadersVisitor)
    }
}

/// Whether a payload is an HTTP event, of whatever format. Callers of API Gateway cannot choose
/// this field, and direct payloads have none of this name, so that no HTTP event is taken for a
/// direct invocation, which needs no permission.
fn is_http(payload: &str) -> bool {
    serde_json::from_str::<BTreeMap<String, IgnoredAny>>(payload)
        .is_ok_and(|fields| fields.contains_key("requestContext"))
}

impl Event {
    pub(super) fn parse(payload: &RawValue) -> Result<Event, RequestError> {
        let payload = payload.get();
        match serde_json::from_str(payload) {
            Ok(request) => Ok(Event::Http(request)),
            Err(_) if is_http(payload) => Err(RequestError::Invalid(
                "The event must be one of an HTTP API with payload format 2.0.".to_owned(),
            )),
            Err(_) if payload.len() > BodyForm::Fields.bytes_max() => {
                Err(RequestError::PayloadTooLarge(BodyForm::Fields.bytes_max()))
            }
            Err(_) => Ok(Event::Direct(payload.as_bytes().to_vec())),
        }
    }
}

impl HttpRequest {
    pub(super) fn method(&self) -> &str {
        &self.context.http.method
    }

    /// The method and path of the route that API Gateway matched; `None` for its default route.
    pub(super) fn route_key(&self) -> Option<(&str, &str)> {
        self.route_key.as_deref()?.split_once(' ')
    }

    /// The path parameters that a route names, which API Gateway has decoded; `None` if one
    /// is absent.
    pub(super) fn path_parameters(&self, route_path: &'static str) -> Option<PathParameters> {
        parameter_names(route_path)
            .map(|name| Some((name, self.path_parameters.get(name)?.clone())))
            .collect()
    }

    /// The path without the stage.
    pub(super) fn path(&self) -> &str {
        let stage = self.context.stage.as_deref().filter(|stage| *stage != "$default");
        stage
            .and_then(|stage| self.raw_path.strip_prefix('/')?.strip_prefix(stage))
            .filter(|rest| rest.starts_with('/'))
            .unwrap_or(&self.raw_path)
    }

    pub(super) fn request_id(&self) -> Option<&str> {
        self.context.request_id.as_deref()
    }

    pub(super) fn claims(&self) -> Option<&Claims> {
        self.context.authorizer.as_ref()?.jwt.as_ref()?.claims.as_ref()
    }

    /// The header `Idempotency-Key`.
    pub(super) fn idempotency_key(&self) -> Option<&str> {
        self.headers.idempotency_key.as_deref()
    }

    /// The headers that may sign a call-back.
    pub(super) fn signature(&self) -> SignatureHeaders<'_> {
        SignatureHeaders {
            x_signature: self.headers.x_signature.as_deref(),
            webhook_id: self.headers.webhook_id.as_deref(),
            webhook_timestamp: self.headers.webhook_timestamp.as_deref(),
            webhook_signature: self.headers.webhook_signature.as_deref(),
        }
    }

    /// The header `Stripe-Signature`.
    pub(super) fn stripe_signature(&self) -> Option<&str> {
        self.headers.stripe_signature.as_deref()
    }

    /// The decoded body of this form; empty without a body.
    pub(super) fn body(&self, form: BodyForm) -> Result<Cow<'_, [u8]>, RequestError> {
        let (text, bytes_max) = (self.body.as_deref().unwrap_or_default(), form.bytes_max());
        // Checked before decoding, where four characters of base64 are three bytes.
        if text.len() > bytes_max.div_ceil(3) * 4 {
            return Err(RequestError::PayloadTooLarge(bytes_max));
        }
        let body = if self.is_base64_encoded {
            let decoded = BASE64_STANDARD.decode(text);
            Cow::from(decoded.map_err(|_| RequestError::Invalid("The body is not valid base64.".to_owned()))?)
        } else {
            Cow::from(text.as_bytes())
        };
        if body.len() > bytes_max { Err(RequestError::PayloadTooLarge(bytes_max)) } else { Ok(body) }
    }
}
