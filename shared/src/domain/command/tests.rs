//! The decisions of commands, without a store: what was read, and the step that follows.

use uuid::Uuid;

use super::*;
use crate::domain::{
    Charge, ChargeType, GrantType, Id, InvocationId, Void,
    wallet::tests::{a_charge, a_grant, at, credits},
};

const OURS: u128 = 1;
const THEIRS: u128 = 2;

fn invocation(id: u128) -> InvocationId {
    InvocationId::new(Uuid::from_u128(id))
}

fn id<Kind>(text: &str) -> Id<Kind> {
    text.to_owned().try_into().unwrap()
}

/// Charges of generation `g`, of one credit each, by their keys; none is the charge without
/// a key. The wallet is the one after them.
fn charged(keys: &[Option<&str>]) -> (Wallet, Vec<(RecordKey, Charge)>) {
    let (mut wallet, _) = Wallet::default().grant(&a_grant((100, None)), invocation(THEIRS), at(0)).unwrap();
    let mut charges = Vec::new();
    for key in keys {
        let request = ChargeRequest { generation: Some(id("g")), key: key.map(id), ..a_charge(1) };
        let (next, charge) = wallet.charge(&request, invocation(THEIRS), at(0)).unwrap();
        wallet = next;
        charges.push((request.identity().unwrap(), charge));
    }
    (wallet, charges)
}

/// The wallet after these charges were voided, and the charges.
fn voided(wallet: &Wallet, charges: &[(RecordKey, Charge)], by: u128) -> (Wallet, Vec<(RecordKey, Charge)>) {
    let (wallet, at, _) = wallet.void(charges.iter().map(|(_, charge)| charge), at(0)).unwrap();
    let void = Void { at, reason: id_reason(), invocation: invocation(by) };
    let charge = |(key, charge): &(RecordKey, Charge)| {
        (key.clone(), Charge { void: Some(void.clone()), ..charge.clone() })
    };
    (wallet, charges.iter().map(charge).collect())
}

fn id_reason() -> crate::domain::Reason {
    "it failed".to_owned().try_into().unwrap()
}

fn a_view() -> View {
    View::new(invocation(OURS), invocation(OURS), TransactionLimits { records: 99, bytes: 1_000_000 })
}

/// A view in which the wallet was read, and then these charges.
fn view(wallet: &Wallet, charges: &[(RecordKey, Charge)]) -> View {
    let mut view = a_view();
    view.set_wallet(wallet.clone());
    for (key, charge) in charges {
        let record = Some(Record::Charge(charge.clone()));
        view.set_record(RecordLookup { key: key.clone(), record, bytes: 1_000 });
    }
    view
}

/// The same, where the charges are the answer to a query of the generation.
fn queried(wallet: &Wallet, charges: &[(RecordKey, Charge)]) -> View {
    let mut view = view(wallet, charges);
    view.set_generation_complete();
    view
}

fn describe(step: Result<Step, LedgerError>) -> String {
    match step {
        Err(LedgerError::Internal(_)) => "internal".to_owned(),
        Err(error) => format!("{error:?}"),
        Ok(Step::Done) => "done".to_owned(),
        Ok(Step::Read(ReadRequest::Wallet)) => "read the wallet".to_owned(),
        Ok(Step::Read(ReadRequest::WalletAndRecord(_))) => "read wallet and record".to_owned(),
        Ok(Step::Read(ReadRequest::Generation(_))) => "query".to_owned(),
        Ok(Step::Read(ReadRequest::Snapshot(keys))) => format!("read a snapshot of {}", keys.len()),
        Ok(Step::Commit(plan)) => match &plan.changes[..] {
            [RecordChange::Create(_, Record::Fence(_))] => "fence".to_owned(),
            changes @ [RecordChange::Void(..), ..] => format!("void {}", changes.len()),
            changes => format!("create {}", changes.len()),
        },
    }
}

#[track_caller]
fn check_refund(key: Option<&str>, view: &View, expected: &str) {
    let request = RefundRequest { user: None, generation: id("g"), key: key.map(id), reason: id_reason() };
    let (user, refund) = (id("u"), request);
    let refund = Refund { user: &user, request: &refund };
    assert_eq!(describe(refund.next(view, at(0))), expected);
}

#[test]
fn a_refund_of_one_place_voids_it_or_fences_it() {
    // Another charge hides the contradiction in the sums: then the void's own condition fails.
    for (key, others, unseen) in
        [(Some("k"), vec![Some("other")], "void 1"), (None, vec![], "read a snapshot of 1")]
    {
        let (before, _) = charged(&others);
        check_refund(key, &view(&before, &[]), "fence");

        let (wallet, charges) = charged(&[others, vec![key]].concat());
        let charge = &charges[charges.len() - 1..];
        check_refund(key, &view(&wallet, charge), "void 1");
        let (after, gone) = voided(&wallet, charge, THEIRS);
        check_refund(key, &view(&after, &gone), "done");

        // The wallet does not show the charge yet, or its void.
        check_refund(key, &view(&before, charge), "read the wallet");
        check_refund(key, &view(&wallet, &gone), "read the wallet");
        // The wallet shows the void, and the charge does not.
        check_refund(key, &view(&after, charge), unseen);
    }
}

#[test]
fn a_refund_of_a_session_queries_after_the_wallet() {
    let (wallet, charges) = charged(&[None, Some("a"), Some("b")]);
    let (after, gone) = voided(&wallet, &charges, THEIRS);
    check_refund(None, &view(&wallet, &charges[..1]), "query");
    check_refund(None, &queried(&wallet, &charges), "void 3");
    check_refund(None, &queried(&wallet, &[]), "fence");
    check_refund(None, &queried(&after, &gone), "done");

    // The wallet has moved since: what is known goes first, and then the query again.
    let (moved, _) = after.grant(&a_grant((1, None)), invocation(THEIRS), at(0)).unwrap();
    let mut seen = queried(&after, &gone);
    seen.set_wallet(moved.clone());
    check_refund(None, &seen, "query");
    let (moved, _) = wallet.grant(&a_grant((1, None)), invocation(THEIRS), at(0)).unwrap();
    let mut seen = queried(&wallet, &charges);
    seen.set_wallet(moved);
    check_refund(None, &seen, "void 3");
}

#[test]
fn a_refund_that_moves_the_wallet_itself_has_missed_nothing() {
    let (wallet, charges) = charged(&[Some("a"), Some("b")]);
    let mut seen = queried(&wallet, &charges);
    let (after, gone) = voided(&wallet, &charges, OURS);
    let changes = gone.into_iter().map(|(key, charge)| RecordChange::Void(key, Record::Charge(charge)));
    seen.set_committed(Plan { wallet: Some(after), changes: changes.collect() });
    check_refund(None, &seen, "done");
}

#[test]
fn a_refund_voids_as_many_as_one_transaction_has_room_for() {
    let (wallet, charges) = charged(&[Some("a"), Some("b"), Some("c")]);
    let mut seen = queried(&wallet, &charges);
    for (records, bytes, expected) in
        [(3, 10_000, "void 3"), (2, 10_000, "void 2"), (3, 5_000, "void 2"), (3, 1, "void 1")]
    {
        seen.limits = TransactionLimits { records, bytes };
        check_refund(None, &seen, expected);
    }
}

#[test]
fn what_two_reads_contradict_is_a_fault_only_as_of_one_moment() {
    let (wallet, charges) = charged(&[Some("k")]);
    let (after, _) = voided(&wallet, &charges, THEIRS);
    let mut seen = view(&after, &charges);
    check_refund(Some("k"), &seen, "read a snapshot of 1");
    let (key, charge) = charges[0].clone();
    let record = Some(Record::Charge(charge));
    seen.set_snapshot(after, vec![RecordLookup { key, record, bytes: 1_000 }]);
    check_refund(Some("k"), &seen, "internal");
    // Another place is not as of that moment.
    let (wallet, charges) = charged(&[Some("k"), Some("l")]);
    let (after, gone) = voided(&wallet, &charges, THEIRS);
    let mut seen = queried(&after, &charges);
    check_refund(None, &seen, "read a snapshot of 2");
    let (key, charge) = gone[0].clone();
    let record = Some(Record::Charge(charge));
    seen.set_snapshot(after, vec![RecordLookup { key, record, bytes: 1_000 }]);
    check_refund(None, &seen, "read a snapshot of 1");
}

/// What a charge does, by what is known of its place and of the wallet.
#[track_caller]
fn check_charge(request: &ChargeRequest, view: &View, expected: &str) {
    assert_eq!(describe(request.next(view, at(0))), expected);
}

#[test]
fn a_charge_looks_for_itself_as_of_one_moment_before_it_is_refused() {
    let (wallet, charges) = charged(&[Some("k")]);
    let request = ChargeRequest { generation: Some(id("g")), key: Some(id("k")), ..a_charge(1) };
    let poor = Wallet { packs: Vec::new(), ..wallet.clone() };
    check_charge(&request, &view(&wallet, &[]), "create 1");
    check_charge(&request, &view(&wallet, &charges), "done");
    check_charge(&request, &view(&Wallet::default(), &charges), "read the wallet");
    check_charge(&request, &view(&poor, &[]), "read a snapshot of 1");
    let (key, _) = charges[0].clone();
    let mut seen = a_view();
    seen.set_snapshot(poor.clone(), vec![RecordLookup { key, record: None, bytes: 0 }]);
    let refusal = "InsufficientCredits { balance: Credits(0), required: Credits(1) }";
    check_charge(&request, &seen, refusal);

    // Without an identity only a delivery may have been done before.
    let request = a_charge(1);
    check_charge(&request, &view(&poor, &[]), refusal);
    let mut redelivered = View::new(invocation(OURS), invocation(THEIRS), a_view().limits);
    redelivered.set_wallet(poor);
    check_charge(&request, &redelivered, "read a snapshot of 1");
}

#[test]
fn a_charge_in_its_place_is_compared_with_the_request() {
    let (wallet, charges) = charged(&[Some("k")]);
    let (after, gone) = voided(&wallet, &charges, THEIRS);
    let same = ChargeRequest { generation: Some(id("g")), key: Some(id("k")), ..a_charge(1) };
    let image = ChargeType::Generation("image".to_owned());
    for (request, expected) in [
        (same.clone(), "done"),
        (
            ChargeRequest { credits: credits(2), ..same.clone() },
            "IdempotencyConflict(\"An earlier charge with this identity has different `credits`.\")",
        ),
        (
            ChargeRequest { trans_type: image, ..same.clone() },
            "IdempotencyConflict(\"An earlier charge with this identity has a different `trans_type`.\")",
        ),
    ] {
        check_charge(&request, &view(&wallet, &charges), expected);
    }
    check_charge(&same, &view(&after, &gone), "GenerationVoided");
    // The invocation's own charge, which was refunded before its answer came.
    let mut own = View::new(invocation(THEIRS), invocation(THEIRS), a_view().limits);
    own.set_wallet(after);
    let (key, charge) = gone[0].clone();
    own.set_record(RecordLookup { key, record: Some(Record::Charge(charge)), bytes: 1_000 });
    check_charge(&same, &own, "done");
}

#[test]
fn a_grant_in_its_place_is_compared_with_the_request() {
    let request = GrantRequest { trans_type: GrantType::NewUser, ..a_grant((5, None)) };
    let (wallet, grant) = Wallet::default().grant(&request, invocation(THEIRS), at(0)).unwrap();
    let mut seen = a_view();
    seen.set_wallet(wallet);
    let key = RecordKey::NewUserGrant;
    seen.set_record(RecordLookup { key, record: Some(Record::Grant(grant)), bytes: 500 });
    assert_eq!(describe(request.next(&seen, at(0))), "done");
    let more = GrantRequest { credits: credits(6), ..request };
    let conflict = "IdempotencyConflict(\"An earlier grant with this identity has different `credits`.\")";
    assert_eq!(describe(more.next(&seen, at(0))), conflict);
}

#[test]
fn what_is_known_to_be_later_stays() {
    let (wallet, charges) = charged(&[Some("k")]);
    let (after, gone) = voided(&wallet, &charges, THEIRS);
    let mut seen = view(&after, &gone);
    let (key, charge) = charges[0].clone();
    let earlier = RecordLookup { key: key.clone(), record: Some(Record::Charge(charge)), bytes: 1_000 };
    seen.set_record(earlier);
    assert_eq!(seen.record(&key), Some(&Record::Charge(gone[0].1.clone())));
    seen.set_record(RecordLookup { key: key.clone(), record: None, bytes: 0 });
    assert_eq!(seen.record(&key), None, "the record was deleted");
}
