//! The JWT authorizer of API Gateway, for tokens that a shared secret signs.

use axum::http::{HeaderMap, header::AUTHORIZATION};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use serde_json::{Map, Value};

/// Accepts tokens signed with one secret (HS256).
pub(crate) struct Authorizer {
    key: DecodingKey,
    validation: Validation,
}

impl Authorizer {
    /// Tokens must have an `exp`, as on AWS. There is no issuer here, so `iss` and `aud` are
    /// not checked.
    pub(crate) fn new(secret: &str) -> Authorizer {
        let mut validation = Validation::new(Algorithm::HS256);
        (validation.validate_aud, validation.validate_nbf, validation.leeway) = (false, true, 0);
        Authorizer { key: DecodingKey::from_secret(secret.as_bytes()), validation }
    }

    /// The claims of a request's token in the form in which API Gateway passes them to a
    /// function, or `None` if API Gateway would reject the request.
    pub(crate) fn claims(&self, headers: &HeaderMap) -> Option<Map<String, Value>> {
        let token = headers.get(AUTHORIZATION)?.to_str().ok()?;
        let token = token.strip_prefix("Bearer ").unwrap_or(token);
        let decoded = decode::<Map<String, Value>>(token, &self.key, &self.validation).ok()?;
        Some(
            decoded
                .claims
                .into_iter()
                .map(|(name, claim)| (name, Value::String(claim_text(&claim))))
                .collect(),
        )
    }
}

/// A claim in the form of API Gateway: every value is a string, and a list is `[a b]`.
fn claim_text(claim: &Value) -> String {
    match claim {
        Value::String(text) => text.clone(),
        Value::Array(parts) => format!("[{}]", parts.iter().map(claim_text).collect::<Vec<_>>().join(" ")),
        other => other.to_string(),
    }
}
