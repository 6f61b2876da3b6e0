use super::{Ledger, retry::Tries};
use crate::{
    domain::{Credits, LedgerError, Nonce, Record, RecordKey, Timestamp, UserUuid, Wallet},
    store::{Commit, RecordStep, Transaction, WalletStep},
};

/// A record that was written, or that stood there already.
#[derive(Clone, Debug)]
pub struct Posted<T> {
    /// The record.
    pub record: T,
    /// The balance of now.
    pub balance: Credits,
    /// Whether an earlier call wrote it.
    pub replayed: bool,
}

/// A new record: for whom, under which key, by which rule.
pub(super) struct Posting<'a, Plan> {
    pub(super) user: &'a UserUuid,
    /// What makes it the same record, if anything does.
    pub(super) identity: Option<RecordKey>,
    /// Where it stands if nothing does.
    pub(super) unkeyed: fn(Nonce) -> RecordKey,
    /// The rule: the wallet after, and the record.
    pub(super) plan: Plan,
}

impl Ledger {
    /// Writes a record and moves the wallet in one transaction:
    ///
    /// ```text
    /// read wallet -> plan -> put record if absent   -> done
    ///                        move wallet if unmoved
    ///                           record there -> it is the answer: a replay, or our own write
    ///                           wallet moved -> plan again on the wallet of now
    /// ```
    ///
    /// A record that is there already goes before any refusal of the plan: the
    /// replay of the charge that emptied the wallet must give its answer.
    pub(super) async fn post<Plan>(
        &self,
        posting: Posting<'_, Plan>,
        deadline: Timestamp,
    ) -> Result<Posted<Record>, LedgerError>
    where
        Plan: Fn(&Wallet, Nonce, Timestamp) -> Result<(Wallet, Record), LedgerError>,
    {
        let Posting { user, identity, unkeyed, plan } = posting;
        let nonce = self.nonce();
        let is_identified = identity.is_some();
        let key = identity.unwrap_or_else(|| unkeyed(nonce));
        let mut wallet = self.read(deadline, || self.store.wallet(user)).await?;
        let mut tries = Tries::until(deadline);
        loop {
            let now = self.now();
            let (next, record) = match plan(&wallet, nonce, now) {
                Ok(planned) => planned,
                Err(refusal) if !is_identified => return Err(refusal),
                Err(refusal) => {
                    let record = self.read(deadline, || self.store.record(user, &key)).await?;
                    let record = record.ok_or(refusal)?;
                    return self.found(user, record, nonce, wallet, deadline).await;
                }
            };
            let transaction = Transaction {
                user,
                records: vec![RecordStep::Put(&key, &record)],
                wallet: WalletStep::Moved(wallet.version, &next),
            };
            match self.commit(&transaction, &mut tries).await? {
                Commit::Done => return Ok(Posted { record, balance: next.balance(now), replayed: false }),
                Commit::Refused { wallet: moved, records } => {
                    if let Some((_, record)) = records.into_iter().next() {
                        return self.found(user, record, nonce, moved.unwrap_or(wallet), deadline).await;
                    }
                    wallet = self.wallet_after(user, moved, &mut tries).await?;
                }
            }
        }
    }

    /// A record that stands there already: a replay, or the invocation's own
    /// write whose answer was lost. A wallet of before it does not count it yet.
    async fn found(
        &self,
        user: &UserUuid,
        record: Record,
        nonce: Nonce,
        wallet: Wallet,
        deadline: Timestamp,
    ) -> Result<Posted<Record>, LedgerError> {
        let is_older = record.changed_at() > wallet.version;
        let wallet = if is_older { self.wallet(user, deadline).await? } else { wallet };
        Ok(Posted { replayed: !is_of(&record, nonce), balance: wallet.balance(self.now()), record })
    }
}

fn is_of(record: &Record, nonce: Nonce) -> bool {
    match record {
        Record::Grant(grant) => grant.trans_no.is_of(nonce),
        Record::Charge(charge) => charge.trans_no.is_of(nonce),
        Record::Fence(_) => false,
    }
}
