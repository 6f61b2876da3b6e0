//! The steps that commands decide by a view, without a store.

use uuid::Uuid;

use super::*;
use crate::domain::{
    AdjustmentKind, Allocation, Charge, ChargeType, GrantType, Id, InvocationId, Void,
    wallet::tests::{a_charge, a_grant, at, credits},
};

const OWN: u128 = 1;
const OTHER: u128 = 2;

fn invocation(id: u128) -> InvocationId {
    InvocationId::new(Uuid::from_u128(id))
}

fn id<Kind>(text: &str) -> Id<Kind> {
    text.to_owned().try_into().unwrap()
}

/// A wallet after charges of one credit and of generation `g`, with and without idempotency
/// keys; and the charges.
fn charged(keys: &[Option<&str>]) -> (Wallet, Vec<(RecordKey, Charge)>) {
    let (mut wallet, _) = Wallet::default().grant(&a_grant((100, None)), invocation(OTHER), at(0)).unwrap();
    let mut charges = Vec::new();
    for key in keys {
        let request = ChargeRequest { generation: Some(id("g")), key: key.map(id), ..a_charge(1) };
        let (next, charge) = wallet.charge(&request, invocation(OTHER), at(0)).unwrap();
        wallet = next;
        charges.push((request.identity().unwrap(), charge));
    }
    (wallet, charges)
}

/// The wallet after the void of these charges, and the charges.
fn voided(wallet: &Wallet, charges: &[(RecordKey, Charge)], by: u128) -> (Wallet, Vec<(RecordKey, Charge)>) {
    let (wallet, at, _) = wallet.void(charges.iter().map(|(_, charge)| charge), at(0)).unwrap();
    let void = Void::new(at, reason(), invocation(by));
    let charge = |(key, charge): &(RecordKey, Charge)| {
        (key.clone(), Charge { void: Some(void.clone()), ..charge.clone() })
    };
    (wallet, charges.iter().map(charge).collect())
}

fn reason() -> crate::domain::Reason {
    "it failed".to_owned().try_into().unwrap()
}

fn a_view() -> View {
    View::new(invocation(OWN), invocation(OWN), TransactionLimits { records: 99, bytes: 1_000_000 })
}

/// A view after reads of the wallet and of these charges.
fn view(wallet: &Wallet, charges: &[(RecordKey, Charge)]) -> View {
    let mut view = a_view();
    view.set_wallet(wallet.clone());
    for (key, charge) in charges {
        let record = Some(Record::Charge(charge.clone()));
        view.set_record(RecordLookup { key: key.clone(), record, bytes: 1_000 });
    }
    view
}

/// A view after a read of the wallet and a query of the generation.
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
            [RecordChange::NoteSuccess(..)] => "note".to_owned(),
            changes @ [RecordChange::Void(..), ..] => format!("void {}", changes.len()),
            changes @ [RecordChange::Adjust(..), ..] => describe_adjustments(changes),
            changes => format!("create {}", changes.len()),
        },
    }
}

#[track_caller]
fn check_refund(key: Option<&str>, view: &View, expected: &str) {
    let request = RefundRequest {
        user: None,
        generation: id("g"),
        key: key.map(id),
        trans_no: None,
        outputs: None,
        source: RefundSource::Caller,
        reason: reason(),
    };
    let (user, refund) = (id("u"), request);
    let refund = Refund { user: &user, request: &refund };
    assert_eq!(describe(refund.next(view, at(0))), expected);
}

#[test]
fn refund_of_one_key_voids_or_fences() {
    // With another charge the sums do not contradict: then the condition of the void fails.
    for (key, others, stale) in
        [(Some("k"), vec![Some("other")], "void 1"), (None, vec![], "read a snapshot of 1")]
    {
        let (before, _) = charged(&others);
        check_refund(key, &view(&before, &[]), "fence");

        let (wallet, charges) = charged(&[others, vec![key]].concat());
        let charge = &charges[charges.len() - 1..];
        check_refund(key, &view(&wallet, charge), "void 1");
        let (after, voided_charges) = voided(&wallet, charge, OTHER);
        check_refund(key, &view(&after, &voided_charges), "done");

        // The charge, or its void, is not visible in the wallet yet.
        check_refund(key, &view(&before, charge), "read the wallet");
        check_refund(key, &view(&wallet, &voided_charges), "read the wallet");
        // The void is visible in the wallet, but not in the charge.
        check_refund(key, &view(&after, charge), stale);
    }
}

#[test]
fn refund_of_a_session_queries_after_it_has_the_wallet() {
    let (wallet, charges) = charged(&[None, Some("a"), Some("b")]);
    let (after, voided_charges) = voided(&wallet, &charges, OTHER);
    check_refund(None, &view(&wallet, &charges[..1]), "query");
    check_refund(None, &queried(&wallet, &charges), "void 3");
    check_refund(None, &queried(&wallet, &[]), "fence");
    check_refund(None, &queried(&after, &voided_charges), "done");

    // The wallet has changed since: voids the loaded charges first, and then queries again.
    let (moved, _) = after.grant(&a_grant((1, None)), invocation(OTHER), at(0)).unwrap();
    let mut view = queried(&after, &voided_charges);
    view.set_wallet(moved.clone());
    check_refund(None, &view, "query");
    let (moved, _) = wallet.grant(&a_grant((1, None)), invocation(OTHER), at(0)).unwrap();
    let mut view = queried(&wallet, &charges);
    view.set_wallet(moved);
    check_refund(None, &view, "void 3");
}

#[test]
fn refund_is_complete_if_only_itself_changed_the_wallet() {
    let (wallet, charges) = charged(&[Some("a"), Some("b")]);
    let mut view = queried(&wallet, &charges);
    let (after, voided_charges) = voided(&wallet, &charges, OWN);
    let changes = voided_charges
        .into_iter()
        .map(|(key, charge)| RecordChange::Void(key, RecordVersion::First, charge.void.unwrap()));
    view.set_committed(Plan { wallet: Some(after), changes: changes.collect(), ..Plan::default() });
    check_refund(None, &view, "done");
}

#[test]
fn refund_voids_as_many_charges_as_fit_into_a_transaction() {
    let (wallet, charges) = charged(&[Some("a"), Some("b"), Some("c")]);
    let mut view = queried(&wallet, &charges);
    for (records, bytes, expected) in
        [(3, 10_000, "void 3"), (2, 10_000, "void 2"), (3, 5_000, "void 2"), (3, 1, "void 1")]
    {
        view.limits = TransactionLimits { records, bytes };
        check_refund(None, &view, expected);
    }
}

#[test]
fn refund_reports_a_contradiction_only_in_a_snapshot() {
    let (wallet, charges) = charged(&[Some("k")]);
    let (after, _) = voided(&wallet, &charges, OTHER);
    let mut view = view(&after, &charges);
    check_refund(Some("k"), &view, "read a snapshot of 1");
    let (key, charge) = charges[0].clone();
    let record = Some(Record::Charge(charge));
    view.set_snapshot(after, vec![RecordLookup { key, record, bytes: 1_000 }]);
    check_refund(Some("k"), &view, "internal");
    // Another key is not part of the snapshot.
    let (wallet, charges) = charged(&[Some("k"), Some("l")]);
    let (after, voided_charges) = voided(&wallet, &charges, OTHER);
    let mut view = queried(&after, &charges);
    check_refund(None, &view, "read a snapshot of 2");
    let (key, charge) = voided_charges[0].clone();
    let record = Some(Record::Charge(charge));
    view.set_snapshot(after, vec![RecordLookup { key, record, bytes: 1_000 }]);
    check_refund(None, &view, "read a snapshot of 1");
}

#[track_caller]
fn check_charge(request: &ChargeRequest, view: &View, expected: &str) {
    assert_eq!(describe(request.next(view, at(0))), expected);
}

#[test]
fn charge_reads_a_snapshot_before_it_is_rejected() {
    let (wallet, charges) = charged(&[Some("k")]);
    let request = ChargeRequest { generation: Some(id("g")), key: Some(id("k")), ..a_charge(1) };
    let empty = Wallet { packs: Vec::new(), ..wallet.clone() };
    check_charge(&request, &view(&wallet, &[]), "create 1");
    check_charge(&request, &view(&wallet, &charges), "done");
    check_charge(&request, &view(&Wallet::default(), &charges), "read the wallet");
    check_charge(&request, &view(&empty, &[]), "read a snapshot of 1");
    let (key, _) = charges[0].clone();
    let mut snapshot = a_view();
    snapshot.set_snapshot(empty.clone(), vec![RecordLookup { key, record: None, bytes: 0 }]);
    let rejection = "InsufficientCredits { balance: Credits(0), required: Credits(1), debt: Credits(0) }";
    check_charge(&request, &snapshot, rejection);

    // Without an identity, only an earlier delivery may have written the charge.
    let request = a_charge(1);
    check_charge(&request, &view(&empty, &[]), rejection);
    let mut redelivered = View::new(invocation(OWN), invocation(OTHER), a_view().limits);
    redelivered.set_wallet(empty);
    check_charge(&request, &redelivered, "read a snapshot of 1");
}

#[test]
fn charge_at_the_key_is_compared_with_the_request() {
    let (wallet, charges) = charged(&[Some("k")]);
    let (after, voided_charges) = voided(&wallet, &charges, OTHER);
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
    check_charge(&same, &view(&after, &voided_charges), "GenerationVoided");
    // The invocation's own charge, which was refunded before the response.
    let mut own = View::new(invocation(OTHER), invocation(OTHER), a_view().limits);
    own.set_wallet(after);
    let (key, charge) = voided_charges[0].clone();
    own.set_record(RecordLookup { key, record: Some(Record::Charge(charge)), bytes: 1_000 });
    check_charge(&same, &own, "done");
}

#[test]
fn grant_at_the_key_is_compared_with_the_request() {
    let gift = GrantRequest { trans_type: GrantType::NewUser, ..a_grant((5, None)) };
    let keyed = GrantRequest { trans_type: GrantType::SystemAdd, key: Some(id("k")), ..gift.clone() };
    let other_credits =
        "IdempotencyConflict(\"An earlier grant with this identity has different `credits`.\")";
    for (request, expected) in [(gift, "done"), (keyed, other_credits)] {
        let (wallet, grant) = Wallet::default().grant(&request, invocation(OTHER), at(0)).unwrap();
        let mut view = a_view();
        view.set_wallet(wallet);
        let key = request.identity().unwrap();
        view.set_record(RecordLookup { key, record: Some(Record::Grant(grant.into())), bytes: 500 });
        assert_eq!(describe(request.next(&view, at(0))), "done");
        let more = GrantRequest { credits: credits(6), ..request };
        assert_eq!(describe(more.next(&view, at(0))), expected);
    }
}

#[test]
fn view_keeps_the_later_state_of_a_record() {
    let (wallet, charges) = charged(&[Some("k")]);
    let (after, voided_charges) = voided(&wallet, &charges, OTHER);
    let mut view = view(&after, &voided_charges);
    let (key, charge) = charges[0].clone();
    let earlier = RecordLookup { key: key.clone(), record: Some(Record::Charge(charge)), bytes: 1_000 };
    view.set_record(earlier);
    assert_eq!(view.record(&key), Some(&Record::Charge(voided_charges[0].1.clone())));
    view.set_record(RecordLookup { key: key.clone(), record: None, bytes: 0 });
    assert_eq!(view.record(&key), None, "the record was deleted");
}

/// The adjustments among these changes.
fn describe_adjustments(changes: &[RecordChange]) -> String {
    let adjustment = |change: &RecordChange| {
        let RecordChange::Adjust(_, _, Adjustment { kind, .. }) = change else { return None };
        Some(match kind {
            AdjustmentKind::Settled(settlement) => format!("settle to {}", settlement.cost()),
            AdjustmentKind::Returned { outputs, .. } => {
                format!("return {:?}", outputs.numbers().collect::<Vec<_>>())
            }
            AdjustmentKind::Repaid(taken) => {
                format!("repay {}", taken.iter().map(|part: &Allocation| part.credits).sum::<Credits>())
            }
            AdjustmentKind::Delivered => "deliver".to_owned(),
        })
    };
    changes.iter().filter_map(adjustment).collect::<Vec<_>>().join(", ")
}

/// A view after a grant of 10 and this charge, which is of generation `g`.
fn charged_view(charge: ChargeRequest) -> View {
    let (wallet, _) = Wallet::default().grant(&a_grant((10, None)), invocation(OTHER), at(0)).unwrap();
    let request = ChargeRequest { generation: Some(id("g")), ..charge };
    let (wallet, charge) = wallet.charge(&request, invocation(OTHER), at(0)).unwrap();
    view(&wallet, &[(request.identity().unwrap(), charge)])
}

/// The view after this command of another invocation.
fn after(command: &impl Command, mut view: View) -> View {
    let own = std::mem::replace(&mut view.invocation, invocation(OTHER));
    while let Step::Commit(plan) = command.next(&view, at(0)).unwrap() {
        view.set_committed(plan);
    }
    view.invocation = own;
    view
}

fn settle(amount: u64, overage: Overage) -> SettleRequest {
    SettleRequest { user: id("u"), generation: id("g"), key: None, credits: credits(amount), overage }
}

fn refund(source: RefundSource, outputs: &[u8]) -> RefundRequest {
    RefundRequest {
        user: None,
        generation: id("g"),
        key: None,
        trans_no: None,
        outputs: outputs.to_vec().try_into().ok(),
        source,
        reason: reason(),
    }
}

fn success() -> CompletionRequest {
    CompletionRequest { user: None, generation: id("g"), key: None, trans_no: None }
}

/// The view after the void of the charge.
fn voided_view(view: View) -> View {
    let (user, request) = (id("u"), refund(RefundSource::Caller, &[]));
    after(&Refund { user: &user, request: &request }, view)
}

#[track_caller]
fn check_settle(request: &SettleRequest, view: &View, expected: &str) {
    assert_eq!(describe(request.next(view, at(0))), expected, "{request:?}");
}

/// A charge of 8 in a wallet of 10.
#[test]
fn settlement_follows_the_policy() {
    let debt = |limit: Option<u64>| Overage::Debt { limit: limit.map(credits) };
    for (cost, overage, expected) in [
        (0, Overage::Refuse, "settle to 0"),
        (5, Overage::Refuse, "settle to 5"),
        (8, Overage::Refuse, "settle to 8"),
        (10, Overage::Refuse, "settle to 10"),
        (11, Overage::Refuse, "read a snapshot of 1"),
        (10, Overage::Available, "settle to 10"),
        (15, Overage::Available, "settle to 10"),
        (15, debt(None), "settle to 15"),
        (15, debt(Some(5)), "settle to 15"),
        (15, debt(Some(4)), "read a snapshot of 1"),
        (10, debt(Some(0)), "settle to 10"),
    ] {
        check_settle(&settle(cost, overage), &charged_view(a_charge(8)), expected);
    }
}

#[test]
fn settlement_is_compared_with_an_earlier_one() {
    let conflict = "IdempotencyConflict(\"The charge was settled to different `credits`.\")";
    let same = settle(5, Overage::Refuse);
    let mut settled = after(&same, charged_view(a_charge(8)));
    check_settle(&same, &settled, "done");
    check_settle(&settle(5, Overage::Available), &settled, "done");
    check_settle(&settle(6, Overage::Refuse), &settled, conflict);
    let mut voided = voided_view(settled.clone());
    check_settle(&same, &voided, "GenerationVoided");
    // The invocation's own settlement, whose response was lost.
    for view in [&mut settled, &mut voided] {
        view.invocation = invocation(OTHER);
        check_settle(&same, view, "done");
    }
}

#[test]
fn settlement_needs_a_live_charge_without_outputs() {
    let request = settle(5, Overage::Refuse);
    let live = charged_view(a_charge(8));
    check_settle(&request, &view(live.wallet(), &[]), "ChargeNotFound");
    check_settle(&request, &voided_view(live.clone()), "GenerationVoided");
    check_settle(&request, &voided_view(view(&Wallet::default(), &[])), "GenerationVoided");
    let outputs = ChargeRequest { outputs: 4.try_into().ok(), ..a_charge(8) };
    let rejection = "InvalidRequest(\"A charge with `outputs` cannot be settled. Refund its outputs.\")";
    check_settle(&request, &charged_view(outputs), rejection);

    let (key, charge, _) = live.charges().next().unwrap();
    let lookup = RecordLookup { key: key.clone(), record: Some(Record::Charge(charge.clone())), bytes: 500 };
    check_settle(&request, &view(&Wallet::default(), &[(key.clone(), charge.clone())]), "read the wallet");
    let mut snapshot = a_view();
    snapshot.set_snapshot(live.wallet().clone(), vec![lookup]);
    let rejection = "InsufficientCredits { balance: Credits(2), required: Credits(3), debt: Credits(0) }";
    check_settle(&settle(11, Overage::Refuse), &snapshot, rejection);
}

/// Charges of 5 and 5 in a wallet of 10, settled to 9 and 7.
#[test]
fn grant_and_returned_credits_repay_the_oldest_debt_first() {
    let (wallet, _) = Wallet::default().grant(&a_grant((10, None)), invocation(OTHER), at(0)).unwrap();
    let keyed = |key: &str| ChargeRequest { generation: Some(id("g")), key: Some(id(key)), ..a_charge(5) };
    let owing = ["a", "b"].iter().fold(view(&wallet, &[]), |view, key| after(&keyed(key), view));
    let owing = [("a", 9), ("b", 7)].into_iter().fold(owing, |view, (key, cost)| {
        after(&SettleRequest { key: Some(id(key)), ..settle(cost, Overage::Debt { limit: None }) }, view)
    });
    let debts = |wallet: &Wallet| wallet.debts.iter().map(|debt| debt.credits.as_u64()).collect::<Vec<_>>();
    assert_eq!(debts(owing.wallet()), [4, 2]);
    for (amount, repayments, left, balance) in [
        (3, "repay 3", vec![1, 2], 0),
        (4, "repay 4", vec![2], 0),
        (5, "repay 4, repay 1", vec![1], 0),
        (9, "repay 4, repay 2", vec![], 3),
    ] {
        let step = a_grant((amount, None)).next(&owing, at(0)).unwrap();
        let Step::Commit(plan) = step else { panic!("{step:?}") };
        assert_eq!(describe_adjustments(&plan.changes), repayments, "{amount}");
        let wallet = plan.wallet.unwrap();
        assert_eq!((debts(&wallet), wallet.balance(at(0))), (left, credits(balance)), "{amount}");
    }
    // The void of one charge repays the debt of the other, and cancels its own.
    for (key, left, balance) in [("a", vec![], 3), ("b", vec![], 1)] {
        let (user, request) =
            (id("u"), RefundRequest { key: Some(id(key)), ..refund(RefundSource::Caller, &[]) });
        let view = after(&Refund { user: &user, request: &request }, owing.clone());
        assert_eq!((debts(view.wallet()), view.wallet().balance(at(0))), (left, credits(balance)), "{key}");
    }
}

/// The settlement into debt is visible in the wallet, but not in the charge.
#[test]
fn charge_without_its_debt_is_read_again() {
    let charged = charged_view(a_charge(8));
    let (key, charge, _) = charged.charges().next().unwrap();
    let owing = after(&settle(15, Overage::Debt { limit: None }), charged.clone());
    let stale = view(owing.wallet(), &[(key.clone(), charge.clone())]);
    check_outputs(RefundSource::Caller, &[], &stale, "read a snapshot of 1");
    check_settle(&settle(1, Overage::Refuse), &stale, "read a snapshot of 1");
    check_outputs(RefundSource::Caller, &[], &owing, "void 1");
}

/// A refund of a session repays a charge that it read as before its settlement.
#[test]
fn charge_that_was_repaid_without_its_settlement_is_read_again() {
    let (wallet, _) = Wallet::default().grant(&a_grant((10, None)), invocation(OTHER), at(0)).unwrap();
    let keyed = |key: &str| ChargeRequest { generation: Some(id("g")), key: Some(id(key)), ..a_charge(5) };
    let charged = ["a", "b"].iter().fold(view(&wallet, &[]), |view, key| after(&keyed(key), view));
    let stale: Vec<_> = charged.charges().map(|(key, charge, _)| (key.clone(), charge.clone())).collect();
    let settlement = SettleRequest { key: Some(id("b")), ..settle(7, Overage::Debt { limit: None }) };
    let owing = after(&settlement, charged);
    let mut view = queried(owing.wallet(), &stale);
    view.limits.records = 2;
    let (user, request) = (id("u"), refund(RefundSource::Caller, &[]));
    let refund = Refund { user: &user, request: &request };
    let step = refund.next(&view, at(0)).unwrap();
    assert_eq!(describe(Ok(step.clone())), "void 2", "a void and a repayment");
    let Step::Commit(plan) = step else { unreachable!() };
    view.set_committed(plan);
    assert_eq!(describe(refund.next(&view, at(0))), "query");
}

#[track_caller]
fn check_outputs(source: RefundSource, outputs: &[u8], view: &View, expected: &str) {
    let (user, request) = (id("u"), refund(source, outputs));
    let refund = Refund { user: &user, request: &request };
    assert_eq!(describe(refund.next(view, at(0))), expected, "{outputs:?}");
}

/// A charge of 10 with 3 outputs, which are worth 3, 3 and 4.
#[test]
fn each_output_is_returned_once() {
    use RefundSource::{Callback, Caller};
    let charged = charged_view(ChargeRequest { outputs: 3.try_into().ok(), ..a_charge(10) });
    let (user, third) = (id("u"), refund(Caller, &[3]));
    let returned = after(&Refund { user: &user, request: &third }, charged.clone());
    assert_eq!(returned.wallet().balance(at(0)), credits(4));
    let delivered = after(&Completion { user: &user, request: &success() }, returned.clone());
    let invalid = "InvalidRequest(\"`outputs` must name outputs that the charge has.\")";
    for (source, outputs, view, expected) in [
        (Caller, &[1, 3][..], &charged, "return [1, 3]"),
        (Caller, &[1, 2, 3], &charged, "void 1"),
        (Caller, &[4], &charged, invalid),
        (Caller, &[3], &returned, "done"),
        (Caller, &[2, 3], &returned, "return [2]"),
        (Caller, &[1, 2], &returned, "void 1"),
        (Callback, &[1], &returned, "return [1]"),
        (Callback, &[1], &delivered, "done"),
        (Caller, &[1], &delivered, "return [1]"),
        (Caller, &[1], &voided_view(returned.clone()), "done"),
        (Caller, &[1], &charged_view(a_charge(10)), invalid),
        (Caller, &[1], &a_view(), "ChargeNotFound"),
    ] {
        check_outputs(source, outputs, view, expected);
    }
}

#[track_caller]
fn check_success(view: &View, expected: &str) {
    let (user, request) = (id("u"), success());
    assert_eq!(describe(Completion { user: &user, request: &request }.next(view, at(0))), expected);
}

#[test]
fn success_settles_an_open_charge_and_is_noted_on_a_voided_one() {
    let (user, request) = (id("u"), success());
    let succeeded = |view: View| after(&Completion { user: &user, request: &request }, view);
    let charged = charged_view(a_charge(8));
    let outputs = charged_view(ChargeRequest { outputs: 2.try_into().ok(), ..a_charge(8) });
    check_success(&charged, "settle to 8");
    check_success(&outputs, "deliver");
    for view in [&charged, &outputs] {
        check_success(&succeeded(view.clone()), "done");
        let voided = voided_view(view.clone());
        check_success(&voided, "note");
        check_success(&succeeded(voided), "done");
    }
    check_success(&after(&settle(5, Overage::Refuse), charged.clone()), "done");
    check_success(&voided_view(a_view()), "done");
    check_success(&a_view(), "ChargeNotFound");
    // A failure that comes later changes nothing. A caller may still refund.
    check_outputs(RefundSource::Callback, &[], &succeeded(charged.clone()), "done");
    check_outputs(RefundSource::Caller, &[], &succeeded(charged), "void 1");
}

/// A charge of 8 that is held for 20 seconds.
#[test]
fn hold_is_voided_when_it_has_timed_out() {
    let held = charged_view(ChargeRequest { hold_millis: Some(20_000), ..a_charge(8) });
    let until = held.charges().next().unwrap().1.hold_until.unwrap();
    let (user, request) = (id("u"), success());
    let succeeded = after(&Completion { user: &user, request: &request }, held.clone());
    let settled = after(&settle(5, Overage::Refuse), held.clone());
    for (view, now, expected) in [
        (&held, until.plus_millis(-1), "done"),
        (&held, until, "void 1"),
        (&settled, until, "done"),
        (&succeeded, until, "done"),
        (&voided_view(held.clone()), until, "done"),
        (&charged_view(a_charge(8)), until, "done"),
        (&a_view(), until, "done"),
    ] {
        let command =
            ExpireHold { user: id("u"), key: RecordKey::Charge { generation: Some(id("g")), key: None } };
        assert_eq!(describe(command.next(view, now)), expected, "{now}");
    }
    let (key, charge, _) = held.charges().next().unwrap();
    let late = view(&Wallet::default(), &[(key.clone(), charge.clone())]);
    let command = ExpireHold { user: id("u"), key: key.clone() };
    assert_eq!(describe(command.next(&late, until)), "read the wallet");
}
