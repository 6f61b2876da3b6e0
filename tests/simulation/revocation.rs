//! The rules by which revocations of orders change an account.

use crate::{
    item::{Parts, sum},
    record::{Adjustment, AdjustmentKind, Record},
    state::{RecordState, State},
};

impl State {
    /// Takes from the order's own pack first, also if it has expired and is still in the wallet.
    /// The rest was spent.
    pub fn revoke(
        &mut self,
        before: Option<i64>,
        sort: &str,
        record: &Record,
        adjustment: &Adjustment,
    ) -> Result<(), String> {
        let Adjustment { at, kind: AdjustmentKind::Revoked { shortfall, owed, .. }, .. } = adjustment else {
            return Err("it revokes nothing".to_owned());
        };
        let more = adjustment.kind.revoked().filter(|more| *more > 0).ok_or("it revokes nothing")?;
        let pack = self.pack(&record.trans_no)?;
        let taken = if pack.is_in_wallet(before) { pack.remaining.min(more) } else { 0 };
        pack.remaining -= taken;
        let spent = more - taken;
        let is_kept = *shortfall > 0;
        let available = if is_kept || !self.debts.is_empty() { 0 } else { self.balance(*at).min(spent) };
        let paid = self.take(*at, available)?;
        let (shortfall, owed) = if is_kept { (spent, *owed) } else { (0, spent - available) };
        let expected = AdjustmentKind::Revoked { taken, paid: paid.clone(), shortfall, owed };
        if expected != adjustment.kind {
            return Err(format!("it should be {expected:?}"));
        }
        self.pack(&record.trans_no)?.shortfall += shortfall;
        self.owe(*at, sort, owed);
        let grant = self.record(sort)?;
        grant.owned.extend(paid);
        grant.revoked += more;
        Ok(())
    }

    /// Debt and shortfall of the order shrink first. Then credits return to the other packs that
    /// paid, last taken first, and to its own.
    pub fn restore(&mut self, sort: &str, record: &Record, adjustment: &Adjustment) -> Result<(), String> {
        let less = adjustment.kind.revoked().filter(|more| *more < 0).ok_or("it restores nothing")?;
        let mut rest = -less;
        let mut part = |of: i64| {
            let part = rest.min(of);
            rest -= part;
            part
        };
        let owed = part(self.owed(sort));
        let shortfall = part(self.pack(&record.trans_no)?.shortfall);
        let paid = part(sum(&self.record(sort)?.owned));
        let returned = part(i64::MAX);
        let expected = AdjustmentKind::Restored { owed, shortfall, paid, returned };
        if expected != adjustment.kind {
            return Err(format!("it should be {expected:?}"));
        }
        self.cancel_debt(sort, owed);
        self.pack(&record.trans_no)?.shortfall -= shortfall;
        self.record(sort)?.revoked += less;
        let mut parts: Parts = self.cut(sort, paid)?;
        parts.push((record.trans_no.clone(), returned));
        self.return_to_packs(adjustment.at, &parts).map(drop)
    }

    /// The grants so far, by sort key.
    pub fn grants(&self) -> impl Iterator<Item = (&String, &RecordState)> {
        self.records.iter().filter(|(_, record)| record.credits > 0)
    }

    /// What revocations took and made debt.
    pub fn revoked(&self) -> i64 {
        let shortfall: i64 = self.packs.iter().map(|pack| pack.shortfall).sum();
        self.grants().map(|(_, grant)| grant.revoked).sum::<i64>() - shortfall
    }

    /// What revocations took from packs, at once or later.
    pub fn withdrawn(&self) -> i64 {
        self.revoked() - self.grants().map(|(sort, _)| self.owed(sort)).sum::<i64>()
    }
}
