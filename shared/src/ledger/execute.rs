//! The one write path: read, decide, commit and retry, for every command.

use std::pin::pin;

use tokio::try_join;
use uuid::Uuid;

use super::{Ledger, retry::RetryState};
use crate::{
    domain::{
        Command, Effect, InvocationId, LedgerError, Plan, ReadRequest, RecordKey, RecordLookup, Step,
        Timestamp, TransType, UserId, View,
    },
    invocation_metrics::{self, CreditFlow},
    store::{Commit, RequestToken, StoreError, StoredWallet, Transaction, UnknownAttributes},
};

/// One invocation of a command.
#[derive(Clone, Copy, Debug)]
pub struct Invocation {
    /// When all must be done.
    pub deadline: Timestamp,
    /// Which delivery it is; absent where no delivery is ever repeated.
    delivery: Option<InvocationId>,
}

impl Invocation {
    /// One that is delivered once.
    pub fn until(deadline: Timestamp) -> Invocation {
        Invocation { deadline, delivery: None }
    }

    /// The same, delivered under a request id: Lambda delivers an event again under the
    /// same one, and a request without an identity is then done once.
    pub fn delivered_as(self, request_id: &str) -> Invocation {
        let id = Uuid::new_v5(&Uuid::NAMESPACE_OID, request_id.as_bytes());
        Invocation { delivery: (!request_id.is_empty()).then(|| InvocationId::new(id)), ..self }
    }
}

impl Ledger {
    /// Executes a command:
    ///
    /// ```text
    /// read -> next -> commit                                  -> next ... -> answer
    ///                    a record is in the way: it is known  -> next
    ///                    the wallet has moved: it is known    -> next
    ///                    a conflict: pause, read the wallet   -> next
    /// ```
    ///
    /// # Errors
    /// What the command refuses with, and `Busy`, `StoreUnavailable` or `Internal`.
    pub async fn execute<C: Command>(
        &self,
        command: &C,
        invocation: &Invocation,
    ) -> Result<C::Answer, LedgerError> {
        let mut execution = Execution::new(self, command.user(), invocation);
        let result = execution.run(command).await;
        record_flows(&execution.view);
        result.and_then(|()| command.answer(execution.view, self.now()))
    }
}

/// Records the credits that this invocation has moved, in its metrics.
fn record_flows(view: &View) {
    for change in view.own_changes() {
        match change.effect {
            Effect::Created(TransType::Grant(trans_type), credits) => {
                invocation_metrics::record_grant(trans_type, credits)
            }
            Effect::Created(TransType::Charge(trans_type), credits) => {
                invocation_metrics::record_charge(CreditFlow::Charged, &trans_type, credits);
            }
            Effect::Voided(TransType::Charge(trans_type), credits) => {
                invocation_metrics::record_charge(CreditFlow::Voided, &trans_type, credits);
            }
            _ => {}
        }
    }
}

/// A command on its way.
struct Execution<'a> {
    ledger: &'a Ledger,
    user: &'a UserId,
    view: View,
    /// What the stored wallet has besides the view's.
    unknown: UnknownAttributes,
    retries: RetryState,
}

impl<'a> Execution<'a> {
    fn new(ledger: &'a Ledger, user: &'a UserId, invocation: &Invocation) -> Execution<'a> {
        let id = ledger.invocation_id();
        Execution {
            ledger,
            user,
            view: View::new(id, invocation.delivery.unwrap_or(id), Transaction::ROOM),
            unknown: UnknownAttributes::default(),
            retries: RetryState::until(invocation.deadline),
        }
    }

    async fn run<C: Command>(&mut self, command: &C) -> Result<(), LedgerError> {
        self.read(command.first_read(&self.view)).await?;
        let mut rereads = 0;
        loop {
            match command.next(&self.view, self.ledger.now())? {
                Step::Done => return Ok(()),
                Step::Commit(plan) => {
                    rereads = 0;
                    self.commit(plan).await?;
                }
                Step::Read(read) => {
                    // What an immediate read has not shown needs time to become visible.
                    if rereads > 0 && !matches!(read, ReadRequest::Generation(_)) {
                        self.ledger.pause(&mut self.retries, LedgerError::Busy).await?;
                    }
                    rereads += 1;
                    self.read(read).await?;
                }
            }
        }
    }

    async fn read(&mut self, read: ReadRequest) -> Result<(), LedgerError> {
        let (ledger, user, deadline) = (self.ledger, self.user, self.retries.deadline());
        match read {
            ReadRequest::Wallet => {
                let wallet = ledger.read_with(&mut self.retries, || ledger.store.wallet(user)).await?;
                self.set_wallet(wallet);
            }
            ReadRequest::WalletAndRecord(key) => {
                let wallet = ledger.read(deadline, || ledger.store.wallet(user));
                let record = ledger.read(deadline, || ledger.store.record(user, &key));
                let (wallet, record) = try_join!(wallet, record)?;
                self.set_wallet(wallet);
                self.view.set_record(record);
            }
            ReadRequest::Generation(generation) => {
                let mut from = None;
                loop {
                    let page = || ledger.store.charges(user, &generation, from.clone());
                    let (records, next) = ledger.read_with(&mut self.retries, page).await?;
                    records.into_iter().for_each(|record| self.view.set_record(record));
                    if next.is_none() {
                        break;
                    }
                    from = next;
                }
                self.view.set_generation_complete();
            }
            ReadRequest::Snapshot(keys) => self.read_snapshot(&keys).await?,
        }
        Ok(())
    }

    async fn read_snapshot(&mut self, keys: &[RecordKey]) -> Result<(), LedgerError> {
        let (ledger, user) = (self.ledger, self.user);
        let read = || ledger.store.snapshot(user, keys);
        let (stored, records) = ledger.read_with(&mut self.retries, read).await?;
        self.unknown = stored.unknown;
        self.view.set_snapshot(stored.wallet, records);
        Ok(())
    }

    fn set_wallet(&mut self, stored: StoredWallet) {
        self.unknown = stored.unknown;
        self.view.set_wallet(stored.wallet);
    }

    /// Commits a plan, or learns why not. The same transaction is sent again under the
    /// same token until its outcome is known, so that what was done by a call whose
    /// answer was lost is not done twice.
    async fn commit(&mut self, plan: Plan) -> Result<(), LedgerError> {
        let (ledger, token) = (self.ledger, self.ledger.request_token());
        let mut is_unknown = false;
        loop {
            match self.send(&plan, token).await {
                Ok(Commit::Done) => {
                    self.retries.reset_after_commit();
                    self.view.set_committed(plan);
                    return Ok(());
                }
                Ok(Commit::Refused { wallet, records }) => return self.add_existing(wallet, records).await,
                // `Busy` would say that nothing was done.
                Ok(Commit::Conflict) if is_unknown => {
                    ledger.pause(&mut self.retries, LedgerError::StoreUnavailable).await?;
                }
                Ok(Commit::Conflict) => {
                    self.halve_limit(&plan);
                    ledger.pause(&mut self.retries, LedgerError::Busy).await?;
                    return self.read(ReadRequest::Wallet).await;
                }
                Err(StoreError::TokenMismatch(_)) if is_unknown => return self.read_outcome(&plan).await,
                Err(StoreError::DeadlineExceeded) if is_unknown => return Err(LedgerError::StoreUnavailable),
                Err(error) => {
                    is_unknown |= matches!(error, StoreError::Unavailable(_));
                    ledger.pause_after_failure(error, &mut self.retries).await?;
                    // What gets no answer may be too much.
                    if plan.changes.len() > 1 {
                        self.halve_limit(&plan);
                        return self.read_outcome(&plan).await;
                    }
                }
            }
        }
    }

    async fn send(&mut self, plan: &Plan, token: RequestToken) -> Result<Commit, StoreError> {
        let version = self.view.wallet().version;
        let transaction = Transaction { user: self.user, version, unknown: &self.unknown, plan };
        let call = pin!(self.ledger.store.commit(&transaction, token));
        self.ledger.time_commit(&mut self.retries, call).await
    }

    /// A condition failed. A record that was found goes before everything else. The wallet
    /// that was found is used at once the first time. A second refusal means that many are
    /// at this wallet: then a pause, and the wallet of after the pause, because a plan that
    /// has waited fails, and a failed transaction costs more than a read.
    async fn add_existing(
        &mut self,
        wallet: Option<StoredWallet>,
        records: Vec<RecordLookup>,
    ) -> Result<(), LedgerError> {
        let has_record = !records.is_empty();
        records.into_iter().for_each(|record| self.view.set_record(record));
        match wallet {
            Some(wallet) if has_record || self.retries.is_first_wallet_change() => self.set_wallet(wallet),
            None if has_record => {}
            _ => {
                self.ledger.pause(&mut self.retries, LedgerError::Busy).await?;
                self.read(ReadRequest::Wallet).await?;
            }
        }
        Ok(())
    }

    /// Reads what a plan of unknown outcome was about, as of one moment. It may still be
    /// committed later, so that nothing may be called undone from now on.
    async fn read_outcome(&mut self, plan: &Plan) -> Result<(), LedgerError> {
        self.retries.set_outcome_unknown();
        let keys: Vec<_> = plan.changes.iter().map(|change| change.after().0.clone()).collect();
        self.read_snapshot(&keys).await?;
        self.retries.reset_unanswered();
        Ok(())
    }

    /// Halves what the next transaction may change, after one of several records met
    /// contention or got no answer.
    fn halve_limit(&mut self, plan: &Plan) {
        let records = plan.changes.len().div_ceil(2);
        self.view.limits.records = self.view.limits.records.min(records.max(1));
    }
}
