//! The wallet against a second model, which keeps no sums and no packs: it
//! answers every question by reading again all that ever happened. After each
//! step of a random story both must say the same.
//!
//! A failure prints its shortest story and its seed, and keeps the seed in
//! `proptest-regressions/` to be tried first from then on.

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

/// What happens after a while, by a clock that is a little wrong.
#[derive(Clone, Debug)]
struct Step {
    waited: i64,
    clock_error: i64,
    deed: Deed,
}

#[derive(Clone, Debug)]
enum Deed {
    Grant {
        trans_type: GrantType,
        credits: u64,
        lasts: Option<i64>,
    },
    /// For so much of the balance, but for one credit at least.
    Charge {
        trans_type: ChargeType,
        percent: u64,
    },
    /// Of these among the live charges, in one void.
    Refund(Vec<Index>),
}

/// From nothing to weeks, often about as long as a pack that ran out stays.
fn span() -> impl Strategy<Value = i64> {
    prop_oneof![0..=2i64, 0..SECOND, 0..MINUTE, 0..3 * MINUTE, 0..3 * WEEK]
}

fn deed() -> impl Strategy<Value = Deed> {
    let grant_type = select(vec![GrantType::NewUser, GrantType::OrderPay, GrantType::SystemAdd]);
    let charge_type = select(vec![ChargeType::Chat, ChargeType::Generation("image".to_owned())]);
    let lasts = option::weighted(0.8, prop_oneof![1 => -SECOND..=0, 9 => span()]);
    let percent = prop_oneof![3 => 0..=60u64, 1 => Just(100), 1 => 90..=120u64];
    prop_oneof![
        4 => (grant_type, 1..=30u64, lasts)
            .prop_map(|(trans_type, credits, lasts)| Deed::Grant { trans_type, credits, lasts }),
        4 => (charge_type, percent).prop_map(|(trans_type, percent)| Deed::Charge { trans_type, percent }),
        2 => vec(any::<Index>(), 1..=4).prop_map(Deed::Refund),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    (span(), -3 * SECOND..=3 * SECOND, deed()).prop_map(|(waited, clock_error, deed)| Step {
        waited,
        clock_error,
        deed,
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct("proptest-regressions/model.txt"))),
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_wallet_says_what_all_its_records_say(story in vec(step(), 1..50)) {
        let mut world = World::default();
        for step in &story {
            world.live(step)?;
        }
    }
}

/// Both models, and the time.
#[derive(Default)]
struct World {
    wallet: Wallet,
    book: Book,
    millis: i64,
}

impl World {
    fn live(&mut self, Step { waited, clock_error, deed }: &Step) -> Result<(), TestCaseError> {
        self.millis += waited;
        let clock = at(self.millis + clock_error);
        match deed {
            Deed::Grant { trans_type, credits, lasts } => self.grant(*trans_type, *credits, *lasts, clock)?,
            Deed::Charge { trans_type, percent } => self.charge(trans_type, *percent, clock)?,
            Deed::Refund(picks) => self.refund(picks, clock)?,
        }
        self.agree(clock)
    }

    /// The moment of a change by this clock: later than the change before.
    fn moment(&self, clock: Timestamp) -> Timestamp {
        self.wallet.version.map_or(clock, |version| clock.max(version.plus_millis(1)))
    }

    fn grant(
        &mut self,
        trans_type: GrantType,
        of: u64,
        lasts: Option<i64>,
        clock: Timestamp,
    ) -> Result<(), TestCaseError> {
        let now = self.moment(clock);
        let (credits, expired_at) = (credits(of), lasts.map(|millis| now.plus_millis(millis)));
        let request =
            GrantRequest { user: user(), trans_type, credits, order_no: None, expired_at, key: None };
        let planned = self.wallet.grant(&request, invocation_id(), clock);
        if lasts.is_some_and(|millis| millis <= 0) {
            let refused = LedgerError::InvalidRequest("`expired_at` must be in the future.".to_owned());
            prop_assert_eq!(planned, Err(refused));
            return Ok(());
        }
        let (next, grant) = planned.map_err(unexpected)?;
        let (trans_no, trans_type) = (grant.trans_no, trans_type.into());
        prop_assert_eq!(&grant, &Grant { trans_no, trans_type, credits, order_no: None, expired_at });
        self.turn(next, trans_no.created_at(), [Event::Grant(grant)])
    }

    fn charge(
        &mut self,
        trans_type: &ChargeType,
        percent: u64,
        clock: Timestamp,
    ) -> Result<(), TestCaseError> {
        let now = self.moment(clock);
        let balance = self.book.balance(now);
        let required = (balance * percent / 100).max(1);
        let request = ChargeRequest {
            user: user(),
            trans_type: trans_type.clone(),
            credits: credits(required),
            generation: None,
            order_no: None,
            key: None,
        };
        let planned = self.wallet.charge(&request, invocation_id(), clock);
        if balance < required {
            let (balance, required) = (credits(balance), request.credits);
            prop_assert_eq!(planned, Err(LedgerError::InsufficientCredits { balance, required }));
            return Ok(());
        }
        let (next, charge) = planned.map_err(unexpected)?;
        prop_assert_eq!((&charge.trans_type, charge.credits), (trans_type, request.credits));
        prop_assert_eq!(&charge.allocations, &self.book.allocate(required, now));
        self.turn(next, charge.trans_no.created_at(), [Event::Charge(charge)])
    }

    fn refund(&mut self, picks: &[Index], clock: Timestamp) -> Result<(), TestCaseError> {
        let now = self.moment(clock);
        let live = self.book.live();
        if live.is_empty() {
            return Ok(());
        }
        let places: BTreeSet<usize> = picks.iter().map(|pick| pick.index(live.len())).collect();
        let charges: Vec<Charge> = places.into_iter().map(|place| live[place].clone()).collect();
        let (next, moment, returned) = self.wallet.void(&charges, clock).map_err(unexpected)?;
        let parts = || charges.iter().flat_map(|charge| &charge.allocations);
        let sum = |to_usable| {
            let given = parts().filter(|part| (now < end(&part.grant)) == to_usable);
            credits(given.map(|part| part.credits.as_u64()).sum())
        };
        prop_assert_eq!(returned, RestoredCredits { restored: sum(true), expired: sum(false) });
        self.turn(next, moment, charges.into_iter().map(Event::Void))
    }

    /// Turns to the next wallet, which must be a later one.
    fn turn(
        &mut self,
        next: Wallet,
        moment: Timestamp,
        events: impl IntoIterator<Item = Event>,
    ) -> Result<(), TestCaseError> {
        prop_assert!(next.version > self.wallet.version);
        prop_assert_eq!(next.version, Some(moment));
        self.wallet = next;
        self.book.pages.extend(events.into_iter().map(|event| (moment, event)));
        Ok(())
    }

    fn agree(&self, clock: Timestamp) -> Result<(), TestCaseError> {
        let Self { wallet, book, .. } = self;
        let now = wallet.version.map_or(clock, |version| clock.max(version));
        let summary = book.summary(now);
        prop_assert_eq!(wallet.validate(), Ok(()));
        prop_assert_eq!(wallet.balance(clock).as_u64(), book.balance(now));
        prop_assert_eq!(&wallet.packs, &book.packs());
        prop_assert_eq!(wallet.is_recharged(), book.is_recharged());
        prop_assert_eq!(&Summary::lifetime(wallet, clock), &Ok(summary.clone()));

        let usable: u64 = wallet.usable(clock).map(|pack| pack.remaining.as_u64()).sum();
        let expired = summary.expired.map_or(0, Credits::as_u64);
        let (granted, live) = (summary.granted.credits.as_u64(), summary.spent.credits.as_u64());
        prop_assert_eq!(granted, usable + live + expired, "every credit is somewhere, once");
        Ok(())
    }
}

/// All that ever happened, each with its moment.
#[derive(Default)]
struct Book {
    pages: Vec<(Timestamp, Event)>,
}

enum Event {
    Grant(Grant),
    Charge(Charge),
    Void(Charge),
}

impl Book {
    fn grants(&self) -> impl Iterator<Item = &Grant> {
        self.pages
            .iter()
            .filter_map(|(_, event)| if let Event::Grant(grant) = event { Some(grant) } else { None })
    }

    fn charges(&self) -> impl Iterator<Item = &Charge> {
        self.pages
            .iter()
            .filter_map(|(_, event)| if let Event::Charge(charge) = event { Some(charge) } else { None })
    }

    fn is_void(&self, charge: &Charge) -> bool {
        self.pages
            .iter()
            .any(|(_, event)| matches!(event, Event::Void(void) if void.trans_no == charge.trans_no))
    }

    fn live(&self) -> Vec<&Charge> {
        self.charges().filter(|charge| !self.is_void(charge)).collect()
    }

    fn is_recharged(&self) -> bool {
        self.grants().any(|grant| grant.trans_type == TransType::Grant(GrantType::OrderPay))
    }

    /// What no live charge took of a grant.
    fn unspent(&self, grant: &Grant) -> u64 {
        grant.credits.as_u64() - self.live().into_iter().map(|charge| taken(charge, grant)).sum::<u64>()
    }

    fn balance(&self, now: Timestamp) -> u64 {
        self.grants().filter(|grant| now < end(grant)).map(|grant| self.unspent(grant)).sum()
    }

    /// One credit after the other, each from the grant that ends first of those
    /// that have one left; of equals, `min_by_key` finds the oldest.
    fn allocate(&self, required: u64, now: Timestamp) -> Vec<Allocation> {
        let mut left: Vec<(&Grant, u64)> = self
            .grants()
            .filter(|grant| now < end(grant))
            .map(|grant| (grant, self.unspent(grant)))
            .collect();
        let mut allocations: Vec<Allocation> = Vec::new();
        for _ in 0..required {
            let with_some = left.iter_mut().filter(|(_, left)| *left > 0);
            let (grant, left) = with_some.min_by_key(|(grant, _)| end(grant)).expect("the balance suffices");
            *left -= 1;
            match allocations.last_mut() {
                Some(last) if last.grant == **grant => last.credits = credits(last.credits.as_u64() + 1),
                _ => allocations.push(Allocation { grant: grant.clone(), credits: credits(1) }),
            }
        }
        allocations
    }

    /// What the wallet still shows of a grant: at a change it forgets one that
    /// ended a minute ago.
    fn shown(&self, grant: &Grant) -> u64 {
        let is_forgotten = |(now, _): &(Timestamp, Event)| end(grant).plus_millis(MINUTE) <= *now;
        if self.pages.last().is_some_and(is_forgotten) { 0 } else { self.unspent(grant) }
    }

    fn packs(&self) -> Vec<Pack> {
        let pack = |grant: &Grant| Pack { grant: grant.clone(), remaining: credits(self.shown(grant)) };
        let mut packs: Vec<Pack> = self.grants().map(pack).filter(|pack| !pack.remaining.is_zero()).collect();
        packs.sort_by_key(|pack| end(&pack.grant));
        packs
    }

    fn summary(&self, now: Timestamp) -> Summary {
        let live = self.live();
        let of_type = |of: &ChargeType| {
            let alike = live.iter().filter(|charge| charge.trans_type == *of);
            (TransType::Charge(of.clone()), tally(alike.map(|charge| charge.credits)))
        };
        let ended = self.grants().filter(|grant| end(grant) <= now);
        Summary {
            granted: tally(self.grants().map(|grant| grant.credits)),
            spent: tally(live.iter().map(|charge| charge.credits)),
            voided: tally(self.charges().filter(|charge| self.is_void(charge)).map(|charge| charge.credits)),
            expired: Some(credits(ended.map(|grant| self.unspent(grant)).sum())),
            by_trans_type: live.iter().map(|charge| of_type(&charge.trans_type)).collect(),
        }
    }
}

fn taken(charge: &Charge, grant: &Grant) -> u64 {
    let parts = charge.allocations.iter().filter(|part| part.grant.trans_no == grant.trans_no);
    parts.map(|part| part.credits.as_u64()).sum()
}

/// When a grant runs out; long after every story for one that never does.
fn end(grant: &Grant) -> Timestamp {
    grant.expired_at.unwrap_or(at(10_000 * WEEK))
}

fn tally(records: impl Iterator<Item = Credits>) -> CreditSum {
    let all: Vec<u64> = records.map(Credits::as_u64).collect();
    CreditSum { credits: credits(all.iter().sum()), count: all.len() as u64 }
}

/// A moment, in milliseconds after the one in which every story begins.
fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(1_800_000_000_000 + millis).expect("a moment of this century")
}

fn credits(credits: u64) -> Credits {
    Credits::try_from(credits).expect("within the limit of sums")
}

fn user() -> UserId {
    "u".to_owned().try_into().expect("of form")
}

/// One for all: the moments already tell the records apart.
fn invocation_id() -> InvocationId {
    InvocationId::new(Uuid::nil())
}

fn unexpected(error: LedgerError) -> TestCaseError {
    TestCaseError::fail(format!("refused: {error:?}"))
}
