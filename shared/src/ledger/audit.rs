use std::collections::{BTreeMap, BTreeSet};

use tokio::time::{Duration, sleep};

use super::Ledger;
use crate::{
    domain::{
        Error, Fault, GenerationUuid, Record, RecordKey, Recount, Timestamp, TransNo, UserUuid, Wallet,
    },
    store::Held,
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

/// A user's items, as of the version of the wallet.
#[derive(Default)]
struct Seen {
    as_of: Option<Timestamp>,
    recount: Recount,
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
    pub async fn audit(&self, user: &UserUuid, deadline: Timestamp) -> Result<Audited, Error> {
        let (wallet, mut seen) = self.seen(user, deadline).await?;
        for fault in self.index_faults(user, &seen, deadline).await? {
            seen.recount.note(fault);
        }
        let (records, voided) = seen.recount.counts();
        let generation = seen.charges.into_values().next().map(|(generation, _)| generation);
        let faults = seen.recount.faults(wallet.as_ref(), self.now());
        Ok(Audited { records, voided, generation, faults })
    }

    /// The wallet, where it can be read, and then all records.
    async fn seen(&self, user: &UserUuid, deadline: Timestamp) -> Result<(Option<Wallet>, Seen), Error> {
        loop {
            let wallet = match self.read(deadline, || self.store.held_wallet(user)).await? {
                None => Some(Wallet::default()),
                Some(Held::Wallet(wallet)) => Some(wallet),
                Some(_) => None,
            };
            let as_of = wallet.as_ref().and_then(|wallet| wallet.version);
            let mut seen = Seen { as_of, recount: Recount::as_of(as_of), ..Seen::default() };
            let (mut has_begun, mut from) = (false, None);
            loop {
                let (page, next) = self.read(deadline, || self.store.all(user, from.clone())).await?;
                for held in page {
                    match held {
                        Held::Wallet(_) => has_begun = as_of.is_none() && wallet.is_some(),
                        Held::Unreadable(why) => seen.recount.note(Fault::Unreadable(why)),
                        Held::Record { key, record, .. } => seen.see(&key, &record),
                    }
                }
                from = next;
                if from.is_none() {
                    break;
                }
            }
            // The first grant came after the look at the wallet.
            if !has_begun {
                return Ok((wallet, seen));
            }
        }
    }

    async fn index_faults(
        &self,
        user: &UserUuid,
        seen: &Seen,
        deadline: Timestamp,
    ) -> Result<Vec<Fault>, Error> {
        let mut faults = Vec::new();
        for look in 0..LOOKS {
            if look > 0 {
                sleep(Duration::from_millis(LAG_MILLIS)).await;
            }
            faults = match self.timeline_faults(user, seen, deadline).await {
                Err(Error::Internal(why)) => vec![Fault::Unreadable(why)],
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
    ) -> Result<Vec<Fault>, Error> {
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
    fn see(&mut self, key: &RecordKey, record: &Record) {
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
