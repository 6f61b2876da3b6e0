use std::collections::HashMap;

use base64::{Engine, prelude::BASE64_STANDARD};
use lambda_http::aws_lambda_events::apigw::ApiGatewayV2httpRequest;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::domain::Error;

/// The most that a request's body may be, in bytes, after base64.
const BODY_BYTES_MAX: usize = 16 * 1024;

/// What Lambda hands over, as it came: read only here, because what fails to
/// parse on the way in would carry an errorType of the runtime's own.
pub type Payload = Box<RawValue>;

/// What an event carries.
pub(super) enum Event {
    /// A request through API Gateway (HTTP API, payload format 2.0).
    Http(Box<HttpRequest>),
    /// The payload of a direct invocation.
    Direct(Vec<u8>),
}

/// What of an HTTP request matters here.
pub(super) struct HttpRequest {
    pub(super) method: String,
    /// Without the stage.
    pub(super) path: String,
    pub(super) query: String,
    pub(super) idempotency_key: Option<String>,
    /// The claims of a token that API Gateway's authorizer has checked.
    pub(super) claims: Option<HashMap<String, String>>,
    pub(super) request_id: Option<String>,
    body: Option<String>,
    is_base64: bool,
}

/// Tells an HTTP event from a direct payload.
#[derive(Deserialize)]
struct Probe {
    #[serde(rename = "requestContext")]
    _request_context: ContextProbe,
}

#[derive(Deserialize)]
struct ContextProbe {
    #[serde(rename = "http")]
    _http: serde::de::IgnoredAny,
}

impl Event {
    pub(super) fn parse(payload: &RawValue) -> Result<Event, Error> {
        let payload = payload.get();
        if serde_json::from_str::<Probe>(payload).is_err() {
            let body = payload.as_bytes().to_vec();
            return if body.len() > BODY_BYTES_MAX {
                Err(Error::PayloadTooLarge)
            } else {
                Ok(Event::Direct(body))
            };
        }
        let event: ApiGatewayV2httpRequest = serde_json::from_str(payload).map_err(|error| {
            Error::InvalidRequest(format!("no event of an HTTP API, payload 2.0: {error}"))
        })?;
        Ok(Event::Http(Box::new(event.into())))
    }
}

impl From<ApiGatewayV2httpRequest> for HttpRequest {
    fn from(event: ApiGatewayV2httpRequest) -> HttpRequest {
        let context = event.request_context;
        let path = event.raw_path.unwrap_or_default();
        let stage = context.stage.filter(|stage| stage != "$default").map(|stage| format!("/{stage}"));
        let rest =
            stage.as_deref().and_then(|stage| path.strip_prefix(stage)).filter(|rest| rest.starts_with('/'));
        let header =
            |name| event.headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into());
        HttpRequest {
            method: context.http.method.to_string(),
            path: rest.unwrap_or(&path).to_owned(),
            query: event.raw_query_string.unwrap_or_default(),
            idempotency_key: header("idempotency-key"),
            claims: context.authorizer.and_then(|authorizer| authorizer.jwt).map(|jwt| jwt.claims),
            request_id: context.request_id,
            body: event.body,
            is_base64: event.is_base64_encoded,
        }
    }
}

impl HttpRequest {
    /// The bytes of the body; none where there is no body.
    pub(super) fn body(&self) -> Result<Vec<u8>, Error> {
        let text = self.body.as_deref().unwrap_or_default();
        // Looked at before it is decoded: four characters of base64 are three bytes.
        if text.len() > BODY_BYTES_MAX.div_ceil(3) * 4 {
            return Err(Error::PayloadTooLarge);
        }
        let body = if self.is_base64 {
            BASE64_STANDARD
                .decode(text)
                .map_err(|_| Error::InvalidRequest("the body is no base64".to_owned()))?
        } else {
            text.as_bytes().to_vec()
        };
        if body.len() > BODY_BYTES_MAX { Err(Error::PayloadTooLarge) } else { Ok(body) }
    }
}
