use proptest::{collection::vec, option, prelude::*, sample::select};

use super::*;

/// In milliseconds. Rows are created one a day, the first on day 1.
const DAY: i64 = 24 * 60 * 60 * 1_000;

fn day(day: i64) -> Timestamp {
    Timestamp::from_millis(day * DAY).unwrap()
}

/// A row of user `u`. The first letter of `order_no` says what it is: `o` an order, `g` a
/// generation, `b` both, `O` and `G` those of another user, anything else neither.
fn row(id: i64, trans_type: &str, credits: i64, order_no: &str, expiry_day: Option<i64>) -> OldRow {
    let owner = |own: &[&str], other: &str| {
        if own.iter().any(|first| order_no.starts_with(first)) {
            ReferenceOwner::SameUser
        } else if order_no.starts_with(other) {
            ReferenceOwner::OtherUser
        } else {
            ReferenceOwner::Missing
        }
    };
    OldRow {
        id,
        trans_no: format!("t{id}"),
        created_at: day(id),
        user_uuid: "u".to_owned(),
        trans_type: trans_type.to_owned(),
        credits,
        order_no: Some(order_no.to_owned()),
        expired_at: expiry_day.map(day),
        order_owner: owner(&["o", "b"], "O"),
        generation_owner: owner(&["g", "b"], "G"),
    }
}

fn old_balance(rows: &[OldRow], at: Timestamp) -> i64 {
    rows.iter().filter(|row| row.expired_at.is_none_or(|expiry| at < expiry)).map(|row| row.credits).sum()
}

fn new_balance(user_plan: &UserPlan, at: Timestamp) -> i64 {
    user_plan.wallet.as_ref().map_or(0, |wallet| wallet.balance(at).as_u64().cast_signed())
}

/// Credits by the day on which they expire.
type CreditsByDay = Vec<(Option<i64>, u64)>;

/// Compares the packs and the shortfall, or the reason of the rejection.
fn check(rows: &[OldRow], now: i64, expected: Result<(CreditsByDay, CreditsByDay), RejectReason>) {
    let expiry_day = |at: Option<Timestamp>| at.map(|at| at.millis() / DAY);
    let found = plan("u", rows, day(now)).map(|user_plan| {
        let packs = user_plan.wallet.iter().flat_map(|wallet| &wallet.packs);
        let remaining =
            packs.map(|pack| (expiry_day(pack.grant.expired_at), pack.remaining.as_u64())).collect();
        let shortfall =
            user_plan.shortfall.iter().map(|(at, credits)| (expiry_day(*at), credits.as_u64())).collect();
        (remaining, shortfall)
    });
    assert_eq!(found.map_err(|rejection| rejection.reason), expected, "{rows:#?}");
}

#[test]
fn balance_equals_the_old_one_now_and_later() {
    let order = |id, credits, expiry_day| row(id, "order_pay", credits, &format!("o{id}"), expiry_day);
    let charge =
        |id, credits: i64, expiry_day| row(id, "anime_generation", -credits, &format!("g{id}"), expiry_day);
    let (jan, feb) = (Some(31), Some(59));
    // The charge of both packs has the expiry of the second.
    let two_packs = [order(1, 5, jan), order(2, 10, feb), charge(3, 8, feb)];
    check(&two_packs, 4, Ok((vec![(jan, 5), (feb, 2)], vec![])));
    check(&two_packs, 40, Ok((vec![(feb, 2)], vec![(feb, 5)])));
    check(&two_packs, 60, Ok((vec![], vec![])));
    let overdrawn_second = [order(1, 5, jan), order(2, 10, feb), charge(3, 12, feb)];
    check(&overdrawn_second, 4, Ok((vec![(jan, 3)], vec![])));
    check(&overdrawn_second, 40, Err(RejectReason::NegativeBalance));
    let never_expiring = [order(1, 5, jan), order(2, 10, None), charge(3, 12, None)];
    check(&never_expiring, 4, Ok((vec![(jan, 3)], vec![])));
    let overdrawn = [order(1, 5, None), charge(2, 8, None)];
    check(&overdrawn, 4, Err(RejectReason::NegativeBalance));
    check(&[overdrawn[0].clone(), overdrawn[1].clone(), order(3, 3, None)], 4, Ok((vec![], vec![])));
    let rising = [order(1, 5, jan), charge(2, 7, jan), order(3, 10, feb)];
    check(&rising, 4, Err(RejectReason::RisingBalance));
    let overcharged = [order(1, 5, Some(2)), charge(2, 7, Some(3)), order(4, 10, feb)];
    check(&overcharged, 5, Err(RejectReason::Overcharged));
}

#[test]
fn refund_voids_its_charge_if_the_match_is_certain() {
    let grant = row(1, "new_user", 20, "", None);
    let charge = |id, credits: i64, expiry_day| row(id, "anime_generation", -credits, "g1", expiry_day);
    let refund = |id, credits, expiry_day| row(id, "anime_generation_refund", credits, "g1", expiry_day);
    let chat = |id, credits: i64| row(id, "chat", -credits, "g2", None);
    for (rows, matched, unmatched) in [
        (vec![charge(2, 5, None), refund(3, 5, None)], 1, 0),
        (vec![charge(2, 5, None), refund(3, 4, None)], 0, 1),
        (vec![charge(2, 5, None), refund(3, 5, Some(40))], 0, 1),
        (vec![charge(2, 5, Some(3)), refund(3, 5, Some(4))], 1, 0),
        (vec![refund(2, 5, None), charge(3, 5, None)], 0, 1),
        // Refunded twice: the second refund is a grant.
        (vec![charge(2, 5, None), refund(3, 5, None), refund(4, 5, None)], 1, 1),
        // One of two charges of the same amount.
        (vec![chat(2, 1), chat(3, 1), row(4, "chat_refund", 1, "g2", None)], 0, 1),
        (vec![chat(2, 1), chat(3, 2), row(4, "chat_refund", 1, "g2", None)], 1, 0),
        (vec![row(2, "chat", -1, "", None), row(3, "chat_refund", 1, "", None)], 0, 1),
        // More than was granted.
        (vec![charge(2, 50, None), refund(3, 50, None)], 0, 1),
    ] {
        let rows = [vec![grant.clone()], rows].concat();
        let user_plan = plan("u", &rows, day(10)).unwrap();
        let count = |class| user_plan.classes.values().filter(|found| **found == class).count();
        assert_eq!(
            (count(RowClass::MatchedRefund), count(RowClass::UnmatchedRefund)),
            (matched, unmatched),
            "{rows:#?}"
        );
        assert_eq!(new_balance(&user_plan, day(10)), old_balance(&rows, day(10)));
        let is_void = |planned: &&PlannedRecord| matches!(&planned.record, Record::Charge(charge) if charge.void.is_some());
        assert_eq!(user_plan.records.iter().filter(is_void).count(), matched);
    }
}

#[test]
fn each_row_has_one_class_and_each_record_one_key() {
    let rows = [
        row(1, "new_user", 5, "", None),
        row(2, "new_user", 5, "", None),
        row(3, "order_pay", 5, "o1", None),
        row(4, "order_pay", 5, "o1", None),
        row(5, "order_pay", 5, "", None),
        row(6, "order_pay", 5, "x-gone", None),
        row(7, "system_add", 5, "", None),
        row(8, "chat", -1, "g1", None),
        row(9, "chat", -1, "g1", None),
        row(10, "anime_generation", -1, "g2", None),
        row(11, "anime_generation", -1, "o1", None),
        row(12, "anime_generation", -1, "", None),
        row(13, "chat_refund", 1, "x", None),
        row(14, "chat", 0, "", None),
    ];
    let user_plan = plan("u", &rows, day(20)).unwrap();
    use RowClass::*;
    let classes = [
        Grant,
        DuplicateGrant,
        Grant,
        DuplicateGrant,
        GrantWithoutOrder,
        Grant,
        Grant,
        GenerationCharge,
        GenerationCharge,
        GenerationCharge,
        OrderCharge,
        UnreferencedCharge,
        UnmatchedRefund,
        ZeroCredits,
    ];
    assert_eq!(user_plan.classes.into_values().collect::<Vec<_>>(), classes);
    let keys: Vec<_> = user_plan.records.iter().map(|planned| &planned.key).collect();
    assert_eq!(keys.iter().collect::<BTreeSet<_>>().len(), 13);
    let charge = |generation: &str, key: Option<&str>| RecordKey::Charge {
        generation: generation.to_owned().try_into().ok(),
        key: key.and_then(|key| key.to_owned().try_into().ok()),
    };
    assert_eq!(keys[7..10], [&charge("g1", Some("t8")), &charge("g1", Some("t9")), &charge("g2", None)]);
    assert!(user_plan.wallet.unwrap().has_keyed_charges);
}

#[test]
fn user_with_an_ambiguous_row_is_rejected() {
    for (row, reason) in [
        (row(1, "bonus", 5, "", None), RejectReason::UnknownTransType),
        (row(1, "order_pay", -5, "o1", None), RejectReason::WrongSign),
        (row(1, "chat", 5, "g1", None), RejectReason::WrongSign),
        (row(1, "chat", -5, "x", None), RejectReason::UnknownReference),
        (row(1, "chat", -5, "b1", None), RejectReason::OrderAndGeneration),
        (row(1, "chat", -5, "G1", None), RejectReason::OtherUsersReference),
        (row(1, "order_pay", 5, "O1", None), RejectReason::OtherUsersReference),
        (row(1, "system_add", 5, "g1", None), RejectReason::GrantOfGeneration),
        (row(1, "order_pay", 5, "o 1", None), RejectReason::OrderNo),
        (row(30, "new_user", 5, "", None), RejectReason::CreatedAt),
        (row(1, "new_user", i64::MAX, "", None), RejectReason::CreditsOutOfRange),
    ] {
        check(&[row], 10, Err(reason));
    }
    assert_eq!(plan("u#1", &[], day(1)).unwrap_err(), Rejection { row: None, reason: RejectReason::UserId });
    assert_eq!(plan("u", &[], day(1)).unwrap().wallet, None);
}

/// Rows as the old code wrote them, with its races: charges beyond the balance, repeated
/// webhooks and repeated refunds.
fn rows() -> impl Strategy<Value = Vec<OldRow>> {
    let expiry_days = || option::weighted(0.7, select(vec![20_i64, 30, 50, 70]));
    let grant =
        (select(vec!["new_user", "order_pay", "system_add"]), 1..40_i64, select(vec!["o1", "o2", ""]));
    let charge = (select(vec!["chat", "anime_generation"]), 1..25_i64, select(vec!["g1", "g2", "o1", ""]));
    let refund =
        (select(vec!["chat_refund", "anime_generation_refund"]), 1..25_i64, select(vec!["g1", "g2"]));
    let row = prop_oneof![
        4 => grant,
        4 => charge.prop_map(|(trans_type, credits, order_no)| (trans_type, -credits, order_no)),
        2 => refund,
    ];
    vec((row, expiry_days(), any::<prop::sample::Index>()), 1..25).prop_map(|drawn| {
        let mut rows = Vec::<OldRow>::new();
        for (index, ((trans_type, credits, order_no), expiry_day, refunded)) in drawn.into_iter().enumerate()
        {
            let id = i64::try_from(index).unwrap() + 1;
            let mut row = row_of(id, trans_type, credits, order_no, expiry_day);
            // Refund a charge, if there is one.
            let charges: Vec<_> = rows.iter().filter(|row| row.credits < 0).cloned().collect();
            if trans_type.ends_with("_refund") && !charges.is_empty() {
                let charge = refunded.get(&charges);
                row.credits = -charge.credits;
                row.trans_type = format!("{}_refund", charge.trans_type);
                (row.order_no, row.generation_owner) = (charge.order_no.clone(), charge.generation_owner);
                row.order_owner = charge.order_owner;
                row.expired_at = charge.expired_at;
            }
            rows.push(row);
        }
        rows
    })
}

use row as row_of;

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, ..ProptestConfig::default() })]

    #[test]
    fn planned_user_has_the_old_balance_and_matching_records(
        rows in rows(),
        now in 25..60_i64,
        seed in any::<u64>(),
    ) {
        let now = day(now);
        let expiries: BTreeSet<_> =
            rows.iter().filter_map(|row| row.expired_at).filter(|expiry| *expiry > now).chain([now]).collect();
        let old = |at: &Timestamp| old_balance(&rows, *at);
        let user_plan = match plan("u", &rows, now) {
            Ok(user_plan) => user_plan,
            Err(Rejection { reason: RejectReason::NegativeBalance | RejectReason::RisingBalance, .. }) => {
                let balances: Vec<_> = expiries.iter().map(old).collect();
                let is_falling = balances.is_sorted_by(|a, b| a.max(&0) >= b.max(&0));
                prop_assert!(balances[0] < 0 || !is_falling, "{balances:?}");
                return Ok(());
            }
            Err(rejection) => {
                prop_assert_eq!(rejection.reason, RejectReason::Overcharged);
                return Ok(());
            }
        };
        for at in &expiries {
            prop_assert_eq!(new_balance(&user_plan, *at), old(at).max(0), "at {}", at);
        }
        prop_assert_eq!(user_plan.classes.len(), rows.len());
        let row_ids = user_plan.records.iter().flat_map(|planned| &planned.rows).collect::<BTreeSet<_>>();
        prop_assert_eq!(row_ids.len(), rows.len());

        // The wallet matches its records.
        let wallet = user_plan.wallet.as_ref().unwrap();
        prop_assert_eq!(wallet.validate(), Ok(()));
        let mut remaining = BTreeMap::<TransNo, i64>::new();
        for planned in &user_plan.records {
            match &planned.record {
                Record::Grant(grant) => drop(remaining.insert(grant.trans_no, grant.credits.as_u64().cast_signed())),
                Record::Charge(charge) => {
                    let sum: Credits = charge.allocations.iter().map(|part| part.credits).sum();
                    prop_assert_eq!(sum, charge.credits);
                    prop_assert!(charge.allocations.iter().all(|part| part.credits <= part.grant.credits));
                }
                Record::Fence(_) => prop_assert!(false, "no row becomes a fence"),
            }
        }
        for planned in &user_plan.records {
            if let Record::Charge(Charge { void: None, allocations, .. }) = &planned.record {
                for part in allocations {
                    *remaining.get_mut(&part.grant.trans_no).unwrap() -= part.credits.as_u64().cast_signed();
                }
            }
        }
        prop_assert!(remaining.values().all(|credits| *credits >= 0));
        for pack in &wallet.packs {
            prop_assert_eq!(remaining[&pack.grant.trans_no], pack.remaining.as_u64().cast_signed());
        }
        prop_assert!(wallet.version.unwrap() <= now);

        // The order of the rows does not matter.
        let mut shuffled = rows.clone();
        shuffled.sort_by_key(|row| (row.id.cast_unsigned() ^ seed).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        prop_assert_eq!(plan("u", &shuffled, now), Ok(user_plan));
    }
}
