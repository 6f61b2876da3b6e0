//! Compares the wallet with a second model, which has no sums and no packs: it computes every
//! value from the log of all events. Both must agree after each random step.
//!
//! A failure prints the shortest sequence of steps, and stores its seed in
//! `proptest-regressions/` for later runs.

use std::{collections::BTreeMap, iter::repeat_n};

use proptest::{
    collection::vec, option, prelude::*, sample::Index, sample::select, test_runner::FileFailurePersistence,
};
use scrip::domain::{
    Charge, ChargeRequest, ChargeType, Command, CreditSum, Credits, GenerationId, Grant, GrantRequest,
    GrantType, Id, IdempotencyKey, InvocationId, LedgerError, Overage, Pack, ReadRequest, Record, RecordKey,
    RecordLookup, Refund, RefundRequest, RefundSource, RestoredCredits, SettleRequest, Step as NextStep,
    Summary, Timestamp, TransNo, TransType, TransactionLimits, View, Wallet,
};
use uuid::Uuid;

const SECOND: i64 = 1_000;
const MINUTE: i64 = 60 * SECOND;
const WEEK: i64 = 7 * 24 * 60 * MINUTE;

/// An action after a time, by a clock with an error.
#[derive(Clone, Debug)]
struct Step {
    elapsed: i64,
    clock_error: i64,
    action: Action,
}

#[derive(Clone, Debug)]
enum Action {
    Grant {
        trans_type: GrantType,
        credits: u64,
        lifetime: Option<i64>,
    },
    /// Charges a share of the balance, but at least one credit, for one of the generations.
    Charge {
        trans_type: ChargeType,
        percent: u64,
        outputs: Option<u64>,
        generation: usize,
    },
    /// Settles a live charge to a share of its credits and of 10 more.
    Settle {
        charge: Index,
        percent: u64,
        overage: Overage,
    },
    /// Refunds some outputs of a live charge, by number from 1.
    RefundOutputs {
        charge: Index,
        outputs: Vec<u8>,
    },
    /// Refunds the live charges of a generation.
    Refund(usize),
}

const GENERATIONS: [&str; 4] = ["a", "b", "c", "d"];

/// From zero to weeks, often about the time for which an expired pack remains.
fn duration() -> impl Strategy<Value = i64> {
    prop_oneof![0..=2i64, 0..SECOND, 0..MINUTE, 0..3 * MINUTE, 0..3 * WEEK]
}

fn action() -> impl Strategy<Value = Action> {
    let grant_type = select(vec![GrantType::NewUser, GrantType::OrderPay, GrantType::SystemAdd]);
    let charge_type = select(vec![ChargeType::Chat, ChargeType::Generation("image".to_owned())]);
    let lifetime = option::weighted(0.8, prop_oneof![1 => -SECOND..=0, 9 => duration()]);
    let percent = || prop_oneof![3 => 0..=60u64, 1 => Just(100), 1 => 90..=120u64];
    let overage = prop_oneof![
        1 => Just(Overage::Refuse),
        1 => Just(Overage::Available),
        2 => option::of(0..30u64).prop_map(|limit| Overage::Debt { limit: limit.map(credits) }),
    ];
    let outputs = option::weighted(0.2, 1..=3u64);
    let refunded = select(vec![vec![1], vec![2], vec![3], vec![1, 2], vec![1, 2, 3]]);
    prop_oneof![
        4 => (grant_type, 1..=30u64, lifetime)
            .prop_map(|(trans_type, credits, lifetime)| Action::Grant { trans_type, credits, lifetime }),
        4 => (charge_type, percent(), outputs, 0..GENERATIONS.len()).prop_map(
            |(trans_type, percent, outputs, generation)| Action::Charge { trans_type, percent, outputs, generation }
        ),
        3 => (any::<Index>(), percent(), overage)
            .prop_map(|(charge, percent, overage)| Action::Settle { charge, percent, overage }),
        1 => (any::<Index>(), refunded)
            .prop_map(|(charge, outputs)| Action::RefundOutputs { charge, outputs }),
        2 => (0..GENERATIONS.len()).prop_map(Action::Refund),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    (duration(), -3 * SECOND..=3 * SECOND, action()).prop_map(|(elapsed, clock_error, action)| Step {
        elapsed,
        clock_error,
        action,
    })
}

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
                NextStep::Commit(plan) => view.set_committed(plan),
                NextStep::Read(ReadRequest::Snapshot(keys)) => {
                    let read = keys.iter().map(|key| lookup(key, self.records.get(key))).collect();
                    view.set_snapshot(view.wallet().clone(), read);
                }
                NextStep::Read(read) => panic!("the snapshot has all charges, but not {read:?}"),
                NextStep::Done => {
                    self.wallet = view.wallet().clone();
                    let records = view.records().map(|(key, record)| (key.clone(), record.clone()));
                    self.records.extend(records);
                    return command.answer(view, clock);
                }
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
        self.book.grants.push(record.grant);
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
                self.book.charges[nth].is_voided = true;
            }
        }
        prop_assert_eq!(answer.returned, returned);
        let repaid = self.book.repay(now);
        prop_assert_eq!(answer.repaid.as_u64(), repaid);
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
        let (granted, spent) = (summary.granted.credits.as_u64(), summary.spent.credits.as_u64());
        let expired = summary.expired.map_or(0, Credits::as_u64);
        prop_assert_eq!(granted + book.debt(), book.balance(now) + spent + expired);
        prop_assert!(book.debt() == 0 || book.balance(now) == 0, "in debt the balance is 0");
        Ok(())
    }
}

/// The second model: every credit is an entry of its own.
#[derive(Default)]
struct Book {
    grants: Vec<Grant>,
    charges: Vec<Booked>,
}

#[derive(Clone, Default)]
struct Booked {
    /// As it was created.
    charge: Option<Charge>,
    cost: u64,
    /// For each credit that it owns the number of the grant, in the order taken.
    owned: Vec<usize>,
    settled_at: Option<Timestamp>,
    returned: Vec<u8>,
    is_voided: bool,
}

impl Book {
    /// A live charge, if there is any.
    fn pick(&self, index: &Index) -> Option<usize> {
        let live = self.charges.iter().enumerate().filter(|(_, booked)| !booked.is_voided);
        let live: Vec<_> = live.map(|(nth, _)| nth).collect();
        (!live.is_empty()).then(|| live[index.index(live.len())])
    }

    /// The credits of a grant that no charge owns.
    fn remaining(&self, nth: usize) -> u64 {
        let owned = self.charges.iter().flat_map(|booked| &booked.owned).filter(|of| **of == nth).count();
        self.grants[nth].credits.as_u64() - owned as u64
    }

    fn balance(&self, now: Timestamp) -> u64 {
        let usable = (0..self.grants.len()).filter(|nth| now < expiry(&self.grants[*nth]));
        usable.map(|nth| self.remaining(nth)).sum()
    }

    /// The grant with the earliest expiry that has a credit; among equals `min_by_key` returns
    /// the oldest.
    fn next(&self, now: Timestamp) -> Option<usize> {
        let usable =
            (0..self.grants.len()).filter(|nth| now < expiry(&self.grants[*nth]) && self.remaining(*nth) > 0);
        usable.min_by_key(|nth| expiry(&self.grants[*nth]))
    }

    /// The grants of so many credits, which no charge owns yet.
    fn take(&mut self, credits: u64, now: Timestamp) -> Vec<usize> {
        self.charges.push(Booked::default());
        for _ in 0..credits {
            let nth = self.next(now).expect("the balance suffices");
            self.charges.last_mut().expect("a charge").owned.push(nth);
        }
        self.charges.pop().expect("a charge").owned
    }

    fn settle(&mut self, nth: usize, cost: u64, now: Timestamp) -> RestoredCredits {
        let booked = &mut self.charges[nth];
        let surplus = booked.cost.saturating_sub(cost);
        let excess = cost.saturating_sub(booked.cost);
        (booked.cost, booked.settled_at) = (cost, Some(now));
        let taken = self.take(excess.min(self.balance(now)), now);
        self.charges[nth].owned.extend(taken);
        self.give_back(nth, surplus, now)
    }

    /// Returns the credits that a charge took last, one by one.
    fn give_back(&mut self, nth: usize, count: u64, now: Timestamp) -> RestoredCredits {
        let (mut restored, mut expired) = (0, 0);
        for _ in 0..count {
            let grant = self.charges[nth].owned.pop().expect("it owns what it returns");
            *(if now < expiry(&self.grants[grant]) { &mut restored } else { &mut expired }) += 1;
        }
        RestoredCredits {
            restored: credits(restored),
            expired: credits(expired),
            ..RestoredCredits::default()
        }
    }

    /// Repays one credit after the other, of the charge that was settled first.
    fn repay(&mut self, now: Timestamp) -> u64 {
        let mut repaid = 0;
        while let (Some(debtor), Some(grant)) = (self.debtors().first().copied(), self.next(now)) {
            self.charges[debtor].owned.push(grant);
            repaid += 1;
        }
        repaid
    }

    /// The live charges that own less than they cost, by the times of their settlements.
    fn debtors(&self) -> Vec<usize> {
        let owes = |booked: &Booked| !booked.is_voided && (booked.owned.len() as u64) < booked.cost;
        let mut debtors: Vec<_> = (0..self.charges.len()).filter(|nth| owes(&self.charges[*nth])).collect();
        debtors.sort_by_key(|nth| self.charges[*nth].settled_at);
        debtors
    }

    fn debts(&self) -> Vec<(TransNo, u64)> {
        let debt = |nth: usize| {
            let Booked { charge, cost, owned, .. } = &self.charges[nth];
            (charge.as_ref().expect("a charge").trans_no, cost - owned.len() as u64)
        };
        self.debtors().into_iter().map(debt).collect()
    }

    fn debt(&self) -> u64 {
        self.debts().iter().map(|(_, credits)| credits).sum()
    }

    fn owned_by(&self, booked: &Booked) -> Vec<TransNo> {
        booked.owned.iter().map(|nth| self.grants[*nth].trans_no).collect()
    }

    fn is_recharged(&self) -> bool {
        self.grants.iter().any(|grant| grant.trans_type == TransType::Grant(GrantType::OrderPay))
    }

    /// A change removes packs that expired a minute before.
    fn packs(&self, version: Option<Timestamp>) -> Vec<Pack> {
        let is_kept =
            |grant: &Grant| version.is_none_or(|version| version < expiry(grant).plus_millis(MINUTE));
        let pack = |nth: usize| {
            let (grant, remaining) = (self.grants[nth].clone(), credits(self.remaining(nth)));
            (is_kept(&grant) && !remaining.is_zero()).then_some(Pack { grant, remaining })
        };
        let mut packs: Vec<Pack> = (0..self.grants.len()).filter_map(pack).collect();
        packs.sort_by_key(|pack| expiry(&pack.grant));
        packs
    }

    fn summary(&self, now: Timestamp) -> Summary {
        let costs = |is_counted: &dyn Fn(&Booked, &Charge) -> bool| {
            let counted = self.charges.iter().filter_map(|booked| {
                let charge = booked.charge.as_ref().expect("a charge");
                is_counted(booked, charge).then_some(booked.cost)
            });
            sum_of(counted)
        };
        let by_type = |trans_type: &ChargeType| {
            let is_type =
                |booked: &Booked, charge: &Charge| !booked.is_voided && charge.trans_type == *trans_type;
            (TransType::Charge(trans_type.clone()), costs(&is_type))
        };
        let live = self.charges.iter().filter(|booked| !booked.is_voided);
        let types = live.filter_map(|booked| booked.charge.as_ref()).map(|charge| &charge.trans_type);
        let expired = (0..self.grants.len()).filter(|nth| expiry(&self.grants[*nth]) <= now);
        Summary {
            granted: sum_of(self.grants.iter().map(|grant| grant.credits.as_u64())),
            spent: costs(&|booked, _| !booked.is_voided),
            voided: costs(&|booked, _| booked.is_voided),
            revoked: Some(Credits::ZERO),
            expired: Some(credits(expired.map(|nth| self.remaining(nth)).sum())),
            by_trans_type: types.map(by_type).collect(),
        }
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
