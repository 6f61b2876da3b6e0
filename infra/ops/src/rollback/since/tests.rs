use scrip::domain::{ChargeType, Credits, GrantType, Id, InvocationId, TransNo};
use uuid::Uuid;

use super::*;

fn second(second: i64) -> Timestamp {
    Timestamp::from_millis(second * 1_000).unwrap()
}

fn id<Kind>(text: &str) -> Id<Kind> {
    text.to_owned().try_into().unwrap()
}

fn nonce() -> InvocationId {
    InvocationId::new(Uuid::from_u128(0x4000_8000_0000_0000_0007))
}

/// A grant of 10 made in that second.
fn grant(made: i64, ends: Option<i64>) -> Grant {
    Grant {
        trans_no: TransNo::new(second(made), nonce()),
        trans_type: GrantType::OrderPay.into(),
        credits: Credits::try_from(10).unwrap(),
        order_no: Some(id("order")),
        expired_at: ends.map(second),
    }
}

/// A charge of 7, made in second 3, of two packs.
fn charge(generation: Option<&str>, void: Option<Void>) -> Record {
    let taken = |made, ends, credits| Allocation {
        grant: grant(made, ends),
        credits: Credits::try_from(credits).unwrap(),
    };
    Record::Charge(Charge {
        trans_no: TransNo::new(second(3), nonce()),
        trans_type: ChargeType::Chat,
        credits: Credits::try_from(7).unwrap(),
        generation: generation.map(id),
        order_no: Some(id("noted")),
        allocations: vec![taken(1, Some(90), 5), taken(2, None, 2)],
        extra: Vec::new(),
        live: Credits::try_from(7).unwrap(),
        void,
    })
}

fn void(by: InvocationId) -> Void {
    Void { at: second(4), reason: "why".to_owned().try_into().unwrap(), invocation: by }
}

fn place(generation: Option<&str>) -> RecordKey {
    RecordKey::Charge { generation: generation.map(id), key: Some(id("key")) }
}

/// Each row on a line, but for what the record's own test looks at.
fn lines(key: &RecordKey, record: &Record, is_migrated: bool) -> Vec<String> {
    let line = |row: Row| {
        assert_eq!(row.user_uuid, "u");
        let (made, ends) = (row.created_at.millis() / 1_000, row.expired_at.map(|at| at.millis() / 1_000));
        let (order_no, has_record) = (row.order_no.unwrap_or_default(), row.record.is_some());
        let tail = row.trans_no.get(36..).unwrap();
        format!("{made} {tail} {} {} {order_no} {ends:?} {has_record}", row.trans_type, row.credits)
    };
    since(&id("u"), key, record, is_migrated).into_iter().map(line).collect()
}

#[test]
fn each_pack_that_was_touched_has_a_row() {
    let granted = ["1  order_pay 10 order Some(90) true"];
    let charged = ["3  chat -5 gen Some(90) true", "3 -2 chat -2 gen None false"];
    let refunded = ["4 -refund chat_refund 5 gen Some(90) true", "4 -refund-2 chat_refund 2 gen None false"];
    let derived = InvocationId::new(Uuid::new_v5(&Uuid::NAMESPACE_OID, b"a row"));
    let (live, voided) = (charge(Some("gen"), None), charge(Some("gen"), Some(void(nonce()))));
    let paired = charge(Some("gen"), Some(void(derived)));
    let grant = Record::Grant(grant(1, Some(90)));
    let (order, place) = (RecordKey::OrderGrant(id("order")), place(Some("gen")));
    for (key, record, is_migrated, expected) in [
        (&order, &grant, false, granted.to_vec()),
        (&order, &grant, true, vec![]),
        (&place, &live, false, charged.to_vec()),
        (&place, &live, true, vec![]),
        (&place, &voided, false, [charged, refunded].concat()),
        (&place, &voided, true, refunded.to_vec()),
        (&place, &paired, true, vec![]),
        (&place, &Record::Fence(void(nonce())), false, vec!["4 -fence fence 0 gen None true"]),
    ] {
        assert_eq!(lines(key, record, is_migrated), expected);
    }
    let noted = lines(&super::tests::place(None), &charge(None, None), false);
    assert_eq!(noted, ["3  chat -5 noted Some(90) true", "3 -2 chat -2 noted None false"]);
}

#[test]
fn a_record_is_told_whole() {
    let rows = since(&id("u"), &place(Some("gen")), &charge(Some("gen"), Some(void(nonce()))), false);
    let record: serde_json::Value = serde_json::from_str(rows[0].record.as_ref().unwrap()).unwrap();
    let trans_no = |made| TransNo::new(second(made), nonce());
    let pack = |made, ends: Option<&str>| {
        serde_json::json!({
            "trans_no": trans_no(made), "trans_type": "order_pay", "credits": 10, "order_no": "order", "expired_at": ends,
        })
    };
    let expected = serde_json::json!({
        "key": { "charge": { "generation_uuid": "gen", "idempotency_key": "key" } },
        "charge": {
            "trans_no": trans_no(3), "trans_type": "chat", "credits": -7, "generation_uuid": "gen", "order_no": "noted",
            "allocations": [
                { "grant": pack(1, Some("1970-01-01T00:01:30.000Z")), "credits": 5 },
                { "grant": pack(2, None), "credits": 2 },
            ],
            "void": { "at": "1970-01-01T00:00:04.000Z", "reason": "why", "by": nonce() },
        },
    });
    assert_eq!(record, expected);
}
