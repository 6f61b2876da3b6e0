//! The sums of a user's records.

use std::collections::BTreeMap;

use super::{CreditSum, Credits, Entry, LedgerError, Timestamp, TransType, Wallet};

/// The sums of a user's records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// All grants.
    pub granted: CreditSum,
    /// Credits that revocations took back or made debt; only in [`Summary::lifetime`].
    pub revoked: Option<Credits>,
    /// Live charges.
    pub spent: CreditSum,
    /// Voided charges.
    pub voided: CreditSum,
    /// Credits that expired before they were spent; only in [`Summary::lifetime`].
    pub expired: Option<Credits>,
    /// Live charges by type.
    pub by_trans_type: BTreeMap<TransType, CreditSum>,
}

impl Summary {
    /// The sums over all time, from the wallet alone.
    ///
    /// # Errors
    /// `Internal` if the sums of the wallet contradict each other.
    pub fn lifetime(wallet: &Wallet, now: Timestamp) -> Result<Summary, LedgerError> {
        let contradiction = || LedgerError::Internal("the wallet's totals contradict each other".to_owned());
        let mut summary = Summary { granted: wallet.total_granted()?, ..Summary::default() };
        for (trans_type, totals) in &wallet.totals {
            if let TransType::Charge(_) = trans_type {
                let live = totals.created.checked_sub(totals.voided).ok_or_else(contradiction)?;
                summary.spend(trans_type, live)?;
                summary.voided = summary.voided.checked_add(totals.voided)?;
            }
        }
        let covered = summary.granted.credits.checked_add(wallet.debt())?;
        let kept = covered.checked_sub(wallet.revoked).ok_or_else(contradiction)?;
        let unspent = kept.checked_sub(summary.spent.credits).ok_or_else(contradiction)?;
        summary.revoked = Some(wallet.revoked);
        summary.expired = Some(unspent.checked_sub(wallet.balance(now)).ok_or_else(contradiction)?);
        Ok(summary)
    }

    /// Adds a record in its present state.
    ///
    /// # Errors
    /// `LimitExceeded` if a sum exceeds [`Credits::TOTAL_MAX`].
    pub fn add(&mut self, entry: &Entry) -> Result<(), LedgerError> {
        let one = CreditSum { credits: entry.cost(), count: 1 };
        match (&entry.trans_type, &entry.void) {
            (TransType::Charge(_), None) => self.spend(&entry.trans_type, one)?,
            (TransType::Charge(_), Some(_)) => self.voided = self.voided.checked_add(one)?,
            (TransType::Grant(_) | TransType::Refund(_), _) => {
                self.granted = self.granted.checked_add(one)?
            }
        }
        Ok(())
    }

    fn spend(&mut self, trans_type: &TransType, live: CreditSum) -> Result<(), LedgerError> {
        if live.count > 0 {
            let sum = self.by_trans_type.entry(trans_type.clone()).or_default();
            *sum = sum.checked_add(live)?;
            self.spent = self.spent.checked_add(live)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::wallet::tests::{a_charge, a_grant, at, credits, invocation_id};
    use super::*;
    use crate::domain::{ChargeRequest, ChargeType, Grant, GrantRequest, GrantType, Record, Totals};

    #[derive(Debug)]
    enum Step {
        Grant(GrantType, u64, Option<i64>),
        Charge(ChargeType, u64),
        /// Of the charge with this index.
        Void(usize),
    }
    use Step::{Charge as Charged, Grant as Granted, Void as Voided};

    fn image() -> ChargeType {
        ChargeType::Generation("image".to_owned())
    }

    fn sum((total, count): (u64, u64)) -> CreditSum {
        CreditSum { credits: credits(total), count }
    }

    /// Executes the steps and compares both summaries with (credits, count) of the grants, of
    /// the live charges by type, and of the voided charges.
    #[track_caller]
    fn check(
        steps: &[Step],
        now: i64,
        (granted_sum, voided, expired): ((u64, u64), (u64, u64), u64),
        spent: &[(ChargeType, (u64, u64))],
    ) {
        let mut wallet = Wallet::default();
        let (mut entries, mut charges) = (Vec::new(), Vec::new());
        for step in steps {
            match step {
                Granted(trans_type, of, expired_at) => {
                    let request = GrantRequest { trans_type: *trans_type, ..a_grant((*of, *expired_at)) };
                    let (next, grant) = wallet.grant(&request, invocation_id(), at(0)).unwrap();
                    wallet = next;
                    entries.extend(Record::Grant(grant.into()).entry());
                }
                Charged(trans_type, of) => {
                    let request = ChargeRequest { trans_type: trans_type.clone(), ..a_charge(*of) };
                    let (next, charge) = wallet.charge(&request, invocation_id(), at(0)).unwrap();
                    wallet = next;
                    entries.extend(Record::Charge(charge.clone()).entry());
                    charges.push(charge);
                }
                Voided(nth) => {
                    let (next, voided_at, _) = wallet.void([&charges[*nth]], at(0)).unwrap();
                    wallet = next;
                    let entry = entries.iter_mut().find(|entry| entry.trans_no == charges[*nth].trans_no);
                    entry.unwrap().void = Some((voided_at, "it failed".to_owned().try_into().unwrap()));
                }
            }
        }
        let mut expected = Summary { granted: sum(granted_sum), voided: sum(voided), ..Summary::default() };
        for (of, total) in spent {
            expected.spent = expected.spent.checked_add(sum(*total)).unwrap();
            expected.by_trans_type.insert(TransType::Charge(of.clone()), sum(*total));
        }
        let mut counted = Summary::default();
        entries.iter().for_each(|entry| counted.add(entry).unwrap());
        assert_eq!(counted, expected, "record by record");
        expected.expired = Some(credits(expired));
        expected.revoked = Some(Credits::ZERO);
        assert_eq!(Summary::lifetime(&wallet, at(now)), Ok(expected), "from the wallet");
    }

    #[test]
    fn lifetime_summary_equals_the_sum_of_all_records() {
        use ChargeType::Chat;
        use GrantType::{NewUser, OrderPay, SystemAdd};
        let grants = [Granted(NewUser, 5, Some(20_000)), Granted(OrderPay, 10, None)];
        check(&[], 0, ((0, 0), (0, 0), 0), &[]);
        check(&grants, 0, ((15, 2), (0, 0), 0), &[]);
        check(&grants, 20_000, ((15, 2), (0, 0), 5), &[]);

        let spent = [Granted(SystemAdd, 20, None), Charged(Chat, 3), Charged(image(), 4), Charged(Chat, 2)];
        check(&spent, 0, ((20, 1), (0, 0), 0), &[(Chat, (5, 2)), (image(), (4, 1))]);

        let [one, other] = grants;
        let voided = [one, other, Charged(Chat, 2), Charged(image(), 6), Charged(image(), 1), Voided(1)];
        let live = [(Chat, (2, 1)), (image(), (1, 1))];
        check(&voided, 0, ((15, 2), (6, 1), 0), &live);
        check(&voided, 20_000, ((15, 2), (6, 1), 3), &live);
        check(&voided, 80_000, ((15, 2), (6, 1), 3), &live);
    }

    #[test]
    fn summary_omits_types_without_live_charges() {
        let steps = [Granted(GrantType::NewUser, 5, None), Charged(image(), 5), Voided(0)];
        check(&steps, 0, ((5, 1), (5, 1), 0), &[]);
    }

    #[test]
    fn summary_counts_migrated_refunds_as_granted() {
        let created = sum((7, 1));
        let refund = TransType::Refund(ChargeType::Chat);
        let totals = BTreeMap::from([(refund.clone(), Totals { created, ..Totals::default() })]);
        let (_, grant) = Wallet::default().grant(&a_grant((7, None)), invocation_id(), at(0)).unwrap();
        let mut counted = Summary::default();
        let record = Record::Grant(Grant { trans_type: refund, ..grant }.into());
        counted.add(&record.entry().unwrap()).unwrap();
        let summed = Summary::lifetime(&Wallet { totals, ..Wallet::default() }, at(0)).unwrap();
        assert_eq!((summed.granted, counted.granted), (created, created));
    }

    #[test]
    fn lifetime_summary_rejects_contradicting_totals() {
        let chat = || TransType::Charge(ChargeType::Chat);
        let (wallet, _) = Wallet::default().grant(&a_grant((5, None)), invocation_id(), at(0)).unwrap();
        for (contradiction, created, voided) in [
            ("more voided than created", (3, 1), (4, 1)),
            ("more often voided than created", (3, 1), (3, 2)),
            ("more spent than granted", (6, 1), (0, 0)),
            ("more left than granted and not spent", (1, 1), (0, 0)),
        ] {
            let mut wallet = wallet.clone();
            wallet.totals.insert(chat(), Totals { created: sum(created), voided: sum(voided) });
            let summed = Summary::lifetime(&wallet, at(0));
            assert!(matches!(summed, Err(LedgerError::Internal(_))), "{contradiction}");
        }
    }
}
