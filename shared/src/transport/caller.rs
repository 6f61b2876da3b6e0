//! The caller of a request, and the permissions of its token.

use serde_json::Value;

use super::{error::RequestError, event::Claims};
use crate::domain::UserId;

/// The scopes to grant, decrease and refund for any user. Amazon Cognito separates the resource
/// server and the scope by a slash.
const WRITE: [&str; 2] = ["credits:write", "credits/write"];
/// The scopes to read any user.
const READ: [&str; 2] = ["credits:read", "credits/read"];

/// The caller of an operation.
pub(super) enum Caller {
    /// Authorized by IAM or by a signature, or accepted without claims.
    Trusted,
    /// The bearer of a token that API Gateway's authorizer has validated.
    Bearer {
        /// The user of the token, if its subject can be a `user_uuid`.
        subject: Option<UserId>,
        can_write: bool,
        can_read: bool,
    },
}

impl Caller {
    /// The bearer of these claims. Each scope may begin with the prefix.
    pub(super) fn from_claims(claims: &Claims, scope_prefix: &str) -> Caller {
        let scopes: Vec<&str> = claims.scope.iter().chain(&claims.scp).flat_map(scopes_in).collect();
        let subject = claims.sub.as_ref().and_then(Value::as_str);
        Caller::Bearer {
            subject: subject.and_then(|subject| subject.to_owned().try_into().ok()),
            can_write: scopes.iter().any(|scope| is_one_of(scope, WRITE, scope_prefix)),
            can_read: scopes.iter().any(|scope| is_one_of(scope, READ, scope_prefix)),
        }
    }

    /// Rejects a caller without permission to write.
    pub(super) fn require_write(&self) -> Result<(), RequestError> {
        match self {
            Caller::Trusted | Caller::Bearer { can_write: true, .. } => Ok(()),
            Caller::Bearer { .. } => Err(RequestError::Forbidden),
        }
    }

    /// Rejects a caller without permission to read this user.
    pub(super) fn require_read(&self, user: &UserId) -> Result<(), RequestError> {
        match self {
            Caller::Trusted | Caller::Bearer { can_read: true, .. } => Ok(()),
            Caller::Bearer { subject: Some(subject), .. } if subject == user => Ok(()),
            Caller::Bearer { .. } => Err(RequestError::Forbidden),
        }
    }

    /// The only user that the caller may read; `None` if it may read all users.
    pub(super) fn readable_user(&self) -> Result<Option<&UserId>, RequestError> {
        match self {
            Caller::Trusted | Caller::Bearer { can_read: true, .. } => Ok(None),
            Caller::Bearer { subject: Some(subject), .. } => Ok(Some(subject)),
            Caller::Bearer { subject: None, .. } => Err(RequestError::Forbidden),
        }
    }

    /// The user of the token.
    pub(super) fn subject(&self) -> Option<&UserId> {
        if let Caller::Bearer { subject, .. } = self { subject.as_ref() } else { None }
    }
}

/// Whether it is one of these scopes, with the prefix or without.
fn is_one_of(scope: &str, scopes: [&str; 2], prefix: &str) -> bool {
    scopes.contains(&scope) || scope.strip_prefix(prefix).is_some_and(|scope| scopes.contains(&scope))
}

/// The scopes in a claim. API Gateway writes a list as the text `[a b]`.
fn scopes_in(claim: &Value) -> impl Iterator<Item = &str> {
    let text = claim.as_str().unwrap_or_default();
    text.trim_start_matches('[').trim_end_matches(']').split_whitespace()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expects the permissions to write, to read any user, and to read user `u1`.
    fn check(claims: &[(&str, &str)], expected: (bool, bool, bool)) {
        check_with_prefix("", claims, expected);
    }

    fn check_with_prefix(prefix: &str, claims: &[(&str, &str)], expected: (bool, bool, bool)) {
        let claim = |name| claims.iter().find(|(key, _)| *key == name).map(|(_, claim)| (*claim).into());
        let claims_of_token = Claims { sub: claim("sub"), scope: claim("scope"), scp: claim("scp") };
        let caller = Caller::from_claims(&claims_of_token, prefix);
        let user = |name: &str| UserId::try_from(name.to_owned()).unwrap();
        let permissions = (
            caller.require_write().is_ok(),
            caller.require_read(&user("u2")).is_ok(),
            caller.require_read(&user("u1")).is_ok(),
        );
        assert_eq!(permissions, expected, "{prefix:?}, {claims:?}");
    }

    #[test]
    fn caller_permissions_follow_from_scopes_and_subject() {
        check(&[], (false, false, false));
        check(&[("sub", "u1")], (false, false, true));
        check(&[("sub", "u1"), ("scope", "openid email")], (false, false, true));
        check(&[("sub", "svc"), ("scope", "credits:write")], (true, false, false));
        check(&[("sub", "svc"), ("scope", "credits:read")], (false, true, true));
        check(&[("scope", "credits:read credits:write")], (true, true, true));
        check(&[("scp", "[credits:read credits:write]")], (true, true, true));
        check(&[("scope", "credits/write")], (true, false, false));
        check(&[("scope", "openid credits/read")], (false, true, true));
        check(&[("scope", "credits:writer xcredits:read credits/writer")], (false, false, false));
        check(&[("scope", "scrip/credits:write")], (false, false, false));
        check(&[("sub", "not an id")], (false, false, false));
    }

    #[test]
    fn scopes_may_begin_with_the_prefix() {
        for (scope, expected) in [
            ("scrip/credits:write", (true, false, false)),
            ("scrip/credits/write scrip/credits:read", (true, true, true)),
            ("credits:write", (true, false, false)),
            ("scrip/scrip/credits:write", (false, false, false)),
            ("other/credits:write scripcredits:write scrip/", (false, false, false)),
        ] {
            check_with_prefix("scrip/", &[("scope", scope)], expected);
        }
    }
}
