//! The view: the items that a command has read or committed.

use std::collections::BTreeMap;

use super::{OldRows, Plan, RecordChange};
use crate::domain::{
    Change, ChangeOrigin, Charge, InvocationId, Order, OrderNo, Record, RecordKey, RecordVersion, Timestamp,
    Wallet,
};

/// The state of a user, as one invocation has read or committed it.
///
/// ```
/// use scrip::domain::{InvocationId, RecordKey, RecordLookup, TransactionLimits, View};
/// # use uuid::Uuid;
///
/// let id = InvocationId::new(Uuid::from_u128(1));
/// let mut view = View::new(id, id, TransactionLimits { records: 99, bytes: 1_000_000 });
/// let key = RecordKey::NewUserGrant;
/// assert!(!view.is_snapshot_of([&key]));
///
/// // A snapshot shows that there is no record at the key.
/// let wallet = view.wallet().clone();
/// view.set_snapshot(wallet, vec![RecordLookup { key: key.clone(), record: None, bytes: 0 }]);
/// assert!(view.is_snapshot_of([&key]) && view.record(&key).is_none());
/// ```
#[derive(Clone, Debug)]
pub struct View {
    /// The id of the invocation, which its writes contain.
    pub invocation: InvocationId,
    /// The id of the delivery, which is the same if Lambda delivers an event again.
    pub delivery: InvocationId,
    /// The limits of the next transaction.
    pub limits: TransactionLimits,
    wallet: Wallet,
    records: BTreeMap<RecordKey, LoadedRecord>,
    /// The old rows that the last refusal of an import returned.
    old_rows: OldRows,
    /// The orders that refusals returned, or that were committed.
    orders: BTreeMap<OrderNo, Order>,
    /// The wallet's version up to which the records of a generation are complete.
    complete_up_to: Option<Option<Timestamp>>,
    /// Whether the last change of the view was a snapshot. The records of the snapshot are
    /// marked.
    is_snapshot: bool,
    has_committed: bool,
}

/// How much fits into one transaction besides the wallet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransactionLimits {
    /// The number of records.
    pub records: usize,
    /// The size of their items, in bytes.
    pub bytes: usize,
}

/// The result of a read at one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordLookup {
    /// The key of the record.
    pub key: RecordKey,
    /// The record, if there is one.
    pub record: Option<Record>,
    /// The size of its item, in bytes.
    pub bytes: usize,
}

#[derive(Clone, Debug)]
struct LoadedRecord {
    /// `None` if the key was read and has no record.
    record: Option<Record>,
    bytes: usize,
    /// Whether it was read in one snapshot with the wallet.
    is_snapshot: bool,
}

impl View {
    /// An empty view.
    pub fn new(invocation: InvocationId, delivery: InvocationId, limits: TransactionLimits) -> View {
        View {
            invocation,
            delivery,
            limits,
            wallet: Wallet::default(),
            records: BTreeMap::new(),
            old_rows: OldRows::new(),
            orders: BTreeMap::new(),
            complete_up_to: None,
            is_snapshot: false,
            has_committed: false,
        }
    }

    /// Whether this invocation has committed a plan.
    pub fn has_committed(&self) -> bool {
        self.has_committed
    }

    /// The wallet that was last read or committed.
    pub fn wallet(&self) -> &Wallet {
        &self.wallet
    }

    /// The loaded record at a key.
    pub fn record(&self, key: &RecordKey) -> Option<&Record> {
        self.records.get(key)?.record.as_ref()
    }

    /// The old rows of a record, if the last refusal of an import returned them.
    pub fn old_rows(&self, key: &RecordKey) -> Option<&String> {
        self.old_rows.get(key)
    }

    /// An order, if a refusal returned it or it was committed.
    pub fn order(&self, order_no: &OrderNo) -> Option<&Order> {
        self.orders.get(order_no)
    }

    /// Takes the loaded record at a key.
    pub fn take(&mut self, key: &RecordKey) -> Option<Record> {
        self.records.remove(key)?.record
    }

    /// The loaded records, by key.
    pub fn records(&self) -> impl Iterator<Item = (&RecordKey, &Record)> {
        self.records.iter().filter_map(|(key, loaded)| Some((key, loaded.record.as_ref()?)))
    }

    /// The loaded charges, with the sizes of their items in bytes.
    pub fn charges(&self) -> impl Iterator<Item = (&RecordKey, &Charge, usize)> {
        self.records.iter().filter_map(|(key, loaded)| match &loaded.record {
            Some(Record::Charge(charge)) => Some((key, charge, loaded.bytes)),
            _ => None,
        })
    }

    /// The changes by this invocation in the loaded records.
    pub fn own_changes(&self) -> impl Iterator<Item = Change<'_>> {
        let is_own = |origin: ChangeOrigin| origin.is_invocation(self.invocation);
        self.records().flat_map(|(_, record)| record.changes()).filter(move |change| is_own(change.origin))
    }

    /// Whether the wallet does not include the last change of this record.
    pub fn is_wallet_older_than(&self, record: &Record) -> bool {
        self.wallet.version.is_none_or(|version| version < record.changed_at())
    }

    /// Whether the charges of the generation were queried.
    pub fn is_generation_queried(&self) -> bool {
        self.complete_up_to.is_some()
    }

    /// Whether the loaded charges of the generation are complete up to the wallet's version.
    pub fn is_generation_complete(&self) -> bool {
        self.complete_up_to == Some(self.wallet.version)
    }

    /// Whether the wallet and all of these keys were read in one snapshot.
    pub fn is_snapshot_of<'a>(&self, keys: impl IntoIterator<Item = &'a RecordKey>) -> bool {
        let is_read = |key| self.records.get(key).is_some_and(|loaded| loaded.is_snapshot);
        self.is_snapshot && keys.into_iter().all(is_read)
    }

    /// Adds a wallet that was read.
    pub fn set_wallet(&mut self, wallet: Wallet) {
        self.wallet = wallet;
        self.is_snapshot = false;
    }

    /// Adds a read of a record. A loaded record with a later change remains.
    pub fn set_record(&mut self, read: RecordLookup) {
        self.is_snapshot = false;
        let RecordLookup { key, record, bytes } = read;
        let changed_at = |record: &Option<Record>| record.as_ref().map(Record::changed_at);
        let loaded = self.records.get(&key);
        if record.is_none() || loaded.is_none_or(|loaded| changed_at(&loaded.record) <= changed_at(&record)) {
            self.records.insert(key, LoadedRecord { record, bytes, is_snapshot: false });
        }
    }

    /// Sets the old rows that a refusal of an import returned, which may be empty.
    pub fn set_old_rows(&mut self, rows: OldRows) {
        self.is_snapshot = false;
        self.old_rows = rows;
    }

    /// Adds an order that a refusal returned.
    pub fn set_order(&mut self, order_no: OrderNo, order: Order) {
        self.is_snapshot = false;
        self.orders.insert(order_no, order);
    }

    /// All the charges of the generation as complete. They were read after the wallet.
    pub fn set_generation_complete(&mut self) {
        self.complete_up_to = Some(self.wallet.version);
    }

    /// Adds a snapshot of the wallet and these records.
    pub fn set_snapshot(&mut self, wallet: Wallet, records: Vec<RecordLookup>) {
        self.wallet = wallet;
        self.records.values_mut().for_each(|loaded| loaded.is_snapshot = false);
        for RecordLookup { key, record, bytes } in records {
            self.records.insert(key, LoadedRecord { record, bytes, is_snapshot: true });
        }
        self.is_snapshot = true;
    }

    /// Changes a charge, if it is loaded. Charges that are repaid often are not.
    fn change_charge(&mut self, key: &RecordKey, change: impl FnOnce(&mut Charge)) {
        if let Some(LoadedRecord { record: Some(Record::Charge(charge)), .. }) = self.records.get_mut(key) {
            change(charge);
        }
    }

    /// Removes the charges that a plan repays and that were read as before their settlement or
    /// a repayment. The wallet lists their debts, so the commit did not require their versions.
    fn remove_stale_debtors(&mut self, plan: &Plan) {
        for change in &plan.changes {
            if let RecordChange::Adjust(key, RecordVersion::InDebt, _) = change
                && let Some(Record::Charge(charge)) = self.record(key)
                && self.wallet.check_debt(charge.trans_no, charge.state().debt()).is_err()
            {
                self.records.remove(key);
                self.complete_up_to = None;
            }
        }
    }

    /// Adds a plan that was committed.
    pub fn set_committed(&mut self, plan: Plan) {
        self.remove_stale_debtors(&plan);
        let was_complete = self.is_generation_complete();
        if let Some(wallet) = plan.wallet {
            self.wallet = wallet;
        }
        // The commit required the previous version, so there was no other change.
        if was_complete {
            self.set_generation_complete();
        }
        (self.is_snapshot, self.has_committed) = (false, true);
        for change in plan.orders {
            self.orders.insert(change.order_no, change.order);
        }
        for change in plan.changes {
            match change {
                RecordChange::Create(key, record) | RecordChange::Import(key, record, _) => {
                    self.records
                        .insert(key, LoadedRecord { record: Some(record), bytes: 0, is_snapshot: false });
                }
                RecordChange::Adjust(key, _, adjustment) => {
                    self.change_charge(&key, |charge| charge.adjustments.push(adjustment));
                }
                RecordChange::Void(key, _, void) => {
                    self.change_charge(&key, |charge| charge.void = Some(void))
                }
                RecordChange::Revoke(key, _, revocation, _) => {
                    if let Some(LoadedRecord { record: Some(Record::Grant(grant)), .. }) =
                        self.records.get_mut(&key)
                    {
                        grant.revocations.push(revocation);
                    }
                }
                RecordChange::NoteSuccess(key, at) => {
                    self.change_charge(&key, |charge| charge.late_success_at = Some(at));
                }
            }
        }
    }
}
