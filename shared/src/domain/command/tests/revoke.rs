//! Revocations of orders.

use super::*;
use crate::domain::{
    GrantRecord, LedgerLimit, Order, OrderAddress, RevokeSource, RevokedAmount, StatementKey, TransNo,
};

const KEEP: ShortfallPolicy = ShortfallPolicy::Keep;
const DEBT: ShortfallPolicy = ShortfallPolicy::Debt;

fn key() -> RecordKey {
    RecordKey::OrderGrant(id("o"))
}

fn source(name: &str) -> RevokeSource {
    id(name)
}

/// A statement of the source `refund` at a time.
fn revoke(amount: u64, as_of: i64, shortfall: ShortfallPolicy) -> RevokeRequest {
    RevokeRequest {
        order_no: id("o"),
        user: None,
        source: source("refund"),
        amount: RevokedAmount::Credits(credits(amount)),
        as_of: at(as_of),
        shortfall,
        reason: reason(),
        metadata: Default::default(),
    }
}

/// The order after the statements of these requests.
fn order(requests: &[&RevokeRequest]) -> Order {
    requests.iter().fold(Order::of(id("u")), |order, request| {
        let key = StatementKey { source: request.source.clone(), alias: None };
        let stored = order.with(key, request.statement()).unwrap().unwrap_or(order.clone());
        stored.replacing(&id("o"), Some(&order)).order
    })
}

/// The view after reads of these items.
fn read(wallet: &Wallet, record: &Record) -> View {
    let mut view = a_view();
    view.set_wallet(wallet.clone());
    view.set_record(RecordLookup { key: key(), record: Some(record.clone()), bytes: 500 });
    view
}

/// A snapshot of these items.
fn snapshot(wallet: &Wallet, record: &Record) -> View {
    let mut view = a_view();
    let lookup = RecordLookup { key: key(), record: Some(record.clone()), bytes: 500 };
    view.set_snapshot(wallet.clone(), vec![lookup]);
    view
}

fn next(request: &RevokeRequest, order: Order, view: &View) -> String {
    let address = OrderAddress { order_no: id("o"), order: Some(order), alias: None };
    let user = id("u");
    let revoke = Revoke { user: &user, address: &address, request: Some(request) };
    describe(revoke.next(view, at(0)))
}

/// The view after this revocation by another invocation.
fn revoked(request: &RevokeRequest, order: Order, view: View) -> View {
    let address = OrderAddress { order_no: id("o"), order: Some(order), alias: None };
    let user = id("u");
    after(&Revoke { user: &user, address: &address, request: Some(request) }, view)
}

/// A grant of 10 for order `o`.
fn paid() -> GrantRequest {
    GrantRequest { trans_type: GrantType::OrderPay, order_no: Some(id("o")), ..a_grant((10, None)) }
}

/// The view after a grant of 10 to order `o`, a grant of 5, and a charge.
fn granted(charged: u64) -> View {
    let first = GrantRequest { expired_at: Some(at(1_000_000)), ..paid() };
    let view = after(&a_grant((5, None)), after(&first, a_view()));
    let charge = ChargeRequest { generation: Some(id("g")), ..a_charge(charged) };
    if charged > 0 { after(&charge, view) } else { view }
}

fn record(view: &View) -> GrantRecord {
    let Some(Record::Grant(record)) = view.record(&key()) else { panic!("no grant") };
    record.clone()
}

/// The pack of the order pays first, then other packs if the policy is debt.
#[test]
fn revocation_takes_what_is_unspent_and_follows_the_policy() {
    let share = |part, of| RevokeRequest { amount: RevokedAmount::Share { part, of }, ..revoke(0, 1, KEEP) };
    for (charged, request, expected) in [
        (0, revoke(4, 1, KEEP), "take 4, paid 0, keep 0, owe 0"),
        (0, revoke(99, 1, DEBT), "take 10, paid 0, keep 0, owe 0"),
        (0, share(1, 3), "take 3, paid 0, keep 0, owe 0"),
        (0, share(0, 1), "state 1"),
        (8, revoke(1, 1, KEEP), "take 1, paid 0, keep 0, owe 0"),
        (8, revoke(10, 1, KEEP), "take 2, paid 0, keep 8, owe 0"),
        (8, revoke(6, 1, DEBT), "take 2, paid 4, keep 0, owe 0"),
        (8, revoke(10, 1, DEBT), "take 2, paid 5, keep 0, owe 3"),
        (15, share(1, 2), "take 0, paid 0, keep 5, owe 0"),
        (15, revoke(5, 1, DEBT), "take 0, paid 0, keep 0, owe 5"),
    ] {
        assert_eq!(next(&request, order(&[]), &granted(charged)), expected, "{charged} {request:?}");
    }
}

/// After a charge of 8, and revocations of 3 with shortfall and of 10 with debt.
#[test]
fn less_revoked_shrinks_debt_and_shortfall_before_credits_return() {
    let (kept, owed) = (revoke(3, 1, KEEP), revoke(10, 2, DEBT));
    let view = revoked(&kept, order(&[]), granted(8));
    let view = revoked(&owed, order(&[&kept]), view);
    for (amount, expected) in [
        (10, "state 1"),
        (9, "return 0, paid 0, kept 0, owed 1"),
        (8, "return 0, paid 0, kept 0, owed 2"),
        (7, "return 0, paid 0, kept 1, owed 2"),
        (6, "return 0, paid 1, kept 1, owed 2"),
        (1, "return 1, paid 5, kept 1, owed 2"),
        (0, "return 2, paid 5, kept 1, owed 2"),
    ] {
        assert_eq!(next(&revoke(amount, 3, KEEP), order(&[&kept, &owed]), &view), expected, "{amount}");
    }
}

/// An order that one source revoked.
#[test]
fn latest_statement_of_a_source_counts() {
    let stated = revoke(4, 5, KEEP);
    let view = revoked(&stated, order(&[]), granted(0));
    let view = snapshot(view.wallet(), &Record::Grant(record(&view)));
    let share = RevokeRequest { amount: RevokedAmount::Share { part: 0, of: 1 }, ..revoke(0, 5, KEEP) };
    let dispute = RevokeRequest { source: source("dispute"), ..revoke(2, 1, KEEP) };
    for (request, expected) in [
        (stated.clone(), "done"),
        (revoke(9, 4, KEEP), "done"),
        (revoke(3, 5, KEEP), "done"),
        (revoke(4, 6, KEEP), "state 1"),
        (revoke(5, 5, KEEP), "take 1, paid 0, keep 0, owe 0"),
        (share, "return 4, paid 0, kept 0, owed 0"),
        (revoke(0, 6, KEEP), "return 4, paid 0, kept 0, owed 0"),
        (dispute, "take 2, paid 0, keep 0, owe 0"),
    ] {
        assert_eq!(next(&request, order(&[&stated]), &view), expected, "{request:?}");
    }
}

/// The items of a revocation become visible one by one.
#[test]
fn revocation_reads_a_snapshot_before_it_believes_contradicting_reads() {
    let (first, second) = (revoke(4, 1, KEEP), revoke(9, 2, DEBT));
    let before = granted(8);
    let after = revoked(&first, order(&[]), before.clone());
    let [stale, fresh] = [&before, &after].map(|view| Record::Grant(record(view)));
    let (wallet, stated) = (after.wallet(), order(&[&first]));
    let again = "read a snapshot of 1";
    for (case, order, view, expected) in [
        ("stale grant", &stated, read(wallet, &stale), again),
        ("stale order", &order(&[]), read(wallet, &fresh), again),
        ("stale wallet", &stated, read(before.wallet(), &fresh), "read the wallet"),
        ("all visible", &stated, read(wallet, &fresh), "take 0, paid 5, keep 0, owe 0"),
        // Then the commit fails, and returns the order.
        ("stale order of a snapshot", &order(&[]), snapshot(wallet, &fresh), "take 0, paid 5, keep 0, owe 0"),
    ] {
        assert_eq!(next(&second, order.clone(), &view), expected, "{case}");
    }
    for (case, view, expected) in [
        ("stale grant", read(wallet, &stale), again),
        ("all visible", read(wallet, &fresh), "done"),
        ("a snapshot", snapshot(wallet, &fresh), "done"),
        ("its own", after.clone(), "done"),
    ] {
        assert_eq!(next(&first, stated.clone(), &view), expected, "a repeat, {case}");
    }
    let mut missing = read(wallet, &fresh);
    missing.set_record(RecordLookup { key: key(), record: None, bytes: 0 });
    assert_eq!(next(&first, stated.clone(), &missing), again);
    missing.set_snapshot(wallet.clone(), vec![RecordLookup { key: key(), record: None, bytes: 0 }]);
    assert_eq!(next(&first, stated, &missing), "internal");
}

/// A grant repaid the debt of the order, which is visible in the wallet, but not in its grant.
#[test]
fn order_whose_debt_was_repaid_is_read_again() {
    let request = revoke(10, 1, DEBT);
    let owing = revoked(&request, order(&[]), granted(15));
    let late = GrantRequest { key: Some(id("late")), ..a_grant((12, None)) };
    let repaid = after(&late, owing.clone());
    assert_eq!(record(&repaid).revocations.len(), 2, "a revocation and a repayment");
    let stale = read(repaid.wallet(), &Record::Grant(record(&owing)));
    for amount in [3, 10] {
        let found = next(&revoke(amount, 2, KEEP), order(&[&request]), &stale);
        assert_eq!(found, "read a snapshot of 1", "{amount}");
    }
}

#[test]
fn own_revocation_is_the_first_answer() {
    let (request, user) = (revoke(4, 1, KEEP), id("u"));
    let address = OrderAddress { order_no: id("o"), order: Some(order(&[])), alias: None };
    let command = Revoke { user: &user, address: &address, request: Some(&request) };
    for (invoked_by, taken, outcome) in
        [(OTHER, 4, RevokeOutcome::Revoked), (OWN, 0, RevokeOutcome::Unchanged)]
    {
        let done = after(&command, granted(8));
        let mut view = read(done.wallet(), &Record::Grant(record(&done)));
        view.invocation = invocation(invoked_by);
        let result = command.answer(view, at(0)).unwrap();
        let grant = result.granted.unwrap();
        assert_eq!(result.outcome, outcome);
        assert_eq!((grant.revoked, grant.shortfall), (credits(4), credits(2)));
        assert_eq!(grant.taken, credits(taken / 2));
    }
}

#[test]
fn grant_gives_only_the_rest_of_a_revoked_order() {
    let share = RevokeRequest { amount: RevokedAmount::Share { part: 1, of: 3 }, ..revoke(0, 1, DEBT) };
    let dispute = RevokeRequest { source: source("dispute"), ..revoke(5, 1, KEEP) };
    let all = revoke(99, 1, KEEP);
    for (statements, left) in [
        (vec![], 10),
        (vec![&share], 7),
        (vec![&share, &dispute], 2),
        (vec![&all], 0),
        (vec![&all, &dispute], 0),
    ] {
        let order = Order { user: None, ..order(&statements) };
        let mut view = a_view();
        view.set_order(id("o"), order.clone());
        let view = after(&paid(), view);
        assert_eq!(view.wallet().balance(at(0)), credits(left), "{statements:?}");
        assert_eq!(view.wallet().revoked, credits(10 - left), "{statements:?}");
        assert_eq!(record(&view).revoked_before(), credits(10 - left), "{statements:?}");
        let granted = view.order(&id("o")).unwrap();
        assert_eq!((&granted.user, granted.revision), (&Some(id("u")), order.revision + 1));
    }
}

#[test]
fn revocations_sources_and_shortfalls_have_limits() {
    let rejection = |limit: LedgerLimit| format!("{:?}", LedgerError::LimitExceeded(limit));
    let (request, before) = (revoke(10, 1, KEEP), granted(8));
    let view = snapshot(before.wallet(), &Record::Grant(record(&before)));

    let numbered = |nth: usize| RevokeRequest { source: source(&format!("s{nth}")), ..revoke(0, 1, KEEP) };
    let sources: Vec<_> = (0..Order::STATEMENTS_MAX).map(numbered).collect();
    let full = order(&sources.iter().collect::<Vec<_>>());
    assert_eq!(next(&request, full.clone(), &view), rejection(LedgerLimit::RevokeSources));
    assert_eq!(next(&RevokeRequest { as_of: at(2), ..numbered(3) }, full, &view), "state 1");

    let mut changed = record(&view);
    let kind = RevocationKind::Repaid(Vec::new());
    let revocation = Revocation { at: at(0), invocation: invocation(OTHER), kind };
    changed.revocations = vec![revocation; GrantRecord::REVOCATIONS_MAX];
    let changed = snapshot(view.wallet(), &Record::Grant(changed));
    assert_eq!(next(&request, order(&[]), &changed), rejection(LedgerLimit::Revocations));
    assert_eq!(next(&revoke(0, 1, KEEP), order(&[]), &changed), "state 1");

    let shortfall = |nth: usize| {
        let by = InvocationId::new(Uuid::from_u128(100 + nth as u128));
        (TransNo::new(at(0), by), credits(1))
    };
    let mut wallet = view.wallet().clone();
    wallet.shortfalls = (0..Wallet::SHORTFALLS_MAX).map(shortfall).collect();
    let changed = snapshot(&wallet, &Record::Grant(record(&view)));
    assert_eq!(next(&request, order(&[]), &changed), rejection(LedgerLimit::Shortfalls));
    assert_eq!(next(&revoke(2, 1, KEEP), order(&[]), &changed), "take 2, paid 0, keep 0, owe 0");
}

/// The shortfall is filled before credits return to the pack, and what returns repays debts.
#[test]
fn returned_credits_fill_the_shortfall_first() {
    let request = revoke(6, 1, KEEP);
    let view = revoked(&request, order(&[]), granted(8));
    for (cost, balance, shortfall) in [(8, 5, 4), (6, 5, 2), (4, 5, 0), (3, 6, 0), (0, 9, 0)] {
        let settlement = SettleRequest {
            user: id("u"),
            generation: id("g"),
            key: None,
            credits: credits(cost),
            overage: Overage::Refuse,
        };
        let view = after(&settlement, view.clone());
        let trans_no = record(&view).grant.trans_no;
        let wallet = view.wallet();
        assert_eq!(
            (wallet.balance(at(0)), wallet.shortfall(trans_no)),
            (credits(balance), credits(shortfall))
        );
        assert_eq!(wallet.revoked, credits(6 - shortfall), "{cost}");
    }
}

/// A repeat of the grant reads only the wallet first, which lists the debt of the order.
#[test]
fn repeated_grant_does_not_repay_its_own_order() {
    let owing = revoked(&revoke(10, 1, DEBT), order(&[]), granted(15));
    let mut view = a_view();
    view.set_wallet(owing.wallet().clone());
    let first = GrantRequest { expired_at: Some(at(1_000_000)), ..paid() };
    let other = GrantRequest { order_no: Some(id("p")), ..paid() };
    for (request, expected) in
        [(&first, "read a snapshot of 1"), (&other, "create 2"), (&a_grant((1, None)), "create 2")]
    {
        assert_eq!(describe(request.next(&view, at(0))), expected, "{request:?}");
    }
    let found = snapshot(owing.wallet(), &Record::Grant(record(&owing)));
    assert_eq!(describe(first.next(&found, at(0))), "done");
    view.set_snapshot(owing.wallet().clone(), vec![RecordLookup { key: key(), record: None, bytes: 0 }]);
    assert_eq!(describe(first.next(&view, at(0))), "internal");
}
