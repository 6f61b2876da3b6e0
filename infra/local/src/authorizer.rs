//! The JWT authorizer of API Gateway, for tokens that a shared secret signs.

use axum::http::{HeaderMap, header::AUTHORIZATION};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use serde_json::{Map, Value};

/// Takes tokens that are signed with one secret, by HS256.
pub(crate) struct Authorizer {
    key: DecodingKey,
    rules: Validation,
}

impl Authorizer {
    /// For tokens of this secret. They must have an `exp`, as on AWS; there is no
    /// issuer, so any `iss` and `aud` will do.
    pub(crate) fn new(secret: &str) -> Authorizer {
        let mut rules = Validation::new(Algorithm::HS256);
        (rules.validate_aud, rules.validate_nbf, rules.leeway) = (false, true, 0);
        Authorizer { key: DecodingKey::from_secret(secret.as_bytes()), rules }
    }

    /// The claims of a request's token as API Gateway hands them to a function;
    /// none where it would reject the request.
    pub(crate) fn claims(&self, headers: &HeaderMap) -> Option<Map<String, Value>> {
        let token = headers.get(AUTHORIZATION)?.to_str().ok()?;
        let token = token.strip_prefix("Bearer ").unwrap_or(token);
        let decoded = decode::<Map<String, Value>>(token, &self.key, &self.rules).ok()?;
        Some(decoded.claims.into_iter().map(|(name, claim)| (name, Value::String(text(&claim)))).collect())
    }
}

/// A claim as API Gateway writes it: everything is text, and a list is `[a b]`.
fn text(claim: &Value) -> String {
    match claim {
        Value::String(text) => text.clone(),
        Value::Array(parts) => format!("[{}]", parts.iter().map(text).collect::<Vec<_>>().join(" ")),
        other => other.to_string(),
    }
}
