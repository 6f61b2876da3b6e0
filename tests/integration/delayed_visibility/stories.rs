//! Stories of many calls under drawn delays and faults: each ends at the same balance.

use std::{iter::repeat_with, time::Duration};

use scrip::transport::functions::REFUND;
use scrip_tests::{Fault, TestLedger, engine::Timing, seeded_uuid};
use serde_json::json;
use tokio::{join, time::sleep};

use super::{Ended, Request, charge, check_balance, grant, refund};

/// How many stories are drawn.
const SEEDS: u64 = 50;

/// Calls until the answer is final, as the contract requires.
async fn retried(ledger: &TestLedger, (function, request): Request) -> Ended {
    for _ in 0..20 {
        match ledger.invoke(function, request.clone()).await {
            Err((code, _)) if ["Busy", "StoreUnavailable", "ChargeNotFound"].contains(&&*code) => {
                sleep(Duration::from_secs(1)).await;
            }
            ended => return ended,
        }
    }
    panic!("no final answer to {request}")
}

/// Numbers below a limit, which are the same every time.
fn numbers(name: String) -> impl FnMut(u64) -> u64 + Send + 'static {
    let mut nth = 0;
    move |limit| {
        nth += 1;
        seeded_uuid(&format!("{name}/{nth}")).as_u64_pair().1 % limit
    }
}

#[tokio::test(start_paused = true)]
async fn stories_under_drawn_delays_end_at_the_same_balance() {
    for seed in 0..SEEDS {
        let (ledger, schedule) = TestLedger::with_delays().await;
        let mut number = numbers(format!("{seed}/delays"));
        schedule.set(repeat_with(move || Timing {
            work: number(20),
            visible: [number(300), number(300)],
            lag: number(200),
        }));
        let mut number = numbers(format!("{seed}/faults"));
        ledger.http_client.inject(move |_| match number(16) {
            0 => Some(Fault::RequestLost),
            1 => Some(Fault::ResponseLost),
            2 => Some(Fault::Duplicated),
            _ => Some(Fault::Delayed(number(40))),
        });
        story(&ledger, seed).await;
        // Faults and delays end, and the indexes catch up.
        ledger.http_client.inject(|_| None);
        schedule.set([]);
        sleep(Duration::from_secs(10)).await;
        check_balance(&ledger, 22, &format!("seed {seed}")).await;
    }
}

/// Grants of 20 and 10; charges of 4 and 4 stay, and all others are refunded.
async fn story(ledger: &TestLedger, seed: u64) {
    let call = |request| retried(ledger, request);
    let refund = |generation| refund(Some("u"), generation);
    let voided = [json!("voided"), json!("already_voided")];

    call(grant("order-1", 20)).await.unwrap();
    let (one, other) = join!(call(grant("order-2", 10)), call(grant("order-2", 10)));
    assert_eq!(one.unwrap()["trans_no"], other.unwrap()["trans_no"], "seed {seed}: one identity");

    let (one, other) = join!(call(charge("a", None, 5)), call(charge("a", None, 5)));
    let (one, other) = (one.unwrap(), other.unwrap());
    assert_eq!(one["trans_no"], other["trans_no"], "seed {seed}: one identity");
    assert!(one["replayed"] == true || other["replayed"] == true, "seed {seed}: {one} {other}");
    let (b, c) = join!(call(charge("b", None, 4)), call(charge("c", None, 4)));
    assert_ne!(b.unwrap()["trans_no"], c.unwrap()["trans_no"], "seed {seed}: one wallet");
    let replay = call(charge("a", None, 5)).await.unwrap();
    assert_eq!((&replay["replayed"], &replay["balance"]), (&json!(true), &json!(17)), "seed {seed}");

    let (one, other) = join!(call(refund("a")), call(refund("a")));
    let (one, other) = (one.unwrap(), other.unwrap());
    assert!(voided.contains(&one["outcome"]) && voided.contains(&other["outcome"]), "seed {seed}");
    assert_eq!(one["records"], other["records"], "seed {seed}");
    let again = call(refund("a")).await.unwrap();
    assert_eq!((&again["outcome"], &again["balance"]), (&json!("already_voided"), &json!(22)), "seed {seed}");
    assert_eq!(call(charge("a", None, 5)).await.unwrap_err().0, "GenerationVoided", "seed {seed}");

    assert_eq!(call(refund("d")).await.unwrap()["outcome"], "fenced", "seed {seed}");
    assert_eq!(call(charge("d", None, 1)).await.unwrap_err().0, "GenerationVoided", "seed {seed}");
    let (charged, refunded) = join!(call(charge("e", None, 2)), call(refund("e")));
    assert!(charged.map_or_else(|(code, _)| code == "GenerationVoided", |_| true), "seed {seed}");
    refunded.unwrap();

    let (m1, m2, _) =
        join!(call(charge("chat", Some("m1"), 3)), call(charge("chat", Some("m2"), 3)), call(refund("chat")));
    for ended in [m1, m2] {
        assert!(ended.map_or_else(|(code, _)| code == "GenerationVoided", |_| true), "seed {seed}");
    }
    call(refund("chat")).await.unwrap();
    assert_eq!(call(charge("f", None, 23)).await.unwrap_err().0, "InsufficientCredits", "seed {seed}");
    assert_eq!(call(charge("f", None, 22)).await.unwrap()["balance"], 0, "seed {seed}");
    let by_generation = (REFUND, json!({ "generation_uuid": "f", "reason": "it failed" }));
    assert_eq!(call(by_generation).await.unwrap()["balance"], 22, "seed {seed}");
}
