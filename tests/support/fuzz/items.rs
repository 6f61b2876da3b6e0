use std::collections::BTreeMap;

use scrip::{
    domain::{
        Allocation, Charge, ChargeRequest, ChargeType, Credits, Entry, Grant, GrantRequest, GrantType,
        InvocationId, LedgerError, Metadata, Plan, Record, RecordChange, RecordKey, RecordLookup, Summary,
        Timestamp, TransType, Void, Wallet,
    },
    store::{Commit, IndexEdge, RequestToken, StoreError, StoredItem, Transaction, UnknownAttributes},
    transport::functions::FUNCTIONS,
};
use serde_json::Value;
use uuid::Uuid;

use super::harness::{Harness, item, with};

/// Most items of an input.
const ITEMS_MAX: usize = 8;

/// Reads items that the table could contain, and invokes a function on them.
///
/// The first line is a function's name and its payload; each further one is an
/// item, as a JSON object of its attributes' values.
///
/// # Panics
/// If an item is read into a value that violates its type's invariants, or that differs after
/// it was written and read again; if an error does not name the item; if a function panics, or
/// writes an unreadable wallet.
pub fn items(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    let mut lines = text.lines();
    let (name, payload) = lines.next().and_then(|line| line.split_once(' ')).unwrap_or_default();
    let objects = lines.filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let items: Vec<_> = objects.filter_map(|object| object.as_object().map(item)).take(ITEMS_MAX).collect();
    with(|harness| {
        let unsound = items.iter().filter(|item| !check(harness, item)).count();
        for function in FUNCTIONS.into_iter().filter(|function| function.name == name) {
            harness.reset(items.clone());
            // Invalid payloads belong to the target `event`.
            if serde_json::from_str::<Value>(payload).is_ok() {
                harness.invoke(function, payload.to_owned()).assert_no_panic();
                if unsound == 0 {
                    check_written_wallets(harness);
                }
            }
        }
    });
}

/// Reads one item from every kind of response. Returns false for a wallet that no history of
/// valid requests can give.
fn check(harness: &Harness, item: &Value) -> bool {
    let place = ItemName::of(item);
    let (user, generation) = (id("u"), id("g"));
    let key = RecordKey::Charge { generation: None, key: None };
    let store = &harness.store;
    harness.reset_to_any_key(item.clone());

    let wallet = place.read(harness.wait(store.wallet(&user))).map(|stored| stored.wallet);
    let record = place.read(harness.wait(store.record(&user, &key))).and_then(|read| read.record);
    let charges = place.read(harness.wait(store.charges(&user, &generation, None)));
    let entries = place.read(harness.wait(store.timeline(&user, None, None, 1)));
    place.read(harness.wait(store.user_at_edge(&generation, IndexEdge::First)));
    let places = place.read(harness.wait(store.generation_charges(&generation, &user, None, 1)));
    let found = place.read(harness.wait(store.charges_by_keys(places.unwrap_or_default())));
    for stored in place.read(harness.wait(store.all(&user, None))).into_iter().flat_map(|(all, _)| all) {
        if let StoredItem::Unreadable(reason)
        | StoredItem::UnreadableWallet(reason)
        | StoredItem::NewerFormat(reason) = stored
        {
            assert!(reason.contains(&place.named), "{reason:?} does not name {}", place.named);
        }
    }
    // A failed condition that returns only a key is one of an absent item.
    if item.as_object().is_some_and(|item| item.keys().any(|name| name != "user_uuid" && name != "sk")) {
        let returned = read_from_failures(harness, &place);
        assert_eq!(
            returned,
            (wallet.clone(), record.clone()),
            "a failed condition returns another item: {item}"
        );
    }

    let is_charge = matches!(record, Some(Record::Charge(_)));
    assert_eq!(found.is_some(), is_charge, "a batch and a single read differ: {item}");
    for RecordLookup { key, record: read, .. } in charges.into_iter().flat_map(|(charges, _)| charges) {
        assert_eq!(read, record, "a query and a single read differ: {item}");
        let written = rewritten(harness, &key, read.expect("a record"));
        assert_eq!(written["sk"], item["sk"], "the key that was read is another one");
    }
    for entry in entries.into_iter().flat_map(|(entries, _)| entries) {
        check_entry(entry, record.as_ref());
    }
    if let Some(record) = record {
        check_record(harness, item, record);
    }
    wallet.is_none_or(|wallet| {
        check_wallet(harness, &wallet);
        is_sound(&wallet)
    })
}

/// The wallet and the record that failed conditions return.
fn read_from_failures(harness: &Harness, place: &ItemName) -> (Option<Wallet>, Option<Record>) {
    let key = RecordKey::Charge { generation: None, key: None };
    let fence = Record::Fence(Void::new(now(), id("it failed"), InvocationId::new(Uuid::nil())));
    let first = Wallet { version: Some(now()), ..Wallet::default() };
    let wallet = match place.read(send(harness, &Plan { wallet: Some(first), ..Plan::default() })) {
        Some(Commit::Refused(refusal)) => refusal.wallet.map(|stored| stored.wallet),
        other => other.map(|commit| panic!("{commit:?}")),
    };
    let changes = vec![RecordChange::Create(key, fence)];
    let record = match place.read(send(harness, &Plan { changes, ..Plan::default() })) {
        Some(Commit::Refused(mut refusal)) => refusal.records.pop().and_then(|read| read.record),
        other => other.map(|commit| panic!("{commit:?}")),
    };
    (wallet, record)
}

/// Commits a plan for a user without a wallet.
fn send(harness: &Harness, plan: &Plan) -> Result<Commit, StoreError> {
    let (user, unknown) = (id("u"), UnknownAttributes::default());
    let transaction = Transaction { user: &user, from: &Wallet::default(), unknown: &unknown, plan };
    harness.wait(harness.store.commit(&transaction, RequestToken::new(Uuid::nil())))
}

fn check_entry(entry: Entry, record: Option<&Record>) {
    let is_charge = matches!(entry.trans_type, TransType::Charge(_));
    assert!(entry.void.is_none() || is_charge, "a grant is void: {entry:?}");
    let entry = plain(entry);
    let shown = record.and_then(entry_of);
    assert!(shown.is_none_or(|shown| shown == entry), "{entry:?} is not {record:?}");
}

/// What the timeline shows of a record, without what no record must have.
fn entry_of(record: &Record) -> Option<Entry> {
    record.entry().map(plain)
}

/// The entry without the fields that its record may lack.
fn plain(entry: Entry) -> Entry {
    Entry {
        order_no: None,
        generation: None,
        expired_at: None,
        metadata: Metadata::default(),
        outputs: None,
        returned_outputs: BTreeMap::new(),
        settled: None,
        hold_until: None,
        revoked: BTreeMap::new(),
        late_success_at: None,
        ..entry
    }
}

/// The text that names an item in errors.
struct ItemName {
    named: String,
}

impl ItemName {
    fn of(item: &Value) -> ItemName {
        let part = |name: &str| item[name]["S"].as_str().unwrap_or_default();
        ItemName { named: format!("user_uuid={:?} sk={:?}", part("user_uuid"), part("sk")) }
    }

    /// The value that was read; none for an error that names the item.
    fn read<T>(&self, read: Result<T, StoreError>) -> Option<T> {
        match read {
            Ok(value) => Some(value),
            Err(StoreError::Corrupt(reason) | StoreError::NewerFormat(reason))
                if reason.contains(&self.named) =>
            {
                None
            }
            Err(error) => panic!("{error:?} does not name {}", self.named),
        }
    }
}

fn check_record(harness: &Harness, item: &Value, record: Record) {
    let (credits, is_voided) = match &record {
        Record::Grant(record) => {
            check_grant(&record.grant);
            (record.grant.credits.to_string(), false)
        }
        Record::Charge(charge) => {
            check_charge(charge);
            (charge.credits.to_negative_i64().to_string(), charge.void.is_some())
        }
        Record::Fence(_) => ("0".to_owned(), true),
    };
    assert_eq!(item["credits"]["N"], credits, "other credits than the item's: {item}");
    assert_eq!(item["is_voided"]["BOOL"], is_voided, "another void mark than the item's: {item}");
    let key = match &record {
        Record::Grant(_) => RecordKey::NewUserGrant,
        Record::Charge(charge) => {
            charge.record_key().unwrap_or(RecordKey::UnkeyedCharge(InvocationId::new(Uuid::nil())))
        }
        Record::Fence(_) => RecordKey::Charge { generation: None, key: None },
    };
    let written = rewritten(harness, &key, record.clone());
    harness.reset_to_any_key(written);
    let read = harness.wait(harness.store.record(&id("u"), &key));
    assert_eq!(read.map(|read| read.record), Ok(Some(record)), "a record is not what was written");
}

fn check_charge(charge: &Charge) {
    let sum: u128 = charge.allocations.iter().map(|part| u128::from(part.credits.as_u64())).sum();
    assert_eq!(sum, u128::from(charge.credits.as_u64()), "{charge:?}");
    for Allocation { grant, credits } in &charge.allocations {
        check_grant(grant);
        assert!(!credits.is_zero() && *credits <= grant.credits, "{charge:?}");
    }
}

fn check_grant(grant: &Grant) {
    assert!(!matches!(grant.trans_type, TransType::Charge(_)), "{grant:?}");
}

/// What the table holds after this record was put.
fn rewritten(harness: &Harness, key: &RecordKey, record: Record) -> Value {
    harness.reset(Vec::new());
    commit(harness, &Plan { changes: vec![RecordChange::Create(key.clone(), record)], ..Plan::default() });
    harness.take_writes().pop().expect("an action")["Put"]["Item"].take()
}

fn check_wallet(harness: &Harness, wallet: &Wallet) {
    assert_eq!(wallet.validate(), Ok(()));
    wallet.packs.iter().for_each(|pack| check_grant(&pack.grant));
    harness.reset(Vec::new());
    commit(harness, &Plan { wallet: Some(wallet.clone()), ..Plan::default() });
    let read = check_written_wallets(harness);
    assert_eq!(read.as_slice(), std::slice::from_ref(wallet), "a wallet is not what was written");
    drop(Summary::lifetime(wallet, now()));
    if is_sound(wallet) {
        check_rules(wallet);
    }
}

/// What the rules rest on, second_process what a read finds wrong: that the sums are of
/// these packs, and that time goes on.
fn is_sound(wallet: &Wallet) -> bool {
    let mut granted: u128 = 0;
    let mut gone: u128 = 0;
    for (of, totals) in &wallet.totals {
        let (created, voided) = (totals.created.credits.as_u64(), totals.voided.credits.as_u64());
        match of {
            TransType::Charge(_) => gone += u128::from(created.saturating_sub(voided)),
            TransType::Grant(_) | TransType::Refund(_) => granted += u128::from(created),
        }
    }
    let left: u128 = wallet.packs.iter().map(|pack| u128::from(pack.remaining.as_u64())).sum();
    let has_future = |version: Timestamp| version.plus_millis(1_000) > version;
    let owed: u128 = wallet.debts.iter().map(|debt| u128::from(debt.credits.as_u64())).sum();
    left + gone <= granted + owed && wallet.version.is_none_or(has_future)
}

/// Grants and charges on a wallet that was read give wallets that can be read.
fn check_rules(wallet: &Wallet) {
    let (now, invocation_id) = (now(), InvocationId::new(Uuid::nil()));
    let one = Credits::requested(1).expect("credits");
    let grant = GrantRequest {
        user: id("u"),
        trans_type: GrantType::SystemAdd,
        credits: one,
        order_no: None,
        expired_at: None,
        key: None,
        metadata: Metadata::default(),
    };
    let charge = ChargeRequest {
        user: id("u"),
        trans_type: ChargeType::Chat,
        credits: one,
        generation: None,
        order_no: None,
        key: None,
        metadata: Metadata::default(),
        outputs: None,
        hold_millis: None,
    };
    let granted = wallet.grant(&grant, invocation_id, now).map(|(next, _)| next);
    let charged = wallet.charge(&charge, invocation_id, now).map(|(next, _)| next);
    for (next, more, less) in [(granted, 1, 0), (charged, 0, 1)] {
        match next {
            Ok(next) => {
                assert_eq!(next.validate(), Ok(()), "{wallet:?}");
                assert!(next.version > wallet.version, "a change is later than the one before: {wallet:?}");
                let balance = |of: &Wallet| of.balance(next.version.unwrap_or(now)).as_u64();
                assert_eq!(balance(&next) + less, balance(wallet) + more, "{wallet:?}");
            }
            Err(LedgerError::InsufficientCredits { .. } | LedgerError::LimitExceeded(_)) => {}
            Err(LedgerError::Internal(reason)) if reason.contains("far ahead") => {}
            Err(error) => panic!("{error:?}: {wallet:?}"),
        }
    }
}

/// Reads every wallet that was written.
fn check_written_wallets(harness: &Harness) -> Vec<Wallet> {
    let written = harness.take_writes();
    let updates = written.iter().filter_map(|action| action["Update"].as_object());
    let wallets = updates.filter(|update| update["Key"]["sk"]["S"] == "wallet");
    let read = |update: &serde_json::Map<String, Value>| {
        let values = update["ExpressionAttributeValues"].as_object().expect("values");
        let values =
            values.iter().map(|(name, value)| (name.trim_start_matches(':').to_owned(), value.clone()));
        harness.reset_to_any_key(values.chain([("sk".to_owned(), update["Key"]["sk"].clone())]).collect());
        harness.wait(harness.store.wallet(&id("u"))).expect("a wallet that was written can be read").wallet
    };
    wallets.map(read).collect()
}

fn commit(harness: &Harness, plan: &Plan) {
    let ended = send(harness, plan);
    assert!(matches!(ended, Ok(Commit::Done)), "{ended:?}");
}

fn now() -> Timestamp {
    Timestamp::parse("2026-01-01T00:00:00Z").expect("a moment")
}

/// An identifier or a reason.
fn id<T: TryFrom<String>>(text: &str) -> T {
    T::try_from(text.to_owned()).ok().expect("a text of its form")
}
