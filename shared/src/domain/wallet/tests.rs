use uuid::Uuid;

use super::*;
use crate::domain::{Charge, ChargeRequest, ChargeType, GrantRequest, Id, InvocationId, RestoredCredits};

/// A pack to be granted: its credits, which also name it here, and when it
/// runs out.
type Given = (u64, Option<i64>);

const SOON: Option<i64> = Some(20_000);
const LATER: Option<i64> = Some(30_000);
const NEVER: Option<i64> = None;

/// A moment, in milliseconds after the one in which every test begins.
pub(in crate::domain) fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(1_800_000_000_000 + millis).unwrap()
}

pub(in crate::domain) fn credits(credits: u64) -> Credits {
    Credits::try_from(credits).unwrap()
}

/// One for all: the moments already tell the records apart.
pub(in crate::domain) fn invocation_id() -> InvocationId {
    InvocationId::new(Uuid::nil())
}

pub(in crate::domain) fn a_grant((of, expired_at): Given) -> GrantRequest {
    GrantRequest {
        user: id("u"),
        trans_type: GrantType::SystemAdd,
        credits: credits(of),
        order_no: None,
        expired_at: expired_at.map(at),
        key: None,
    }
}

pub(in crate::domain) fn a_charge(of: u64) -> ChargeRequest {
    ChargeRequest {
        user: id("u"),
        trans_type: ChargeType::Chat,
        credits: credits(of),
        generation: None,
        order_no: None,
        key: None,
    }
}

fn id<Kind>(text: &str) -> Id<Kind> {
    text.to_owned().try_into().unwrap()
}

fn holding(packs: &[Given]) -> Wallet {
    let mut wallet = Wallet::default();
    packs.iter().for_each(|&pack| give(&mut wallet, pack));
    wallet
}

fn give(wallet: &mut Wallet, pack: Given) {
    *wallet = wallet.grant(&a_grant(pack), invocation_id(), at(0)).unwrap().0;
}

fn spend(wallet: &mut Wallet, required: u64) -> Charge {
    let (next, charge) = wallet.charge(&a_charge(required), invocation_id(), at(0)).unwrap();
    *wallet = next;
    charge
}

/// What is left, as (granted, remaining).
fn left(wallet: &Wallet) -> Vec<(u64, u64)> {
    wallet.packs.iter().map(|pack| (pack.grant.credits.as_u64(), pack.remaining.as_u64())).collect()
}

#[track_caller]
fn check_charge(packs: &[Given], (required, now): (u64, i64), taken: &[(u64, u64)], still: &[(u64, u64)]) {
    let (wallet, charge) = holding(packs).charge(&a_charge(required), invocation_id(), at(now)).unwrap();
    let parts = charge.allocations.iter().map(|part| (part.grant.credits.as_u64(), part.credits.as_u64()));
    assert_eq!(parts.collect::<Vec<_>>(), taken, "taken");
    assert_eq!(left(&wallet), still, "left");
}

/// Makes all the charges, then voids those at these places together.
#[track_caller]
fn check_void(
    (packs, charges): (&[Given], &[u64]),
    (places, now): (&[usize], i64),
    (restored, expired): (u64, u64),
    still: &[(u64, u64)],
) {
    let mut wallet = holding(packs);
    let charges: Vec<Charge> = charges.iter().map(|&required| spend(&mut wallet, required)).collect();
    let (wallet, _, returned) = wallet.void(places.iter().map(|&place| &charges[place]), at(now)).unwrap();
    assert_eq!(returned, RestoredCredits { restored: credits(restored), expired: credits(expired) });
    assert_eq!(left(&wallet), still, "left");
}

#[test]
fn a_charge_takes_first_what_runs_out_first() {
    check_charge(&[(7, LATER), (5, SOON)], (3, 0), &[(5, 3)], &[(5, 2), (7, 7)]);
    check_charge(&[(9, NEVER), (7, LATER)], (3, 0), &[(7, 3)], &[(7, 4), (9, 9)]);
    check_charge(&[(7, SOON), (5, SOON)], (3, 0), &[(7, 3)], &[(7, 4), (5, 5)]);
    check_charge(&[(9, NEVER), (8, NEVER)], (3, 0), &[(9, 3)], &[(9, 6), (8, 8)]);
}

#[test]
fn a_charge_spans_packs_and_those_that_it_empties_leave() {
    check_charge(&[(5, SOON), (10, LATER)], (8, 0), &[(5, 5), (10, 3)], &[(10, 7)]);
    check_charge(&[(9, NEVER), (5, SOON)], (5, 0), &[(5, 5)], &[(9, 9)]);
    check_charge(&[(9, NEVER), (5, SOON), (7, LATER)], (21, 0), &[(5, 5), (7, 7), (9, 9)], &[]);
}

#[test]
fn a_pack_that_ran_out_cannot_be_spent_and_leaves_a_minute_later() {
    let packs = [(5, SOON), (9, NEVER)];
    check_charge(&packs, (1, 19_999), &[(5, 1)], &[(5, 4), (9, 9)]);
    check_charge(&packs, (1, 20_000), &[(9, 1)], &[(5, 5), (9, 8)]);
    check_charge(&packs, (1, 79_999), &[(9, 1)], &[(5, 5), (9, 8)]);
    check_charge(&packs, (1, 80_000), &[(9, 1)], &[(9, 8)]);
}

#[test]
fn a_clock_that_is_behind_brings_nothing_back_that_ran_out() {
    let wallet = holding(&[(5, SOON), (7, NEVER)]);
    let (wallet, _) = wallet.grant(&a_grant((9, NEVER)), invocation_id(), at(20_500)).unwrap();
    assert_eq!(wallet.balance(at(19_000)), credits(16));
    let (_, charge) = wallet.charge(&a_charge(1), invocation_id(), at(19_000)).unwrap();
    assert_eq!(charge.allocations[0].grant.credits, credits(7));
    assert_eq!(charge.trans_no.created_at(), at(20_501));
}

#[test]
fn a_charge_beyond_the_balance_is_told_both() {
    for (now, balance, required) in [(0, 14, 15), (20_000, 9, 10), (80_000, 9, 14)] {
        let refused = holding(&[(5, SOON), (9, NEVER)]).charge(&a_charge(required), invocation_id(), at(now));
        let (balance, required) = (credits(balance), credits(required));
        assert_eq!(refused, Err(LedgerError::InsufficientCredits { balance, required }));
    }
}

#[test]
fn a_void_fills_each_pack_and_brings_back_to_their_places_those_that_left() {
    let three: &[Given] = &[(5, SOON), (9, NEVER), (7, LATER)];
    check_void((&[(9, NEVER)], &[2, 3]), (&[0], 0), (2, 0), &[(9, 6)]);
    check_void((three, &[5, 7, 9]), (&[1], 0), (7, 0), &[(7, 7)]);
    check_void((three, &[5, 7]), (&[1], 0), (7, 0), &[(7, 7), (9, 9)]);
    check_void((three, &[4, 9]), (&[1], 0), (9, 0), &[(5, 1), (7, 7), (9, 9)]);
    check_void((three, &[4, 9, 8]), (&[0, 1, 2], 0), (21, 0), &[(5, 5), (7, 7), (9, 9)]);
    check_void((&[(5, SOON), (7, SOON)], &[4, 1, 7]), (&[2, 0], 0), (11, 0), &[(5, 4), (7, 7)]);
}

#[test]
fn what_a_void_gives_to_a_pack_that_ran_out_is_counted_apart() {
    for (charged, now, returned, still) in [
        (3, 20_000, (0, 3), &[(5, 5), (9, 9)][..]),
        (3, 80_000, (0, 3), &[(9, 9)]),
        (6, 19_999, (6, 0), &[(5, 5), (9, 9)]),
        (6, 20_000, (1, 5), &[(5, 5), (9, 9)]),
        (6, 79_999, (1, 5), &[(5, 5), (9, 9)]),
        (6, 80_000, (1, 5), &[(9, 9)]),
    ] {
        check_void((&[(5, SOON), (9, NEVER)], &[charged]), (&[0], now), returned, still);
    }
}

#[test]
fn a_pack_comes_back_as_it_was_granted() {
    let paid =
        GrantRequest { order_no: Some(id("o")), trans_type: GrantType::OrderPay, ..a_grant((5, SOON)) };
    let (mut wallet, grant) = Wallet::default().grant(&paid, invocation_id(), at(0)).unwrap();
    let charge = spend(&mut wallet, 5);
    assert_eq!(wallet.packs, []);
    let (wallet, ..) = wallet.void([&charge], at(0)).unwrap();
    assert_eq!(wallet.packs, [Pack { grant, remaining: credits(5) }]);
}

#[test]
fn a_void_of_what_a_pack_did_not_give_contradicts_the_wallet() {
    let mut charged = holding(&[(5, SOON)]);
    let charge = spend(&mut charged, 3);
    let (voided, ..) = charged.void([&charge], at(0)).unwrap();
    for (wallet, charges) in [
        (&voided, vec![&charge]),
        (&charged, vec![&charge, &charge]),
        (&holding(&[(5, SOON)]), vec![&charge]),
        (&Wallet::default(), vec![&charge]),
    ] {
        assert!(matches!(wallet.void(charges, at(0)), Err(LedgerError::Internal(_))));
    }
}

#[test]
fn a_grant_must_run_out_in_the_future() {
    for (now, taken) in [(19_999, true), (20_000, false), (20_001, false)] {
        let granted = Wallet::default().grant(&a_grant((5, SOON)), invocation_id(), at(now)).map(|_| ());
        let refused = LedgerError::InvalidRequest("`expired_at` must be in the future.".to_owned());
        assert_eq!(granted, if taken { Ok(()) } else { Err(refused) }, "{now}");
    }
}

#[test]
fn an_order_recharges_and_nothing_else_does() {
    for (trans_type, recharged) in
        [(GrantType::NewUser, false), (GrantType::SystemAdd, false), (GrantType::OrderPay, true)]
    {
        let request = GrantRequest { trans_type, ..a_grant((5, NEVER)) };
        let (wallet, _) = Wallet::default().grant(&request, invocation_id(), at(0)).unwrap();
        assert_eq!(wallet.is_recharged(), recharged, "{trans_type:?}");
    }
}

#[test]
fn a_wallet_is_granted_500_packs_and_refunds_bring_it_to_1050() {
    let mut wallet = Wallet::default();
    let mut round = |packs| {
        (0..packs).for_each(|_| give(&mut wallet, (1, SOON)));
        spend(&mut wallet, packs)
    };
    let (many, some, one) = (round(500), round(50), round(1));
    (0..500).for_each(|_| give(&mut wallet, (1, SOON)));
    let (full, ..) = wallet.void([&many, &some], at(0)).unwrap();
    assert_eq!((wallet.packs.len(), full.packs.len()), (500, 1_050));

    for (wallet, now, taken) in
        [(&wallet, 0, false), (&wallet, 20_000, true), (&full, 20_000, false), (&full, 80_000, true)]
    {
        let granted = wallet.grant(&a_grant((1, NEVER)), invocation_id(), at(now)).map(|_| ());
        assert_eq!(
            granted,
            if taken { Ok(()) } else { Err(LedgerError::LimitExceeded(LedgerLimit::Packs)) },
            "{now}"
        );
    }
    let beyond = [wallet.void([&many, &some, &one], at(0)), full.void([&one], at(0))];
    assert!(
        beyond.iter().all(|refused| *refused == Err(LedgerError::LimitExceeded(LedgerLimit::RestoredPacks)))
    );
    assert!(full.void([&one], at(80_000)).is_ok(), "what has ended takes no room");
}

#[test]
fn a_user_is_charged_for_100_trans_types() {
    let charge = |wallet: &Wallet, nth: usize| {
        let trans_type = ChargeType::Generation(nth.to_string());
        wallet.charge(&ChargeRequest { trans_type, ..a_charge(1) }, invocation_id(), at(0))
    };
    let wallet = (0..100).fold(holding(&[(200, NEVER)]), |wallet, nth| charge(&wallet, nth).unwrap().0);
    assert_eq!(charge(&wallet, 100), Err(LedgerError::LimitExceeded(LedgerLimit::TransTypes)));
    assert!(charge(&wallet, 99).is_ok());
}

/// A wallet with a pack of 9 and with a total of this type, voided where it can
/// be, that is so far from the most that a sum may reach.
fn nearly_full(of: TransType, room: u64) -> Wallet {
    let created = CreditSum { credits: credits(Credits::TOTAL_MAX.as_u64() - room), count: 1 };
    let voided = if matches!(of, TransType::Charge(_)) { created } else { CreditSum::default() };
    let mut wallet = holding(&[(9, NEVER)]);
    wallet.totals.insert(of, Totals { created, voided });
    wallet
}

#[test]
fn all_grants_of_a_life_stay_within_the_limit_of_sums() {
    for (of, room) in [
        (TransType::Grant(GrantType::SystemAdd), 5),
        (TransType::Grant(GrantType::OrderPay), 9 + 5),
        (TransType::Refund(ChargeType::Chat), 9 + 5),
    ] {
        let wallet = nearly_full(of, room);
        let grant = |credits| wallet.grant(&a_grant((credits, NEVER)), invocation_id(), at(0)).map(|_| ());
        assert_eq!((grant(5), grant(6)), (Ok(()), Err(LedgerError::LimitExceeded(LedgerLimit::Total))));
    }
}

#[test]
fn all_charges_of_a_life_stay_within_the_limit_so_that_no_void_passes_it() {
    for of in [ChargeType::Chat, ChargeType::Generation("a".to_owned())] {
        let mut wallet = nearly_full(TransType::Charge(of), 5);
        let beyond = wallet.charge(&a_charge(6), invocation_id(), at(0));
        assert_eq!(beyond, Err(LedgerError::LimitExceeded(LedgerLimit::Total)));
        let charge = spend(&mut wallet, 5);
        assert!(wallet.void([&charge], at(0)).is_ok());
    }
}

#[test]
fn every_change_is_later_than_the_one_before_whatever_the_clock_says() {
    let mut wallet = Wallet::default();
    for (now, moment) in [(0, 0), (0, 3), (-5_000, 6), (8, 9), (50, 50)] {
        let (granted, grant) = wallet.grant(&a_grant((5, SOON)), invocation_id(), at(now)).unwrap();
        let (charged, charge) = granted.charge(&a_charge(5), invocation_id(), at(now)).unwrap();
        let (voided, voided_at, _) = charged.void([&charge], at(now)).unwrap();
        let moments = [grant.trans_no.created_at(), charge.trans_no.created_at(), voided_at];
        assert_eq!(moments, [at(moment), at(moment + 1), at(moment + 2)], "{now}");
        assert_eq!([granted.version, charged.version, voided.version], moments.map(Some), "{now}");
        wallet = voided;
    }
}

#[test]
fn a_charge_with_a_generation_and_a_key_is_remembered() {
    for (generation, key, keyed) in [
        (None, None, false),
        (Some("g"), None, false),
        (None, Some("k"), false),
        (Some("g"), Some("k"), true),
    ] {
        let request = ChargeRequest { generation: generation.map(id), key: key.map(id), ..a_charge(1) };
        let (mut wallet, charge) = holding(&[(5, NEVER)]).charge(&request, invocation_id(), at(0)).unwrap();
        spend(&mut wallet, 1);
        let (wallet, ..) = wallet.void([&charge], at(0)).unwrap();
        assert_eq!(wallet.has_keyed_charges, keyed, "{request:?}");
    }
}

#[test]
fn validate_refuses_a_wallet_that_no_plan_makes() {
    let check = |fault: Option<&str>, change: fn(&mut Vec<Pack>)| {
        let mut wallet = holding(&[(5, SOON), (7, LATER), (9, NEVER)]);
        change(&mut wallet.packs);
        assert_eq!(wallet.validate().err(), fault, "{:?}", left(&wallet));
    };
    check(None, |_| ());
    check(None, Vec::clear);
    check(None, |packs| packs[1].remaining = credits(1));
    check(Some("packs out of order"), |packs| packs.swap(1, 2));
    check(Some("packs out of order"), |packs| packs[1] = packs[0].clone());
    check(Some("a pack with no credits or more than its grant"), |packs| packs[1].remaining = Credits::ZERO);
    check(Some("a pack with no credits or more than its grant"), |packs| packs[1].remaining = credits(8));
    check(Some("more than 2^53-1 credits"), |packs| {
        packs[1].grant.credits = Credits::TOTAL_MAX;
        packs[1].remaining = Credits::TOTAL_MAX;
    });
}
