use std::collections::{BTreeMap, BTreeSet};

use tokio::time::{Duration, sleep};

use super::Ledger;
use crate::{
    domain::{
        Fault, GenerationUuid, LedgerError, Record, RecordKey, Recount, Timestamp, TransNo, UserUuid, Wallet,
    },
    store::{Held, KeptWallet},
};

/// How many of a user's charges are looked for in the index of generations, one
/// read each.
const LOOKED_FOR_MAX: usize = 10;
/// How often an index is looked at before what it lacks is a fault, because it may
/// lag; and how long it gets between, in milliseconds.
const LOOKS: u32 = 4;
const LAG_MILLIS: u64 = 500;
/// How many entries of the timeline's index are read at a time.
const ENTRIES_AT_ONCE: usize = 5_000;

/// What a user's items are found to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audited {
    /// How many records the user has.
    pub records: u64,
    /// How many of them are voided.
    pub voided: u64,
    /// One of the generations that the user was charged for.
    pub generation: Option<GenerationUuid>,
    /// All that is wrong.
    pub faults: BTreeSet<Fault>,
}

/// A user's items, as of a moment.
#[derive(Default)]
pub(super) struct Seen {
    as_of: Option<Timestamp>,
    pub(super) recount: Recount,
    /// The repairs that there were, whatever the moment.
    pub(super) repairs: BTreeSet<TransNo>,
    /// Whether a wallet is among the items.
    has_wallet: bool,
    /// The mark of each record's entry in the timeline.
    marks: BTreeMap<TransNo, u64>,
    /// Charges to look for in the index of generations, by their marks: some of all.
    charges: BTreeMap<u64, (GenerationUuid, TransNo)>,
}

impl Ledger {
    /// Holds a user's wallet and index entries against the records. The user may be
    /// written to meanwhile: it is judged as of the wallet that is read first.
    ///
    /// # Errors
    /// What every call may end with; damage is no error.
    pub async fn audit(&self, user: &UserUuid, deadline: Timestamp) -> Result<Audited, LedgerError> {
        let (wallet, mut seen) = self.seen(user, deadline).await?;
        for fault in self.index_faults(user, &seen, deadline).await? {
            seen.recount.note(fault);
        }
        let (records, voided) = seen.recount.counts();
        let faults = seen.recount.faults(wallet.as_ref(), self.now());
        let generation = seen.charges.into_values().next().map(|(generation, _)| generation);
        Ok(Audited { records, voided, generation, faults })
    }

    /// The wallet, where it can be read, and then all records as of it.
    async fn seen(
        &self,
        user: &UserUuid,
        deadline: Timestamp,
    ) -> Result<(Option<Wallet>, Seen), LedgerError> {
        loop {
            let kept = self.kept_wallet(user, deadline).await?;
            let wallet = kept.as_ref().map_or_else(|| Some(Wallet::default()), KeptWallet::wallet);
            let as_of = wallet.as_ref().and_then(|wallet| wallet.version);
            let mut seen = self.records(user, as_of, deadline).await?;
            // The first grant came after the look at the wallet.
            if kept.is_none() && seen.has_wallet {
                continue;
            }
            if as_of.is_some() && as_of < seen.recount.latest() {
                let now = self.kept_wallet(user, deadline).await?;
                let version = now.as_ref().and_then(KeptWallet::wallet).and_then(|wallet| wallet.version);
                if version < seen.recount.latest() {
                    seen.recount.note(Fault::WalletBehind);
                }
            }
            return Ok((wallet, seen));
        }
    }

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
    ) -> Result<Seen, LedgerError> {
        let mut seen = Seen { as_of, recount: Recount::as_of(as_of), ..Seen::default() };
        let mut from = None;
        loop {
            let (page, next) = self.read(deadline, || self.store.all(user, from.clone())).await?;
            page.into_iter().for_each(|held| seen.see(held));
            from = next;
            if from.is_none() {
                return Ok(seen);
            }
        }
    }

    /// What the indexes tell otherwise.
    pub(super) async fn index_faults(
        &self,
        user: &UserUuid,
        seen: &Seen,
        deadline: Timestamp,
    ) -> Result<Vec<Fault>, LedgerError> {
        let mut faults = Vec::new();
        for look in 0..LOOKS {
            if look > 0 {
                sleep(Duration::from_millis(LAG_MILLIS)).await;
            }
            faults = match self.timeline_faults(user, seen, deadline).await {
                Err(LedgerError::Internal(why)) => vec![Fault::Unreadable(why)],
                other => other?,
            };
            for (generation, trans_no) in seen.charges.values() {
                let look = || self.store.is_in_generation_index(user, generation, *trans_no);
                if !self.read(deadline, look).await? {
                    faults.push(Fault::Generation(*trans_no));
                }
            }
            if faults.is_empty() {
                break;
            }
        }
        Ok(faults)
    }

    /// The records that the table and the index of the timeline tell differently.
    async fn timeline_faults(
        &self,
        user: &UserUuid,
        seen: &Seen,
        deadline: Timestamp,
    ) -> Result<Vec<Fault>, LedgerError> {
        let (mut marks, mut before) = (BTreeMap::new(), None);
        loop {
            let (entries, is_end) = self.entries(user, None, before, ENTRIES_AT_ONCE, deadline).await?;
            before = entries.last().map(|entry| entry.trans_no).or(before);
            let known = entries.into_iter().filter_map(|entry| entry.as_of(seen.as_of));
            marks.extend(known.map(|entry| (entry.trans_no, entry.mark())));
            if is_end {
                break;
            }
        }
        let all: BTreeSet<_> = marks.keys().chain(seen.marks.keys()).collect();
        let differs = |record: &&TransNo| marks.get(record) != seen.marks.get(record);
        Ok(all.into_iter().filter(differs).map(|record| Fault::Timeline(*record)).collect())
    }
}

impl Seen {
    /// As of the last change that was seen, of the wallet or a record: what comes later is
    /// passed over in the indexes too.
    pub(super) fn ended_with(mut self, wallet: Option<&Wallet>) -> Seen {
        self.as_of = self.recount.latest().max(wallet.and_then(|wallet| wallet.version));
        self
    }

    fn see(&mut self, held: Held) {
        match held {
            Held::Wallet(_) => self.has_wallet = true,
            Held::UnreadableWallet(why) => {
                self.has_wallet = true;
                self.recount.note(Fault::WalletUnreadable(why));
            }
            Held::Unreadable(why) => self.recount.note(Fault::Unreadable(why)),
            Held::Repair(repair) => {
                self.recount.add_repair(repair);
                self.repairs.insert(repair);
            }
            Held::Record { key, record, .. } => self.see_record(&key, &record),
        }
    }

    fn see_record(&mut self, key: &RecordKey, record: &Record) {
        let Some(entry) = self.recount.add(key, record) else { return };
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
