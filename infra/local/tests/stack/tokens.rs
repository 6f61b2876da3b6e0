//! Access if callers need a token.

use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Value, json};

use crate::support::{Client, Stack, charge};

const SECRET: &str = "the secret of this test";

/// A token signed with `secret` (HS256).
fn token(claims: &Value, secret: &str) -> String {
    encode(&Header::default(), claims, &EncodingKey::from_secret(secret.as_bytes())).expect("a token")
}

/// A token that is valid until the year 2100.
fn valid_token(mut claims: Value) -> String {
    claims["exp"] = json!(4_102_444_800_u64);
    token(&claims, SECRET)
}

/// Every route, with a body for user `u`.
fn routes() -> [(&'static str, &'static str, String); 9] {
    let post = |body: Value| body.to_string();
    [
        ("POST", "/credits/grant", post(json!({ "user_uuid": "u", "trans_type": "new_user", "credits": 9 }))),
        ("POST", "/credits/decrease", post(charge("u", 1, "g"))),
        ("POST", "/credits/refund", post(json!({ "user_uuid": "u", "generation_uuid": "g", "reason": "r" }))),
        ("GET", "/credits/u/balance", String::new()),
        ("GET", "/credits/u/timeline", String::new()),
        ("GET", "/credits/u/summary", String::new()),
        ("GET", "/generations/g", String::new()),
        ("POST", "/api/get-user-credits", post(json!({ "user_uuid": "u" }))),
        ("POST", "/webhooks/generation", post(json!({ "generation_uuid": "g", "status": "failed" }))),
    ]
}

/// The status of each route, in order.
fn statuses(client: &Client, authorization: Option<&str>) -> [u16; 9] {
    routes().map(|(method, path, body)| {
        let headers: Vec<_> = authorization.map(|value| ("Authorization", value)).into_iter().collect();
        client.send(method, path, &headers, body.as_bytes()).status
    })
}

#[test]
fn scopes_and_sub_decide_on_every_route() {
    let stack = Stack::start(&["--memory", "--jwt-secret", SECRET]);
    let client = stack.client();
    let with = |claims: Value| statuses(&client, Some(&format!("Bearer {}", valid_token(claims))));
    // The generation of another user is reported as missing. A token never replaces a signature.
    for (claims, expected) in [
        (json!({ "scope": "credits:write" }), [201, 200, 200, 403, 403, 403, 403, 403, 401]),
        (json!({ "scope": "credits:read" }), [403, 403, 403, 200, 200, 200, 200, 200, 401]),
        (json!({ "scp": ["credits:read", "credits:write"] }), [200, 409, 200, 200, 200, 200, 200, 200, 401]),
        (json!({ "sub": "u" }), [403, 403, 403, 200, 200, 200, 200, 200, 401]),
        (
            json!({ "sub": "u", "token_use": "id", "email": "u@example.com" }),
            [403, 403, 403, 200, 200, 200, 200, 200, 401],
        ),
        (json!({ "sub": "other" }), [403, 403, 403, 403, 403, 403, 404, 403, 401]),
        (json!({ "sub": "u", "scope": "credits:writer" }), [403, 403, 403, 200, 200, 200, 200, 200, 401]),
        (json!({}), [403, 403, 403, 403, 403, 403, 403, 403, 401]),
    ] {
        assert_eq!(with(claims.clone()), expected, "{claims}");
    }
}

#[test]
fn scopes_may_begin_with_the_prefix() {
    for (flags, status) in [(&[][..], 403), (&["--scope-prefix", "scrip/"], 201)] {
        let stack = Stack::start(&[&["--memory", "--jwt-secret", SECRET], flags].concat());
        let token = valid_token(json!({ "scope": "scrip/credits:write" }));
        let (method, path, body) = &routes()[0];
        let headers = [("Authorization", &*format!("Bearer {token}"))];
        assert_eq!(stack.client().send(method, path, &headers, body.as_bytes()).status, status, "{flags:?}");
    }
}

#[test]
fn invalid_tokens_are_rejected_on_every_route() {
    let stack = Stack::start(&["--memory", "--jwt-secret", SECRET]);
    let client = stack.client();
    let all = json!({ "scope": "credits:read credits:write", "exp": 4_102_444_800_u64 });
    let with = |name: &str, value: u64| {
        let mut claims = all.clone();
        claims[name] = json!(value);
        token(&claims, SECRET)
    };
    let unsigned = "eyJhbGciOiJub25lIn0.eyJzY29wZSI6ImNyZWRpdHM6d3JpdGUiLCJleHAiOjQxMDI0NDQ4MDB9.";
    for (authorization, case) in [
        (None, "missing"),
        (Some(String::new()), "empty"),
        (Some("Bearer x.y.z".to_owned()), "malformed"),
        (Some(token(&all, "another secret")), "signed with another secret"),
        (Some(with("exp", 1_000_000_000)), "expired"),
        (Some(with("nbf", 4_102_444_000)), "not yet valid"),
        (Some(token(&json!({ "scope": "credits:write" }), SECRET)), "without exp"),
        (Some(unsigned.to_owned()), "unsigned"),
    ] {
        assert_eq!(statuses(&client, authorization.as_deref()), [401; 9], "{case}");
    }
    assert_eq!(client.callback("local-webhook-secret", "g").status, 503, "a signed request needs no token");
    assert_eq!(client.send("GET", "/nowhere", &[], b"").status, 404);
    assert_eq!(client.send("PUT", "/credits/grant", &[], b"").status, 405);
    assert_eq!(
        statuses(&client, Some(&valid_token(json!({ "scope": "credits:write" }))))[0],
        201,
        "without Bearer"
    );
}

#[test]
fn console_requires_read_access_to_the_user() {
    let stack = Stack::start(&["--memory", "--jwt-secret", SECRET]);
    let client = stack.client();
    let write = format!("Bearer {}", valid_token(json!({ "scope": "credits:write" })));
    let grant = json!({ "user_uuid": "u", "trans_type": "new_user", "credits": 9 }).to_string();
    assert_eq!(
        client.send("POST", "/credits/grant", &[("Authorization", &write)], grant.as_bytes()).status,
        201
    );
    for (claims, status) in [
        (None, 401),
        (Some(json!({ "scope": "credits:read" })), 200),
        (Some(json!({ "sub": "u" })), 200),
        (Some(json!({ "sub": "other" })), 403),
    ] {
        let token = claims.map(|claims| format!("Bearer {}", valid_token(claims)));
        let headers: Vec<_> = token.as_deref().map(|token| ("Authorization", token)).into_iter().collect();
        assert_eq!(client.send("GET", "/console/table/u", &headers, b"").status, status, "{token:?}");
        if status != 200 {
            assert_eq!(client.send("GET", "/console/changes/u", &headers, b"").status, status, "{token:?}");
        }
        let users = client.send("GET", "/console/users", &headers, b"");
        assert_eq!((users.status, users.body), (200, json!([])), "{token:?}");
    }
}
