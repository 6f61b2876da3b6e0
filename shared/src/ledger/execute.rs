//! The write path of all commands: read, decide, commit and retry.

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
    store::{Commit, Refusal, RequestToken, StoreError, StoredWallet, Transaction, UnknownAttributes},
};

/// One invocation of a command.
#[derive(Clone, Copy, Debug)]
pub struct Invocation {
    /// All calls must end by this time.
    pub deadline: Timestamp,
    /// The id of the delivery; absent if deliveries are never repeated.
    delivery: Option<InvocationId>,
}

impl Invocation {
    /// An invocation that is delivered once.
    pub fn until(deadline: Timestamp) -> Invocation {
        Invocation { deadline, delivery: None }
    }

    /// Sets Lambda's request id. If Lambda delivers an event again, the id is the same, and a
    /// request without an identity takes effect once.
    pub fn delivered_as(self, request_id: &str) -> Invocation {
        let id = Uuid::new_v5(&Uuid::NAMESPACE_OID, request_id.as_bytes());
        Invocation { delivery: (!request_id.is_empty()).then(|| InvocationId::new(id)), ..self }
    }
}

impl Ledger {
    /// Executes a command:
    ///
    /// ```text
    /// read -> next -> commit                                      -> next ... -> answer
    ///                    the record exists: add it to the view    -> next
    ///                    the wallet changed: add it to the view   -> next
    ///                    conflict: pause, read the wallet         -> next
    /// ```
    ///
    /// # Errors
    /// The rejection of the command, or `Busy`, `StoreUnavailable` or `Internal`.
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

/// Records the credits that this invocation moved in its metrics.
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
            Effect::Adjusted(TransType::Charge(trans_type), from, to) => {
                let more = to.checked_sub(from).unwrap_or_default();
                let less = from.checked_sub(to).unwrap_or_default();
                for (flow, credits) in [(CreditFlow::Charged, more), (CreditFlow::Voided, less)] {
                    if !credits.is_zero() {
                        invocation_metrics::record_charge(flow, &trans_type, credits);
                    }
                }
            }
            Effect::Revoked(credits) => invocation_metrics::record_revoked(CreditFlow::Revoked, credits),
            Effect::Restored(credits) => invocation_metrics::record_revoked(CreditFlow::Restored, credits),
            Effect::Owed(charge, credits, _) => {
                invocation_metrics::record_charge(CreditFlow::Owed, &charge.trans_type, credits);
            }
            _ => {}
        }
    }
}

/// The execution of a command.
struct Execution<'a> {
    ledger: &'a Ledger,
    user: &'a UserId,
    view: View,
    /// The attributes of the stored wallet that this version does not use.
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
                    // The change was not visible in an immediate read, so wait.
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

    /// Commits a plan, or reads why it cannot be committed. If the outcome of a call is
    /// unknown, the same transaction is sent again with the same token, so that it takes
    /// effect once.
    async fn commit(&mut self, plan: Plan) -> Result<(), LedgerError> {
        let (ledger, token) = (self.ledger, self.ledger.request_token());
        let mut is_outcome_unknown = false;
        loop {
            match self.send(&plan, token).await {
                Ok(Commit::Done) => {
                    self.retries.reset_after_commit();
                    self.view.set_committed(plan);
                    return Ok(());
                }
                Ok(Commit::Refused(refusal)) => return self.add_existing(*refusal).await,
                // `Busy` means that nothing was written, which is not certain here.
                Ok(Commit::Conflict) if is_outcome_unknown => {
                    ledger.pause(&mut self.retries, LedgerError::StoreUnavailable).await?;
                }
                Ok(Commit::Conflict) => {
                    self.halve_limit(&plan);
                    ledger.pause(&mut self.retries, LedgerError::Busy).await?;
                    return self.read(ReadRequest::Wallet).await;
                }
                Err(StoreError::TokenMismatch(_)) if is_outcome_unknown => {
                    return self.read_outcome(&plan).await;
                }
                Err(StoreError::DeadlineExceeded) if is_outcome_unknown => {
                    return Err(LedgerError::StoreUnavailable);
                }
                Err(error) => {
                    is_outcome_unknown |= matches!(error, StoreError::Unavailable(_));
                    ledger.pause_after_failure(error, &mut self.retries).await?;
                    // A transaction without a response may be too large.
                    if plan.changes.len() > 1 {
                        self.halve_limit(&plan);
                        return self.read_outcome(&plan).await;
                    }
                }
            }
        }
    }

    async fn send(&mut self, plan: &Plan, token: RequestToken) -> Result<Commit, StoreError> {
        let from = self.view.wallet();
        let transaction = Transaction { user: self.user, from, unknown: &self.unknown, plan };
        let call = pin!(self.ledger.store.commit(&transaction, token));
        self.ledger.time_commit(&mut self.retries, call).await
    }

    /// Whether there are records, and the view has all of them.
    fn is_seen(&self, records: &[RecordLookup]) -> bool {
        let is_seen = |found: &RecordLookup| self.view.record(&found.key) == found.record.as_ref();
        !records.is_empty() && records.iter().all(is_seen)
    }

    /// Adds the existing items after a failed condition. An existing record or order decides
    /// the request. A changed wallet is used at once the first time. After the second failure
    /// there are many writers: pause first, then read the wallet, because a failed
    /// transaction costs more than a read. A refusal that shows nothing new would be repeated, so
    /// it waits too.
    async fn add_existing(&mut self, refusal: Refusal) -> Result<(), LedgerError> {
        let Refusal { wallet, records, old_rows, orders } = refusal;
        let has_record = !records.is_empty() || !old_rows.is_empty() || !orders.is_empty();
        if self.is_seen(&records) && old_rows.is_empty() && orders.is_empty() {
            self.ledger.pause(&mut self.retries, LedgerError::Busy).await?;
        }
        self.view.set_old_rows(old_rows);
        records.into_iter().for_each(|record| self.view.set_record(record));
        orders.into_iter().for_each(|(order_no, order)| self.view.set_order(order_no, order));
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

    /// Reads a snapshot of the records of a plan whose outcome is unknown. DynamoDB may still
    /// commit it, so from now on no error may say that nothing was written.
    async fn read_outcome(&mut self, plan: &Plan) -> Result<(), LedgerError> {
        self.retries.set_outcome_unknown();
        let keys: Vec<_> = plan.changes.iter().map(|change| change.key().clone()).collect();
        self.read_snapshot(&keys).await?;
        self.retries.reset_unanswered();
        Ok(())
    }

    /// Halves the number of records in the next transaction, after one with several records
    /// met contention or got no response.
    fn halve_limit(&mut self, plan: &Plan) {
        let records = plan.changes.len().div_ceil(2);
        self.view.limits.records = self.view.limits.records.min(records.max(1));
    }
}
