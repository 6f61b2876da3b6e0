use proptest::{collection::vec, option, prelude::*, sample::select};

use super::*;

/// A day, in milliseconds. Rows are made one a day, the first on day 1.
const DAY: i64 = 24 * 60 * 60 * 1_000;

fn day(day: i64) -> Timestamp {
    Timestamp::from_millis(day * DAY).unwrap()
}

/// A row of user `u`. What its `order_no` is, its first letter says: `o` an order, `g`
/// a generation, `b` both, `O` and `G` another user's; anything else is nothing.
fn row(id: i64, trans_type: &str, credits: i64, order_no: &str, ends: Option<i64>) -> OldRow {
    let found = |own: &[&str], others: &str| {
        if own.iter().any(|first| order_no.starts_with(first)) {
            Found::Own
        } else if order_no.starts_with(others) {
            Found::Anothers
        } else {
            Found::Nowhere
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
        expired_at: ends.map(day),
        as_order: found(&["o", "b"], "O"),
        as_generation: found(&["g", "b"], "G"),
    }
}

/// The old balance at a moment.
fn old_balance(rows: &[OldRow], at: Timestamp) -> i64 {
    rows.iter().filter(|row| row.expired_at.is_none_or(|end| at < end)).map(|row| row.credits).sum()
}

/// The new balance at a moment.
fn new_balance(moved: &Moved, at: Timestamp) -> i64 {
    moved.wallet.as_ref().map_or(0, |wallet| wallet.balance(at).as_u64().cast_signed())
}

/// Plans rows as of a day: the rest of each pack with the day that it ends on, and
/// the shortfall, likewise; or why not.
type Rests = Vec<(Option<i64>, u64)>;

fn check(rows: &[OldRow], now: i64, expected: Result<(Rests, Rests), Why>) {
    let ends = |at: Option<Timestamp>| at.map(|at| at.millis() / DAY);
    let found = plan("u", rows, day(now)).map(|moved| {
        let packs = moved.wallet.iter().flat_map(|wallet| &wallet.packs);
        let left = packs.map(|pack| (ends(pack.grant.expired_at), pack.remaining.as_u64())).collect();
        let short = moved.shortfall.iter().map(|(at, credits)| (ends(*at), credits.as_u64())).collect();
        (left, short)
    });
    assert_eq!(found.map_err(|refusal| refusal.why), expected, "{rows:#?}");
}

#[test]
fn the_balance_is_the_old_one_now_and_later() {
    let order = |id, credits, ends| row(id, "order_pay", credits, &format!("o{id}"), ends);
    let charge = |id, credits: i64, ends| row(id, "anime_generation", -credits, &format!("g{id}"), ends);
    let (jan, feb) = (Some(31), Some(59));
    // The charge of both stands on the second.
    let both = [order(1, 5, jan), order(2, 10, feb), charge(3, 8, feb)];
    check(&both, 4, Ok((vec![(jan, 5), (feb, 2)], vec![])));
    check(&both, 40, Ok((vec![(feb, 2)], vec![(feb, 5)])));
    check(&both, 60, Ok((vec![], vec![])));
    let most = [order(1, 5, jan), order(2, 10, feb), charge(3, 12, feb)];
    check(&most, 4, Ok((vec![(jan, 3)], vec![])));
    check(&most, 40, Err(Why::Negative));
    let ever = [order(1, 5, jan), order(2, 10, None), charge(3, 12, None)];
    check(&ever, 4, Ok((vec![(jan, 3)], vec![])));
    let overdrawn = [order(1, 5, None), charge(2, 8, None)];
    check(&overdrawn, 4, Err(Why::Negative));
    check(&[overdrawn[0].clone(), overdrawn[1].clone(), order(3, 3, None)], 4, Ok((vec![], vec![])));
    let rising = [order(1, 5, jan), charge(2, 7, jan), order(3, 10, feb)];
    check(&rising, 4, Err(Why::Rising));
    let gone = [order(1, 5, Some(2)), charge(2, 7, Some(3)), order(4, 10, feb)];
    check(&gone, 5, Err(Why::Overcharged));
}

#[test]
fn a_refund_voids_its_charge_where_that_is_certain() {
    let grant = row(1, "new_user", 20, "", None);
    let charge = |id, credits: i64, ends| row(id, "anime_generation", -credits, "g1", ends);
    let refund = |id, credits, ends| row(id, "anime_generation_refund", credits, "g1", ends);
    let chat = |id, credits: i64| row(id, "chat", -credits, "g2", None);
    for (rows, voided, kept) in [
        (vec![charge(2, 5, None), refund(3, 5, None)], 1, 0),
        (vec![charge(2, 5, None), refund(3, 4, None)], 0, 1),
        (vec![charge(2, 5, None), refund(3, 5, Some(40))], 0, 1),
        (vec![charge(2, 5, Some(3)), refund(3, 5, Some(4))], 1, 0),
        (vec![refund(2, 5, None), charge(3, 5, None)], 0, 1),
        // Refunded twice: the second one gave credits.
        (vec![charge(2, 5, None), refund(3, 5, None), refund(4, 5, None)], 1, 1),
        // One of two messages that cost the same.
        (vec![chat(2, 1), chat(3, 1), row(4, "chat_refund", 1, "g2", None)], 0, 1),
        (vec![chat(2, 1), chat(3, 2), row(4, "chat_refund", 1, "g2", None)], 1, 0),
        (vec![row(2, "chat", -1, "", None), row(3, "chat_refund", 1, "", None)], 0, 1),
        // There were not so many credits to charge.
        (vec![charge(2, 50, None), refund(3, 50, None)], 0, 1),
    ] {
        let rows = [vec![grant.clone()], rows].concat();
        let moved = plan("u", &rows, day(10)).unwrap();
        let count = |class| moved.classes.values().filter(|found| **found == class).count();
        assert_eq!((count(Class::RefundOfCharge), count(Class::RefundKept)), (voided, kept), "{rows:#?}");
        assert_eq!(new_balance(&moved, day(10)), old_balance(&rows, day(10)));
        let is_void =
            |placed: &&Placed| matches!(&placed.record, Record::Charge(charge) if charge.void.is_some());
        assert_eq!(moved.records.iter().filter(is_void).count(), voided);
    }
}

#[test]
fn every_row_has_one_place() {
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
    let moved = plan("u", &rows, day(20)).unwrap();
    use Class::*;
    let classes = [
        Grant,
        GrantAgain,
        Grant,
        GrantAgain,
        GrantWithoutOrder,
        Grant,
        Grant,
        ChargeOfGeneration,
        ChargeOfGeneration,
        ChargeOfGeneration,
        ChargeOfOrder,
        ChargeOfNothing,
        RefundKept,
        Nothing,
    ];
    assert_eq!(moved.classes.into_values().collect::<Vec<_>>(), classes);
    let keys: Vec<_> = moved.records.iter().map(|placed| &placed.key).collect();
    assert_eq!(keys.iter().collect::<BTreeSet<_>>().len(), 13);
    let charge = |generation: &str, key: Option<&str>| RecordKey::Charge {
        generation: generation.to_owned().try_into().ok(),
        key: key.and_then(|key| key.to_owned().try_into().ok()),
    };
    assert_eq!(keys[7..10], [&charge("g1", Some("t8")), &charge("g1", Some("t9")), &charge("g2", None)]);
    assert!(moved.wallet.unwrap().has_keyed_charges);
}

#[test]
fn what_cannot_be_told_stays() {
    for (refused, why) in [
        (row(1, "bonus", 5, "", None), Why::TransType),
        (row(1, "order_pay", -5, "o1", None), Why::Sign),
        (row(1, "chat", 5, "g1", None), Why::Sign),
        (row(1, "chat", -5, "x", None), Why::Unknown),
        (row(1, "chat", -5, "b1", None), Why::OrderAndGeneration),
        (row(1, "chat", -5, "G1", None), Why::Anothers),
        (row(1, "order_pay", 5, "O1", None), Why::Anothers),
        (row(1, "system_add", 5, "g1", None), Why::GrantOfGeneration),
        (row(1, "order_pay", 5, "o 1", None), Why::OrderNo),
        (row(30, "new_user", 5, "", None), Why::Moment),
        (row(1, "new_user", i64::MAX, "", None), Why::Credits),
    ] {
        check(&[refused], 10, Err(why));
    }
    assert_eq!(plan("u#1", &[], day(1)).unwrap_err(), Refusal { row: None, why: Why::UserId });
    assert_eq!(plan("u", &[], day(1)).unwrap().wallet, None);
}

/// Rows as the old code wrote them, with its races: charges beyond the balance, and
/// webhooks and refunds that came twice.
fn rows() -> impl Strategy<Value = Vec<OldRow>> {
    let ends = || option::weighted(0.7, select(vec![20_i64, 30, 50, 70]));
    let grant =
        (select(vec!["new_user", "order_pay", "system_add"]), 1..40_i64, select(vec!["o1", "o2", ""]));
    let charge = (select(vec!["chat", "anime_generation"]), 1..25_i64, select(vec!["g1", "g2", "o1", ""]));
    let refund =
        (select(vec!["chat_refund", "anime_generation_refund"]), 1..25_i64, select(vec!["g1", "g2"]));
    let row = prop_oneof![
        4 => grant,
        4 => charge.prop_map(|(of, credits, order_no)| (of, -credits, order_no)),
        2 => refund,
    ];
    vec((row, ends(), any::<prop::sample::Index>()), 1..25).prop_map(|drawn| {
        let mut rows = Vec::<OldRow>::new();
        for (place, ((trans_type, credits, order_no), ends, alike)) in drawn.into_iter().enumerate() {
            let id = i64::try_from(place).unwrap() + 1;
            let mut row = row_of(id, trans_type, credits, order_no, ends);
            // Some refunds are of what was charged.
            let charges: Vec<_> = rows.iter().filter(|row| row.credits < 0).cloned().collect();
            if trans_type.ends_with("_refund") && !charges.is_empty() {
                let charge = alike.get(&charges);
                row.credits = -charge.credits;
                row.trans_type = format!("{}_refund", charge.trans_type);
                (row.order_no, row.as_generation) = (charge.order_no.clone(), charge.as_generation);
                row.as_order = charge.as_order;
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
    fn who_is_moved_has_the_old_balance_and_records_that_give_it(
        rows in rows(),
        now in 25..60_i64,
        seed in any::<u64>(),
    ) {
        let now = day(now);
        let moments: BTreeSet<_> =
            rows.iter().filter_map(|row| row.expired_at).filter(|end| *end > now).chain([now]).collect();
        let old = |at: &Timestamp| old_balance(&rows, *at);
        let moved = match plan("u", &rows, now) {
            Ok(moved) => moved,
            Err(Refusal { why: Why::Negative | Why::Rising, .. }) => {
                let balances: Vec<_> = moments.iter().map(old).collect();
                let falls = balances.is_sorted_by(|a, b| a.max(&0) >= b.max(&0));
                prop_assert!(balances[0] < 0 || !falls, "{balances:?}");
                return Ok(());
            }
            Err(refusal) => {
                prop_assert_eq!(refusal.why, Why::Overcharged);
                return Ok(());
            }
        };
        for at in &moments {
            prop_assert_eq!(new_balance(&moved, *at), old(at).max(0), "at {}", at);
        }
        prop_assert_eq!(moved.classes.len(), rows.len());
        let of_rows = moved.records.iter().flat_map(|placed| &placed.rows).collect::<BTreeSet<_>>();
        prop_assert_eq!(of_rows.len(), rows.len());

        // The wallet is what its records give.
        let wallet = moved.wallet.as_ref().unwrap();
        prop_assert_eq!(wallet.validate(), Ok(()));
        let mut left = BTreeMap::<TransNo, i64>::new();
        for placed in &moved.records {
            match &placed.record {
                Record::Grant(grant) => drop(left.insert(grant.trans_no, grant.credits.as_u64().cast_signed())),
                Record::Charge(charge) => {
                    let sum: Credits = charge.allocations.iter().map(|part| part.credits).sum();
                    prop_assert_eq!(sum, charge.credits);
                    prop_assert!(charge.allocations.iter().all(|part| part.credits <= part.grant.credits));
                }
                Record::Fence(_) => prop_assert!(false, "no row is a fence"),
            }
        }
        for placed in &moved.records {
            if let Record::Charge(Charge { void: None, allocations, .. }) = &placed.record {
                for part in allocations {
                    *left.get_mut(&part.grant.trans_no).unwrap() -= part.credits.as_u64().cast_signed();
                }
            }
        }
        prop_assert!(left.values().all(|left| *left >= 0));
        for pack in &wallet.packs {
            prop_assert_eq!(left[&pack.grant.trans_no], pack.remaining.as_u64().cast_signed());
        }
        prop_assert!(wallet.version.unwrap() <= now);

        // In whatever order they come.
        let mut shuffled = rows.clone();
        shuffled.sort_by_key(|row| (row.id.cast_unsigned() ^ seed).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        prop_assert_eq!(plan("u", &shuffled, now), Ok(moved));
    }
}
