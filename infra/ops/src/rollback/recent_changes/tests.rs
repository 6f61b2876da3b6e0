use std::collections::BTreeMap;

use scrip::domain::{
    Adjustment, AdjustmentKind, Allocation, ChargeType, Credits, GrantType, Id, InvocationId, Revocation,
    RevocationKind, Settlement, ShortfallFill, TransNo, WalletRebuild,
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

fn credits(credits: u64) -> Credits {
    credits.try_into().unwrap()
}

/// Credits of the pack that was granted in this second.
fn part(pack: i64, expired_at: Option<i64>, taken: u64) -> Allocation {
    Allocation { grant: grant(pack, expired_at), credits: credits(taken) }
}

/// The grant of second 1, with revocations in these seconds.
fn revoked(kinds: Vec<(i64, RevocationKind)>) -> Record {
    let revocation = |(at, kind)| Revocation { at: second(at), invocation: invocation_id(), kind };
    let revocations = kinds.into_iter().map(revocation).collect();
    Record::Grant(GrantRecord { revocations, ..grant(1, Some(90)).into() })
}

fn revoke(taken: u64, paid: Vec<Allocation>, shortfall: u64, owed: u64) -> RevocationKind {
    let (taken, shortfall, owed) = (credits(taken), credits(shortfall), credits(owed));
    RevocationKind::Revoked { taken, paid, shortfall, owed }
}

fn restore(owed: u64, shortfall: u64, paid: u64, returned: u64) -> RevocationKind {
    let (owed, shortfall) = (credits(owed), credits(shortfall));
    let (paid, returned) = (credits(paid), credits(returned));
    RevocationKind::Restored { owed, shortfall, paid, returned, fills: Vec::new() }
}

/// A charge of the pack of second 1 in second 3, and its void in second 7, which fills a shortfall.
fn filled(spent: u64, fill: u64) -> Record {
    let pack = grant(1, Some(90)).trans_no;
    let fills = vec![ShortfallFill { pack, credits: credits(fill) }];
    let charge = Charge::new(
        TransNo::new(second(3), invocation_id()),
        ChargeType::Chat,
        credits(spent),
        vec![part(1, Some(90), spent)],
    );
    let void = Void { fills, ..Void::new(second(7), "why".to_owned().try_into().unwrap(), invocation_id()) };
    Record::Charge(Charge { generation: Some(id("gen")), void: Some(void), ..charge })
}

/// The credits of the rows by expiry, and those of the packs that the records give.
fn sums(records: &[(RecordKey, Record)]) -> [BTreeMap<Option<Timestamp>, i128>; 2] {
    let (mut rebuild, mut rows, mut packs) = (WalletRebuild::default(), BTreeMap::new(), BTreeMap::new());
    for (key, record) in records {
        rebuild.add(key, record);
        for row in change_rows(&id("u"), key, record, false) {
            *rows.entry(row.expired_at).or_default() += i128::from(row.credits);
        }
    }
    for pack in rebuild.wallet(None, second(10)).unwrap().packs {
        *packs.entry(pack.grant.expired_at).or_default() += i128::from(pack.remaining.as_u64());
    }
    rows.retain(|_, credits| *credits != 0);
    [rows, packs]
}

#[test]
fn revocations_have_rows_whose_sum_is_what_the_packs_hold() {
    let granted = "1  order_pay 10 order Some(90) true";
    let order = || RecordKey::OrderGrant(id("order"));
    let other = |second, expired_at| {
        let key = RecordKey::MigratedGrant(InvocationId::new(Uuid::from_u128(second)));
        (key, Record::Grant(grant(i64::try_from(second).unwrap(), expired_at).into()))
    };
    let charge = |spent, fill| (charge_key(Some("gen")), filled(spent, fill));
    let dispute = vec![
        (5, revoke(4, vec![part(2, None, 3)], 0, 3)),
        (6, RevocationKind::Repaid(vec![part(4, Some(80), 3)])),
    ];
    for (case, kinds, others, expected) in [
        (
            "revoked before the grant",
            vec![(1, revoke(4, vec![], 0, 0))],
            vec![],
            vec![granted, "1 -2 order_pay -4 order Some(90) false"],
        ),
        (
            "partly restored",
            vec![(5, revoke(6, vec![], 0, 0)), (6, restore(0, 0, 0, 2))],
            vec![],
            vec![
                granted,
                "5 -revoked-1 order_pay_revoke -6 order Some(90) true",
                "6 -revoked-2 order_pay_revoke 2 order Some(90) true",
            ],
        ),
        (
            "paid by another pack, and a debt repaid by a later one",
            dispute.clone(),
            vec![other(2, None), other(4, Some(80))],
            vec![
                granted,
                "5 -revoked-1 order_pay_revoke -4 order Some(90) true",
                "5 -revoked-1-2 order_pay_revoke -3 order None false",
                "6 -revoked-2 order_pay_revoke -3 order Some(80) true",
            ],
        ),
        (
            "won dispute after the debt was repaid",
            [dispute, vec![(8, restore(0, 0, 6, 4))]].concat(),
            vec![other(2, None), other(4, Some(80))],
            vec![
                granted,
                "5 -revoked-1 order_pay_revoke -4 order Some(90) true",
                "5 -revoked-1-2 order_pay_revoke -3 order None false",
                "6 -revoked-2 order_pay_revoke -3 order Some(80) true",
                "8 -revoked-3 order_pay_revoke 3 order Some(80) true",
                "8 -revoked-3-2 order_pay_revoke 3 order None false",
                "8 -revoked-3-3 order_pay_revoke 4 order Some(90) false",
            ],
        ),
        (
            "a shortfall, which a void fills in part",
            vec![(5, revoke(2, vec![], 5, 0))],
            vec![charge(8, 5)],
            vec![granted, "5 -revoked-1 order_pay_revoke -2 order Some(90) true"],
        ),
        (
            "only a shortfall, and only its reduction",
            vec![(5, revoke(0, vec![], 8, 0)), (6, restore(0, 5, 0, 0))],
            vec![charge(10, 3)],
            vec![
                granted,
                "5 -revoked-1 order_pay_revoke 0 order None true",
                "6 -revoked-2 order_pay_revoke 0 order None true",
            ],
        ),
    ] {
        let record = revoked(kinds);
        assert_eq!(lines(&order(), &record, false), expected, "{case}");
        let [rows, packs] = sums(&[vec![(order(), record)], others].concat());
        assert_eq!(rows, packs, "{case}");
    }
    let migrated = lines(&order(), &revoked(vec![(5, revoke(6, vec![], 0, 0))]), true);
    assert_eq!(migrated, ["5 -revoked-1 order_pay_revoke -6 order Some(90) true"]);
    let void = [
        "3  chat -8 gen Some(90) true",
        "7 -refund chat_refund 8 gen Some(90) true",
        "7 -refund-2 chat_refund -5 gen Some(90) false",
    ];
    assert_eq!(lines(&charge_key(Some("gen")), &filled(8, 5), false), void);
}
