//! Grants, charges, refunds and fences.

use super::*;

#[track_caller]
fn check_refund(key: Option<&str>, view: &View, expected: &str) {
    let (user, request) = (id("u"), RefundRequest { key: key.map(id), ..refund(RefundSource::Caller, &[]) });
    let refund = Refund { user: &user, request: &request };
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
