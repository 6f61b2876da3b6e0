//! The rules of the wallet: spending order, expiry, voids and limits.

use uuid::Uuid;

use super::*;
use crate::domain::{
    Charge, ChargeRequest, ChargeType, GrantRequest, Id, InvocationId, Metadata, RestoredCredits,
};

/// A grant: its credits, which also identify the pack in these tests, and its expiry.
type GrantSpec = (u64, Option<i64>);

const SOON: Option<i64> = Some(20_000);
const LATER: Option<i64> = Some(30_000);
const NEVER: Option<i64> = None;

/// A time, in milliseconds after the start of every test.
pub(in crate::domain) fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(1_800_000_000_000 + millis).unwrap()
}

pub(in crate::domain) fn credits(credits: u64) -> Credits {
    Credits::try_from(credits).unwrap()
}

/// All records have the same, because their times differ.
pub(in crate::domain) fn invocation_id() -> InvocationId {
    InvocationId::new(Uuid::nil())
}

pub(in crate::domain) fn a_grant((amount, expired_at): GrantSpec) -> GrantRequest {
    GrantRequest {
        user: id("u"),
        trans_type: GrantType::SystemAdd,
        credits: credits(amount),
        order_no: None,
        expired_at: expired_at.map(at),
        key: None,
        metadata: Metadata::default(),
    }
}

pub(in crate::domain) fn a_charge(amount: u64) -> ChargeRequest {
    ChargeRequest {
        user: id("u"),
        trans_type: ChargeType::Chat,
        credits: credits(amount),
        generation: None,
        order_no: None,
        key: None,
        metadata: Metadata::default(),
        outputs: None,
        hold_millis: None,
    }
}

fn id<Kind>(text: &str) -> Id<Kind> {
    text.to_owned().try_into().unwrap()
}

fn wallet_of(packs: &[GrantSpec]) -> Wallet {
    let mut wallet = Wallet::default();
    packs.iter().for_each(|&pack| add_grant(&mut wallet, pack));
    wallet
}

fn add_grant(wallet: &mut Wallet, pack: GrantSpec) {
    *wallet = wallet.grant(&a_grant(pack), invocation_id(), at(0)).unwrap().0;
}

fn add_charge(wallet: &mut Wallet, required: u64) -> Charge {
    let (next, charge) = wallet.charge(&a_charge(required), invocation_id(), at(0)).unwrap();
    *wallet = next;
    charge
}

/// The packs as (granted, remaining).
fn packs_of(wallet: &Wallet) -> Vec<(u64, u64)> {
    wallet.packs.iter().map(|pack| (pack.grant.credits.as_u64(), pack.remaining.as_u64())).collect()
}

#[track_caller]
fn check_charge(
    packs: &[GrantSpec],
    (required, now): (u64, i64),
    allocations: &[(u64, u64)],
    packs_after: &[(u64, u64)],
) {
    let (wallet, charge) = wallet_of(packs).charge(&a_charge(required), invocation_id(), at(now)).unwrap();
    let parts = charge.allocations.iter().map(|part| (part.grant.credits.as_u64(), part.credits.as_u64()));
    assert_eq!(parts.collect::<Vec<_>>(), allocations, "allocations");
    assert_eq!(packs_of(&wallet), packs_after, "packs");
}

/// Charges all amounts, then voids the charges with these indexes in one call.
#[track_caller]
fn check_void(
    (packs, charges): (&[GrantSpec], &[u64]),
    (indexes, now): (&[usize], i64),
    (restored, expired): (u64, u64),
    packs_after: &[(u64, u64)],
) {
    let mut wallet = wallet_of(packs);
    let charges: Vec<Charge> = charges.iter().map(|&required| add_charge(&mut wallet, required)).collect();
    let voided = indexes.iter().map(|&index| &charges[index]);
    let (wallet, voided_at, _) = wallet.void(voided.clone(), at(now)).unwrap();
    let mut returned = RestoredCredits::default();
    for effect in voided.flat_map(|charge| charge.state().void(&[])) {
        returned.add(&effect, voided_at).unwrap();
    }
    let (restored, expired) = (credits(restored), credits(expired));
    assert_eq!(returned, RestoredCredits { restored, expired, ..RestoredCredits::default() });
    assert_eq!(packs_of(&wallet), packs_after, "packs");
}

#[test]
fn charge_takes_the_earliest_expiry_first() {
    check_charge(&[(7, LATER), (5, SOON)], (3, 0), &[(5, 3)], &[(5, 2), (7, 7)]);
    check_charge(&[(9, NEVER), (7, LATER)], (3, 0), &[(7, 3)], &[(7, 4), (9, 9)]);
    check_charge(&[(7, SOON), (5, SOON)], (3, 0), &[(7, 3)], &[(7, 4), (5, 5)]);
    check_charge(&[(9, NEVER), (8, NEVER)], (3, 0), &[(9, 3)], &[(9, 6), (8, 8)]);
}

#[test]
fn charge_spans_packs_and_removes_empty_ones() {
    check_charge(&[(5, SOON), (10, LATER)], (8, 0), &[(5, 5), (10, 3)], &[(10, 7)]);
    check_charge(&[(9, NEVER), (5, SOON)], (5, 0), &[(5, 5)], &[(9, 9)]);
    check_charge(&[(9, NEVER), (5, SOON), (7, LATER)], (21, 0), &[(5, 5), (7, 7), (9, 9)], &[]);
}

#[test]
fn expired_pack_is_not_spent_and_is_removed_a_minute_later() {
    let packs = [(5, SOON), (9, NEVER)];
    check_charge(&packs, (1, 19_999), &[(5, 1)], &[(5, 4), (9, 9)]);
    check_charge(&packs, (1, 20_000), &[(9, 1)], &[(5, 5), (9, 8)]);
    check_charge(&packs, (1, 79_999), &[(9, 1)], &[(5, 5), (9, 8)]);
    check_charge(&packs, (1, 80_000), &[(9, 1)], &[(9, 8)]);
}

#[test]
fn expired_pack_remains_expired_for_a_slow_clock() {
    let wallet = wallet_of(&[(5, SOON), (7, NEVER)]);
    let (wallet, _) = wallet.grant(&a_grant((9, NEVER)), invocation_id(), at(20_500)).unwrap();
    assert_eq!(wallet.balance(at(19_000)), credits(16));
    let (_, charge) = wallet.charge(&a_charge(1), invocation_id(), at(19_000)).unwrap();
    assert_eq!(charge.allocations[0].grant.credits, credits(7));
    assert_eq!(charge.trans_no.created_at(), at(20_501));
}

#[test]
fn charge_above_the_balance_returns_balance_and_required() {
    for (now, balance, required) in [(0, 14, 15), (20_000, 9, 10), (80_000, 9, 14)] {
        let result =
            wallet_of(&[(5, SOON), (9, NEVER)]).charge(&a_charge(required), invocation_id(), at(now));
        let (balance, required) = (credits(balance), credits(required));
        assert_eq!(result, Err(LedgerError::InsufficientCredits { balance, required, debt: Credits::ZERO }));
    }
}

#[test]
fn void_restores_each_pack_in_spending_order() {
    let three: &[GrantSpec] = &[(5, SOON), (9, NEVER), (7, LATER)];
    check_void((&[(9, NEVER)], &[2, 3]), (&[0], 0), (2, 0), &[(9, 6)]);
    check_void((three, &[5, 7, 9]), (&[1], 0), (7, 0), &[(7, 7)]);
    check_void((three, &[5, 7]), (&[1], 0), (7, 0), &[(7, 7), (9, 9)]);
    check_void((three, &[4, 9]), (&[1], 0), (9, 0), &[(5, 1), (7, 7), (9, 9)]);
    check_void((three, &[4, 9, 8]), (&[0, 1, 2], 0), (21, 0), &[(5, 5), (7, 7), (9, 9)]);
    check_void((&[(5, SOON), (7, SOON)], &[4, 1, 7]), (&[2, 0], 0), (11, 0), &[(5, 4), (7, 7)]);
}

#[test]
fn void_counts_credits_of_expired_packs_separately() {
    for (charged, now, returned, packs_after) in [
        (3, 20_000, (0, 3), &[(5, 5), (9, 9)][..]),
        (3, 80_000, (0, 3), &[(9, 9)]),
        (6, 19_999, (6, 0), &[(5, 5), (9, 9)]),
        (6, 20_000, (1, 5), &[(5, 5), (9, 9)]),
        (6, 79_999, (1, 5), &[(5, 5), (9, 9)]),
        (6, 80_000, (1, 5), &[(9, 9)]),
    ] {
        check_void((&[(5, SOON), (9, NEVER)], &[charged]), (&[0], now), returned, packs_after);
    }
}

#[test]
fn void_restores_a_pack_as_it_was_granted() {
    let paid =
        GrantRequest { order_no: Some(id("o")), trans_type: GrantType::OrderPay, ..a_grant((5, SOON)) };
    let (mut wallet, grant) = Wallet::default().grant(&paid, invocation_id(), at(0)).unwrap();
    let charge = add_charge(&mut wallet, 5);
    assert_eq!(wallet.packs, []);
    let (wallet, ..) = wallet.void([&charge], at(0)).unwrap();
    assert_eq!(wallet.packs, [Pack { grant, remaining: credits(5) }]);
}

#[test]
fn void_of_credits_that_were_not_taken_is_internal() {
    let mut charged = wallet_of(&[(5, SOON)]);
    let charge = add_charge(&mut charged, 3);
    let (voided, ..) = charged.void([&charge], at(0)).unwrap();
    for (wallet, charges) in [
        (&voided, vec![&charge]),
        (&charged, vec![&charge, &charge]),
        (&wallet_of(&[(5, SOON)]), vec![&charge]),
        (&Wallet::default(), vec![&charge]),
    ] {
        assert!(matches!(wallet.void(charges, at(0)), Err(LedgerError::Internal(_))));
    }
}

#[test]
fn grant_must_expire_in_the_future() {
    for (now, is_valid) in [(19_999, true), (20_000, false), (20_001, false)] {
        let granted = Wallet::default().grant(&a_grant((5, SOON)), invocation_id(), at(now)).map(|_| ());
        let error = LedgerError::InvalidRequest("`expired_at` must be in the future.".to_owned());
        assert_eq!(granted, if is_valid { Ok(()) } else { Err(error) }, "{now}");
    }
}

#[test]
fn is_recharged_only_after_a_paid_order() {
    for (trans_type, is_recharged) in
        [(GrantType::NewUser, false), (GrantType::SystemAdd, false), (GrantType::OrderPay, true)]
    {
        let request = GrantRequest { trans_type, ..a_grant((5, NEVER)) };
        let (wallet, _) = Wallet::default().grant(&request, invocation_id(), at(0)).unwrap();
        assert_eq!(wallet.is_recharged(), is_recharged, "{trans_type:?}");
    }
}

#[test]
fn wallet_accepts_500_granted_packs_and_1050_after_refunds() {
    let mut wallet = Wallet::default();
    let mut grant_and_spend = |packs| {
        (0..packs).for_each(|_| add_grant(&mut wallet, (1, SOON)));
        add_charge(&mut wallet, packs)
    };
    let (many, some, one) = (grant_and_spend(500), grant_and_spend(50), grant_and_spend(1));
    (0..500).for_each(|_| add_grant(&mut wallet, (1, SOON)));
    let (full, ..) = wallet.void([&many, &some], at(0)).unwrap();
    assert_eq!((wallet.packs.len(), full.packs.len()), (500, 1_050));

    for (wallet, now, is_valid) in
        [(&wallet, 0, false), (&wallet, 20_000, true), (&full, 20_000, false), (&full, 80_000, true)]
    {
        let granted = wallet.grant(&a_grant((1, NEVER)), invocation_id(), at(now)).map(|_| ());
        assert_eq!(
            granted,
            if is_valid { Ok(()) } else { Err(LedgerError::LimitExceeded(LedgerLimit::GiftPacks)) },
            "{now}"
        );
    }
    let beyond = [wallet.void([&many, &some, &one], at(0)), full.void([&one], at(0))];
    assert!(
        beyond.iter().all(|result| *result == Err(LedgerError::LimitExceeded(LedgerLimit::RestoredPacks)))
    );
    assert!(full.void([&one], at(80_000)).is_ok(), "expired packs do not count");
}

#[test]
fn user_may_have_charges_of_100_types() {
    let charge = |wallet: &Wallet, nth: usize| {
        let trans_type = ChargeType::Generation(nth.to_string());
        wallet.charge(&ChargeRequest { trans_type, ..a_charge(1) }, invocation_id(), at(0))
    };
    let wallet = (0..100).fold(wallet_of(&[(200, NEVER)]), |wallet, nth| charge(&wallet, nth).unwrap().0);
    assert_eq!(charge(&wallet, 100), Err(LedgerError::LimitExceeded(LedgerLimit::TransTypes)));
    assert!(charge(&wallet, 99).is_ok());
}

/// A wallet with a pack of 9, and with a sum of this type that is `distance` below the
/// limit of sums; voided, if the type is a charge.
fn nearly_full(trans_type: TransType, distance: u64) -> Wallet {
    let created = CreditSum { credits: credits(Credits::TOTAL_MAX.as_u64() - distance), count: 1 };
    let voided = if matches!(trans_type, TransType::Charge(_)) { created } else { CreditSum::default() };
    let mut wallet = wallet_of(&[(9, NEVER)]);
    wallet.totals.insert(trans_type, Totals { created, voided });
    wallet
}

#[test]
fn grants_of_a_lifetime_stay_within_the_limit_of_sums() {
    for (trans_type, distance) in [
        (TransType::Grant(GrantType::SystemAdd), 5),
        (TransType::Grant(GrantType::OrderPay), 9 + 5),
        (TransType::Refund(ChargeType::Chat), 9 + 5),
    ] {
        let wallet = nearly_full(trans_type, distance);
        let grant = |credits| wallet.grant(&a_grant((credits, NEVER)), invocation_id(), at(0)).map(|_| ());
        assert_eq!((grant(5), grant(6)), (Ok(()), Err(LedgerError::LimitExceeded(LedgerLimit::Total))));
    }
}

#[test]
fn charges_of_a_lifetime_stay_within_the_limit_so_that_voids_do_too() {
    for trans_type in [ChargeType::Chat, ChargeType::Generation("a".to_owned())] {
        let mut wallet = nearly_full(TransType::Charge(trans_type), 5);
        let beyond = wallet.charge(&a_charge(6), invocation_id(), at(0));
        assert_eq!(beyond, Err(LedgerError::LimitExceeded(LedgerLimit::Total)));
        let charge = add_charge(&mut wallet, 5);
        assert!(wallet.void([&charge], at(0)).is_ok());
    }
}

#[test]
fn version_grows_with_every_change_for_any_clock() {
    let mut wallet = Wallet::default();
    for (now, millis) in [(0, 0), (0, 3), (-5_000, 6), (8, 9), (50, 50)] {
        let (granted, grant) = wallet.grant(&a_grant((5, SOON)), invocation_id(), at(now)).unwrap();
        let (charged, charge) = granted.charge(&a_charge(5), invocation_id(), at(now)).unwrap();
        let (voided, voided_at, _) = charged.void([&charge], at(now)).unwrap();
        let times = [grant.trans_no.created_at(), charge.trans_no.created_at(), voided_at];
        assert_eq!(times, [at(millis), at(millis + 1), at(millis + 2)], "{now}");
        assert_eq!([granted.version, charged.version, voided.version], times.map(Some), "{now}");
        wallet = voided;
    }
}

#[test]
fn has_keyed_charges_after_a_charge_with_generation_and_key() {
    for (generation, key, is_keyed) in [
        (None, None, false),
        (Some("g"), None, false),
        (None, Some("k"), false),
        (Some("g"), Some("k"), true),
    ] {
        let request = ChargeRequest { generation: generation.map(id), key: key.map(id), ..a_charge(1) };
        let (mut wallet, charge) = wallet_of(&[(5, NEVER)]).charge(&request, invocation_id(), at(0)).unwrap();
        add_charge(&mut wallet, 1);
        let (wallet, ..) = wallet.void([&charge], at(0)).unwrap();
        assert_eq!(wallet.has_keyed_charges, is_keyed, "{request:?}");
    }
}

#[test]
fn validate_rejects_violated_invariants() {
    let check = |error: Option<&str>, change: fn(&mut Vec<Pack>)| {
        let mut wallet = wallet_of(&[(5, SOON), (7, LATER), (9, NEVER)]);
        change(&mut wallet.packs);
        assert_eq!(wallet.validate().err(), error, "{:?}", packs_of(&wallet));
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
