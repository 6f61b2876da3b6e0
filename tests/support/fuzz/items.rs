use scrip::{
    domain::{
        Allocation, Charge, ChargeRequest, ChargeType, Credits, Entry, Grant, GrantRequest, GrantType,
        InvocationId, LedgerError, Plan, Record, RecordChange, RecordKey, RecordLookup, Summary, Timestamp,
        TransType, Void, Wallet,
    },
    store::{Commit, IndexEdge, RequestToken, StoreError, StoredItem, Transaction, UnknownAttributes},
    transport::functions::FUNCTIONS,
};
use serde_json::Value;
use uuid::Uuid;

use super::world::{World, item, with};

/// How many items an input may have.
const ITEMS_MAX: usize = 8;

/// Reads items as the table might hold them, and has a function work on them.
///
/// The first line is a function's name and its payload; each further one is an
/// item, as a JSON object of its attributes' values.
///
/// # Panics
/// Where an item is read into a value that breaks what its type promises, or
/// that is not the same after it was written and read again; where an error does
/// not name the item; where a function panics, or writes a wallet that cannot be
/// read.
pub fn items(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    let mut lines = text.lines();
    let (name, payload) = lines.next().and_then(|line| line.split_once(' ')).unwrap_or_default();
    let objects = lines.filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let items: Vec<_> = objects.filter_map(|object| object.as_object().map(item)).take(ITEMS_MAX).collect();
    with(|world| {
        let unsound = items.iter().filter(|item| !check(world, item)).count();
        for function in FUNCTIONS.into_iter().filter(|function| function.name == name) {
            world.lay(items.clone());
            // What the payload may be is another target's matter.
            if serde_json::from_str::<Value>(payload).is_ok() {
                world.invoke(function, payload.to_owned()).assert_no_panic();
                if unsound == 0 {
                    written_wallets(world);
                }
            }
        }
    });
}

/// Reads one item in every way in which an answer can bring one; says whether
/// it is no wallet, or one on which the rules can rest.
fn check(world: &World, item: &Value) -> bool {
    let place = Place::of(item);
    let (user, generation) = (id("u"), id("g"));
    let key = RecordKey::Charge { generation: None, key: None };
    let store = &world.store;
    world.lay_anywhere(item.clone());

    let wallet = place.read(world.wait(store.wallet(&user))).map(|stored| stored.wallet);
    let record = place.read(world.wait(store.record(&user, &key))).and_then(|read| read.record);
    let charges = place.read(world.wait(store.charges(&user, &generation, None)));
    let entries = place.read(world.wait(store.timeline(&user, None, None, 1)));
    place.read(world.wait(store.generation_end(&generation, IndexEdge::First)));
    let places = place.read(world.wait(store.generation_charges(&generation, &user, None, 1)));
    let found = place.read(world.wait(store.charges_at(places.unwrap_or_default())));
    for held in place.read(world.wait(store.all(&user, None))).into_iter().flat_map(|(all, _)| all) {
        if let StoredItem::Unreadable(why)
        | StoredItem::UnreadableWallet(why)
        | StoredItem::NewerFormat(why) = held
        {
            assert!(why.contains(&place.named), "{why:?} does not name {}", place.named);
        }
    }
    // A refusal that brings a key alone is one of an item that does not exist.
    if item.as_object().is_some_and(|item| item.keys().any(|name| name != "user_uuid" && name != "sk")) {
        let refused = refused(world, &place);
        assert_eq!(refused, (wallet.clone(), record.clone()), "a refusal returns another item: {item}");
    }

    let is_charge = matches!(record, Some(Record::Charge(_)));
    assert_eq!(found.is_some(), is_charge, "a batch and a single read differ: {item}");
    for RecordLookup { key, record: read, .. } in charges.into_iter().flat_map(|(charges, _)| charges) {
        assert_eq!(read, record, "a query and a single read differ: {item}");
        let written = rewritten(world, &key, read.expect("a record"));
        assert_eq!(written["sk"], item["sk"], "the key that was read is another one");
    }
    for entry in entries.into_iter().flat_map(|(entries, _)| entries) {
        check_entry(entry, record.as_ref());
    }
    if let Some(record) = record {
        check_record(world, item, record);
    }
    wallet.is_none_or(|wallet| {
        check_wallet(world, &wallet);
        is_sound(&wallet)
    })
}

/// The wallet and the record that failed conditions return.
fn refused(world: &World, place: &Place) -> (Option<Wallet>, Option<Record>) {
    let key = RecordKey::Charge { generation: None, key: None };
    let fence = Record::Fence(Void {
        at: now(),
        reason: id("it failed"),
        invocation: InvocationId::new(Uuid::nil()),
    });
    let first = Wallet { version: Some(now()), ..Wallet::default() };
    let wallet = match place.read(send(world, &Plan { wallet: Some(first), changes: Vec::new() })) {
        Some(Commit::Refused { wallet, .. }) => wallet.map(|stored| stored.wallet),
        other => other.map(|commit| panic!("{commit:?}")),
    };
    let changes = vec![RecordChange::Create(key, fence)];
    let record = match place.read(send(world, &Plan { wallet: None, changes })) {
        Some(Commit::Refused { mut records, .. }) => records.pop().and_then(|read| read.record),
        other => other.map(|commit| panic!("{commit:?}")),
    };
    (wallet, record)
}

/// Sends a plan that begins with no wallet.
fn send(world: &World, plan: &Plan) -> Result<Commit, StoreError> {
    let (user, unknown) = (id("u"), UnknownAttributes::default());
    let transaction = Transaction { user: &user, version: None, unknown: &unknown, plan };
    world.wait(world.store.commit(&transaction, RequestToken::new(Uuid::nil())))
}

fn check_entry(entry: Entry, record: Option<&Record>) {
    let is_charge = matches!(entry.trans_type, TransType::Charge(_));
    assert!(entry.void.is_none() || is_charge, "a grant is void: {entry:?}");
    let entry = Entry { order_no: None, generation: None, expired_at: None, ..entry };
    let shown = record.and_then(entry_of);
    assert!(shown.is_none_or(|shown| shown == entry), "{entry:?} is not {record:?}");
}

/// What the timeline shows of a record, without what no record must have.
fn entry_of(record: &Record) -> Option<Entry> {
    let (trans_no, trans_type, credits, void) = match record {
        Record::Grant(grant) => (grant.trans_no, grant.trans_type.clone(), grant.credits, None),
        Record::Charge(charge) => {
            let trans_type = TransType::Charge(charge.trans_type.clone());
            (charge.trans_no, trans_type, charge.credits, charge.void.as_ref())
        }
        Record::Fence(_) => return None,
    };
    let void = void.map(|void| (void.at, void.reason.clone()));
    Some(Entry { trans_no, trans_type, credits, order_no: None, generation: None, expired_at: None, void })
}

/// Which item it is.
struct Place {
    named: String,
}

impl Place {
    fn of(item: &Value) -> Place {
        let part = |name: &str| item[name]["S"].as_str().unwrap_or_default();
        Place { named: format!("user_uuid={:?} sk={:?}", part("user_uuid"), part("sk")) }
    }

    /// What was read, if anything; the only error is one that names the item.
    fn read<T>(&self, read: Result<T, StoreError>) -> Option<T> {
        match read {
            Ok(value) => Some(value),
            Err(StoreError::Corrupt(why)) if why.contains(&self.named) => None,
            Err(error) => panic!("{error:?} does not name {}", self.named),
        }
    }
}

fn check_record(world: &World, item: &Value, record: Record) {
    let (credits, is_voided) = match &record {
        Record::Grant(grant) => {
            check_grant(grant);
            (grant.credits.to_string(), false)
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
        Record::Charge(_) | Record::Fence(_) => RecordKey::Charge { generation: None, key: None },
    };
    let written = rewritten(world, &key, record.clone());
    world.lay_anywhere(written);
    let read = world.wait(world.store.record(&id("u"), &key));
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
fn rewritten(world: &World, key: &RecordKey, record: Record) -> Value {
    world.lay(Vec::new());
    commit(world, &Plan { wallet: None, changes: vec![RecordChange::Create(key.clone(), record)] });
    world.take_written().pop().expect("an action")["Put"]["Item"].take()
}

fn check_wallet(world: &World, wallet: &Wallet) {
    assert_eq!(wallet.validate(), Ok(()));
    wallet.packs.iter().for_each(|pack| check_grant(&pack.grant));
    world.lay(Vec::new());
    commit(world, &Plan { wallet: Some(wallet.clone()), changes: Vec::new() });
    let read = written_wallets(world);
    assert_eq!(read.as_slice(), std::slice::from_ref(wallet), "a wallet is not what was written");
    drop(Summary::lifetime(wallet, now()));
    if is_sound(wallet) {
        check_rules(wallet);
    }
}

/// What the rules rest on, beside what a read finds wrong: that the sums are of
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
    left + gone <= granted && wallet.version.is_none_or(has_future)
}

/// The rules on a wallet that was read: what they bring about can be read again.
fn check_rules(wallet: &Wallet) {
    let (now, nonce) = (now(), InvocationId::new(Uuid::nil()));
    let one = Credits::requested(1).expect("credits");
    let grant = GrantRequest {
        user: id("u"),
        trans_type: GrantType::SystemAdd,
        credits: one,
        order_no: None,
        expired_at: None,
        key: None,
    };
    let charge = ChargeRequest {
        user: id("u"),
        trans_type: ChargeType::Chat,
        credits: one,
        generation: None,
        order_no: None,
        key: None,
    };
    let granted = wallet.grant(&grant, nonce, now).map(|(next, _)| next);
    let charged = wallet.charge(&charge, nonce, now).map(|(next, _)| next);
    for (next, more, less) in [(granted, 1, 0), (charged, 0, 1)] {
        match next {
            Ok(next) => {
                assert_eq!(next.validate(), Ok(()), "{wallet:?}");
                assert!(next.version > wallet.version, "a change is later than the one before: {wallet:?}");
                let balance = |of: &Wallet| of.balance(next.version.unwrap_or(now)).as_u64();
                assert_eq!(balance(&next) + less, balance(wallet) + more, "{wallet:?}");
            }
            Err(LedgerError::InsufficientCredits { .. } | LedgerError::LimitExceeded(_)) => {}
            Err(LedgerError::Internal(why)) if why.contains("far ahead") => {}
            Err(error) => panic!("{error:?}: {wallet:?}"),
        }
    }
}

/// Reads every wallet that was written: none may be one that cannot be read.
fn written_wallets(world: &World) -> Vec<Wallet> {
    let written = world.take_written();
    let updates = written.iter().filter_map(|action| action["Update"].as_object());
    let wallets = updates.filter(|update| update["Key"]["sk"]["S"] == "wallet");
    let read = |update: &serde_json::Map<String, Value>| {
        let values = update["ExpressionAttributeValues"].as_object().expect("values");
        let values =
            values.iter().map(|(name, value)| (name.trim_start_matches(':').to_owned(), value.clone()));
        world.lay_anywhere(values.collect());
        world.wait(world.store.wallet(&id("u"))).expect("a wallet that was written can be read").wallet
    };
    wallets.map(read).collect()
}

fn commit(world: &World, plan: &Plan) {
    let ended = send(world, plan);
    assert!(matches!(ended, Ok(Commit::Done)), "{ended:?}");
}

fn now() -> Timestamp {
    Timestamp::parse("2026-01-01T00:00:00Z").expect("a moment")
}

/// An identifier, or a reason.
fn id<T: TryFrom<String>>(text: &str) -> T {
    T::try_from(text.to_owned()).ok().expect("a text of its form")
}
