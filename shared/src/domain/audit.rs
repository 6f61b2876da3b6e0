use std::{
    collections::{BTreeMap, BTreeSet, hash_map::DefaultHasher},
    fmt,
    hash::{Hash, Hasher},
};

use super::{Charge, Entry, Grant, Record, RecordKey, Timestamp, Totals, TransNo, TransType, Wallet};

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

/// What is wrong with a user's items.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// The ledger writes under no such `user_uuid`.
    NoUser,
    /// An item cannot be read: its key, and why.
    Unreadable(String),
    /// A record stands where another one belongs.
    Misplaced(TransNo),
    /// There are records and no wallet.
    WalletMissing,
    /// A pack was charged, or is in the wallet, and there is no record of its grant.
    GrantMissing(TransNo),
    /// A charge or the wallet tells a grant otherwise than its record.
    GrantDiffers(TransNo),
    /// What is left of a pack: by the wallet, by the records.
    Pack(TransNo, i128, i128),
    /// The sums of a trans_type: by the wallet, by the records.
    Totals(TransType, Totals, Totals),
    /// The wallet does not know of charges with both a generation and a key.
    KeyedCharges,
    /// How many fences there are: by the wallet, by the records.
    Fences(u64, u64),
    /// The records of a trans_type sum up to more than any wallet may hold.
    TooMuch(TransType),
    /// The index of the timeline has not the record as it is.
    Timeline(TransNo),
    /// The index of generations has not the charge.
    Generation(TransNo),
}

impl Recount {
    /// Of records as of this moment, or of all.
    pub fn as_of(moment: Option<Timestamp>) -> Recount {
        Recount { as_of: moment, ..Recount::default() }
    }

    /// Counts a record in; what a timeline shows of it, as of the moment.
    pub fn add(&mut self, key: &RecordKey, record: &Record) -> Option<Entry> {
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

    /// All that is wrong, with the wallet of the moment where it can be read. Packs
    /// that have run out by now are nobody's money, and are left out.
    pub fn faults(mut self, wallet: Option<&Wallet>, now: Timestamp) -> BTreeSet<Fault> {
        let lost = self.packs.values().filter(|source| !source.is_there);
        self.faults.extend(lost.map(|source| Fault::GrantMissing(source.grant.trans_no)));
        if let Some(wallet) = wallet {
            if wallet.version.is_none() && self.records + self.fences > 0 {
                self.faults.insert(Fault::WalletMissing);
            } else {
                self.compare(wallet, now);
            }
        }
        self.faults
    }

    fn compare(&mut self, wallet: &Wallet, now: Timestamp) {
        let now = wallet.version.map_or(now, |version| now.max(version));
        let mut held = BTreeMap::new();
        for pack in &wallet.packs {
            held.insert(pack.grant.trans_no, i128::from(pack.remaining.get()));
            if !self.source(&pack.grant).is_there {
                self.faults.insert(Fault::GrantMissing(pack.grant.trans_no));
            }
        }
        for source in self.packs.values().filter(|source| source.grant.is_usable(now)) {
            let trans_no = source.grant.trans_no;
            let (by_wallet, by_records) = (held.get(&trans_no).copied().unwrap_or_default(), source.left());
            if by_wallet != by_records {
                self.faults.insert(Fault::Pack(trans_no, by_wallet, by_records));
            }
        }
        for of in self.totals.keys().chain(wallet.totals.keys()) {
            let sums = |totals: &BTreeMap<TransType, Totals>| totals.get(of).copied().unwrap_or_default();
            let (by_wallet, by_records) = (sums(&wallet.totals), sums(&self.totals));
            if by_wallet != by_records {
                self.faults.insert(Fault::Totals(of.clone(), by_wallet, by_records));
            }
        }
        if self.fences != wallet.fences {
            self.faults.insert(Fault::Fences(wallet.fences, self.fences));
        }
        if self.has_keyed_charges && !wallet.has_keyed_charges {
            self.faults.insert(Fault::KeyedCharges);
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

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::NoUser => f.write_str("this is no user_uuid that the ledger has written"),
            Fault::Unreadable(why) => f.write_str(why),
            Fault::Misplaced(record) => write!(f, "record {record} stands where another belongs"),
            Fault::WalletMissing => f.write_str("there are records and no wallet"),
            Fault::GrantMissing(pack) => write!(f, "pack {pack} has no record of its grant"),
            Fault::GrantDiffers(pack) => write!(f, "pack {pack} is told otherwise than its grant's record"),
            Fault::Pack(pack, by_wallet, by_records) => {
                write!(f, "pack {pack} has {by_wallet} left by the wallet and {by_records} by the records")
            }
            Fault::Totals(of, by_wallet, by_records) => write!(
                f,
                "the sums of {of} are {} by the wallet and {} by the records",
                told(by_wallet),
                told(by_records)
            ),
            Fault::KeyedCharges => f.write_str("the wallet does not know of charges with keys"),
            Fault::Fences(by_wallet, by_records) => {
                write!(f, "there are {by_wallet} fences by the wallet and {by_records} by the records")
            }
            Fault::TooMuch(of) => write!(f, "the records of {of} sum up to more than 2^53-1"),
            Fault::Timeline(record) => write!(f, "record {record} is not the same in the timeline's index"),
            Fault::Generation(record) => write!(f, "record {record} is not in the generations' index"),
        }
    }
}

fn told(Totals { made, voided }: &Totals) -> String {
    format!(
        "{} credits of {} records, {} of {} voided",
        made.credits.get(),
        made.count,
        voided.credits.get(),
        voided.count
    )
}
