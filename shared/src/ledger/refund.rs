use std::collections::BTreeMap;

use tokio::try_join;

use super::{Ledger, retry::Tries};
use crate::{
    domain::{
        Charge, Credits, LedgerError, Nonce, Reason, Record, RecordKey, RefundRequest, Returned, Timestamp,
        TransNo, UserUuid, Void, Wallet,
    },
    meter::{self, Move},
    store::{Commit, RecordStep, Transaction, WalletStep},
};

/// How many voided charges an answer names at most.
const NAMED_MAX: usize = 1_000;

/// How a refund ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// This call voided at least one charge.
    Voided,
    /// Earlier calls had voided all there was.
    AlreadyVoided,
    /// There was nothing to void, and now there cannot be.
    Fenced,
}

impl Outcome {
    /// As the contract has it.
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Voided => "voided",
            Outcome::AlreadyVoided => "already_voided",
            Outcome::Fenced => "fenced",
        }
    }
}

/// What a refund did.
#[derive(Clone, Debug)]
pub struct Refunded {
    /// How it ended.
    pub outcome: Outcome,
    /// Whose charges they were.
    pub user: UserUuid,
    /// What this call gave back.
    pub returned: Returned,
    /// The voided charges that the request addresses, oldest first.
    pub charges: Vec<VoidedCharge>,
    /// Whether there are more of them.
    pub truncated: bool,
    /// The balance of now.
    pub balance: Credits,
}

/// A charge that was refunded.
#[derive(Clone, Debug)]
pub struct VoidedCharge {
    /// Its identity.
    pub trans_no: TransNo,
    /// How many credits, as a positive number.
    pub credits: Credits,
    /// When it was voided.
    pub voided_at: Timestamp,
    /// Why.
    pub voided_reason: Reason,
}

impl Ledger {
    /// Voids every live charge that the request addresses and gives each pack
    /// back what was taken from it. At the moment it commits none is live.
    ///
    /// # Errors
    /// `ChargeNotFound` and `IdempotencyConflict` where the index shows no user
    /// or two for the generation, `LimitExceeded` where more packs would come
    /// back than one item holds, and what every call may end with: `Busy`,
    /// `StoreUnavailable`, `Internal`.
    pub async fn refund(
        &self,
        request: &RefundRequest,
        deadline: Timestamp,
    ) -> Result<Refunded, LedgerError> {
        let user = match &request.user {
            Some(user) => user.clone(),
            None => self.owner(&request.generation, deadline).await?,
        };
        meter::about(Some(&user), Some(&request.generation));
        let mut refund = Refund {
            ledger: self,
            user: &user,
            request,
            deadline,
            nonce: self.nonce(),
            wallet: Wallet::default(),
            returned: Returned::default(),
            has_voided: false,
            charges: BTreeMap::new(),
            truncated: false,
            disturbed: false,
            in_turn: false,
            is_exact: false,
        };
        let mut tries = Tries::until(deadline);
        let outcome = loop {
            match refund.pass().await? {
                Some(outcome) => break outcome,
                None => self.pause(&mut tries, LedgerError::Busy).await?,
            }
        };
        meter::note(|notes| notes.outcome = Some(outcome.name()));
        Ok(Refunded {
            outcome,
            returned: refund.returned,
            charges: refund.charges.into_values().collect(),
            truncated: refund.truncated,
            balance: refund.wallet.balance(self.now()),
            user,
        })
    }
}

/// A refund on its way.
struct Refund<'a> {
    ledger: &'a Ledger,
    user: &'a UserUuid,
    request: &'a RefundRequest,
    deadline: Timestamp,
    nonce: Nonce,
    /// As last read or committed.
    wallet: Wallet,
    returned: Returned,
    has_voided: bool,
    charges: BTreeMap<TransNo, VoidedCharge>,
    truncated: bool,
    /// Whether anybody else has moved the wallet since this pass read it.
    disturbed: bool,
    /// Whether the next pass reads wallet and record in turn, not at once.
    in_turn: bool,
    /// Whether what was found live was so at the wallet's version. Otherwise it
    /// may have been voided in between, and a plan that fails says only that.
    is_exact: bool,
}

impl Refund<'_> {
    /// Reads what the request addresses, voids what is live of it, and says the
    /// outcome if at one moment none of it was live.
    ///
    /// With a key, or while the wallet has never seen a charge with one, the
    /// request addresses one place in the table, which is read along with the
    /// wallet. Otherwise the places are queried, after the wallet was read:
    /// every charge up to that version is then seen, and a later one moves the
    /// wallet. So nothing was missed if only this refund moved it, and if all
    /// that was found is as old as the wallet or older.
    async fn pass(&mut self) -> Result<Option<Outcome>, LedgerError> {
        let (ledger, user, deadline) = (self.ledger, self.user, self.deadline);
        let key = RecordKey::Charge {
            generation: Some(self.request.generation.clone()),
            key: self.request.key.clone(),
        };
        let wallet = ledger.read(deadline, || ledger.store.wallet(user));
        let record = ledger.read(deadline, || ledger.store.record(user, &key));
        let (wallet, record) =
            if self.in_turn { (wallet.await?, record.await?) } else { try_join!(wallet, record)? };
        (self.wallet, self.disturbed) = (wallet, false);
        let is_queried = self.request.key.is_none() && self.wallet.has_keyed_charges;
        self.is_exact = self.in_turn || is_queried;
        let records = if is_queried {
            self.query().await?
        } else {
            record.into_iter().map(|record| (key.clone(), record)).collect()
        };
        if records.iter().any(|(_, record)| record.changed_at() > self.wallet.version) {
            return Ok(None);
        }
        let is_fenced = records.iter().any(|(at, record)| *at == key && matches!(record, Record::Fence(_)));
        if !self.void_live(records).await? {
            self.in_turn = true;
            return Ok(None);
        }
        if self.charges.is_empty() {
            return Ok((is_fenced || self.fence(&key).await?).then_some(Outcome::Fenced));
        }
        let is_whole = if is_queried { !self.disturbed } else { !self.wallet.has_keyed_charges };
        let outcome = if self.has_voided { Outcome::Voided } else { Outcome::AlreadyVoided };
        Ok((self.request.key.is_some() || is_whole).then_some(outcome))
    }

    async fn query(&self) -> Result<Vec<(RecordKey, Record)>, LedgerError> {
        let mut records = Vec::new();
        let mut from = None;
        loop {
            let page = || self.ledger.store.charges(self.user, &self.request.generation, from.clone());
            let (mut charges, next) = self.ledger.read(self.deadline, page).await?;
            records.append(&mut charges);
            if next.is_none() {
                return Ok(records);
            }
            from = next;
        }
    }

    /// Voids what is live, in groups as large as a transaction may be, oldest
    /// first; says whether it did, or must look again.
    async fn void_live(&mut self, records: Vec<(RecordKey, Record)>) -> Result<bool, LedgerError> {
        let mut live = Vec::new();
        for (key, record) in records {
            match record {
                Record::Charge(charge @ Charge { void: None, .. }) => live.push((key, charge)),
                Record::Charge(charge) => self.note(charge),
                Record::Fence(_) => {}
                Record::Grant(_) => {
                    return Err(LedgerError::Internal("a grant where a charge stands".to_owned()));
                }
            }
        }
        live.sort_by_key(|(_, charge)| charge.trans_no);
        let groups = groups(live);
        // All of it must be possible before any of it is done.
        if groups.len() > 1 && self.plan(groups.iter().flatten())?.is_none() {
            return Ok(false);
        }
        for group in groups {
            if !self.void_group(group).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The wallet after these are void, when that is, and what it gives back;
    /// nothing where they may be void already.
    fn plan<'a>(
        &self,
        charges: impl IntoIterator<Item = &'a (RecordKey, Charge)>,
    ) -> Result<Option<(Wallet, Timestamp, Returned)>, LedgerError> {
        match self.wallet.void(charges.into_iter().map(|(_, charge)| charge), self.ledger.now()) {
            Err(_) if !self.is_exact => Ok(None),
            planned => planned.map(Some),
        }
    }

    /// Voids these in one transaction; says whether it did, or must look again.
    /// Those that somebody else voids first leave the group.
    async fn void_group(&mut self, mut group: Vec<(RecordKey, Charge)>) -> Result<bool, LedgerError> {
        let mut tries = Tries::until(self.deadline);
        while !group.is_empty() {
            let Some((next, at, returned)) = self.plan(&group)? else { return Ok(false) };
            let void = Void { at, reason: self.request.reason.clone(), by: self.nonce };
            let transaction = Transaction {
                user: self.user,
                records: group.iter().map(|(key, _)| RecordStep::Void(key, &void)).collect(),
                wallet: WalletStep::Moved(self.wallet.version, &next),
            };
            let Commit::Refused { wallet, records } = self.ledger.commit(&transaction, &mut tries).await?
            else {
                self.wallet = next;
                return self.done(group, &void, returned).map(|()| true);
            };
            let is_ours = records.iter().any(|(_, record)| voided_by(record) == Some(self.nonce));
            let wallet = self.ledger.wallet_after(self.user, wallet, &mut tries).await?;
            self.is_exact = false;
            self.disturbed |= wallet.version != self.wallet.version;
            self.wallet = wallet;
            if is_ours {
                return self.done(group, &void, returned).map(|()| true);
            }
            for (place, record) in records.into_iter().rev() {
                group.remove(place);
                if let Record::Charge(charge) = record {
                    self.note(charge);
                }
            }
        }
        Ok(true)
    }

    /// Counts a group that this refund has voided.
    fn done(
        &mut self,
        group: Vec<(RecordKey, Charge)>,
        void: &Void,
        returned: Returned,
    ) -> Result<(), LedgerError> {
        self.has_voided = true;
        self.returned = self.returned.plus(returned)?;
        for (_, charge) in &group {
            meter::moved(Move::Voided, &charge.trans_type, charge.credits);
        }
        group.into_iter().for_each(|(_, charge)| self.note(Charge { void: Some(void.clone()), ..charge }));
        Ok(())
    }

    /// Sees to it that no charge can come; says whether it did, or the world
    /// has changed and must be looked at again.
    async fn fence(&mut self, key: &RecordKey) -> Result<bool, LedgerError> {
        let (next, at) = self.wallet.fence(self.ledger.now());
        let fence = Record::Fence(Void { at, reason: self.request.reason.clone(), by: self.nonce });
        let transaction = Transaction {
            user: self.user,
            records: vec![RecordStep::Put(key, &fence)],
            wallet: WalletStep::Moved(self.wallet.version, &next),
        };
        let commit = self.ledger.commit(&transaction, &mut Tries::until(self.deadline)).await?;
        Ok(matches!(commit, Commit::Done))
    }

    /// Notes a voided charge for the answer.
    fn note(&mut self, charge: Charge) {
        if let Some(Void { at: voided_at, reason: voided_reason, .. }) = charge.void {
            let Charge { trans_no, credits, .. } = charge;
            self.charges.insert(trans_no, VoidedCharge { trans_no, credits, voided_at, voided_reason });
        }
        if self.charges.len() > NAMED_MAX {
            self.charges.pop_last();
            self.truncated = true;
        }
    }
}

fn voided_by(record: &Record) -> Option<Nonce> {
    if let Record::Charge(Charge { void: Some(void), .. }) = record { Some(void.by) } else { None }
}

/// Charges in groups that one transaction has room for.
fn groups(charges: Vec<(RecordKey, Charge)>) -> Vec<Vec<(RecordKey, Charge)>> {
    let mut groups: Vec<Vec<(RecordKey, Charge)>> = Vec::new();
    let mut allocations = 0;
    for (key, charge) in charges {
        let more = charge.allocations.len();
        match groups.last_mut() {
            Some(group)
                if group.len() < Transaction::CHARGES_MAX
                    && allocations + more <= Transaction::ALLOCATIONS_MAX =>
            {
                allocations += more;
                group.push((key, charge));
            }
            _ => {
                allocations = more;
                groups.push(vec![(key, charge)]);
            }
        }
    }
    groups
}
