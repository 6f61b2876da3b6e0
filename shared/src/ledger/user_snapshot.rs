//! All of a user's items, read at one time.

use std::collections::{BTreeMap, BTreeSet};

use tokio::time::{Duration, sleep};

use super::Ledger;
use crate::{
    domain::{
        Discrepancy, GenerationUuid, LedgerError, Record, RecordKey, Timestamp, TransNo, UserUuid, Wallet,
        WalletRebuild,
    },
    store::{Held, KeptWallet},
};

/// How many of a user's charges are looked for in the index of generations, one
/// read each.
const LOOKED_FOR_MAX: usize = 10;
/// How often an index is looked at before what it lacks is a discrepancy, because it may
/// lag; and how long it gets between, in milliseconds.
const LOOKS: u32 = 4;
const LAG_MILLIS: u64 = 500;
/// How many entries of the timeline's index are read at a time.
const ENTRIES_AT_ONCE: usize = 5_000;

/// A user's items, as of a moment.
#[derive(Default)]
pub(super) struct UserSnapshot {
    as_of: Option<Timestamp>,
    pub(super) rebuild: WalletRebuild,
    /// The repairs that there were, whatever the moment.
    pub(super) repairs: BTreeSet<TransNo>,
    /// Whether a wallet is among the items.
    pub(super) has_wallet: bool,
    /// The mark of each record's entry in the timeline.
    marks: BTreeMap<TransNo, u64>,
    /// Charges to look for in the index of generations, by their marks: some of all.
    pub(super) charges: BTreeMap<u64, (GenerationUuid, TransNo)>,
}

impl Ledger {
    /// The wallet as it stands, whether it can be read or not.
    pub(super) async fn kept_wallet(
        &self,
        user: &UserUuid,
        deadline: Timestamp,
    ) -> Result<Option<KeptWallet>, LedgerError> {
        self.read(deadline, || self.store.kept_wallet(user)).await
    }

    /// All records as of a moment, or all that there are.
    pub(super) async fn records(
        &self,
        user: &UserUuid,
        as_of: Option<Timestamp>,
        deadline: Timestamp,
    ) -> Result<UserSnapshot, LedgerError> {
        let mut snapshot =
            UserSnapshot { as_of, rebuild: WalletRebuild::as_of(as_of), ..UserSnapshot::default() };
        let mut from = None;
        loop {
            let (page, next) = self.read(deadline, || self.store.all(user, from.clone())).await?;
            page.into_iter().for_each(|held| snapshot.add(held));
            from = next;
            if from.is_none() {
                return Ok(snapshot);
            }
        }
    }

    /// What the indexes tell otherwise.
    pub(super) async fn index_faults(
        &self,
        user: &UserUuid,
        snapshot: &UserSnapshot,
        deadline: Timestamp,
    ) -> Result<Vec<Discrepancy>, LedgerError> {
        let mut discrepancies = Vec::new();
        for look in 0..LOOKS {
            if look > 0 {
                sleep(Duration::from_millis(LAG_MILLIS)).await;
            }
            discrepancies = match self.timeline_faults(user, snapshot, deadline).await {
                Err(LedgerError::Internal(why)) => vec![Discrepancy::Unreadable(why)],
                other => other?,
            };
            for (generation, trans_no) in snapshot.charges.values() {
                let look = || self.store.is_in_generation_index(user, generation, *trans_no);
                if !self.read(deadline, look).await? {
                    discrepancies.push(Discrepancy::Generation(*trans_no));
                }
            }
            if discrepancies.is_empty() {
                break;
            }
        }
        Ok(discrepancies)
    }

    /// The records that the table and the index of the timeline tell differently.
    async fn timeline_faults(
        &self,
        user: &UserUuid,
        snapshot: &UserSnapshot,
        deadline: Timestamp,
    ) -> Result<Vec<Discrepancy>, LedgerError> {
        let (mut marks, mut before) = (BTreeMap::new(), None);
        loop {
            let (entries, is_end) = self.entries(user, None, before, ENTRIES_AT_ONCE, deadline).await?;
            before = entries.last().map(|entry| entry.trans_no).or(before);
            let known = entries.into_iter().filter_map(|entry| entry.as_of(snapshot.as_of));
            marks.extend(known.map(|entry| (entry.trans_no, entry.mark())));
            if is_end {
                break;
            }
        }
        let all: BTreeSet<_> = marks.keys().chain(snapshot.marks.keys()).collect();
        let differs = |record: &&TransNo| marks.get(record) != snapshot.marks.get(record);
        Ok(all.into_iter().filter(differs).map(|record| Discrepancy::Timeline(*record)).collect())
    }
}

impl UserSnapshot {
    /// As of the last change that was seen, of the wallet or a record: what comes later is
    /// passed over in the indexes too.
    pub(super) fn ended_with(mut self, wallet: Option<&Wallet>) -> UserSnapshot {
        self.as_of = self.rebuild.latest().max(wallet.and_then(|wallet| wallet.version));
        self
    }

    fn add(&mut self, held: Held) {
        match held {
            Held::Wallet(_) => self.has_wallet = true,
            Held::UnreadableWallet(why) => {
                self.has_wallet = true;
                self.rebuild.note(Discrepancy::WalletUnreadable(why));
            }
            Held::Unreadable(why) => self.rebuild.note(Discrepancy::Unreadable(why)),
            Held::Repair(repair) => {
                self.rebuild.add_repair(repair);
                self.repairs.insert(repair);
            }
            Held::Record { key, record, .. } => self.add_record(&key, &record),
        }
    }

    fn add_record(&mut self, key: &RecordKey, record: &Record) {
        let Some(entry) = self.rebuild.add(key, record) else { return };
        let mark = entry.mark();
        self.marks.insert(entry.trans_no, mark);
        if let Some(generation) = entry.generation {
            self.charges.insert(mark, (generation, entry.trans_no));
        }
        if self.charges.len() > LOOKED_FOR_MAX {
            self.charges.pop_last();
        }
    }
}
