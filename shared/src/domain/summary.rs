use std::collections::BTreeMap;

use super::{Credits, Error, GenerationUuid, OrderNo, Reason, Tally, Timestamp, TransNo, TransType, Wallet};

/// A record as the timeline shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its identity and moment.
    pub trans_no: TransNo,
    /// What it is for; a charge's credits went, all others' came.
    pub trans_type: TransType,
    /// How many, as a positive number.
    pub credits: Credits,
    /// The order it names.
    pub order_no: Option<OrderNo>,
    /// The generation it names.
    pub generation: Option<GenerationUuid>,
    /// When a grant runs out.
    pub expired_at: Option<Timestamp>,
    /// When and why a charge was voided.
    pub void: Option<(Timestamp, Reason)>,
}

/// The sums of a user's records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Grants.
    pub granted: Tally,
    /// Charges that are not voided.
    pub spent: Tally,
    /// Charges that are.
    pub voided: Tally,
    /// What ran out before it was spent; only for the whole life of a wallet.
    pub expired: Option<Credits>,
    /// Charges that are not voided, by type.
    pub by_trans_type: BTreeMap<TransType, Tally>,
}

impl Summary {
    /// Over all time, from the wallet alone.
    ///
    /// # Errors
    /// `Internal` when the wallet contradicts itself.
    pub fn lifetime(wallet: &Wallet, now: Timestamp) -> Result<Summary, Error> {
        let contradiction = || Error::Internal("the wallet's totals contradict each other".to_owned());
        let mut summary = Summary { granted: wallet.granted()?, ..Summary::default() };
        for (trans_type, totals) in &wallet.totals {
            if let TransType::Charge(_) = trans_type {
                let live = totals.made.without(totals.voided).ok_or_else(contradiction)?;
                summary.spend(trans_type, live)?;
                summary.voided = summary.voided.plus(totals.voided)?;
            }
        }
        let unspent = summary.granted.credits.minus(summary.spent.credits).ok_or_else(contradiction)?;
        summary.expired = Some(unspent.minus(wallet.balance(now)).ok_or_else(contradiction)?);
        Ok(summary)
    }

    /// Counts one record in, by its state of today.
    ///
    /// # Errors
    /// `LimitExceeded` for sums.
    pub fn count(&mut self, entry: &Entry) -> Result<(), Error> {
        let one = Tally { credits: entry.credits, count: 1 };
        match (&entry.trans_type, &entry.void) {
            (TransType::Charge(_), None) => self.spend(&entry.trans_type, one)?,
            (TransType::Charge(_), Some(_)) => self.voided = self.voided.plus(one)?,
            (TransType::Grant(_) | TransType::Refund(_), _) => self.granted = self.granted.plus(one)?,
        }
        Ok(())
    }

    fn spend(&mut self, trans_type: &TransType, live: Tally) -> Result<(), Error> {
        if live.count > 0 {
            let tally = self.by_trans_type.entry(trans_type.clone()).or_default();
            *tally = tally.plus(live)?;
            self.spent = self.spent.plus(live)?;
        }
        Ok(())
    }
}
