//! Compares the wallet with a second model, which has no sums and no packs: it computes every
//! value from the log of all events. Both must agree after each random step.
//!
//! A failure prints the shortest sequence of steps, and stores its seed in
//! `proptest-regressions/` for later runs.

use std::collections::BTreeSet;

use proptest::{
    collection::vec, option, prelude::*, sample::Index, sample::select, test_runner::FileFailurePersistence,
};
use scrip::domain::{
    Allocation, Charge, ChargeRequest, ChargeType, CreditSum, Credits, Grant, GrantRequest, GrantType,
    InvocationId, LedgerError, Pack, RestoredCredits, Summary, Timestamp, TransType, UserId, Wallet,
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
    /// Charges a share of the balance, but at least one credit.
    Charge {
        trans_type: ChargeType,
        percent: u64,
    },
    /// Refunds some of the live charges in one void.
    Refund(Vec<Index>),
}

/// From zero to weeks, often about the time for which an expired pack remains.
fn duration() -> impl Strategy<Value = i64> {
    prop_oneof![0..=2i64, 0..SECOND, 0..MINUTE, 0..3 * MINUTE, 0..3 * WEEK]
}

fn action() -> impl Strategy<Value = Action> {
    let grant_type = select(vec![GrantType::NewUser, GrantType::OrderPay, GrantType::SystemAdd]);
    let charge_type = select(vec![ChargeType::Chat, ChargeType::Generation("image".to_owned())]);
    let lifetime = option::weighted(0.8, prop_oneof![1 => -SECOND..=0, 9 => duration()]);
    let percent = prop_oneof![3 => 0..=60u64, 1 => Just(100), 1 => 90..=120u64];
    prop_oneof![
        4 => (grant_type, 1..=30u64, lifetime)
            .prop_map(|(trans_type, credits, lifetime)| Action::Grant { trans_type, credits, lifetime }),
        4 => (charge_type, percent).prop_map(|(trans_type, percent)| Action::Charge { trans_type, percent }),
        2 => vec(any::<Index>(), 1..=4).prop_map(Action::Refund),
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
    fn wallet_equals_a_model_that_computes_from_all_events(steps in vec(step(), 1..50)) {
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
    log: EventLog,
    millis: i64,
}

impl Models {
    fn execute(&mut self, Step { elapsed, clock_error, action }: &Step) -> Result<(), TestCaseError> {
        self.millis += elapsed;
        let clock = at(self.millis + clock_error);
        match action {
            Action::Grant { trans_type, credits, lifetime } => {
                self.grant(*trans_type, *credits, *lifetime, clock)?
            }
            Action::Charge { trans_type, percent } => self.charge(trans_type, *percent, clock)?,
            Action::Refund(selection) => self.refund(selection, clock)?,
        }
        self.compare(clock)
    }

    /// The time of a change: later than the change before.
    fn change_time(&self, clock: Timestamp) -> Timestamp {
        self.wallet.version.map_or(clock, |version| clock.max(version.plus_millis(1)))
    }

    fn grant(
        &mut self,
        trans_type: GrantType,
        amount: u64,
        lifetime: Option<i64>,
        clock: Timestamp,
    ) -> Result<(), TestCaseError> {
        let now = self.change_time(clock);
        let (credits, expired_at) = (credits(amount), lifetime.map(|millis| now.plus_millis(millis)));
        let request = GrantRequest {
            user: user(),
            trans_type,
            credits,
            order_no: None,
            expired_at,
            key: None,
            metadata: Default::default(),
        };
        let planned = self.wallet.grant(&request, invocation_id(), clock);
        if lifetime.is_some_and(|millis| millis <= 0) {
            let error = LedgerError::InvalidRequest("`expired_at` must be in the future.".to_owned());
            prop_assert_eq!(planned, Err(error));
            return Ok(());
        }
        let (next, grant) = planned.map_err(unexpected)?;
        let (trans_no, trans_type) = (grant.trans_no, trans_type.into());
        prop_assert_eq!(&grant, &Grant { trans_no, trans_type, credits, order_no: None, expired_at });
        self.commit(next, trans_no.created_at(), [Event::Grant(grant)])
    }

    fn charge(
        &mut self,
        trans_type: &ChargeType,
        percent: u64,
        clock: Timestamp,
    ) -> Result<(), TestCaseError> {
        let now = self.change_time(clock);
        let balance = self.log.balance(now);
        let required = (balance * percent / 100).max(1);
        let request = ChargeRequest {
            user: user(),
            trans_type: trans_type.clone(),
            credits: credits(required),
            generation: None,
            order_no: None,
            key: None,
            metadata: Default::default(),
            outputs: None,
            hold_millis: None,
        };
        let planned = self.wallet.charge(&request, invocation_id(), clock);
        if balance < required {
            let (balance, required) = (credits(balance), request.credits);
            prop_assert_eq!(
                planned,
                Err(LedgerError::InsufficientCredits { balance, required, debt: Credits::ZERO })
            );
            return Ok(());
        }
        let (next, charge) = planned.map_err(unexpected)?;
        prop_assert_eq!((&charge.trans_type, charge.credits), (trans_type, request.credits));
        prop_assert_eq!(&charge.allocations, &self.log.allocate(required, now));
        self.commit(next, charge.trans_no.created_at(), [Event::Charge(charge)])
    }

    fn refund(&mut self, selection: &[Index], clock: Timestamp) -> Result<(), TestCaseError> {
        let now = self.change_time(clock);
        let live = self.log.live_charges();
        if live.is_empty() {
            return Ok(());
        }
        let indexes: BTreeSet<usize> = selection.iter().map(|index| index.index(live.len())).collect();
        let charges: Vec<Charge> = indexes.into_iter().map(|index| live[index].clone()).collect();
        let (next, time, returned) = self.wallet.void(&charges, clock).map_err(unexpected)?;
        let parts = || charges.iter().flat_map(|charge| &charge.allocations);
        let sum = |is_usable| {
            let returned = parts().filter(|part| (now < expiry(&part.grant)) == is_usable);
            credits(returned.map(|part| part.credits.as_u64()).sum())
        };
        prop_assert_eq!(returned, RestoredCredits { restored: sum(true), expired: sum(false) });
        self.commit(next, time, charges.into_iter().map(Event::Void))
    }

    /// Replaces the wallet by its next version.
    fn commit(
        &mut self,
        next: Wallet,
        time: Timestamp,
        events: impl IntoIterator<Item = Event>,
    ) -> Result<(), TestCaseError> {
        prop_assert!(next.version > self.wallet.version);
        prop_assert_eq!(next.version, Some(time));
        self.wallet = next;
        self.log.events.extend(events.into_iter().map(|event| (time, event)));
        Ok(())
    }

    fn compare(&self, clock: Timestamp) -> Result<(), TestCaseError> {
        let Self { wallet, log, .. } = self;
        let now = wallet.version.map_or(clock, |version| clock.max(version));
        let summary = log.summary(now);
        prop_assert_eq!(wallet.validate(), Ok(()));
        prop_assert_eq!(wallet.balance(clock).as_u64(), log.balance(now));
        prop_assert_eq!(&wallet.packs, &log.packs());
        prop_assert_eq!(wallet.is_recharged(), log.is_recharged());
        prop_assert_eq!(&Summary::lifetime(wallet, clock), &Ok(summary.clone()));

        let usable: u64 = wallet.usable(clock).map(|pack| pack.remaining.as_u64()).sum();
        let expired = summary.expired.map_or(0, Credits::as_u64);
        let (granted, live) = (summary.granted.credits.as_u64(), summary.spent.credits.as_u64());
        prop_assert_eq!(granted, usable + live + expired, "granted credits are usable, spent or expired");
        Ok(())
    }
}

/// All events with their times.
#[derive(Default)]
struct EventLog {
    events: Vec<(Timestamp, Event)>,
}

enum Event {
    Grant(Grant),
    Charge(Charge),
    Void(Charge),
}

impl EventLog {
    fn grants(&self) -> impl Iterator<Item = &Grant> {
        self.events
            .iter()
            .filter_map(|(_, event)| if let Event::Grant(grant) = event { Some(grant) } else { None })
    }

    fn charges(&self) -> impl Iterator<Item = &Charge> {
        self.events
            .iter()
            .filter_map(|(_, event)| if let Event::Charge(charge) = event { Some(charge) } else { None })
    }

    fn is_void(&self, charge: &Charge) -> bool {
        self.events
            .iter()
            .any(|(_, event)| matches!(event, Event::Void(void) if void.trans_no == charge.trans_no))
    }

    fn live_charges(&self) -> Vec<&Charge> {
        self.charges().filter(|charge| !self.is_void(charge)).collect()
    }

    fn is_recharged(&self) -> bool {
        self.grants().any(|grant| grant.trans_type == TransType::Grant(GrantType::OrderPay))
    }

    /// The credits of a grant that no live charge took.
    fn remaining(&self, grant: &Grant) -> u64 {
        grant.credits.as_u64()
            - self.live_charges().into_iter().map(|charge| taken_by(charge, grant)).sum::<u64>()
    }

    fn balance(&self, now: Timestamp) -> u64 {
        self.grants().filter(|grant| now < expiry(grant)).map(|grant| self.remaining(grant)).sum()
    }

    /// Takes one credit after the other from the grant with the earliest expiry that has one;
    /// among equals `min_by_key` returns the oldest.
    fn allocate(&self, required: u64, now: Timestamp) -> Vec<Allocation> {
        let mut remaining: Vec<(&Grant, u64)> = self
            .grants()
            .filter(|grant| now < expiry(grant))
            .map(|grant| (grant, self.remaining(grant)))
            .collect();
        let mut allocations: Vec<Allocation> = Vec::new();
        for _ in 0..required {
            let with_some = remaining.iter_mut().filter(|(_, remaining)| *remaining > 0);
            let (grant, remaining) =
                with_some.min_by_key(|(grant, _)| expiry(grant)).expect("the balance suffices");
            *remaining -= 1;
            match allocations.last_mut() {
                Some(last) if last.grant == **grant => last.credits = credits(last.credits.as_u64() + 1),
                _ => allocations.push(Allocation { grant: grant.clone(), credits: credits(1) }),
            }
        }
        allocations
    }

    /// The credits of a grant in the wallet. A change removes packs that expired a minute ago.
    fn wallet_credits(&self, grant: &Grant) -> u64 {
        let is_removed = |(now, _): &(Timestamp, Event)| expiry(grant).plus_millis(MINUTE) <= *now;
        if self.events.last().is_some_and(is_removed) { 0 } else { self.remaining(grant) }
    }

    fn packs(&self) -> Vec<Pack> {
        let pack =
            |grant: &Grant| Pack { grant: grant.clone(), remaining: credits(self.wallet_credits(grant)) };
        let mut packs: Vec<Pack> = self.grants().map(pack).filter(|pack| !pack.remaining.is_zero()).collect();
        packs.sort_by_key(|pack| expiry(&pack.grant));
        packs
    }

    fn summary(&self, now: Timestamp) -> Summary {
        let live = self.live_charges();
        let of_type = |charge_type: &ChargeType| {
            let charges = live.iter().filter(|charge| charge.trans_type == *charge_type);
            (TransType::Charge(charge_type.clone()), sum_of(charges.map(|charge| charge.credits)))
        };
        let expired = self.grants().filter(|grant| expiry(grant) <= now);
        Summary {
            granted: sum_of(self.grants().map(|grant| grant.credits)),
            spent: sum_of(live.iter().map(|charge| charge.credits)),
            voided: sum_of(self.charges().filter(|charge| self.is_void(charge)).map(|charge| charge.credits)),
            expired: Some(credits(expired.map(|grant| self.remaining(grant)).sum())),
            by_trans_type: live.iter().map(|charge| of_type(&charge.trans_type)).collect(),
        }
    }
}

fn taken_by(charge: &Charge, grant: &Grant) -> u64 {
    let parts = charge.allocations.iter().filter(|part| part.grant.trans_no == grant.trans_no);
    parts.map(|part| part.credits.as_u64()).sum()
}

/// The expiry of a grant; long after every test for a grant without one.
fn expiry(grant: &Grant) -> Timestamp {
    grant.expired_at.unwrap_or(at(10_000 * WEEK))
}

fn sum_of(records: impl Iterator<Item = Credits>) -> CreditSum {
    let all: Vec<u64> = records.map(Credits::as_u64).collect();
    CreditSum { credits: credits(all.iter().sum()), count: all.len() as u64 }
}

/// A time, in milliseconds after the start of every test.
fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(1_800_000_000_000 + millis).expect("a valid time")
}

fn credits(credits: u64) -> Credits {
    Credits::try_from(credits).expect("within the limit of sums")
}

fn user() -> UserId {
    "u".to_owned().try_into().expect("a valid identifier")
}

/// All records have the same, because their times differ.
fn invocation_id() -> InvocationId {
    InvocationId::new(Uuid::nil())
}

fn unexpected(error: LedgerError) -> TestCaseError {
    TestCaseError::fail(format!("unexpected: {error:?}"))
}
