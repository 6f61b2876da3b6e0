//! The contention simulation is deterministic, and the prototype of the single round trip,
//! which `docs/scale.md` measures, loses no credits.

use std::collections::BTreeMap;

use scrip::store::{Store, TABLE};
use scrip_tests::{
    Clock,
    contention::{GRANTED, Implementation, Load, LoadResult, ServiceModel, SimulatedDynamoDb, run},
    seeded_uuid,
    single_round_trip::{ChargeResult, SingleRoundTrip, WriteCondition},
};
use tokio::task::JoinSet;

const CONDITIONS: [WriteCondition; 3] =
    [WriteCondition::Version, WriteCondition::Packs, WriteCondition::PacksAndRecord];
/// Time limit of a charge, in milliseconds.
const TIME_LIMIT: i64 = 60_000;

#[test]
fn load_gives_the_same_result_every_time() {
    let load = Load { rate: 40, seconds: 1, time_limit: 3_000, seed: 1, model: ServiceModel::TYPICAL };
    for implementation in [Implementation::Function(1), Implementation::Prototype(WriteCondition::Packs, 500)]
    {
        let [first, second] = [load; 2].map(|load| run(implementation, load));
        assert_eq!(first, second, "{implementation:?}");
        let LoadResult { latencies, busy, failed, credits, .. } = first;
        assert_eq!((latencies.len(), busy, failed), (40, 0, 0), "{implementation:?}");
        assert_eq!(credits, (GRANTED - 40, 40), "{implementation:?}");
    }
}

/// A wallet of 100 credits in three packs, and processes that charge it.
struct Fixture {
    dynamodb: SimulatedDynamoDb,
    clock: Clock,
    condition: WriteCondition,
}

impl Fixture {
    async fn new(condition: WriteCondition) -> Fixture {
        let dynamodb = SimulatedDynamoDb::new(ServiceModel::TYPICAL);
        let fixture = Fixture { dynamodb, clock: Clock::running(), condition };
        Store::new(fixture.dynamodb.client(), TABLE).create_table().await.unwrap();
        let later = |millis| Some(fixture.clock.now().plus_millis(millis).millis());
        fixture
            .process(0)
            .create_wallet("u", &[(7, later(3_600_000)), (33, later(7_200_000)), (60, None)])
            .await;
        fixture
    }

    fn process(&self, number: u64) -> SingleRoundTrip {
        let mut nth = 0;
        let random = move || {
            nth += 1;
            seeded_uuid(&format!("{number}/{nth}"))
        };
        SingleRoundTrip::new(self.dynamodb.client(), self.clock.clone(), self.condition, random)
    }

    /// Charges of 2 credits at once, each by a process of its own.
    async fn charge_at_once(
        &self,
        callers: u64,
        is_new: bool,
        generation: fn(u64) -> u64,
    ) -> Vec<ChargeResult> {
        let mut running = JoinSet::new();
        for number in 0..callers {
            let mut process = self.process(number);
            running.spawn(async move {
                process.charge("u", &format!("g{}", generation(number)), 2, is_new, TIME_LIMIT).await
            });
        }
        running.join_all().await
    }

    async fn write_records(&self) {
        // Two passes, each by a follower without memory, as after a crash.
        for cutoff in [0, i64::MAX] {
            self.process(99).write_records("u", cutoff, &mut BTreeMap::new()).await;
        }
    }

    async fn remaining(&self) -> u64 {
        self.process(99).wallet("u").await.packs.values().map(|pack| pack.n).sum()
    }

    /// The sum of the live records.
    fn live_credits(&self) -> i64 {
        let items = self.dynamodb.scan();
        let live = items.iter().filter(|item| item["is_voided"]["BOOL"] == false);
        live.map(|item| item["credits"]["N"].as_str().unwrap().parse::<i64>().unwrap()).sum()
    }
}

#[tokio::test(start_paused = true)]
async fn charges_at_once_take_no_more_than_the_balance() {
    for condition in CONDITIONS {
        let fixture = Fixture::new(condition).await;
        let results = fixture.charge_at_once(64, true, |number| number).await;
        let charged = results
            .iter()
            .filter(|result| matches!(result, ChargeResult::Charged { replayed: false, .. }))
            .count();
        let rejected = results.iter().filter(|result| **result == ChargeResult::InsufficientCredits).count();
        assert_eq!((charged, rejected), (50, 14), "{condition:?}");
        fixture.write_records().await;
        assert_eq!((fixture.remaining().await, fixture.live_credits()), (0, -100), "{condition:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn charge_is_executed_once_however_often_it_is_sent() {
    for condition in CONDITIONS {
        let fixture = Fixture::new(condition).await;
        let results = fixture.charge_at_once(64, true, |number| number % 4).await;
        let first = results
            .iter()
            .filter(|result| matches!(result, ChargeResult::Charged { replayed: false, .. }))
            .count();
        let replayed = results
            .iter()
            .filter(|result| matches!(result, ChargeResult::Charged { replayed: true, .. }))
            .count();
        assert_eq!((first, replayed), (4, 60), "{condition:?}");
        fixture.write_records().await;
        // The wallet no longer contains the charges: the prototype has to read their records.
        let results = fixture.charge_at_once(64, false, |number| number % 4).await;
        assert!(
            results.iter().all(|result| matches!(result, ChargeResult::Charged { replayed: true, .. })),
            "{condition:?}"
        );
        assert_eq!((fixture.remaining().await, fixture.live_credits()), (92, -8), "{condition:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn void_restores_once_in_wallet_or_record() {
    for condition in CONDITIONS {
        for is_recorded in [false, true] {
            let fixture = Fixture::new(condition).await;
            assert!(matches!(
                fixture.process(1).charge("u", "g", 50, true, TIME_LIMIT).await,
                ChargeResult::Charged { replayed: false, .. }
            ));
            if is_recorded {
                fixture.write_records().await;
            }
            let (mut first, mut second) = (fixture.process(2), fixture.process(3));
            let voided = tokio::join!(first.void("u", "g"), second.void("u", "g"));
            assert!(voided.0 ^ voided.1, "{condition:?}: {voided:?}");
            fixture.write_records().await;
            assert_eq!((fixture.remaining().await, fixture.live_credits()), (100, 0), "{condition:?}");
        }
    }
}
