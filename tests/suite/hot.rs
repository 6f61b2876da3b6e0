//! The simulation of a hot wallet is the same every time, and the prototype of the
//! charge in one round trip, which `docs/scale.md` measures, loses nothing.

use std::collections::BTreeMap;

use scrip::store::{Store, TABLE};
use scrip_tests::{
    Clock, drawn,
    hot::{
        Figures, GRANTED, Line, Load, Pace, Way,
        one_trip::{Charged, Guard, OneTrip},
        run,
    },
};
use tokio::task::JoinSet;

const GUARDS: [Guard; 3] = [Guard::Version, Guard::Packs, Guard::PacksAndRecord];
const LIMIT: i64 = 60_000;

#[test]
fn a_load_gives_the_same_figures() {
    let load = Load { rate: 40, seconds: 1, limit: 3_000, seed: 1, pace: Pace::USUAL };
    for way in [Way::Function(1), Way::Prototype(Guard::Packs, 500)] {
        let [one, other] = [load; 2].map(|load| run(way, load));
        assert_eq!(one, other, "{way:?}");
        let Figures { millis, busy, failed, credits, .. } = one;
        assert_eq!((millis.len(), busy, failed), (40, 0, 0), "{way:?}");
        assert_eq!(credits, (GRANTED - 40, 40), "{way:?}");
    }
}

/// A wallet of 100 credits in three packs, and functions that come to it.
struct Stage {
    line: Line,
    clock: Clock,
    guard: Guard,
}

impl Stage {
    async fn new(guard: Guard) -> Stage {
        let stage = Stage { line: Line::new(Pace::USUAL), clock: Clock::running(), guard };
        Store::new(stage.line.client(), TABLE).create_table().await.unwrap();
        let later = |millis| Some(stage.clock.now().plus_millis(millis).millis());
        stage.process(0).seed("u", &[(7, later(3_600_000)), (33, later(7_200_000)), (60, None)]).await;
        stage
    }

    fn process(&self, number: u64) -> OneTrip {
        let mut nth = 0;
        let random = move || {
            nth += 1;
            drawn(&format!("{number}/{nth}"))
        };
        OneTrip::new(self.line.client(), self.clock.clone(), self.guard, random)
    }

    /// Charges of 2 at once, each by a process of its own: how they ended.
    async fn race(&self, callers: u64, is_new: bool, generation: fn(u64) -> u64) -> Vec<Charged> {
        let mut running = JoinSet::new();
        for number in 0..callers {
            let mut process = self.process(number);
            running.spawn(async move {
                process.charge("u", &format!("g{}", generation(number)), 2, is_new, LIMIT).await
            });
        }
        running.join_all().await
    }

    async fn follow(&self) {
        // One that knows nothing, as after a crash, and one that goes on.
        for until in [0, i64::MAX] {
            self.process(99).follow("u", until, &mut BTreeMap::new()).await;
        }
    }

    async fn left(&self) -> u64 {
        self.process(99).wallet("u").await.packs.values().map(|pack| pack.n).sum()
    }

    /// The sum of the records that are live.
    fn recorded(&self) -> i64 {
        let items = self.line.scan();
        let live = items.iter().filter(|item| item["is_voided"]["BOOL"] == false);
        live.map(|item| item["credits"]["N"].as_str().unwrap().parse::<i64>().unwrap()).sum()
    }
}

#[tokio::test(start_paused = true)]
async fn sixty_four_at_once_take_what_there_is() {
    for guard in GUARDS {
        let stage = Stage::new(guard).await;
        let ended = stage.race(64, true, |number| number).await;
        let done = ended.iter().filter(|end| matches!(end, Charged::Done { replayed: false, .. })).count();
        let refused = ended.iter().filter(|end| **end == Charged::Insufficient).count();
        assert_eq!((done, refused), (50, 14), "{guard:?}");
        stage.follow().await;
        assert_eq!((stage.left().await, stage.recorded()), (0, -100), "{guard:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_charge_is_done_once_however_often_it_is_sent() {
    for guard in GUARDS {
        let stage = Stage::new(guard).await;
        let ended = stage.race(64, true, |number| number % 4).await;
        let first = ended.iter().filter(|end| matches!(end, Charged::Done { replayed: false, .. })).count();
        let again = ended.iter().filter(|end| matches!(end, Charged::Done { replayed: true, .. })).count();
        assert_eq!((first, again), (4, 60), "{guard:?}");
        stage.follow().await;
        // Of those that left the wallet, the record tells; it has to be looked for.
        let ended = stage.race(64, false, |number| number % 4).await;
        assert!(ended.iter().all(|end| matches!(end, Charged::Done { replayed: true, .. })), "{guard:?}");
        assert_eq!((stage.left().await, stage.recorded()), (92, -8), "{guard:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_void_gives_back_once_wherever_the_charge_stands() {
    for guard in GUARDS {
        for is_recorded in [false, true] {
            let stage = Stage::new(guard).await;
            assert!(matches!(
                stage.process(1).charge("u", "g", 50, true, LIMIT).await,
                Charged::Done { replayed: false, .. }
            ));
            if is_recorded {
                stage.follow().await;
            }
            let (mut one, mut other) = (stage.process(2), stage.process(3));
            let voided = tokio::join!(one.void("u", "g"), other.void("u", "g"));
            assert!(voided.0 ^ voided.1, "{guard:?}: {voided:?}");
            stage.follow().await;
            assert_eq!((stage.left().await, stage.recorded()), (100, 0), "{guard:?}");
        }
    }
}
