//! The HTTP API through its port.

use serde_json::json;

use crate::support::{Stack, charge, rest};

#[test]
fn rejections_have_the_form_of_the_contract() {
    let stack = Stack::start(&["--memory"]);
    let client = stack.client();
    let path = "/credits/decrease";
    let large = format!("{{\"user_uuid\":\"{}\"}}", "u".repeat(20 * 1024)).into_bytes();
    let charge = charge("u", 1, "g").to_string().into_bytes();
    let deep = "[".repeat(10_000).into_bytes();
    for (method, path, body, status, code) in [
        ("POST", path, &charge[..], 402, "InsufficientCredits"),
        ("POST", path, b"{\"user_uuid\":\"\xff\xfe\"}", 400, "InvalidRequest"),
        ("POST", path, b"\xff", 400, "InvalidRequest"),
        ("POST", path, b"{\"user_uuid\":", 400, "InvalidRequest"),
        ("POST", path, b"[]", 400, "InvalidRequest"),
        ("POST", path, b"", 400, "InvalidRequest"),
        ("POST", path, &deep, 400, "InvalidRequest"),
        ("POST", path, &large, 413, "PayloadTooLarge"),
        ("POST", "/credits/decrease?user_uuid=u", &charge, 400, "InvalidRequest"),
        ("POST", "/credits/decrease/", &charge, 404, "NotFound"),
        ("POST", "/", b"", 404, "NotFound"),
        ("GET", "/health/x", b"", 404, "NotFound"),
        ("GET", "/credits/u", b"", 404, "NotFound"),
        ("GET", "/generations/g", b"", 404, "ChargeNotFound"),
        ("GET", "/credits/%ff/balance", b"", 400, "InvalidRequest"),
        ("GET", "/credits/a%20b/balance", b"", 400, "InvalidRequest"),
        ("GET", "/credits/a%23b/balance", b"", 400, "InvalidRequest"),
        ("GET", "/credits/u/timeline?limit=0", b"", 400, "InvalidRequest"),
    ] {
        let answer = client.send(method, path, &[], body);
        let body = &answer.body;
        assert_eq!((answer.status, &body["code"]), (status, &json!(code)), "{method} {path}: {answer:?}");
        assert_eq!(answer.headers["content-type"], "application/problem+json", "{method} {path}");
        assert_eq!(body["status"], status, "{method} {path}: {body}");
        for field in ["type", "title", "detail", "request_id"] {
            assert!(body[field].is_string(), "{method} {path}, {field}: {body}");
        }
    }
}

#[test]
fn wrong_methods_get_the_allowed_one() {
    let stack = Stack::start(&["--memory"]);
    let code = json!("MethodNotAllowed");
    for (method, path, allowed, code) in [
        ("GET", "/credits/decrease", "POST", &code),
        ("DELETE", "/credits/grant", "POST", &code),
        ("PUT", "/api/get-user-credits", "POST", &json!(-1)),
        ("POST", "/credits/u/balance", "GET", &code),
        ("PATCH", "/generations/g", "GET", &code),
        ("BREW", "/credits/u/timeline", "GET", &code),
    ] {
        let answer = stack.client().send(method, path, &[], b"");
        assert_eq!((answer.status, &answer.body["code"]), (405, code), "{method} {path}");
        assert_eq!(answer.headers["allow"], allowed, "{method} {path}");
    }
}

#[test]
fn idempotency_key_header_identifies_charges_without_generation() {
    let stack = Stack::start(&["--memory"]);
    let client = stack.client();
    client.grant("u", 100);
    let generation = charge("u", 1, "g");
    let mut plain = generation.clone();
    plain.as_object_mut().unwrap().remove("generation_uuid");
    let mut keyed = plain.clone();
    keyed["idempotency_key"] = json!("k1");
    for (header, body, status, replayed) in [
        (Some("k1"), &plain, 200, json!(false)),
        (Some("k1"), &plain, 200, json!(true)),
        (Some("k1"), &keyed, 200, json!(true)),
        (None, &keyed, 200, json!(true)),
        (Some("k2"), &plain, 200, json!(false)),
        (Some("k1"), &generation, 200, json!(false)),
        (Some("k2"), &generation, 200, json!(true)),
        (Some("k2"), &keyed, 400, json!(null)),
        (Some("no key"), &plain, 400, json!(null)),
        (Some("schlüssel"), &plain, 400, json!(null)),
    ] {
        let headers: Vec<_> = header.map(|key| ("Idempotency-Key", key)).into_iter().collect();
        let answer = client.send("POST", "/credits/decrease", &headers, body.to_string().as_bytes());
        assert_eq!(
            (answer.status, &answer.body["replayed"]),
            (status, &replayed),
            "{header:?} {body}: {answer:?}"
        );
    }
    assert_eq!(client.balance("u"), 97);
}

#[test]
fn irrelevant_headers_are_ignored() {
    let stack = Stack::start(&["--memory"]);
    let client = stack.client();
    client.grant("u", 5);
    for header in [
        ("Idempotency-Key", "k"),
        ("X-Name", "Zoë"),
        ("Content-Type", "text/plain"),
        ("Authorization", "Bearer x"),
        ("Origin", "null"),
        ("Accept-Encoding", "br"),
    ] {
        let answer = client.send("GET", "/credits/u/balance", &[header], b"");
        assert_eq!((answer.status, &answer.body["balance"]), (200, &json!(5)), "{header:?}: {answer:?}");
    }
}

#[test]
fn path_identifiers_are_decoded() {
    let stack = Stack::start(&["--memory"]);
    let client = stack.client();
    client.grant("org:a.b_c-1", 7);
    client.post("/credits/decrease", &charge("org:a.b_c-1", 2, "g:1"));
    for user in ["org:a.b_c-1", "org%3Aa.b_c-1", "org%3aa%2eb%5fc%2D1", "%6frg:a.b_c-1"] {
        assert_eq!(client.balance(user), 5, "{user}");
        assert_eq!(client.records(user).len(), 2, "{user}");
    }
    assert_eq!(client.get("/generations/g%3A1")["user_uuid"], "org:a.b_c-1");
}

#[test]
fn api_serves_a_generation_from_grant_to_refund() {
    let stack = Stack::start(&["--memory"]);
    let client = stack.client();
    let grant = json!({ "user_uuid": "u", "trans_type": "new_user", "credits": 100 }).to_string();
    let granted = client.send("POST", "/credits/grant", &[], grant.as_bytes());
    assert_eq!((granted.status, &granted.body["balance"]), (201, &json!(100)));
    let again = client.send("POST", "/credits/grant", &[], grant.as_bytes());
    assert_eq!((again.status, &again.body["replayed"]), (200, &json!(true)));

    let charged = client.post("/credits/decrease", &charge("u", 30, "g"));
    assert_eq!((&charged["credits"], &charged["balance"]), (&json!(-30), &json!(70)));
    assert_eq!(charged["allocations"][0]["pack"], granted.body["trans_no"]);

    let refund = json!({ "user_uuid": "u", "generation_uuid": "g", "reason": "it failed" });
    let refunded = client.post("/credits/refund", &refund);
    assert_eq!((&refunded["outcome"], &refunded["balance"]), (&json!("voided"), &json!(100)));

    let old = client.post("/api/get-user-credits", &json!({ "user_uuid": "u" }));
    assert_eq!(old["data"], json!({ "left_credits": 100, "is_recharged": false }));
    let summary = client.get("/credits/u/summary");
    assert_eq!(summary["voided"], json!({ "credits": 30, "count": 1 }));
}

#[test]
fn oversized_body_gets_api_gateways_error() {
    let stack = Stack::start(&["--memory"]);
    let body = vec![b' '; (10 << 20) + 1];
    let answer = stack.client().send("POST", "/credits/decrease", &[], &body);
    assert_eq!((answer.status, &answer.body["message"]), (413, &json!("Request Entity Too Large")));
    assert_eq!(answer.headers["content-type"], "application/json");
}

/// The limit covers the request line and the header values together.
#[test]
fn oversized_head_gets_api_gateways_error() {
    let stack = Stack::start(&["--memory"]);
    let head = |line: &str, headers: &str| {
        let sent = format!("{line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n");
        let answer = rest(stack.connection(&sent));
        (answer[..12].to_owned(), answer.contains("{\"message\":\"Request Header Fields Too Large\"}"))
    };
    let line = "GET /credits/u/balance";
    // The rest is " HTTP/1.1", "x" and "close".
    let available = 10_240 - line.len() - 9 - 1 - 5;
    let too_large = ("HTTP/1.1 431".to_owned(), true);
    assert_eq!(head(line, &format!("A: {}\r\n", "a".repeat(available))), ("HTTP/1.1 200".to_owned(), false));
    for (line, headers) in [
        (line.to_owned(), format!("A: {}\r\n", "a".repeat(available + 1))),
        (line.to_owned(), format!("A: {0}\r\nA: {0}\r\n", "a".repeat(available / 2 + 1))),
        (format!("{line}?{}", "a".repeat(available)), String::new()),
        (format!("GET /credits/{}/balance", "u".repeat(10_240)), String::new()),
    ] {
        assert_eq!(head(&line, &headers), too_large, "{}", &line[..20.min(line.len())]);
    }
}
