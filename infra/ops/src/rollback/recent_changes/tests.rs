use scrip::domain::{
    Adjustment, AdjustmentKind, Allocation, ChargeType, Credits, GrantType, Id, InvocationId, Settlement,
    TransNo,
};
use uuid::Uuid;

use super::*;

fn second(second: i64) -> Timestamp {
    Timestamp::from_millis(second * 1_000).unwrap()
}

fn id<ChangeKind>(text: &str) -> Id<ChangeKind> {
    text.to_owned().try_into().unwrap()
}

fn invocation_id() -> InvocationId {
    InvocationId::new(Uuid::from_u128(0x4000_8000_0000_0000_0007))
}

/// A grant of 10 credits; times in seconds.
fn grant(created_at: i64, expired_at: Option<i64>) -> Grant {
    Grant {
        trans_no: TransNo::new(second(created_at), invocation_id()),
        trans_type: GrantType::OrderPay.into(),
        credits: Credits::try_from(10).unwrap(),
        order_no: Some(id("order")),
        expired_at: expired_at.map(second),
    }
}

/// A charge of 7 credits in second 3, from two packs.
fn charge(generation: Option<&str>, void: Option<Void>) -> Record {
    let allocation = |created_at, expired_at, credits| Allocation {
        grant: grant(created_at, expired_at),
        credits: Credits::try_from(credits).unwrap(),
    };
    let allocations = vec![allocation(1, Some(90), 5), allocation(2, None, 2)];
    let (trans_no, credits) = (TransNo::new(second(3), invocation_id()), Credits::try_from(7).unwrap());
    Record::Charge(Charge {
        generation: generation.map(id),
        order_no: Some(id("order-7")),
        void,
        ..Charge::new(trans_no, ChargeType::Chat, credits, allocations)
    })
}

fn void(by: InvocationId) -> Void {
    Void::new(second(4), "why".to_owned().try_into().unwrap(), by)
}

fn charge_key(generation: Option<&str>) -> RecordKey {
    RecordKey::Charge { generation: generation.map(id), key: Some(id("key")) }
}

/// Each row as a line, without the content of `record`.
fn lines(key: &RecordKey, record: &Record, is_migrated: bool) -> Vec<String> {
    let line = |row: ChangeRow| {
        assert_eq!(row.user_uuid, "u");
        let (created_at, expired_at) =
            (row.created_at.millis() / 1_000, row.expired_at.map(|at| at.millis() / 1_000));
        let (order_no, has_record) = (row.order_no.unwrap_or_default(), row.record.is_some());
        let tail = row.trans_no.get(36..).unwrap();
        format!(
            "{created_at} {tail} {} {} {order_no} {expired_at:?} {has_record}",
            row.trans_type, row.credits
        )
    };
    change_rows(&id("u"), key, record, is_migrated).into_iter().map(line).collect()
}

#[test]
fn charge_and_refund_have_a_row_for_each_pack() {
    let granted = ["1  order_pay 10 order Some(90) true"];
    let charged = ["3  chat -5 gen Some(90) true", "3 -2 chat -2 gen None false"];
    let refunded = ["4 -refund chat_refund 5 gen Some(90) true", "4 -refund-2 chat_refund 2 gen None false"];
    let derived = InvocationId::new(Uuid::new_v5(&Uuid::NAMESPACE_OID, b"a row"));
    let (live, voided) = (charge(Some("gen"), None), charge(Some("gen"), Some(void(invocation_id()))));
    let refunded_by_old_row = charge(Some("gen"), Some(void(derived)));
    let grant = Record::Grant(grant(1, Some(90)).into());
    let (order, key) = (RecordKey::OrderGrant(id("order")), charge_key(Some("gen")));
    for (key, record, is_migrated, expected) in [
        (&order, &grant, false, granted.to_vec()),
        (&order, &grant, true, vec![]),
        (&key, &live, false, charged.to_vec()),
        (&key, &live, true, vec![]),
        (&key, &voided, false, [charged, refunded].concat()),
        (&key, &voided, true, refunded.to_vec()),
        (&key, &refunded_by_old_row, true, vec![]),
        (&key, &Record::Fence(void(invocation_id())), false, vec!["4 -fence fence 0 gen None true"]),
    ] {
        assert_eq!(lines(key, record, is_migrated), expected);
    }
    let without_generation = lines(&charge_key(None), &charge(None, None), false);
    assert_eq!(without_generation, ["3  chat -5 order-7 Some(90) true", "3 -2 chat -2 order-7 None false"]);
}

#[test]
fn first_row_has_the_whole_record() {
    let rows = change_rows(
        &id("u"),
        &charge_key(Some("gen")),
        &charge(Some("gen"), Some(void(invocation_id()))),
        false,
    );
    let record: serde_json::Value = serde_json::from_str(rows[0].record.as_ref().unwrap()).unwrap();
    let trans_no = |created_at| TransNo::new(second(created_at), invocation_id());
    let pack = |created_at, expired_at: Option<&str>| {
        serde_json::json!({
            "trans_no": trans_no(created_at), "trans_type": "order_pay", "credits": 10, "order_no": "order", "expired_at": expired_at,
        })
    };
    let expected = serde_json::json!({
        "key": { "charge": { "generation_uuid": "gen", "idempotency_key": "key" } },
        "charge": {
            "trans_no": trans_no(3), "trans_type": "chat", "credits": -7, "generation_uuid": "gen", "order_no": "order-7",
            "allocations": [
                { "grant": pack(1, Some("1970-01-01T00:01:30.000Z")), "credits": 5 },
                { "grant": pack(2, None), "credits": 2 },
            ],
            "void": { "at": "1970-01-01T00:00:04.000Z", "reason": "why", "by": invocation_id() },
        },
    });
    assert_eq!(record, expected);
}

/// A settlement to 4 returns 3 credits, the last taken first; then the rest is refunded.
#[test]
fn settled_and_refunded_charge_has_rows_for_each_change() {
    let Record::Charge(charge) = charge(Some("gen"), Some(void(invocation_id()))) else { unreachable!() };
    let (requested, none) = (Credits::try_from(4).unwrap(), Credits::ZERO);
    let settlement = Settlement::new(requested, none, Vec::new());
    let settled = Adjustment {
        at: Timestamp::from_millis(3_500).unwrap(),
        invocation: invocation_id(),
        kind: AdjustmentKind::Settled(settlement),
    };
    let record = Record::Charge(Charge { adjustments: vec![settled], ..charge });
    let rows = change_rows(&id("u"), &charge_key(Some("gen")), &record, false);
    let rows: Vec<_> =
        rows.iter().map(|row| (row.trans_type.as_str(), row.credits, row.expired_at)).collect();
    let soon = Some(second(90));
    assert_eq!(
        rows,
        [
            ("chat", -5, soon),
            ("chat", -2, None),
            ("chat_refund", 2, None),
            ("chat_refund", 1, soon),
            ("chat_refund", 4, soon),
        ]
    );
}
