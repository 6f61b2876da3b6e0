//! The operations of `history`, and their pages.

use scrip::transport::functions::HISTORY;
use scrip_tests::{Fault, RecordedRequest, TestLedger};
use serde_json::{Value, json};

/// A page, requested directly.
async fn page(ledger: &TestLedger, operation: &str, fields: Value) -> Value {
    let mut request = fields;
    request["operation"] = json!(operation);
    ledger.invoke(HISTORY, request).await.unwrap()
}

/// The sizes of all pages, and their records, from the first to the last.
async fn pages(
    ledger: &TestLedger,
    operation: &str,
    list: &str,
    mut request: Value,
) -> (Vec<usize>, Vec<Value>) {
    let (mut sizes, mut records) = (Vec::new(), Vec::new());
    loop {
        let mut answer = page(ledger, operation, request.clone()).await;
        let shown = answer[list].as_array_mut().unwrap();
        sizes.push(shown.len());
        records.append(shown);
        request["cursor"] = answer["cursor"].take();
        if request["cursor"].is_null() {
            return (sizes, records);
        }
    }
}

fn newest_first(records: &[Value]) -> bool {
    records.is_sorted_by(|a, b| a["trans_no"].as_str() > b["trans_no"].as_str())
}

/// A ledger with a grant and 8 charges. The given charges are voided.
async fn ledger(voided: &[u32]) -> TestLedger {
    let ledger = TestLedger::new().await;
    ledger.grant("u", 100, None).await;
    for charge in 1..=8 {
        ledger.charge("u", 1, &format!("g{charge}"), None).await.unwrap();
    }
    for charge in voided {
        ledger.refund(Some("u"), &format!("g{charge}"), None).await.unwrap();
    }
    ledger
}

#[tokio::test]
async fn every_timeline_page_is_full_but_the_last() {
    for (voided, limit, include_voided, sizes) in [
        (&[][..], 3, false, &[3, 3, 3][..]),
        (&[], 4, false, &[4, 4, 1]),
        (&[], 9, false, &[9]),
        (&[], 100, false, &[9]),
        (&[1, 2, 4, 5, 7, 8], 2, false, &[2, 1]),
        (&[6, 7, 8], 3, false, &[3, 3]),
        (&[1, 2, 3], 3, false, &[3, 3]),
        (&[1, 2, 3, 4, 5, 6, 7, 8], 1, false, &[1]),
        (&[1, 2, 3], 5, true, &[5, 4]),
    ] {
        let ledger = ledger(voided).await;
        let request = json!({ "user_uuid": "u", "limit": limit, "include_voided": include_voided });
        let (found, records) = pages(&ledger, "timeline", "records", request).await;
        assert_eq!(found, sizes, "voided {voided:?}, {limit} a page");
        assert!(newest_first(&records));
        let shown_voided = records.iter().filter(|record| record["is_voided"] == true).count();
        assert_eq!(shown_voided, if include_voided { voided.len() } else { 0 });
    }
}

/// What a page reads grows only as it must.
#[tokio::test]
async fn page_asks_for_few_more_records_where_few_are_voided() {
    let ledger = ledger(&[8]).await;
    ledger.http_client.take_requests();
    page(&ledger, "timeline", json!({ "user_uuid": "u", "limit": 2 })).await;
    page(&ledger, "timeline", json!({ "user_uuid": "u", "limit": 2, "include_voided": true })).await;
    let limits: Vec<_> =
        ledger.http_client.take_requests().into_iter().map(|sent| sent.request["Limit"].clone()).collect();
    assert_eq!(limits, [3, 12, 3]);
}

/// An index entry whose charge is gone is a fault, not a shorter page.
#[tokio::test]
async fn charge_that_only_the_index_knows_is_an_error() {
    let ledger = ledger(&[]).await;
    ledger.http_client.inject(|sent| {
        let nothing = Fault::Response(r#"{"Responses":{},"UnprocessedKeys":{}}"#);
        (sent.operation == "BatchGetItem").then_some(nothing)
    });
    let result = ledger.invoke(HISTORY, json!({ "operation": "generation", "generation_uuid": "g1" })).await;
    assert_eq!(result.unwrap_err().0, "Internal");
}

/// A page that passes over 1,000 voided records may be short, with a cursor.
#[tokio::test]
async fn page_passes_over_a_thousand_voided_records_at_most() {
    let ledger = ledger(&[]).await;
    ledger.charge("u", 1, "v", None).await.unwrap();
    ledger.refund(Some("u"), "v", None).await.unwrap();
    ledger.copy("u", "charge#v#", 2_300).await;
    let (sizes, records) =
        pages(&ledger, "timeline", "records", json!({ "user_uuid": "u", "limit": 5 })).await;
    assert_eq!(records.len(), 9);
    assert!(sizes.len() <= 5, "{sizes:?}");
    assert!(newest_first(&records));
    let request = json!({ "user_uuid": "u", "limit": 100, "include_voided": true });
    assert_eq!(pages(&ledger, "timeline", "records", request).await.1.len(), 9 + 2_301);
}

#[tokio::test]
async fn cursor_belongs_to_its_user_and_query() {
    let ledger = ledger(&[]).await;
    let claims = Some(json!({ "scope": "credits:read" }));
    let first = ledger.http("GET", "/credits/u/timeline?limit=2", "", claims.clone()).await;
    let cursor = first.body["cursor"].as_str().unwrap().to_owned();
    for (url, status) in [
        (format!("/credits/u/timeline?limit=5&cursor={cursor}"), 200),
        (format!("/credits/u/timeline?include_voided=false&cursor={cursor}"), 200),
        (format!("/credits/u2/timeline?cursor={cursor}"), 400),
        (format!("/credits/u/timeline?include_voided=true&cursor={cursor}"), 400),
        (format!("/generations/g1?cursor={cursor}"), 400),
        (format!("/credits/u/timeline?cursor={cursor}A"), 400),
        ("/credits/u/timeline?cursor=".to_owned(), 400),
        (format!("/credits/u/timeline?cursor={cursor}&cursor={cursor}"), 400),
    ] {
        let answer = ledger.http("GET", &url, "", claims.clone()).await;
        assert_eq!(answer.status, status, "{url}: {answer:?}");
    }
}

/// A record that comes while somebody pages does not move the pages.
#[tokio::test]
async fn new_records_do_not_disturb_the_pages_behind_a_cursor() {
    let ledger = ledger(&[]).await;
    let first = page(&ledger, "timeline", json!({ "user_uuid": "u", "limit": 4 })).await;
    ledger.charge("u", 1, "late", None).await.unwrap();
    let rest = page(&ledger, "timeline", json!({ "user_uuid": "u", "cursor": first["cursor"] })).await;
    let rest: Vec<_> =
        rest["records"].as_array().unwrap().iter().map(|record| &record["generation_uuid"]).collect();
    assert_eq!(rest, [&json!("g4"), &json!("g3"), &json!("g2"), &json!("g1"), &Value::Null]);
}

#[tokio::test]
async fn summary_is_what_the_records_say() {
    let ledger = TestLedger::new().await;
    ledger.grant("u", 20, Some("2026-02-01T00:00:00Z")).await;
    ledger.grant("u", 30, None).await;
    ledger.charge("u", 4, "g1", None).await.unwrap();
    ledger.charge("u", 6, "g2", None).await.unwrap();
    ledger.refund(Some("u"), "g2", None).await.unwrap();
    ledger.clock.pass_days(40);
    let spent = json!({ "anime_generation": { "credits": 4, "count": 1 } });
    let all = json!({
        "user_uuid": "u", "debt": 0, "balance": 30, "granted": { "credits": 50, "count": 2 },
        "spent": { "credits": 4, "count": 1 }, "voided": { "credits": 6, "count": 1 },
        "expired": { "credits": 16 }, "revoked": { "credits": 0 }, "by_trans_type": spent,
    });
    assert_eq!(page(&ledger, "summary", json!({ "user_uuid": "u" })).await, all);
    let nothing = json!({ "credits": 0, "count": 0 });
    let mut in_range = all.clone();
    in_range.as_object_mut().unwrap().retain(|name, _| name != "expired" && name != "revoked");
    let none = json!({
        "user_uuid": "u", "balance": 30, "debt": 0, "granted": nothing, "spent": nothing, "voided": nothing, "by_trans_type": {},
    });
    let records = ledger.records("u").await;
    let made = |record: usize| records[record]["created_at"].clone();
    for (from, to, sums) in [
        (json!("2026-01-01T00:00:00Z"), Value::Null, in_range.clone()),
        (Value::Null, json!("2026-01-01T02:00:00+01:00"), in_range.clone()),
        (json!("2026-01-02T00:00:00Z"), Value::Null, none.clone()),
        (Value::Null, made(3), none.clone()),
        (made(3), json!("9999-12-31T23:59:59.999Z"), in_range),
        (json!("0001-01-01T00:00:00Z"), json!("1969-01-01T00:00:00Z"), none),
    ] {
        let found = page(&ledger, "summary", json!({ "user_uuid": "u", "from": from, "to": to })).await;
        assert_eq!(found, sums, "from {from} to {to}");
    }
    let grants = page(&ledger, "summary", json!({ "user_uuid": "u", "to": made(1) })).await;
    assert_eq!(
        (&grants["granted"]["count"], &grants["spent"]["count"]),
        (&json!(2), &json!(0)),
        "before {}",
        made(1)
    );
}

/// The index answers with pages of 5,000 records, so many of them.
#[tokio::test]
async fn summary_of_more_than_100_000_records_is_refused() {
    let ledger = ledger(&[]).await;
    ledger.records("u").await;
    let is_page = |sent: &RecordedRequest| sent.request["IndexName"] == "timeline";
    let answer = ledger.http_client.take_requests().into_iter().rfind(is_page).unwrap().response.unwrap();
    let charge = answer["Items"][0].clone();
    let page = |records: usize, is_last: bool| -> &'static str {
        let mut page = json!({ "Count": records, "ScannedCount": records, "Items": vec![&charge; records] });
        if !is_last {
            page["LastEvaluatedKey"] = json!({
                "user_uuid": charge["user_uuid"], "sk": charge["sk"], "trans_no": charge["trans_no"],
            });
        }
        page.to_string().leak()
    };
    let (full, last, one) = (page(5_000, false), page(5_000, true), page(1, true));
    for (pages, end, outcome) in [(19, last, Ok(100_000)), (20, one, Err("LimitExceeded"))] {
        let mut left = pages;
        ledger.http_client.inject(move |sent| {
            left -= i32::from(is_page(sent));
            is_page(sent).then_some(Fault::Response(if left >= 0 { full } else { end }))
        });
        let range = json!({ "operation": "summary", "user_uuid": "u", "from": "2026-01-01T00:00:00Z" });
        let summary = ledger.invoke(HISTORY, range).await;
        let found = summary.as_ref().map(|sums| sums["spent"]["count"].as_u64().unwrap());
        assert_eq!(found.map_err(|(code, _)| code.as_str()), outcome);
    }
}

#[tokio::test]
async fn generation_shows_its_charges_with_their_allocations() {
    let ledger = TestLedger::new().await;
    let pack = ledger.grant("u", 100, None).await;
    for key in ["m1", "m2", "m3", "m4", "m5"] {
        ledger.charge("u", 2, "s", Some(key)).await.unwrap();
    }
    ledger.refund(Some("u"), "s", Some("m3")).await.unwrap();
    let (sizes, charges) =
        pages(&ledger, "generation", "charges", json!({ "generation_uuid": "s", "limit": 2 })).await;
    assert_eq!(sizes, [2, 2, 1]);
    assert!(newest_first(&charges));
    assert_eq!(charges[2]["voided_reason"], "it failed");
    for charge in charges {
        assert_eq!(
            charge["allocations"],
            json!([{ "pack": pack["trans_no"], "order_no": pack["order_no"], "credits": 2 }])
        );
    }
    ledger.grant("u2", 1, None).await;
    ledger.charge("u2", 1, "s", None).await.unwrap();
    let shared = json!({ "operation": "generation", "generation_uuid": "s" });
    assert_eq!(ledger.invoke(HISTORY, shared).await.unwrap_err().0, "IdempotencyConflict");
    let own = ledger.http("GET", "/generations/s", "", Some(json!({ "sub": "u2" }))).await;
    assert_eq!((own.status, &own.body["user_uuid"]), (200, &json!("u2")), "a user sees its own");
    let own = ledger.http("GET", "/generations/s?limit=2", "", Some(json!({ "sub": "u" }))).await;
    let next = format!("/generations/s?cursor={}", own.body["cursor"].as_str().unwrap());
    for (sub, status) in [("u", 200), ("u2", 400)] {
        let page = ledger.http("GET", &next, "", Some(json!({ "sub": sub }))).await;
        assert_eq!(page.status, status, "{sub}: {page:?}");
    }
}

#[tokio::test]
async fn both_doors_give_the_same_answer() {
    let ledger = ledger(&[2]).await;
    let claims = Some(json!({ "scope": "credits:read" }));
    for (url, operation, fields) in [
        ("/credits/u/timeline?limit=3", "timeline", json!({ "user_uuid": "u", "limit": 3 })),
        (
            "/credits/u/timeline?include_voided=true",
            "timeline",
            json!({ "user_uuid": "u", "include_voided": true }),
        ),
        ("/credits/u/summary", "summary", json!({ "user_uuid": "u" })),
        (
            "/credits/u/summary?from=2025-12-31T23:00:00%2B00:00",
            "summary",
            json!({ "user_uuid": "u", "from": "2025-12-31T23:00:00Z" }),
        ),
        (
            "/credits/u/summary?from=2025-12-31T23:00:00+00:00",
            "summary",
            json!({ "user_uuid": "u", "from": "2025-12-31T23:00:00Z" }),
        ),
        ("/generations/g2", "generation", json!({ "generation_uuid": "g2" })),
    ] {
        let answer = ledger.http("GET", url, "", claims.clone()).await;
        assert_eq!((answer.status, &answer.body), (200, &page(&ledger, operation, fields).await), "{url}");
    }
}
