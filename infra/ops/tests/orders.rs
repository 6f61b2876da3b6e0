//! The command `orders`.

#![allow(clippy::unwrap_used, reason = "a test ends by panicking")]

mod support;

use std::fs;

use scrip::{
    domain::{Credits, GrantRequest, GrantType, Id, Metadata, RevokeRequest, RevokedAmount, ShortfallPolicy},
    ledger::{Invocation, Ledger},
};
use serde_json::{Value, json};
use support::workspace::Workspace;

const HOUR: i64 = 3_600_000;

fn id<Kind>(text: &str) -> Id<Kind> {
    text.to_owned().try_into().unwrap()
}

fn soon(ledger: &Ledger) -> Invocation {
    Invocation::until(ledger.now().plus_millis(60_000))
}

async fn grant(ledger: &Ledger, user: &str, order_no: &str, credits: u64) {
    let request = GrantRequest {
        user: id(user),
        trans_type: GrantType::OrderPay,
        credits: Credits::requested(credits).unwrap(),
        order_no: Some(id(order_no)),
        expired_at: None,
        key: None,
        metadata: Metadata::default(),
    };
    ledger.execute(&request, &soon(ledger)).await.unwrap();
}

async fn revoke(ledger: &Ledger, order_no: &str, source: &str, part: u64, of: u64) {
    let request = RevokeRequest {
        order_no: id(order_no),
        user: None,
        source: id(source),
        amount: RevokedAmount::Share { part, of },
        as_of: ledger.now(),
        shortfall: ShortfallPolicy::Keep,
        reason: "it was refunded".to_owned().try_into().unwrap(),
        metadata: Metadata::default(),
    };
    ledger.revoke(&request, &soon(ledger)).await.unwrap();
}

/// Orders of 100 credits: `pi_1` to `pi_9`, `in_1` with the alias `pi_alias`, and `cs_free`, all of
/// user `u`. Half of `pi_2` and `pi_3` is refunded, and `in_1`; `pi_4` is disputed.
async fn filled() -> Workspace {
    let workspace = Workspace::new().await;
    let ledger = workspace.ledger().await;
    let numbers = (1..=9).map(|nth| format!("pi_{nth}"));
    for order_no in numbers.chain(["in_1", "cs_free"].map(str::to_owned)) {
        grant(&ledger, "u", &order_no, 100).await;
    }
    ledger.add_alias(&id("pi_alias"), &id("in_1"), &soon(&ledger)).await.unwrap();
    for (order_no, source, part, of) in [
        ("pi_2", "refund", 500, 1_000),
        ("pi_3", "refund", 500, 1_000),
        ("pi_alias", "refund", 1, 3),
        ("pi_4", "dispute:1", 1, 1),
    ] {
        revoke(&ledger, order_no, source, part, of).await;
    }
    workspace
}

const STRIPE: &str = "id,Created date (UTC),Amount,Amount Refunded,Currency,Status,PaymentIntent ID,Invoice ID,\
     scrip_credits (metadata),scrip_user (metadata)";

/// Rows of an export in which provider and ledger agree. `{first}` and `{last}` are an hour before
/// and after the grants.
const CLEAN: [&str; 12] = [
    "ch_1,{first},10.00,0.00,usd,Paid,pi_1,,100,u",
    "ch_2,{first},\"1,000.00\",500.00,usd,Paid,pi_2,,100,u",
    "ch_3,{first},1000,500,jpy,Paid,pi_3,,100,u",
    "ch_4,{first},\"9,99\",0,eur,Paid,pi_4,,100,u",
    "ch_5,{first},10.00,0.00,usd,Failed,pi_5,,100,u",
    "ch_6,{first},10.00,,usd,Paid,pi_5,,100,u",
    "ch_7,{first},3.00,1.00,usd,Paid,pi_alias,in_1,,",
    "ch_8,{first},25.00,0.00,usd,Paid,pi_shoes,,,",
    "ch_9,{first},10.00,10.00,usd,Refunded,pi_returned,,100,u",
    "ch_10,{first},10.00,0.00,usd,Paid,pi_6,,100,",
    "pi_7,{first},10.00,0.00,usd,Paid,,,100,u",
    "ch_12,{last},10.00,0.00,usd,Paid,pi_8,,100,u",
];

const SKIP: [&str; 2] = ["--skip-prefix=cs_", "--skip-prefix=pi_9"];

/// Runs `orders --verify` with these lines. Returns the exit code, the lines of its output, and
/// its errors.
async fn verify(workspace: &Workspace, lines: &[&str], flags: &[&str]) -> (i32, Vec<Value>, String) {
    let (file, now) = (workspace.path("payments.csv"), workspace.ledger().await.now());
    let time = |millis| now.plus_millis(millis).to_string()[..19].replace('T', " ");
    let text = lines.join("\r\n").replace("{first}", &time(-HOUR)).replace("{last}", &time(HOUR));
    fs::write(&file, text).unwrap();
    let mut command = workspace.command(&["orders", "--verify", file.to_str().unwrap()]);
    let output = command.args(flags).output().unwrap();
    let lines = String::from_utf8(output.stdout).unwrap();
    let lines = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    (output.status.code().unwrap(), lines, String::from_utf8(output.stderr).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_of_stripe_agree_without_options() {
    let workspace = filled().await;
    let before = workspace.items();
    let (code, lines, errors) = verify(&workspace, &[&[STRIPE][..], &CLEAN].concat(), &SKIP).await;
    assert_eq!((code, lines.len()), (0, 1), "{lines:?} {errors}");
    let summary = &lines[0]["summary"];
    assert_eq!(
        (&summary["payments"], &summary["without_credits"], &summary["refunded_without_grant"]),
        (&json!(11), &json!(1), &json!(1)),
        "{summary}"
    );
    assert_eq!(summary["statuses"], json!({ "paid": 10, "failed": 1, "refunded": 1 }));
    assert_eq!(summary["differences"], json!({}));
    assert!(errors.contains("11 of 11 payments"), "{errors}");
    assert_eq!(workspace.items(), before, "nothing is written");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_difference_is_a_line_of_json() {
    let workspace = filled().await;
    for (changed, row, flags, expected) in [
        (
            None,
            "ch_20,{last},10.00,0.00,USD,Paid,pi_lost,,100,v",
            &SKIP[..],
            json!({
                "difference": "not_granted", "row": 14, "order_no": "pi_lost", "user_uuid": "v", "amount": "10.00",
                "currency": "usd", "credits": "100",
            }),
        ),
        (
            Some("pi_6"),
            "",
            &SKIP,
            json!({ "difference": "not_paid", "order_no": "pi_6", "user_uuid": "u", "credits": 100 }),
        ),
        (
            Some("pi_5"),
            "ch_5,{first},10.00,0.00,usd,Failed,pi_5,,100,u",
            &SKIP,
            json!({ "difference": "not_paid", "order_no": "pi_5" }),
        ),
        (None, "", &SKIP[1..], json!({ "difference": "not_paid", "order_no": "cs_free" })),
        (
            Some("pi_6"),
            "ch_10,{first},10.00,3.33,usd,Paid,pi_6,,100,",
            &SKIP,
            json!({ "difference": "not_revoked", "row": 13, "order_no": "pi_6", "user_uuid": "u", "granted": 100, "refunded": 33, "revoked": 0 }),
        ),
        (
            Some("pi_4"),
            "ch_4,{first},9.99,9.99,eur,Refunded,pi_4,,100,u",
            &SKIP,
            json!({ "difference": "not_revoked", "row": 13, "order_no": "pi_4", "user_uuid": "u", "granted": 100, "refunded": 100, "revoked": 0 }),
        ),
        (
            Some("pi_2"),
            "ch_2,{first},1000.00,0.00,usd,Paid,pi_2,,100,u",
            &SKIP,
            json!({ "difference": "not_refunded", "row": 13, "order_no": "pi_2", "user_uuid": "u", "granted": 100, "refunded": 0, "revoked": 50 }),
        ),
        (
            Some("pi_alias"),
            "ch_7,{first},3.00,3.00,usd,Refunded,pi_alias,,,",
            &SKIP,
            json!({ "difference": "not_revoked", "row": 13, "order_no": "in_1", "user_uuid": "u", "granted": 100, "refunded": 100, "revoked": 33 }),
        ),
        (
            Some("pi_1"),
            "ch_1,{first},10.00,0.00,usd,Paid,pi_1,,100,v",
            &SKIP,
            json!({ "difference": "other_user", "row": 13, "order_no": "pi_1", "paid_by": "v", "granted_to": "u" }),
        ),
        (
            Some("pi_1"),
            "ch_1,{first},10.00,0.00,usd,Paid,pi_1,,1e2,u",
            &SKIP,
            json!({ "difference": "other_credits", "row": 13, "order_no": "pi_1", "paid": "1e2", "granted": 100 }),
        ),
    ] {
        let is_kept = |line: &&str| changed.is_none_or(|order| !line.contains(&format!(",{order},")));
        let mut rows: Vec<_> = [&[STRIPE][..], &CLEAN].concat().into_iter().filter(is_kept).collect();
        rows.extend(Some(row).filter(|row| !row.is_empty()));
        let (code, lines, errors) = verify(&workspace, &rows, flags).await;
        assert_eq!((code, lines.len()), (3, 2), "{expected}: {lines:?} {errors}");
        for (name, value) in expected.as_object().unwrap() {
            assert_eq!(&lines[0][name], value, "{name}: {}", lines[0]);
        }
        let kind = expected["difference"].as_str().unwrap();
        assert_eq!(lines[1]["summary"]["differences"], json!({ kind: 1 }));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_order_is_a_difference() {
    let workspace = filled().await;
    for order in ["pi_1", "pi_9"] {
        workspace.damage(&format!("order#{order}"), "order", |item| item["owner"] = json!({ "N": "1" }));
    }
    let (code, lines, _) = verify(&workspace, &[&[STRIPE][..], &CLEAN].concat(), &SKIP[..1]).await;
    let found: Vec<_> = lines.iter().map(|line| (&line["difference"], &line["order_no"])).collect();
    let unreadable = json!("unreadable");
    assert_eq!(found[..2], [(&unreadable, &json!("pi_1")), (&unreadable, &json!("pi_9"))]);
    assert_eq!((code, lines.len()), (3, 3));
    assert!(lines[0]["reason"].as_str().unwrap().contains("order#pi_1"), "{lines:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_and_time_range_can_be_stated() {
    let workspace = filled().await;
    let columns = "--columns=order=Txn,amount=Total,refunded=,status=,created=At,credits=,user=Custom";
    let rows = ["Total,At,Txn,Custom", "10.00,2026-01-31T10:20:30Z,pi_1,u"];
    for (flags, code, differences) in [
        (&["--until", "2026-02-01T00:00:00Z"][..], 0, json!({})),
        (&[], 0, json!({})),
        (&["--until", "2099-01-01T00:00:00Z"], 3, json!({ "not_paid": 10 })),
        (&["--until", "2099-01-01T00:00:00Z", "--skip-prefix", "pi_"], 3, json!({ "not_paid": 2 })),
        (&["--until", "2099-01-01T00:00:00Z", "--since", "2098-01-01T00:00:00Z"], 0, json!({})),
    ] {
        let flags = [&[columns], flags].concat();
        let (found, lines, errors) = verify(&workspace, &rows, &flags).await;
        assert_eq!(found, code, "{flags:?}: {lines:?} {errors}");
        assert_eq!(lines.last().unwrap()["summary"]["differences"], differences, "{flags:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unusable_file_ends_with_2_and_no_output() {
    let workspace = filled().await;
    let row = CLEAN[0];
    for (lines, flags, expected) in [
        (&["id,Amount", "ch_1,10"][..], &[][..], "the header has no column `PaymentIntent ID` (order), "),
        (&[STRIPE], &[], "the file has no paid row"),
        (&[], &[], "the header has no column"),
        (&[STRIPE, row, "ch_2,{first},10.00"], &[], "row 3: the row has other columns than the header"),
        (&[STRIPE, row, "ch_2,{first},1.0.0,0,usd,Paid,pi_2,,,"], &[], "row 3: the amount must be"),
        (&[STRIPE, row, "ch_2,{first},\"1,000\",0,usd,Paid,pi_2,,,"], &[], "row 3: the amount must be"),
        (&[STRIPE, row, "ch_2,{first},10,10.01,usd,Paid,pi_2,,,"], &[], "row 3: the refunded amount must be"),
        (&[STRIPE, row, "ch_2,1/2/26,10,0,usd,Paid,pi_2,,,"], &[], "row 3: the time must be"),
        (&[STRIPE, row], &["--columns=user=Buyer"], "the header has no column `Buyer` (user)"),
        (&[STRIPE, row], &["--columns=buyer=Buyer"], "the field must be one of order, user"),
    ] {
        let (code, output, errors) = verify(&workspace, lines, flags).await;
        assert_eq!((code, output), (2, vec![]), "{expected}: {errors}");
        assert!(errors.contains(expected), "{expected}: {errors}");
    }
    let missing = workspace.command(&["orders", "--verify", "/nowhere.csv"]).output().unwrap();
    assert_eq!(missing.status.code(), Some(2));
    assert!(String::from_utf8(missing.stderr).unwrap().contains("/nowhere.csv: "));
    let (code, output, errors) = verify(&workspace, &[STRIPE, row], &["--dynamodb-table", "missing"]).await;
    assert_eq!((code, output), (1, vec![]), "{errors}");
    assert!(errors.contains("error: order pi_1: "), "{errors}");
}
