mod repair;

use std::{
    collections::{BTreeMap, BTreeSet, hash_map::DefaultHasher},
    hash::{Hash, Hasher},
};

use super::{Charge, Entry, Fault, Grant, Record, RecordKey, Timestamp, Totals, TransNo, TransType, Wallet};

/// What records give: packs and sums, to be held against the wallet.
///
/// Every change of a wallet has a moment later than all before it, and leaves that
/// moment in the record. So the records as of a wallet's version give that wallet,
/// whatever has been written since: records that came later are left out, and voids
/// that came later too.
#[derive(Clone, Debug, Default)]
pub struct Recount {
    as_of: Option<Timestamp>,
    packs: BTreeMap<TransNo, Source>,
    totals: BTreeMap<TransType, Totals>,
    has_keyed_charges: bool,
    fences: u64,
    records: u64,
    voided: u64,
    /// The last change of all, whatever the moment that is counted as of.
    latest: Option<Timestamp>,
    faults: BTreeSet<Fault>,
}

/// A pack as the records tell it.
#[derive(Clone, Debug)]
struct Source {
    grant: Grant,
    /// Whether the record of the grant was seen, or allocations alone.
    is_there: bool,
    /// What live charges took.
    taken: u128,
}

impl Recount {
    /// Of records as of this moment, or of all.
    pub fn as_of(moment: Option<Timestamp>) -> Recount {
        Recount { as_of: moment, ..Recount::default() }
    }

    /// Counts a record in; what a timeline shows of it, as of the moment.
    pub fn add(&mut self, key: &RecordKey, record: &Record) -> Option<Entry> {
        self.latest = self.latest.max(Some(record.changed_at()));
        if let Record::Fence(void) = record {
            self.fences += u64::from(self.as_of.is_none_or(|as_of| void.at <= as_of));
        }
        let entry = record.entry()?.as_of(self.as_of)?;
        if !key.fits(record) {
            self.faults.insert(Fault::Misplaced(entry.trans_no));
        }
        self.records += 1;
        self.voided += u64::from(entry.void.is_some());
        match record {
            Record::Grant(grant) => self.source(grant).is_there = true,
            Record::Charge(charge) => {
                self.has_keyed_charges |=
                    matches!(key, RecordKey::Charge { generation: Some(_), key: Some(_) });
                self.take(charge, entry.void.is_none());
            }
            Record::Fence(_) => {}
        }
        let totals = self.totals.entry(entry.trans_type.clone()).or_default();
        let made = totals.made.add(entry.credits);
        let voided = if entry.void.is_some() { totals.voided.add(entry.credits) } else { Ok(()) };
        if made.and(voided).is_err() {
            self.faults.insert(Fault::TooMuch(entry.trans_type.clone()));
        }
        Some(entry)
    }

    /// Counts a repair in, which changed the wallet and nothing else.
    pub fn add_repair(&mut self, repair: TransNo) {
        self.latest = self.latest.max(Some(repair.created_at()));
    }

    /// When the last of all changes was: no wallet that is read later is older.
    pub fn latest(&self) -> Option<Timestamp> {
        self.latest
    }

    /// Notes something that is wrong.
    pub fn note(&mut self, fault: Fault) {
        self.faults.insert(fault);
    }

    /// How many records there are, and how many of them are voided.
    pub fn counts(&self) -> (u64, u64) {
        (self.records, self.voided)
    }

    /// The sum of what is left in the packs that have not run out then.
    pub fn balance(&self, then: Timestamp) -> i128 {
        self.packs.values().filter(|source| source.grant.is_usable(then)).map(Source::left).sum()
    }

    /// All that is wrong, with the wallet of the moment where it can be read. What is
    /// left in packs that have run out by now is nobody's money, and is not compared.
    pub fn faults(&self, wallet: Option<&Wallet>, now: Timestamp) -> BTreeSet<Fault> {
        let mut faults = self.faults.clone();
        for Source { grant, is_there, taken } in self.packs.values() {
            if !is_there {
                faults.insert(Fault::GrantMissing(grant.trans_no));
            } else if *taken > u128::from(grant.credits.get()) {
                faults.insert(Fault::Overdrawn(grant.trans_no, *taken, grant.credits));
            }
        }
        if let Some(wallet) = wallet {
            if wallet.version.is_none() && self.records + self.fences > 0 {
                faults.insert(Fault::WalletMissing);
            } else {
                self.compare_packs(wallet, now, &mut faults);
                self.compare_sums(wallet, &mut faults);
            }
        }
        faults
    }

    fn compare_packs(&self, wallet: &Wallet, now: Timestamp, faults: &mut BTreeSet<Fault>) {
        let now = wallet.version.map_or(now, |version| now.max(version));
        let mut held = BTreeMap::new();
        for pack in &wallet.packs {
            let trans_no = pack.grant.trans_no;
            held.insert(trans_no, i128::from(pack.remaining.get()));
            match self.packs.get(&trans_no) {
                None => _ = faults.insert(Fault::PackUnknown(trans_no)),
                Some(source) if source.grant != pack.grant => {
                    faults.insert(Fault::PackDiffers(trans_no));
                }
                Some(_) => {}
            }
        }
        for source in self.packs.values().filter(|source| source.grant.is_usable(now)) {
            let trans_no = source.grant.trans_no;
            let (by_wallet, by_records) = (held.get(&trans_no).copied().unwrap_or_default(), source.left());
            if by_wallet != by_records && by_records >= 0 {
                faults.insert(Fault::Pack(trans_no, by_wallet, by_records));
            }
        }
    }

    fn compare_sums(&self, wallet: &Wallet, faults: &mut BTreeSet<Fault>) {
        for of in self.totals.keys().chain(wallet.totals.keys()) {
            let sums = |totals: &BTreeMap<TransType, Totals>| totals.get(of).copied().unwrap_or_default();
            let (by_wallet, by_records) = (sums(&wallet.totals), sums(&self.totals));
            if by_wallet != by_records {
                faults.insert(Fault::Totals(of.clone(), by_wallet, by_records));
            }
        }
        if self.fences != wallet.fences {
            faults.insert(Fault::Fences(wallet.fences, self.fences));
        }
        if self.has_keyed_charges && !wallet.has_keyed_charges {
            faults.insert(Fault::KeyedCharges);
        }
    }

    fn take(&mut self, charge: &Charge, is_live: bool) {
        for part in &charge.allocations {
            let source = self.source(&part.grant);
            source.taken += if is_live { u128::from(part.credits.get()) } else { 0 };
        }
    }

    /// The pack of a grant, as it was told before, or as it is told now.
    fn source(&mut self, grant: &Grant) -> &mut Source {
        let untold = Source { grant: grant.clone(), is_there: false, taken: 0 };
        let source = self.packs.entry(grant.trans_no).or_insert(untold);
        if source.grant != *grant {
            self.faults.insert(Fault::GrantDiffers(grant.trans_no));
        }
        source
    }
}

impl Source {
    fn left(&self) -> i128 {
        i128::from(self.grant.credits.get()) - i128::try_from(self.taken).unwrap_or(i128::MAX)
    }
}

impl Entry {
    /// The same as of a moment: of a record made later nothing, and without a void that
    /// came later.
    pub fn as_of(self, moment: Option<Timestamp>) -> Option<Entry> {
        let is_later = |at: Timestamp| moment.is_some_and(|moment| moment < at);
        let void = self.void.filter(|(at, _)| !is_later(*at));
        (!is_later(self.trans_no.created_at())).then_some(Entry { void, ..self })
    }

    /// A number that another entry hardly has.
    pub fn mark(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        hasher.finish()
    }
}
