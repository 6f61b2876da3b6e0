//! The view: what a command has read, and what it has committed since.

use std::collections::BTreeMap;

use super::{Plan, RecordChange};
use crate::domain::{Change, ChangeOrigin, Charge, InvocationId, Record, RecordKey, Timestamp, Wallet};

/// What one invocation knows of a user.
#[derive(Clone, Debug)]
pub struct View {
    /// The invocation's own id, which it leaves in what it writes.
    pub invocation: InvocationId,
    /// The id of the delivery: the same when Lambda delivers an event again.
    pub delivery: InvocationId,
    /// How much fits into the next transaction.
    pub limits: TransactionLimits,
    wallet: Wallet,
    records: BTreeMap<RecordKey, LoadedRecord>,
    /// The wallet's version up to which the records of a generation are complete.
    complete_up_to: Option<Option<Timestamp>>,
    /// Whether the wallet, and the records that are marked so, were read as of one moment,
    /// and nothing has been learned since.
    is_snapshot: bool,
    has_committed: bool,
}

/// How much fits into one transaction, beside the wallet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransactionLimits {
    /// Records.
    pub records: usize,
    /// Bytes of their items.
    pub bytes: usize,
}

/// What was read at one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordLookup {
    /// The key.
    pub key: RecordKey,
    /// The record; nothing where the place is free.
    pub record: Option<Record>,
    /// The size of its item, in bytes.
    pub bytes: usize,
}

/// What is loaded of a place.
#[derive(Clone, Debug)]
struct LoadedRecord {
    /// The record; nothing where the place was read and is free.
    record: Option<Record>,
    /// The size of its item.
    bytes: usize,
    /// Whether it was read as of one moment with the wallet.
    is_snapshot: bool,
}

impl View {
    /// A view without anything read.
    pub fn new(invocation: InvocationId, delivery: InvocationId, limits: TransactionLimits) -> View {
        View {
            invocation,
            delivery,
            limits,
            wallet: Wallet::default(),
            records: BTreeMap::new(),
            complete_up_to: None,
            is_snapshot: false,
            has_committed: false,
        }
    }

    /// Whether this call has committed a plan.
    pub fn has_committed(&self) -> bool {
        self.has_committed
    }

    /// The wallet as last read or committed.
    pub fn wallet(&self) -> &Wallet {
        &self.wallet
    }

    /// The record at a key, where one is loaded.
    pub fn record(&self, key: &RecordKey) -> Option<&Record> {
        self.records.get(key)?.record.as_ref()
    }

    /// Takes the record at a key out, for an answer.
    pub fn take(&mut self, key: &RecordKey) -> Option<Record> {
        self.records.remove(key)?.record
    }

    /// All records that are loaded, by key.
    pub fn records(&self) -> impl Iterator<Item = (&RecordKey, &Record)> {
        self.records.iter().filter_map(|(key, loaded)| Some((key, loaded.record.as_ref()?)))
    }

    /// All charges that are loaded, with the sizes of their items.
    pub fn charges(&self) -> impl Iterator<Item = (&RecordKey, &Charge, usize)> {
        self.records.iter().filter_map(|(key, loaded)| match &loaded.record {
            Some(Record::Charge(charge)) => Some((key, charge, loaded.bytes)),
            _ => None,
        })
    }

    /// What this invocation has done, as far as the loaded records show it.
    pub fn own_changes(&self) -> impl Iterator<Item = Change<'_>> {
        let is_own = |origin: ChangeOrigin| origin.is_invocation(self.invocation);
        self.records().flat_map(|(_, record)| record.changes()).filter(move |change| is_own(change.origin))
    }

    /// Whether the wallet is older than this record.
    pub fn is_wallet_older_than(&self, record: &Record) -> bool {
        self.wallet.version.is_none_or(|version| version < record.changed_at())
    }

    /// Whether the charges of the generation were queried at all.
    pub fn is_generation_queried(&self) -> bool {
        self.complete_up_to.is_some()
    }

    /// Whether all charges of the generation are loaded up to the wallet's version.
    pub fn is_generation_complete(&self) -> bool {
        self.complete_up_to == Some(self.wallet.version)
    }

    /// Whether the wallet and all of these places were read as of one moment.
    pub fn is_snapshot_of<'a>(&self, keys: impl IntoIterator<Item = &'a RecordKey>) -> bool {
        let is_read = |key| self.records.get(key).is_some_and(|loaded| loaded.is_snapshot);
        self.is_snapshot && keys.into_iter().all(is_read)
    }

    /// Another wallet was read.
    pub fn set_wallet(&mut self, wallet: Wallet) {
        self.wallet = wallet;
        self.is_snapshot = false;
    }

    /// A record was read, or its place was found free. What is loaded to be later stays.
    pub fn set_record(&mut self, read: RecordLookup) {
        self.is_snapshot = false;
        let RecordLookup { key, record, bytes } = read;
        let changed_at = |record: &Option<Record>| record.as_ref().map(Record::changed_at);
        let loaded = self.records.get(&key);
        if record.is_none() || loaded.is_none_or(|loaded| changed_at(&loaded.record) <= changed_at(&record)) {
            self.records.insert(key, LoadedRecord { record, bytes, is_snapshot: false });
        }
    }

    /// All records of the generation were read, after the wallet.
    pub fn set_generation_complete(&mut self) {
        self.complete_up_to = Some(self.wallet.version);
    }

    /// The wallet and these records were read as of one moment.
    pub fn set_snapshot(&mut self, wallet: Wallet, records: Vec<RecordLookup>) {
        self.wallet = wallet;
        self.records.values_mut().for_each(|loaded| loaded.is_snapshot = false);
        for RecordLookup { key, record, bytes } in records {
            self.records.insert(key, LoadedRecord { record, bytes, is_snapshot: true });
        }
        self.is_snapshot = true;
    }

    /// A plan was committed.
    pub fn set_committed(&mut self, plan: Plan) {
        let was_complete = self.is_generation_complete();
        if let Some(wallet) = plan.wallet {
            self.wallet = wallet;
        }
        // The plan was committed on that version, so no other change came in between.
        if was_complete {
            self.set_generation_complete();
        }
        (self.is_snapshot, self.has_committed) = (false, true);
        for change in plan.changes {
            let (RecordChange::Create(key, record)
            | RecordChange::Import(key, record, _)
            | RecordChange::Void(key, record)) = change;
            self.records.insert(key, LoadedRecord { record: Some(record), bytes: 0, is_snapshot: false });
        }
    }
}
