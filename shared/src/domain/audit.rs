//! The audit of a wallet: its packs and sums are computed from the records and compared.

mod order;
mod repair;

use std::collections::BTreeMap;

pub use order::OrderGrant;

use super::{
    Debt, Discrepancies, Discrepancy, Effect, Entry, Grant, Record, RecordKey, Timestamp, Totals, TransNo,
    TransType, Wallet, discrepancy::is_ahead,
};

/// The packs and sums of a wallet, computed from the records.
///
/// Every change of a wallet has a later version than the change before, and the record
/// stores that version. So the records up to a wallet's version give exactly that wallet.
/// Later records and later voids are ignored.
#[derive(Clone, Debug, Default)]
pub struct WalletRebuild {
    as_of: Option<Timestamp>,
    packs: BTreeMap<TransNo, RebuiltPack>,
    totals: BTreeMap<TransType, Totals>,
    has_keyed_charges: bool,
    fences: u64,
    /// The debts, by the version at which they began.
    debts: BTreeMap<Timestamp, Debt>,
    revoked: i128,
    shortfalls: BTreeMap<TransNo, i128>,
    records: u64,
    voided: u64,
    /// The last change of all records, also after `as_of`.
    latest: Option<Timestamp>,
    discrepancies: Discrepancies,
}

#[derive(Clone, Debug)]
struct RebuiltPack {
    grant: Grant,
    /// Whether the grant itself was added, and not only allocations from it.
    has_record: bool,
    /// Credits of live charges and revocations. Negative while records that returned credits have
    /// been added, and those that took them have not.
    charged: i128,
}

impl WalletRebuild {
    /// Without records; counts those up to this time, or all.
    pub fn as_of(time: Option<Timestamp>) -> WalletRebuild {
        WalletRebuild { as_of: time, ..WalletRebuild::default() }
    }

    /// Adds a record. Returns its timeline entry, if the record is not later than `as_of`.
    pub fn add(&mut self, key: &RecordKey, record: &Record) -> Option<Entry> {
        self.latest = self.latest.max(Some(record.changed_at()));
        let is_later = |at: Timestamp| self.as_of.is_some_and(|as_of| as_of < at);
        let changes = record.changes().into_iter().filter(|change| !is_later(change.at));
        changes.collect::<Vec<_>>().into_iter().for_each(|change| self.apply(change.effect, change.at));
        let entry = record.entry()?.as_of(self.as_of)?;
        if !key.matches(record) {
            self.discrepancies.insert(Discrepancy::MisplacedRecord(entry.trans_no));
        }
        self.has_keyed_charges |= matches!(key, RecordKey::Charge { generation: Some(_), key: Some(_) });
        self.records += 1;
        self.voided += u64::from(entry.void.is_some());
        Some(entry)
    }

    fn apply(&mut self, effect: Effect<'_>, at: Timestamp) {
        let (trans_type, added) = match effect {
            Effect::Created(trans_type, credits) => {
                let added = self.totals.entry(trans_type.clone()).or_default().created.add(credits);
                (trans_type, added)
            }
            Effect::Adjusted(trans_type, from, to) => {
                let created = &mut self.totals.entry(trans_type.clone()).or_default().created;
                let adjusted = created.credits.checked_sub(from).unwrap_or_default().checked_add(to);
                (trans_type, adjusted.map(|credits| created.credits = credits))
            }
            Effect::Voided(trans_type, credits) => {
                let added = self.totals.entry(trans_type.clone()).or_default().voided.add(credits);
                (trans_type, added)
            }
            Effect::Granted(grant) => return self.rebuilt_pack(grant).has_record = true,
            Effect::Taken(grant, credits) => {
                return self.rebuilt_pack(grant).charged += i128::from(credits.as_u64());
            }
            Effect::Returned(grant, credits) => {
                return self.rebuilt_pack(grant).charged -= i128::from(credits.as_u64());
            }
            Effect::Owed(charge, credits, parts) => {
                return self.add_debt(Debt::of(charge, credits, parts, at));
            }
            Effect::OrderOwed(grant, credits, parts) => {
                return self.add_debt(Debt::of_order(grant, credits, parts, at));
            }
            Effect::Repaid(trans_no, credits, parts) => {
                let is_other = |debt: &Debt| debt.trans_no != trans_no;
                return self
                    .debts
                    .retain(|_, debt| is_other(debt) || debt.reduce(credits, parts) == Some(true));
            }
            Effect::Revoked(credits) => return self.revoked += i128::from(credits.as_u64()),
            Effect::Restored(credits) => return self.revoked -= i128::from(credits.as_u64()),
            Effect::ShortfallAdded(grant, credits) => {
                return *self.shortfall(grant) += i128::from(credits.as_u64());
            }
            Effect::ShortfallReduced(grant, credits) => {
                return *self.shortfall(grant) -= i128::from(credits.as_u64());
            }
            Effect::Filled(grant, credits) => {
                *self.shortfall(grant) -= i128::from(credits.as_u64());
                self.revoked += i128::from(credits.as_u64());
                return self.rebuilt_pack(grant).charged += i128::from(credits.as_u64());
            }
            Effect::Fenced => return self.fences += 1,
        };
        if added.is_err() {
            self.discrepancies.insert(Discrepancy::TotalOverflow(trans_type));
        }
    }

    fn add_debt(&mut self, debt: Option<Debt>) {
        let Some(debt) = debt else { return };
        let earlier = self.debts.values_mut().find(|earlier| earlier.trans_no == debt.trans_no);
        let is_added = earlier.is_some_and(|earlier| earlier.add(&debt).is_ok());
        if !is_added {
            self.debts.insert(debt.since, debt);
        }
    }

    fn shortfall(&mut self, grant: &Grant) -> &mut i128 {
        self.shortfalls.entry(grant.trans_no).or_default()
    }

    /// Adds a repair, which changed only the wallet.
    pub fn add_repair(&mut self, repair: TransNo) {
        self.latest = self.latest.max(Some(repair.created_at()));
    }

    /// The time of the last change. The version of a wallet that is read later is not lower.
    pub fn latest(&self) -> Option<Timestamp> {
        self.latest
    }

    /// Adds a discrepancy that was found elsewhere.
    pub fn add_discrepancy(&mut self, discrepancy: Discrepancy) {
        self.discrepancies.insert(discrepancy);
    }

    /// The number of records, and of the voided ones among them.
    pub fn counts(&self) -> (u64, u64) {
        (self.records, self.voided)
    }

    /// The balance at a time; negative if charges took more than was granted.
    pub fn balance(&self, time: Timestamp) -> i128 {
        self.packs.values().filter(|rebuilt| rebuilt.grant.is_usable(time)).map(RebuiltPack::remaining).sum()
    }

    /// All discrepancies. The wallet is compared if it is readable. Expired packs are not
    /// compared, because no charge can take from them.
    pub fn discrepancies(&self, wallet: Option<&Wallet>, now: Timestamp) -> Discrepancies {
        let mut discrepancies = self.discrepancies.clone();
        discrepancies.extend(self.latest.filter(|at| is_ahead(*at, now)).map(Discrepancy::RecordsAhead));
        for RebuiltPack { grant, has_record, charged } in self.packs.values() {
            if !has_record {
                discrepancies.insert(Discrepancy::GrantMissing(grant.trans_no));
            } else if !(0..=i128::from(grant.credits.as_u64())).contains(charged) {
                discrepancies.insert(Discrepancy::PackOverdrawn(grant.trans_no, *charged, grant.credits));
            }
        }
        if let Some(wallet) = wallet {
            let version = wallet.version.filter(|version| is_ahead(*version, now));
            discrepancies.extend(version.map(Discrepancy::VersionAhead));
            if wallet.version.is_none() && self.records + self.fences > 0 {
                discrepancies.insert(Discrepancy::WalletMissing);
            } else {
                self.compare_packs(wallet, now, &mut discrepancies);
                self.compare_sums(wallet, &mut discrepancies);
            }
        }
        discrepancies
    }

    fn compare_packs(&self, wallet: &Wallet, now: Timestamp, discrepancies: &mut Discrepancies) {
        let now = wallet.version.map_or(now, |version| now.max(version));
        let mut balances = BTreeMap::new();
        for pack in &wallet.packs {
            let trans_no = pack.grant.trans_no;
            balances.insert(trans_no, i128::from(pack.remaining.as_u64()));
            match self.packs.get(&trans_no) {
                None => discrepancies.insert(Discrepancy::PackUnknown(trans_no)),
                Some(rebuilt) if rebuilt.grant != pack.grant => {
                    discrepancies.insert(Discrepancy::PackDiffers(trans_no));
                }
                Some(_) => {}
            }
        }
        for rebuilt in self.packs.values().filter(|rebuilt| rebuilt.grant.is_usable(now)) {
            let trans_no = rebuilt.grant.trans_no;
            let (by_wallet, by_records) =
                (balances.get(&trans_no).copied().unwrap_or_default(), rebuilt.remaining());
            if by_wallet != by_records && by_records >= 0 {
                discrepancies.insert(Discrepancy::PackBalance(trans_no, by_wallet, by_records));
            }
        }
    }

    fn compare_sums(&self, wallet: &Wallet, discrepancies: &mut Discrepancies) {
        for trans_type in self.totals.keys().chain(wallet.totals.keys()) {
            let sums =
                |totals: &BTreeMap<TransType, Totals>| totals.get(trans_type).copied().unwrap_or_default();
            let (by_wallet, by_records) = (sums(&wallet.totals), sums(&self.totals));
            if by_wallet != by_records {
                discrepancies.insert(Discrepancy::TotalsMismatch(trans_type.clone(), by_wallet, by_records));
            }
        }
        let debts: Vec<_> = self.debts.values().cloned().collect();
        if debts != wallet.debts {
            let sum = |debts: &[Debt]| debts.iter().map(|debt| debt.credits).sum();
            discrepancies.insert(Discrepancy::DebtMismatch(sum(&wallet.debts), sum(&debts)));
        }
        let by_wallet = i128::from(wallet.revoked.as_u64());
        if self.revoked != by_wallet {
            discrepancies.insert(Discrepancy::RevokedMismatch(by_wallet, self.revoked));
        }
        for grant in self.shortfalls.keys().chain(wallet.shortfalls.keys()) {
            let by_wallet = i128::from(wallet.shortfall(*grant).as_u64());
            let by_records = self.shortfalls.get(grant).copied().unwrap_or_default();
            if by_wallet != by_records {
                discrepancies.insert(Discrepancy::ShortfallMismatch(*grant, by_wallet, by_records));
            }
        }
        if self.fences != wallet.fences {
            discrepancies.insert(Discrepancy::FenceCount(wallet.fences, self.fences));
        }
        if self.has_keyed_charges && !wallet.has_keyed_charges {
            discrepancies.insert(Discrepancy::KeyedChargesFlag);
        }
    }

    /// The pack of a grant. It keeps the first copy of the grant, and reports other copies.
    fn rebuilt_pack(&mut self, grant: &Grant) -> &mut RebuiltPack {
        let new = RebuiltPack { grant: grant.clone(), has_record: false, charged: 0 };
        let rebuilt = self.packs.entry(grant.trans_no).or_insert(new);
        if rebuilt.grant != *grant {
            self.discrepancies.insert(Discrepancy::GrantDiffers(grant.trans_no));
        }
        rebuilt
    }
}

impl RebuiltPack {
    fn remaining(&self) -> i128 {
        i128::from(self.grant.credits.as_u64()) - self.charged
    }
}
