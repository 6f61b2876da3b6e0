use super::{Ledger, retry::Tries};
use crate::{
    domain::{LedgerError, Record, RecordKey, Timestamp, UserUuid, Wallet},
    store::{Commit, Held, RecordStep, Transaction, WalletStep},
};

/// How many bytes of records, as far as they are counted here, one transaction
/// takes: a quarter of what it may, because names and keys are not counted.
const BYTES_MAX: usize = 1024 * 1024;

/// A user's history, as it was before the ledger.
#[derive(Clone, Debug)]
pub struct Past {
    /// Whose.
    pub user: UserUuid,
    /// The records, each with the rows that it was made of, as text.
    pub records: Vec<(RecordKey, Record, String)>,
    /// What they give.
    pub wallet: Wallet,
}

/// What became of a user's history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Imported {
    /// It was written.
    Now,
    /// It was there already, the same.
    Before,
    /// Something else is there: the user has begun anew, or is being moved as of
    /// another moment. Nothing was written over.
    Live,
}

impl Ledger {
    /// Writes a user's history, if the user has none. The wallet comes with the last
    /// of the records, so nobody has credits before all of it is there; an import
    /// that breaks off is finished by a repeat.
    ///
    /// # Errors
    /// As for every write; a repeat goes on.
    pub async fn import(&self, past: &Past, deadline: Timestamp) -> Result<Imported, LedgerError> {
        let wallet = self.wallet(&past.user, deadline).await?;
        if wallet.version.is_some() {
            return Ok(if wallet == past.wallet { Imported::Before } else { Imported::Live });
        }
        let parts = parts(&past.records);
        for (nth, part) in parts.iter().enumerate() {
            let is_last = nth + 1 == parts.len();
            let step = |(key, record, rows)| RecordStep::Move(key, record, rows);
            let transaction = Transaction {
                user: &past.user,
                records: part.iter().map(|(key, record, rows)| step((key, record, rows.as_str()))).collect(),
                wallet: if is_last { WalletStep::Moved(None, &past.wallet) } else { WalletStep::Untouched },
            };
            if !self.import_part(&transaction, part, deadline).await? {
                return Ok(Imported::Live);
            }
        }
        Ok(Imported::Now)
    }

    /// Commits a part; whether what stands there now is this.
    async fn import_part(
        &self,
        transaction: &Transaction<'_>,
        part: &[(RecordKey, Record, String)],
        deadline: Timestamp,
    ) -> Result<bool, LedgerError> {
        let mut tries = Tries::until(deadline);
        loop {
            match self.commit(transaction, &mut tries).await? {
                Commit::Done => return Ok(true),
                Commit::Refused { wallet: None, records } if records.is_empty() => {
                    self.pause(&mut tries, LedgerError::Busy).await?;
                }
                Commit::Refused { wallet, records } => {
                    let is_same = records.len() == part.len()
                        && records.iter().all(|(place, found)| *found == part[*place].1);
                    let is_wallet = match transaction.wallet {
                        WalletStep::Moved(_, planned) => wallet.is_some_and(|found| found == *planned),
                        _ => true,
                    };
                    return Ok(is_same && is_wallet);
                }
            }
        }
    }

    /// All that is a user's, as of now.
    ///
    /// # Errors
    /// As for every read.
    pub async fn all(&self, user: &UserUuid, deadline: Timestamp) -> Result<Vec<Held>, LedgerError> {
        let (mut all, mut from) = (Vec::new(), None);
        loop {
            let (page, next) = self.read(deadline, || self.store.all(user, from.clone())).await?;
            all.extend(page);
            from = next;
            if from.is_none() {
                return Ok(all);
            }
        }
    }
}

/// Cuts records into what one transaction takes each.
fn parts(records: &[(RecordKey, Record, String)]) -> Vec<&[(RecordKey, Record, String)]> {
    let mut parts = Vec::new();
    let (mut begin, mut bytes) = (0, 0);
    for (place, (_, record, rows)) in records.iter().enumerate() {
        let of_record = rows.len() + 400 * allocations(record);
        if place - begin == Transaction::CHARGES_MAX || (bytes + of_record > BYTES_MAX && place > begin) {
            parts.push(&records[begin..place]);
            (begin, bytes) = (place, 0);
        }
        bytes += of_record;
    }
    parts.push(&records[begin..]);
    parts
}

fn allocations(record: &Record) -> usize {
    if let Record::Charge(charge) = record { charge.allocations.len() } else { 0 }
}
