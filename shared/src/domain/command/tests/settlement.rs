//! Settlements, debts, outputs, call-backs and holds.

use super::*;

fn settle(amount: u64, overage: Overage) -> SettleRequest {
    SettleRequest { user: id("u"), generation: id("g"), key: None, credits: credits(amount), overage }
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
