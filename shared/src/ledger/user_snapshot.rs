//! A user's items, read page by page and summed for a comparison.

use std::collections::{BTreeMap, BTreeSet};

use super::{Ledger, timeline_sums::TimelineSums};
use crate::{
    domain::{
        Discrepancies, Discrepancy, GenerationId, LedgerError, OrderGrant, Record, RecordKey, Timestamp,
        TransNo, UserId, Wallet, WalletRebuild,
    },
    store::{RawWallet, StoredItem},
};

/// The number of charges that an audit looks up in the generation index, one read each.
const GENERATION_LOOKUPS_MAX: usize = 10;

/// The number of orders that an audit reads.
const ORDER_READS_MAX: usize = 100;

/// A user's items as of a time. Its size grows with grants and repairs, not with charges.
#[derive(Default)]
pub(super) struct UserSnapshot {
    pub(super) as_of: Option<Timestamp>,
    pub(super) rebuild: WalletRebuild,
    /// The items of a newer format.
    pub(super) newer_formats: Discrepancies,
    /// All repairs, also later ones.
    pub(super) repairs: BTreeSet<TransNo>,
    /// The expected content of the timeline index.
    pub(super) timeline: TimelineSums,
    /// The charges to look up in the generation index, by their fingerprints.
    pub(super) charges: BTreeMap<u128, (GenerationId, TransNo)>,
    /// The grants whose orders are read: revoked ones first, then by their fingerprints.
    pub(super) orders: BTreeMap<(bool, u128), OrderGrant>,
}

impl Ledger {
    /// The wallet as stored, also if it is unreadable.
    pub(super) async fn raw_wallet(
        &self,
        user: &UserId,
        deadline: Timestamp,
    ) -> Result<Option<RawWallet>, LedgerError> {
        self.read(deadline, || self.store.raw_wallet(user)).await
    }

    /// Reads the records as of a time, or all of them.
    pub(super) async fn snapshot(
        &self,
        user: &UserId,
        as_of: Option<Timestamp>,
        deadline: Timestamp,
    ) -> Result<UserSnapshot, LedgerError> {
        let rebuild = WalletRebuild::as_of(as_of);
        let mut snapshot = UserSnapshot { as_of, rebuild, ..UserSnapshot::default() };
        self.for_each_item(user, deadline, |item| snapshot.add(item)).await?;
        Ok(snapshot)
    }

    /// Calls `take` with each of a user's items.
    pub(super) async fn for_each_item(
        &self,
        user: &UserId,
        deadline: Timestamp,
        mut take: impl FnMut(StoredItem) + Send,
    ) -> Result<(), LedgerError> {
        let mut from = None;
        loop {
            let (page, next) = self.read(deadline, || self.store.all(user, from.clone())).await?;
            page.into_iter().for_each(&mut take);
            from = next;
            if from.is_none() {
                return Ok(());
            }
        }
    }
}

impl UserSnapshot {
    /// Sets `as_of` to the last change of wallet and records, so that the comparison skips
    /// later entries of the indexes.
    pub(super) fn until_last_change(mut self, wallet: Option<&Wallet>) -> UserSnapshot {
        self.as_of = self.rebuild.latest().max(wallet.and_then(|wallet| wallet.version));
        self
    }

    fn add(&mut self, item: StoredItem) {
        match item {
            StoredItem::Wallet(_) | StoredItem::OldRows(_) => {}
            StoredItem::UnreadableWallet(reason) => {
                self.rebuild.add_discrepancy(Discrepancy::WalletUnreadable(reason))
            }
            StoredItem::NewerFormat(reason) => self.newer_formats.insert(Discrepancy::NewerFormat(reason)),
            StoredItem::Unreadable(reason) => {
                self.rebuild.add_discrepancy(Discrepancy::UnreadableItem(reason))
            }
            StoredItem::Repair(repair) => {
                self.rebuild.add_repair(repair);
                self.repairs.insert(repair);
            }
            StoredItem::Record { key, record, .. } => self.add_record(&key, &record),
        }
    }

    fn add_record(&mut self, key: &RecordKey, record: &Record) {
        let Some(entry) = self.rebuild.add(key, record) else { return };
        self.timeline.add(&entry);
        if let Some(grant) = OrderGrant::of(key, record) {
            self.orders.insert((!grant.is_revoked(), entry.fingerprint()), grant);
        }
        if self.orders.len() > ORDER_READS_MAX {
            self.orders.pop_last();
        }
        if let Some(generation) = &entry.generation {
            self.charges.insert(entry.fingerprint(), (generation.clone(), entry.trans_no));
        }
        if self.charges.len() > GENERATION_LOOKUPS_MAX {
            self.charges.pop_last();
        }
    }
}
