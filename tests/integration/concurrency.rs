//! Concurrent requests for one wallet.

use std::{sync::Arc, time::Duration};

use scrip::transport::functions::GRANT;
use scrip_tests::TestLedger;
use serde_json::{Value, json};
use tokio::{task::JoinSet, time::sleep};

type Ended = Result<Value, (String, String)>;

/// Runs this many at once, and returns how each ended. Callers retry `Busy`, as the
/// contract asks them to.
async fn race<F>(callers: usize, call: impl Fn(usize) -> F) -> Vec<Ended>
where
    F: Future<Output = Ended> + Send + 'static,
{
    let mut running = JoinSet::new();
    let run = |running: &mut JoinSet<_>, caller, pause| {
        let called = call(caller);
        running.spawn(async move {
            sleep(pause).await;
            (caller, called.await)
        });
    };
    (0..callers).for_each(|caller| run(&mut running, caller, Duration::ZERO));
    let mut all = Vec::new();
    while let Some(joined) = running.join_next().await {
        match joined.expect("no panic") {
            (caller, Err((code, _))) if code == "Busy" => {
                run(&mut running, caller, Duration::from_secs(1));
            }
            (_, ended) => all.push(ended),
        }
    }
    all
}

/// How many ended with this field, or this error.
fn count(ended: &[Ended], field: &str, value: &Value) -> usize {
    ended.iter().filter(|end| end.as_ref().is_ok_and(|answer| answer[field] == *value)).count()
}

fn errors(ended: &[Ended]) -> Vec<&str> {
    ended.iter().filter_map(|end| end.as_ref().err()).map(|(code, _)| code.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn three_hundred_charges_for_a_hundred_credits() {
    let ledger = Arc::new(TestLedger::new().await);
    ledger.grant("u", 60, Some("2027-01-01T00:00:00Z")).await;
    ledger.grant("u", 40, None).await;
    let ended = race(300, |caller| {
        let ledger = ledger.clone();
        async move { ledger.charge("u", 1, &format!("g{caller}"), None).await }
    })
    .await;
    assert_eq!(count(&ended, "replayed", &json!(false)), 100);
    assert_eq!(errors(&ended), ["InsufficientCredits"; 200]);
    assert_eq!(ledger.sound_balance("u").await, 0);
}

/// Of a wallet that holds more, and of one that the charge empties: its replay
/// goes before the lack of credits.
#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_equal_charges_are_one() {
    for granted in [100, 7] {
        let ledger = Arc::new(TestLedger::new().await);
        ledger.grant("u", granted, None).await;
        let ended = race(64, |_| {
            let ledger = ledger.clone();
            async move { ledger.charge("u", 7, "g", None).await }
        })
        .await;
        assert_eq!(errors(&ended), [""; 0], "{granted} granted");
        assert_eq!(count(&ended, "replayed", &json!(false)), 1, "{granted} granted");
        assert_eq!(count(&ended, "replayed", &json!(true)), 63, "{granted} granted");
        assert_eq!(
            count(&ended, "trans_no", &ended[0].as_ref().unwrap()["trans_no"]),
            64,
            "{granted} granted"
        );
        assert_eq!(ledger.sound_balance("u").await, granted - 7);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_equal_refunds_are_one() {
    let ledger = Arc::new(TestLedger::new().await);
    ledger.grant("u", 100, None).await;
    ledger.charge("u", 7, "g", None).await.unwrap();
    let ended = race(64, |_| {
        let ledger = ledger.clone();
        async move { ledger.refund(Some("u"), "g", None).await }
    })
    .await;
    assert_eq!(errors(&ended), [""; 0]);
    assert_eq!(count(&ended, "outcome", &json!("voided")), 1);
    assert_eq!(count(&ended, "outcome", &json!("already_voided")), 63);
    let records = &ended[0].as_ref().unwrap()["records"];
    assert_eq!(count(&ended, "records", records), 64, "the same record for all");
    assert_eq!(count(&ended, "credits", &json!(7)), 1);
    assert_eq!(ledger.sound_balance("u").await, 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_equal_payment_webhooks_are_one_grant() {
    let ledger = Arc::new(TestLedger::new().await);
    let ended = race(64, |_| {
        let ledger = ledger.clone();
        let grant = json!({ "user_uuid": "u", "trans_type": "order_pay", "order_no": "o", "credits": 50 });
        async move { ledger.invoke(GRANT, grant).await }
    })
    .await;
    assert_eq!((count(&ended, "replayed", &json!(false)), count(&ended, "replayed", &json!(true))), (1, 63));
    assert_eq!(ledger.sound_balance("u").await, 50);
}

/// Whichever comes first, nothing is charged in the end: a refund that comes
/// first leaves a fence, one that comes second voids.
#[tokio::test(flavor = "multi_thread")]
async fn charge_and_its_refund_at_once() {
    let ledger = Arc::new(TestLedger::new().await);
    ledger.grant("u", 100, None).await;
    let mut seen = (0, 0);
    for (round, key) in (0..200).zip([None, Some("k")].into_iter().cycle()) {
        let generation = format!("g{round}");
        let refund_first = round % 2 == 0;
        let (charge, refund) = if refund_first {
            let (refund, charge) = tokio::join!(
                ledger.refund(Some("u"), &generation, key),
                ledger.charge("u", 5, &generation, key)
            );
            (charge, refund)
        } else {
            tokio::join!(ledger.charge("u", 5, &generation, key), ledger.refund(Some("u"), &generation, key))
        };
        match (charge, refund.unwrap()["outcome"].as_str().unwrap()) {
            (Ok(_), "voided") => seen.0 += 1,
            (Err((code, _)), "fenced") if code == "GenerationVoided" => seen.1 += 1,
            other => panic!("round {round}: {other:?}"),
        }
        assert_eq!(ledger.balance("u").await["balance"], 100, "round {round}");
        if seen.0 > 0 && seen.1 > 0 && round > 20 {
            break;
        }
    }
    assert!(seen.0 > 0 && seen.1 > 0, "both orders: {seen:?}");
    ledger.sound_balance("u").await;
}

/// A refund of the whole generation while messages are being charged under keys
/// of their own: those that were charged when it committed are void, and one
/// refund after all of them leaves none alive.
#[tokio::test(flavor = "multi_thread")]
async fn keyless_refund_racing_keyed_charges() {
    let ledger = Arc::new(TestLedger::new().await);
    ledger.grant("u", 100, None).await;
    for round in 0..10 {
        let generation = format!("s{round}");
        let charges = race(8, |caller| {
            let (ledger, generation) = (ledger.clone(), generation.clone());
            async move {
                if caller == 4 {
                    return ledger.refund(Some("u"), &generation, None).await;
                }
                ledger.charge("u", 1, &generation, Some(&format!("m{caller}"))).await
            }
        })
        .await;
        assert_eq!(errors(&charges), [""; 0]);
        ledger.refund(Some("u"), &generation, None).await.unwrap();
        assert_eq!(ledger.sound_balance("u").await, 100, "round {round}");
    }
}
