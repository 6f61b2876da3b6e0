use std::collections::BTreeSet;

use proptest::{collection::vec, option, prelude::*, sample::select};

use scrip::domain::{Charge, GrantRecord, GrantType, TransNo, WalletRebuild};

use super::{
    AdjustmentReason::{NegativeForgiven, PhantomReturning, PhantomSpent},
    *,
};

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
        lot: None,
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

fn plan_of(rows: &[OldRow], now: i64) -> Result<UserPlan, Rejection> {
    plan("u", rows, &PlanRules::as_of(day(now)))
}

/// Packs, shortfall and adjustments of a plan.
type Outcome = (CreditsByDay, CreditsByDay, Vec<(AdjustmentReason, u64)>);

/// Compares the outcome, or the reason of the rejection.
fn check(rows: &[OldRow], now: i64, expected: Result<Outcome, RejectReason>) {
    let expiry_day = |at: Option<Timestamp>| at.map(|at| at.millis() / DAY);
    let found = plan_of(rows, now).map(|user_plan| {
        let packs = user_plan.wallet.iter().flat_map(|wallet| &wallet.packs);
        let remaining =
            packs.map(|pack| (expiry_day(pack.grant.expired_at), pack.remaining.as_u64())).collect();
        let shortfall =
            user_plan.shortfall.iter().map(|(at, credits)| (expiry_day(*at), credits.as_u64())).collect();
        let adjustments = user_plan.adjustments.iter().map(|found| (found.reason, found.credits)).collect();
        (remaining, shortfall, adjustments)
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
    check(&two_packs, 4, Ok((vec![(jan, 5), (feb, 2)], vec![], vec![])));
    check(&two_packs, 40, Ok((vec![(feb, 2)], vec![(feb, 5)], vec![])));
    check(&two_packs, 60, Ok((vec![], vec![], vec![])));
    let overdrawn_second = [order(1, 5, jan), order(2, 10, feb), charge(3, 12, feb)];
    check(&overdrawn_second, 4, Ok((vec![(jan, 3)], vec![], vec![])));
    check(&overdrawn_second, 40, Ok((vec![], vec![(feb, 3)], vec![(NegativeForgiven, 2)])));
    let never_expiring = [order(1, 5, jan), order(2, 10, None), charge(3, 12, None)];
    check(&never_expiring, 4, Ok((vec![(jan, 3)], vec![], vec![])));
    let overdrawn = [order(1, 5, None), charge(2, 8, None)];
    check(&overdrawn, 4, Ok((vec![], vec![], vec![(NegativeForgiven, 3)])));
    check(&[overdrawn[0].clone(), overdrawn[1].clone(), order(3, 3, None)], 4, Ok((vec![], vec![], vec![])));
    let rising = [order(1, 5, jan), charge(2, 7, jan), order(3, 10, feb)];
    check(&rising, 4, Ok((vec![(feb, 8)], vec![], vec![(PhantomReturning, 2)])));
    check(&rising, 40, Ok((vec![(feb, 10)], vec![], vec![(PhantomSpent, 2)])));
    let overcharged = [order(1, 5, Some(2)), charge(2, 7, Some(3)), order(4, 10, feb)];
    check(&overcharged, 5, Ok((vec![(feb, 10)], vec![], vec![(PhantomSpent, 2)])));
    let both = [order(1, 5, Some(3)), charge(2, 7, Some(3)), charge(4, 1, None)];
    check(&both, 5, Ok((vec![], vec![], vec![(PhantomSpent, 2), (NegativeForgiven, 1)])));
}

#[test]
fn charges_that_no_grant_covers_get_an_adjusting_grant() {
    let rows = [
        row(1, "order_pay", 5, "o1", Some(3)),
        row(2, "anime_generation", -7, "g1", Some(3)),
        row(4, "chat", -1, "", None),
    ];
    let user_plan = plan_of(&rows, 5).unwrap();
    let adjusting = user_plan.records.iter().filter(|planned| planned.rows.is_empty()).collect::<Vec<_>>();
    let [
        PlannedRecord {
            key: RecordKey::MigratedGrant(id),
            record: Record::Grant(GrantRecord { grant, .. }),
            ..
        },
    ] = adjusting[..]
    else {
        panic!("{adjusting:?}")
    };
    assert_eq!((grant.credits.as_u64(), grant.expired_at), (3, Some(day(5))));
    assert_eq!(
        (grant.trans_no, grant.trans_type.clone()),
        (TransNo::new(day(5), *id), GrantType::SystemAdd.into())
    );
    assert_eq!(grant.order_no.as_ref().map(ToString::to_string).as_deref(), Some("migration-adjustment"));
    // The identity does not depend on the moment.
    let later = plan_of(&rows, 9).unwrap();
    assert!(later.records.iter().any(|planned| planned.key == RecordKey::MigratedGrant(*id)));
}

#[test]
fn negative_sum_is_quarantined_if_the_operator_says_so() {
    let rows =
        [row(1, "new_user", 10, "", None), row(2, "order_pay", 5, "o1", None), row(3, "chat", -20, "", None)];
    let mut rules = PlanRules::as_of(day(5));
    assert_eq!(plan("u", &rows, &rules).unwrap().adjustments.len(), 1);
    rules.negative = NegativeRule::Quarantine;
    assert_eq!(plan("u", &rows, &rules).unwrap_err().reason, RejectReason::NegativeBalance);
    assert!(plan("u", &rows[..2], &rules).is_ok());
}

#[test]
fn types_of_the_old_table_are_replaced() {
    let rows = [
        row(1, "share_reward", 10, "", None),
        row(2, "ping", -1, "g1", None),
        row(3, "NanoBanana_generate", -2, "g2", None),
    ];
    assert_eq!(plan_of(&rows, 5).unwrap_err().reason, RejectReason::UnknownTransType);
    let types =
        [("share_reward", "system_add"), ("ping", "chat"), ("NanoBanana_generate", "nano_banana_generation")];
    let types = types.map(|(old, new)| (old.to_owned(), new.to_owned())).into();
    let user_plan = plan("u", &rows, &PlanRules { types, ..PlanRules::as_of(day(5)) }).unwrap();
    assert_eq!(new_balance(&user_plan, day(5)), 7);
    let wallet = user_plan.wallet.unwrap();
    let types: Vec<_> = wallet.totals.keys().map(ToString::to_string).collect();
    assert_eq!(types, ["system_add", "chat", "nano_banana_generation"]);
}

/// The credits that a refund of a generation would return.
fn refundable(user_plan: &UserPlan, generation: &str) -> u64 {
    let credits = |planned: &PlannedRecord| match &planned.record {
        Record::Charge(charge @ Charge { generation: Some(of), void: None, .. })
            if of.as_str() == generation =>
        {
            charge.state().cost.as_u64()
        }
        _ => 0,
    };
    user_plan.records.iter().map(credits).sum()
}

#[test]
fn refunded_charge_cannot_be_refunded_again() {
    let grant = row(1, "new_user", 20, "", None);
    let charge = |id, credits: i64, expiry_day| row(id, "anime_generation", -credits, "g1", expiry_day);
    let refund = |id, credits, expiry_day| row(id, "anime_generation_refund", credits, "g1", expiry_day);
    let chat = |id, credits: i64| row(id, "chat", -credits, "g1", None);
    // The refunds by class, and what is left to be refunded.
    for (rows, matched, elsewhere, unmatched, left) in [
        (vec![charge(2, 5, None)], 0, 0, 0, 5),
        (vec![charge(2, 5, None), refund(3, 5, None)], 1, 0, 0, 0),
        (vec![charge(2, 5, Some(3)), refund(3, 5, Some(4))], 1, 0, 0, 0),
        (vec![refund(2, 5, None), charge(3, 5, None)], 1, 0, 0, 0),
        // Other credits, another expiry, another type.
        (vec![charge(2, 5, None), refund(3, 4, None)], 0, 1, 0, 1),
        (vec![charge(2, 5, None), refund(3, 2, None), refund(4, 1, None)], 0, 2, 0, 2),
        (vec![charge(2, 5, None), refund(3, 9, None)], 0, 1, 0, 0),
        (vec![charge(2, 5, None), refund(3, 5, Some(40))], 0, 1, 0, 0),
        (vec![chat(2, 5), refund(3, 5, None)], 0, 1, 0, 0),
        // Refunded twice: the second refund is a grant.
        (vec![charge(2, 5, None), refund(3, 5, None), refund(4, 5, None)], 1, 0, 1, 0),
        // One of two charges of the same amount.
        (vec![chat(2, 1), chat(3, 1), row(4, "chat_refund", 1, "g1", None)], 1, 0, 0, 1),
        (vec![chat(2, 1), chat(3, 2), row(4, "chat_refund", 1, "g1", None)], 1, 0, 0, 2),
        (vec![chat(2, 1), chat(3, 2), row(4, "chat_refund", 3, "g1", None)], 0, 1, 0, 0),
        (vec![row(2, "chat", -1, "", None), row(3, "chat_refund", 1, "", None)], 0, 0, 1, 0),
        // More than was granted.
        (vec![charge(2, 50, None), refund(3, 50, None)], 0, 1, 0, 0),
    ] {
        let rows = [vec![grant.clone()], rows].concat();
        let user_plan = plan_of(&rows, 10).unwrap();
        let count = |class| user_plan.classes.values().filter(|found| **found == class).count();
        let classes = [RowClass::MatchedRefund, RowClass::RefundElsewhere, RowClass::UnmatchedRefund];
        assert_eq!(classes.map(count), [matched, elsewhere, unmatched], "{rows:#?}");
        assert_eq!(refundable(&user_plan, "g1"), left, "{rows:#?}");
        assert_eq!(new_balance(&user_plan, day(10)), old_balance(&rows, day(10)));
    }
}

#[test]
fn refund_with_another_expiry_keeps_both_packs() {
    let (first, second) = (Some(100), Some(200));
    let rows = [
        row(1, "order_pay", 20, "o1", first),
        row(2, "anime_generation", -8, "g1", first),
        row(3, "anime_generation_refund", 8, "g1", second),
    ];
    check(&rows, 10, Ok((vec![(first, 12), (second, 8)], vec![], vec![])));
    let user_plan = plan_of(&rows, 10).unwrap();
    let voided: Vec<_> = user_plan
        .records
        .iter()
        .filter(|planned| matches!(&planned.record, Record::Charge(charge) if charge.void.is_some()))
        .collect();
    assert_eq!(voided.len(), 1, "so that a repeated refund is `already_voided`");
    assert_eq!(voided[0].rows, [2]);
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
    let user_plan = plan_of(&rows, 20).unwrap();
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
    assert_eq!(
        plan("u#1", &[], &PlanRules::as_of(day(1))).unwrap_err(),
        Rejection { row: None, reason: RejectReason::UserId }
    );
    assert_eq!(plan_of(&[], 1).unwrap().wallet, None);
}

#[test]
fn identifiers_of_providers_are_accepted() {
    let rows = [
        row(1, "new_user", 5, "", None),
        row(2, "anime_generation", -2, "gen/projects/p/operations/1", None),
    ];
    let user_plan = plan("auth0|5f@a+b=c~d", &rows, &PlanRules::as_of(day(5))).unwrap();
    assert_eq!(refundable(&user_plan, "gen/projects/p/operations/1"), 2);
}

/// A row of the layout `lots`: what remains of a grant, or what a charge took.
fn lot_row(id: i64, trans_type: &str, credits: i64, lot: Lot, expiry_day: Option<i64>) -> OldRow {
    let order_no = format!("{}{id}", if credits < 0 { "g" } else { "o" });
    let lot = Lot { id: format!("id{id}"), ..lot };
    OldRow { lot: Some(lot), ..row(id, trans_type, credits, &order_no, expiry_day) }
}

#[test]
fn lots_keep_what_remains_and_charges_name_their_packs() {
    let remaining = |remaining| Lot { remaining, ..Lot::default() };
    let taken = |parts: &[(&str, u64)]| Lot {
        taken: parts.iter().map(|(name, credits)| ((*name).to_owned(), *credits)).collect(),
        ..Lot::default()
    };
    let refunded = Lot { refunded_at: Some(day(6)), ..taken(&[("id2", 7)]) };
    let rows = [
        lot_row(1, "system_add", 10, remaining(0), Some(50)),
        lot_row(2, "order_pay", 100, remaining(90), Some(50)),
        lot_row(3, "system_add", 30, remaining(30), Some(5)),
        lot_row(4, "chat", -12, taken(&[("id2", 4), ("t1", 8)]), None),
        lot_row(5, "chat", -7, refunded, None),
    ];
    let user_plan = plan_of(&rows, 10).unwrap();
    assert_eq!(user_plan.adjustments, [Adjustment { reason: AdjustmentReason::Unexplained, credits: 8 }]);
    let charges: Vec<_> = user_plan
        .records
        .iter()
        .filter_map(|planned| match &planned.record {
            Record::Charge(charge) => {
                let part =
                    |part: &scrip::domain::Allocation| (part.grant.credits.as_u64(), part.credits.as_u64());
                let parts: Vec<_> = charge.allocations.iter().map(part).collect();
                Some((charge.trans_type.to_string(), charge.void.is_some(), parts))
            }
            _ => None,
        })
        .collect();
    let expected = [
        ("chat".to_owned(), false, vec![(10, 8), (100, 4)]),
        ("chat".to_owned(), true, vec![(10, 7)]),
        // What the charges do not explain.
        ("migration_adjustment_generation".to_owned(), false, vec![(10, 2), (100, 6)]),
    ];
    assert_eq!(charges, expected);
    let packs: Vec<_> = user_plan.wallet.unwrap().packs.iter().map(|pack| pack.remaining.as_u64()).collect();
    assert_eq!(packs, [90]);
    // A refunded charge of more than was ever granted has its credits.
    let mut large = rows.to_vec();
    large[4] = lot_row(5, "chat", -500, Lot { refunded_at: Some(day(6)), ..Lot::default() }, None);
    let user_plan = plan_of(&large, 10).unwrap();
    let is_void = |planned: &&PlannedRecord| planned.rows == [5];
    let Some(Record::Charge(voided)) = user_plan.records.iter().find(is_void).map(|found| &found.record)
    else {
        panic!("no charge")
    };
    assert_eq!((voided.credits.as_u64(), voided.void.is_some()), (500, true));
    let mut odd = rows.to_vec();
    odd[0] = lot_row(1, "system_add", 10, remaining(11), Some(50));
    assert_eq!(plan_of(&odd, 10).unwrap_err().reason, RejectReason::RemainingCredits);
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
    fn planned_user_has_the_balances_of_the_rule_and_matching_records(
        rows in rows(),
        now in 25..60_i64,
        seed in any::<u64>(),
    ) {
        let rules = PlanRules::as_of(day(now));
        let now = rules.as_of;
        let expiries: BTreeSet<_> =
            rows.iter().filter_map(|row| row.expired_at).filter(|expiry| *expiry > now).chain([now]).collect();
        let user_plan = plan("u", &rows, &rules).unwrap();
        let mut least = i64::MAX;
        for at in &expiries {
            least = least.min(old_balance(&rows, *at)).max(0);
            prop_assert_eq!(new_balance(&user_plan, *at), least, "at {}", at);
            prop_assert_eq!(expected_balances(&rows, now)[at], i128::from(least));
        }
        prop_assert_eq!(user_plan.classes.len(), rows.len());
        let row_ids: Vec<_> = user_plan.records.iter().flat_map(|planned| &planned.rows).collect();
        prop_assert_eq!(row_ids.len(), rows.len(), "each row is in one record");
        prop_assert_eq!(row_ids.into_iter().collect::<BTreeSet<_>>().len(), rows.len());

        // The wallet matches its records.
        let wallet = user_plan.wallet.as_ref().unwrap();
        prop_assert_eq!(wallet.validate(), Ok(()));
        prop_assert!(wallet.version.unwrap() <= now);
        let mut rebuild = WalletRebuild::as_of(wallet.version);
        for planned in &user_plan.records {
            rebuild.add(&planned.key, &planned.record);
            if let Record::Charge(charge) = &planned.record {
                let sum: Credits = charge.allocations.iter().map(|part| part.credits).sum();
                prop_assert_eq!(sum, charge.credits);
                prop_assert!(charge.allocations.iter().all(|part| part.credits <= part.grant.credits));
            }
        }
        let discrepancies = rebuild.discrepancies(Some(wallet), now);
        prop_assert!(discrepancies.is_empty(), "{:?}", discrepancies);

        // A refund returns at most what was not refunded.
        for generation in ["g1", "g2"] {
            let sum = rows.iter().filter(|row| row.order_no.as_deref() == Some(generation)).filter(|row| {
                !matches!(row.trans_type.as_str(), "new_user" | "order_pay" | "system_add")
            }).map(|row| row.credits).sum::<i64>();
            prop_assert_eq!(refundable(&user_plan, generation), (-sum).max(0).unsigned_abs());
        }

        // The order of the rows does not matter.
        let mut shuffled = rows.clone();
        shuffled.sort_by_key(|row| (row.id.cast_unsigned() ^ seed).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        prop_assert_eq!(plan("u", &shuffled, &rules), Ok(user_plan));
    }
}
