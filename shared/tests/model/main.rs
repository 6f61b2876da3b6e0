//! Compares the wallet with a second model, which has no sums and no packs: it computes every
//! value from the log of all events. Both must agree after each random step.
//!
//! A failure prints the shortest sequence of steps, and stores its seed in
//! `proptest-regressions/` for later runs.

#![allow(unreachable_pub, reason = "modules of one test binary")]

mod action;
mod book;

use std::{collections::BTreeMap, iter::repeat_n};

use proptest::{collection::vec, prelude::*, sample::Index, test_runner::FileFailurePersistence};
use scrip::domain::{
    ChargeRequest, ChargeType, Command, CreditSum, Credits, GenerationId, Grant, GrantRequest, GrantType, Id,
    IdempotencyKey, InvocationId, LedgerError, Order, OrderAddress, OrderNo, Overage, ReadRequest, Record,
    RecordChange, RecordKey, RecordLookup, Refund, RefundRequest, RefundSource, RestoredCredits, Revoke,
    RevokeRequest, RevokedAmount, SettleRequest, ShortfallPolicy, Step as NextStep, Summary, Timestamp,
    TransactionLimits, View, Wallet, WalletRebuild,
};
use uuid::Uuid;

use action::{Action, GENERATIONS, Step, step};
use book::{Book, Booked};

const SECOND: i64 = 1_000;
const MINUTE: i64 = 60 * SECOND;
const WEEK: i64 = 7 * 24 * 60 * MINUTE;

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct("proptest-regressions/model.txt"))),
        ..ProptestConfig::default()
    })]

    #[test]
    fn wallet_equals_a_model_that_counts_single_credits(steps in vec(step(), 1..50)) {
        let mut models = Models::default();
        for step in &steps {
            models.execute(step)?;
        }
    }
}

/// Both models and the clock.
#[derive(Default)]
struct Models {
    wallet: Wallet,
    records: BTreeMap<RecordKey, Record>,
    orders: BTreeMap<OrderNo, Order>,
    book: Book,
    millis: i64,
    /// The number of steps so far.
    steps: u128,
}

impl Models {
    fn execute(&mut self, Step { elapsed, clock_error, action }: &Step) -> Result<(), TestCaseError> {
        self.millis += elapsed;
        self.steps += 1;
        let clock = at(self.millis + clock_error);
        // The time of a change is later than the change before.
        let now = self.wallet.version.map_or(clock, |version| clock.max(version.plus_millis(1)));
        match action {
            Action::Grant { trans_type, credits, lifetime } => {
                self.grant(*trans_type, *credits, *lifetime, (clock, now))?;
            }
            Action::Charge { trans_type, percent, outputs, generation } => {
                self.charge(trans_type, *percent, *outputs, GENERATIONS[*generation], (clock, now))?;
            }
            Action::Settle { charge, percent, overage } => {
                self.settle(charge, *percent, *overage, (clock, now))?;
            }
            Action::RefundOutputs { charge, outputs } => {
                self.refund_outputs(charge, outputs, (clock, now))?;
            }
            Action::Refund(generation) => self.refund(GENERATIONS[*generation], (clock, now))?,
            Action::Revoke { order, source, amount, shortfall } => {
                self.revoke(order, source, *amount, *shortfall, (clock, now))?;
            }
        }
        self.compare(clock)
    }

    /// Executes a command on a snapshot of the wallet and all charges.
    fn run<C: Command>(&mut self, command: &C, clock: Timestamp) -> Result<C::Answer, LedgerError> {
        let id = InvocationId::new(Uuid::from_u128(self.steps));
        let mut view = View::new(id, id, TransactionLimits { records: 99, bytes: 4_000_000 });
        let lookup = |key: &RecordKey, record: Option<&Record>| RecordLookup {
            key: key.clone(),
            record: record.cloned(),
            bytes: 500,
        };
        let charges = self.records.iter().filter(|(_, record)| matches!(record, Record::Charge(_)));
        let all = charges.map(|(key, record)| lookup(key, Some(record)));
        view.set_snapshot(self.wallet.clone(), all.collect());
        view.set_generation_complete();
        loop {
            match command.next(&view, clock)? {
                NextStep::Commit(plan) => {
                    self.add_revocations(&plan.changes);
                    view.set_committed(plan);
                }
                NextStep::Read(ReadRequest::Snapshot(keys)) => {
                    let read = keys.iter().map(|key| lookup(key, self.records.get(key))).collect();
                    view.set_snapshot(view.wallet().clone(), read);
                }
                NextStep::Read(read) => panic!("the snapshot has all charges, but not {read:?}"),
                NextStep::Done => {
                    self.wallet = view.wallet().clone();
                    let records = view.records().map(|(key, record)| (key.clone(), record.clone()));
                    self.records.extend(records);
                    for (order_no, order) in &mut self.orders {
                        *order = view.order(order_no).unwrap_or(order).clone();
                    }
                    return command.answer(view, clock);
                }
            }
        }
    }

    /// Adds the changes of grants, which a view often does not have.
    fn add_revocations(&mut self, changes: &[RecordChange]) {
        for change in changes {
            if let RecordChange::Revoke(key, _, revocation, _) = change
                && let Some(Record::Grant(grant)) = self.records.get_mut(key)
            {
                grant.revocations.push(revocation.clone());
            }
        }
    }

    fn grant(
        &mut self,
        trans_type: GrantType,
        amount: u64,
        lifetime: Option<i64>,
        (clock, now): (Timestamp, Timestamp),
    ) -> Result<(), TestCaseError> {
        // A new user has one grant, so it gets a wallet without one.
        let trans_type =
            if trans_type == GrantType::NewUser && self.records.contains_key(&RecordKey::NewUserGrant) {
                GrantType::SystemAdd
            } else {
                trans_type
            };
        let order_no = (trans_type == GrantType::OrderPay).then(|| id(&format!("o{}", self.steps)));
        let request = GrantRequest {
            user: id("u"),
            trans_type,
            credits: credits(amount),
            order_no,
            expired_at: lifetime.map(|millis| now.plus_millis(millis)),
            key: None,
            metadata: Default::default(),
        };
        let answer = self.run(&request, clock);
        if lifetime.is_some_and(|millis| millis <= 0) {
            let error = LedgerError::InvalidRequest("`expired_at` must be in the future.".to_owned());
            prop_assert_eq!(answer, Err(error));
            return Ok(());
        }
        let record = answer.map_err(unexpected)?.record;
        prop_assert_eq!(record.grant.trans_no.created_at(), now);
        prop_assert_eq!(
            (record.grant.credits, record.grant.expired_at),
            (request.credits, request.expired_at)
        );
        self.orders.extend(request.order_no.map(|order_no| (order_no, Order::of(id("u")))));
        self.book.add_grant(record.grant);
        let repaid = self.book.repay(now);
        prop_assert_eq!(record.repaid.as_u64(), repaid);
        Ok(())
    }

    fn charge(
        &mut self,
        trans_type: &ChargeType,
        percent: u64,
        outputs: Option<u64>,
        generation: &str,
        (clock, now): (Timestamp, Timestamp),
    ) -> Result<(), TestCaseError> {
        let balance = self.book.balance(now);
        let required = (balance * percent / 100).max(1);
        let request = ChargeRequest {
            user: id("u"),
            trans_type: trans_type.clone(),
            credits: credits(required),
            generation: Some(id(generation)),
            order_no: None,
            key: Some(id(&self.steps.to_string())),
            metadata: Default::default(),
            outputs: outputs.and_then(|outputs| outputs.try_into().ok()),
            hold_millis: None,
        };
        let answer = self.run(&request, clock);
        if balance < required {
            let (balance, debt) = (credits(balance), credits(self.book.debt()));
            let error = LedgerError::InsufficientCredits { balance, required: request.credits, debt };
            prop_assert_eq!(answer, Err(error));
            return Ok(());
        }
        let charge = answer.map_err(unexpected)?.record;
        prop_assert_eq!(charge.trans_no.created_at(), now);
        let owned = self.book.take(required, now);
        self.book.charges.push(Booked { charge: Some(charge), cost: required, owned, ..Booked::default() });
        Ok(())
    }

    fn settle(
        &mut self,
        charge: &Index,
        percent: u64,
        overage: Overage,
        (clock, now): (Timestamp, Timestamp),
    ) -> Result<(), TestCaseError> {
        let Some(nth) = self.book.pick(charge) else { return Ok(()) };
        let booked = &self.book.charges[nth];
        let cost = booked.cost * percent / 100 + if percent > 100 { 10 } else { 0 };
        let Some(charge) = &booked.charge else { return Ok(()) };
        let request = SettleRequest {
            user: id("u"),
            generation: charge.generation.clone().expect("a generation"),
            key: charge.key.clone(),
            credits: credits(cost),
            overage,
        };
        let (is_settled, has_outputs) = (booked.settled_at.is_some(), charge.outputs.is_some());
        let answer = self.run(&request, clock);
        if has_outputs || is_settled {
            let is_rejected =
                matches!(answer, Err(LedgerError::InvalidRequest(_) | LedgerError::IdempotencyConflict(_)));
            prop_assert!(is_rejected || answer.is_ok_and(|answer| answer.replayed));
            return Ok(());
        }
        let excess = cost.saturating_sub(self.book.charges[nth].cost);
        let rest = excess.saturating_sub(self.book.balance(now));
        let debt = self.book.debt() + rest;
        let is_refused = match overage {
            Overage::Refuse => true,
            Overage::Available => false,
            Overage::Debt { limit } => limit.is_some_and(|limit| debt > limit.as_u64()),
        };
        if rest > 0 && is_refused {
            let (balance, debt) = (credits(self.book.balance(now)), credits(self.book.debt()));
            let error = LedgerError::InsufficientCredits { balance, required: credits(excess), debt };
            prop_assert_eq!(answer.map(drop), Err(error));
            return Ok(());
        }
        let answer = answer.map_err(unexpected)?;
        let uncovered = if overage == Overage::Available { rest } else { 0 };
        let returned = self.book.settle(nth, cost - uncovered, now);
        prop_assert_eq!(answer.settled_at, now);
        prop_assert_eq!(answer.returned, returned);
        prop_assert_eq!(answer.debt_added.as_u64(), rest - uncovered);
        prop_assert_eq!(answer.settlement.uncovered.as_u64(), uncovered);
        let repaid = self.book.repay(now);
        prop_assert_eq!(answer.settlement.repaid.as_u64(), repaid);
        Ok(())
    }

    fn refund_outputs(
        &mut self,
        charge: &Index,
        outputs: &[u8],
        (clock, now): (Timestamp, Timestamp),
    ) -> Result<(), TestCaseError> {
        let Some(nth) = self.book.pick(charge) else { return Ok(()) };
        let charge = self.book.charges[nth].charge.clone().expect("a charge");
        let (generation, key) = (charge.generation.clone().expect("a generation"), charge.key.clone());
        let request =
            RefundRequest { outputs: outputs.to_vec().try_into().ok(), ..refund_request(generation, key) };
        let (user, count) = (id("u"), charge.outputs.map_or(0, |outputs| outputs.count()));
        let answer = self.run(&Refund { user: &user, request: &request }, clock);
        if outputs.iter().any(|output| *output > count) {
            prop_assert!(matches!(answer, Err(LedgerError::InvalidRequest(_))), "{:?}", answer);
            return Ok(());
        }
        let answer = answer.map_err(unexpected)?;
        let before = self.book.charges[nth].returned.clone();
        let new: Vec<u8> = outputs.iter().copied().filter(|output| !before.contains(output)).collect();
        let up_to = |output: u8| charge.credits.as_u64() * u64::from(output) / u64::from(count);
        let worth: u64 = new.iter().map(|output| up_to(*output) - up_to(output - 1)).sum();
        let returned = self.book.give_back(nth, worth, now);
        let booked = &mut self.book.charges[nth];
        booked.returned.extend(new);
        booked.is_voided = booked.returned.len() == usize::from(count);
        // A void keeps the cost that it returned.
        if !booked.is_voided {
            booked.cost -= worth;
        }
        prop_assert_eq!(answer.returned, returned);
        let repaid = self.book.repay(now);
        prop_assert_eq!(answer.repaid.as_u64(), repaid);
        Ok(())
    }

    fn refund(
        &mut self,
        generation: &str,
        (clock, now): (Timestamp, Timestamp),
    ) -> Result<(), TestCaseError> {
        let is_of = |booked: &Booked| {
            booked.charge.as_ref().is_some_and(|charge| charge.generation == Some(id(generation)))
        };
        if !self.book.charges.iter().any(is_of) {
            return Ok(());
        }
        let (user, request) = (id("u"), refund_request(id(generation), None));
        let answer = self.run(&Refund { user: &user, request: &request }, clock).map_err(unexpected)?;
        let mut returned = RestoredCredits::default();
        for nth in 0..self.book.charges.len() {
            if is_of(&self.book.charges[nth]) && !self.book.charges[nth].is_voided {
                let more = self.book.give_back(nth, self.book.charges[nth].owned.len() as u64, now);
                returned.restored = credits(returned.restored.as_u64() + more.restored.as_u64());
                returned.expired = credits(returned.expired.as_u64() + more.expired.as_u64());
                returned.revoked = credits(returned.revoked.as_u64() + more.revoked.as_u64());
                self.book.charges[nth].is_voided = true;
            }
        }
        prop_assert_eq!(answer.returned, returned);
        let repaid = self.book.repay(now);
        prop_assert_eq!(answer.repaid.as_u64(), repaid);
        Ok(())
    }

    fn revoke(
        &mut self,
        order: &Index,
        source: &'static str,
        amount: RevokedAmount,
        shortfall: ShortfallPolicy,
        (clock, now): (Timestamp, Timestamp),
    ) -> Result<(), TestCaseError> {
        let orders: Vec<_> = self.orders.keys().cloned().collect();
        let Some(order_no) = (!orders.is_empty()).then(|| orders[order.index(orders.len())].clone()) else {
            return Ok(());
        };
        let request = RevokeRequest {
            order_no: order_no.clone(),
            user: None,
            source: id(source),
            amount,
            // Later than every statement before.
            as_of: at(i64::try_from(self.steps).expect("few steps")),
            shortfall,
            reason: "disputed".to_owned().try_into().expect("a reason"),
            metadata: Default::default(),
        };
        let order = self.orders.get(&order_no).cloned();
        let address = OrderAddress { order_no: order_no.clone(), order, alias: None };
        let (user, before) = (id("u"), self.wallet.version);
        let command = Revoke { user: &user, address: &address, request: Some(&request) };
        let answer = self.run(&command, clock).map_err(unexpected)?;
        let nth = self.book.order(&order_no);
        let granted = self.book.grants[nth].credits.as_u64();
        let stated = match amount {
            RevokedAmount::Credits(credits) => credits.as_u64(),
            RevokedAmount::Share { part, of } => granted * part / of,
        };
        let more = self.book.state(nth, source, stated);
        let (taken, returned) = match more {
            0 => (0, RestoredCredits::default()),
            1.. => (self.book.revoke(nth, more, shortfall, (before, now)), RestoredCredits::default()),
            _ => (0, self.book.restore(nth, -more, now)),
        };
        let revocation = self.book.revocations[nth].clone();
        let grant = answer.granted.expect("a grant");
        prop_assert_eq!(grant.taken.as_u64(), taken);
        prop_assert_eq!(grant.returned, returned);
        prop_assert_eq!(grant.revoked.as_u64(), revocation.total());
        prop_assert_eq!(grant.shortfall.as_u64(), revocation.shortfall);
        self.book.repay(now);
        prop_assert_eq!(grant.owed.as_u64(), revocation.owed);
        Ok(())
    }

    fn compare(&self, clock: Timestamp) -> Result<(), TestCaseError> {
        let Self { wallet, book, .. } = self;
        let now = wallet.version.map_or(clock, |version| clock.max(version));
        let summary = book.summary(now);
        prop_assert_eq!(wallet.validate(), Ok(()));
        prop_assert_eq!(wallet.balance(clock).as_u64(), book.balance(now));
        prop_assert_eq!(&wallet.packs, &book.packs(wallet.version));
        prop_assert_eq!(wallet.is_recharged(), book.is_recharged());
        prop_assert_eq!(&Summary::lifetime(wallet, clock), &Ok(summary.clone()));
        let debts: Vec<_> = wallet.debts.iter().map(|debt| (debt.trans_no, debt.credits.as_u64())).collect();
        prop_assert_eq!(debts, book.debts());
        let shortfalls = wallet.shortfalls.iter().map(|(grant, credits)| (*grant, credits.as_u64()));
        prop_assert_eq!(shortfalls.collect::<Vec<_>>(), book.shortfalls());
        self.compare_records()?;
        let (granted, spent) = (summary.granted.credits.as_u64(), summary.spent.credits.as_u64());
        let [expired, revoked] = [summary.expired, summary.revoked].map(|sum| sum.map_or(0, Credits::as_u64));
        prop_assert_eq!(granted + book.debt(), revoked + book.balance(now) + spent + expired);
        prop_assert!(book.debt() == 0 || book.balance(now) == 0, "in debt the balance is 0");
        let mut rebuilt = WalletRebuild::as_of(wallet.version);
        for (key, record) in &self.records {
            rebuilt.add(key, record);
        }
        let discrepancies = rebuilt.discrepancies(wallet.version.map(|_| wallet), now);
        prop_assert!(discrepancies.is_empty(), "{:?}", discrepancies);
        Ok(())
    }

    fn compare_records(&self) -> Result<(), TestCaseError> {
        let Self { book, .. } = self;
        for (nth, revocation) in book.revocations.iter().enumerate().filter(|(_, of)| of.total() > 0) {
            let key = book.grants[nth].order_no.clone().map(RecordKey::OrderGrant);
            let Some(Record::Grant(stored)) = key.and_then(|key| self.records.get(&key)) else {
                return Err(TestCaseError::fail("a revoked grant is lost"));
            };
            let state = stored.revocation_state();
            prop_assert_eq!(
                (state.total.as_u64(), state.owed.as_u64()),
                (revocation.total(), revocation.owed)
            );
            prop_assert_eq!(state.paid().as_u64(), revocation.paid.len() as u64);
        }
        for booked in book.charges.iter().filter(|booked| !booked.is_voided) {
            let charge = booked.charge.as_ref().expect("a charge");
            let Some(Record::Charge(stored)) = charge.record_key().and_then(|key| self.records.get(&key))
            else {
                return Err(TestCaseError::fail("a charge is lost"));
            };
            prop_assert_eq!(stored.state().cost.as_u64(), booked.cost);
            let owned = stored
                .state()
                .owned()
                .flat_map(|(grant, part)| {
                    repeat_n(grant.trans_no, usize::try_from(part.as_u64()).expect("few credits"))
                })
                .collect::<Vec<_>>();
            prop_assert_eq!(owned, book.owned_by(booked));
        }
        Ok(())
    }
}

fn refund_request(generation: GenerationId, key: Option<IdempotencyKey>) -> RefundRequest {
    let reason = "it failed".to_owned().try_into().expect("a reason");
    let (user, trans_no, outputs, source) = (None, None, None, RefundSource::Caller);
    RefundRequest { user, generation, key, trans_no, outputs, source, reason }
}

/// The expiry of a grant; long after every test for a grant without one.
fn expiry(grant: &Grant) -> Timestamp {
    grant.expired_at.unwrap_or(at(10_000 * WEEK))
}

fn sum_of(records: impl Iterator<Item = u64>) -> CreditSum {
    let all: Vec<u64> = records.collect();
    CreditSum { credits: credits(all.iter().sum()), count: all.len() as u64 }
}

/// A time, in milliseconds after the start of every test.
fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(1_800_000_000_000 + millis).expect("a valid time")
}

fn credits(credits: u64) -> Credits {
    Credits::try_from(credits).expect("within the limit of sums")
}

fn id<Kind>(text: &str) -> Id<Kind> {
    text.to_owned().try_into().expect("a valid identifier")
}

fn unexpected(error: LedgerError) -> TestCaseError {
    TestCaseError::fail(format!("unexpected: {error:?}"))
}
