//! Calls beside a transaction whose items become visible one after the other, as DynamoDB
//! shows them. Time is simulated.

mod stories;

use std::time::Duration;

use scrip::transport::{
    Function,
    functions::{BALANCE, DECREASE, GRANT, HISTORY, REFUND, WEBHOOK},
};
use scrip_tests::{
    TestLedger,
    engine::{Schedule, Timing},
};
use serde_json::{Value, json};
use tokio::{join, time::sleep};

type Ended = Result<Value, (String, String)>;
type Request = (Function, Value);

/// How long the last item of a transaction takes to become visible, in milliseconds.
const DELAY: u64 = 1_000;

/// The delays of records and wallet: the wallet is visible first, the record is, or neither.
const ORDERS: [[u64; 2]; 3] = [[DELAY, 0], [0, DELAY], [DELAY, DELAY]];

/// The time of an invocation, in milliseconds: one that ends before the items are visible,
/// so that its caller gets no answer, and one that is long enough.
const INVOCATIONS: [i64; 2] = [600, 60_000];

fn grant(order_no: &str, credits: u64) -> Request {
    let request =
        json!({ "user_uuid": "u", "trans_type": "order_pay", "order_no": order_no, "credits": credits });
    (GRANT, request)
}

fn charge(generation: &str, key: Option<&str>, credits: u64) -> Request {
    let request = json!({
        "user_uuid": "u", "trans_type": "anime_generation", "credits": credits,
        "generation_uuid": generation, "idempotency_key": key,
    });
    (DECREASE, request)
}

fn refund(user: Option<&str>, generation: &str) -> Request {
    (REFUND, json!({ "user_uuid": user, "generation_uuid": generation, "reason": "it failed" }))
}

fn settle(generation: &str, credits: u64) -> Request {
    let request = json!({
        "operation": "settle", "user_uuid": "u", "generation_uuid": generation, "credits": credits,
        "overage": "debt",
    });
    (DECREASE, request)
}

fn report(generation: &str, status: &str) -> Request {
    (WEBHOOK, json!({ "user_uuid": "u", "generation_uuid": generation, "status": status }))
}

fn after(visible: [u64; 2]) -> Timing {
    Timing { visible, ..Timing::default() }
}

/// A user with 10 credits, who is charged 4 for `gen` and 2 for `chat`: at once, or under
/// two keys.
async fn ledger(is_keyed: bool) -> (TestLedger, Schedule) {
    let (ledger, schedule) = TestLedger::with_delays().await;
    let chat: &[_] = if is_keyed { &[(Some("m1"), 1), (Some("m2"), 1)] } else { &[(None, 2)] };
    let chat = chat.iter().map(|(key, credits)| charge("chat", *key, *credits));
    for (function, request) in [grant("order", 10), charge("gen", None, 4)].into_iter().chain(chat) {
        ledger.invoke(function, request).await.unwrap();
    }
    (ledger, schedule)
}

/// Checks the balance, and that the audit finds nothing.
async fn check_balance(ledger: &TestLedger, balance: u64, case: &str) {
    assert_eq!(ledger.sound_balance("u").await, balance, "{case}");
    assert_eq!(audit(ledger).await, [""; 0], "{case}");
}

/// The discrepancies of the user.
async fn audit(ledger: &TestLedger) -> Vec<String> {
    let deadline = ledger.clock.now().plus_millis(60_000);
    let report = ledger.ledger().audit(&"u".to_owned().try_into().unwrap(), deadline).await.unwrap();
    report.discrepancies.listed().map(ToString::to_string).collect()
}

/// Sends one request, and another while the transaction of the first is partly visible, in
/// all variants. The second must return these fields, or this code. In the end the balance
/// must be this.
async fn check(first: Request, second: Request, expected: Result<Value, &str>, balance: u64) {
    check_after(&[], first, second, expected, balance).await;
}

/// The same after further requests.
async fn check_after(
    before: &[Request],
    first: Request,
    second: Request,
    expected: Result<Value, &str>,
    balance: u64,
) {
    for (visible, is_keyed, millis) in cases() {
        let case = format!("{} beside {}, {visible:?}, {is_keyed}, {millis} ms", second.1, first.1);
        let (ledger, schedule) = ledger(is_keyed).await;
        for (function, request) in before {
            ledger.invoke(*function, request.clone()).await.unwrap();
        }
        schedule.set([after(visible)]);
        let (first, second) = join!(ledger.deliver(first.0, &first.1, "first", millis), async {
            sleep(Duration::from_millis(DELAY / 2)).await;
            ledger.invoke(second.0, second.1.clone()).await
        });
        assert_eq!(first.is_ok(), millis == INVOCATIONS[1], "{case}: {first:?}");
        match &expected {
            Ok(fields) => {
                let answer = second.unwrap_or_else(|error| panic!("{case}: {error:?}"));
                for (name, value) in fields.as_object().unwrap() {
                    assert_eq!(answer[name], *value, "{case}: {answer}");
                }
            }
            Err(code) => assert_eq!(second.unwrap_err().0, *code, "{case}"),
        }
        sleep(Duration::from_millis(DELAY)).await;
        check_balance(&ledger, balance, &case).await;
    }
}

/// Delays, whether the user has charges under keys, and the time of the first invocation.
fn cases() -> impl Iterator<Item = ([u64; 2], bool, i64)> {
    let with_keys = |visible| [false, true].map(|is_keyed| (visible, is_keyed));
    let with_millis = |(visible, is_keyed)| INVOCATIONS.map(|millis| (visible, is_keyed, millis));
    ORDERS.into_iter().flat_map(with_keys).flat_map(with_millis)
}

/// A replay is no refusal, and its balance is never older than its record.
#[tokio::test(start_paused = true)]
async fn charge_beside_a_partly_visible_charge() {
    let replay = |balance: u64| Ok(json!({ "replayed": true, "balance": balance }));
    for (credits, second, expected) in [
        (4, charge("new", None, 4), replay(0)),
        (1, charge("new", None, 1), replay(3)),
        (1, charge("new", None, 2), Err("IdempotencyConflict")),
        (4, charge("other", None, 1), Err("InsufficientCredits")),
    ] {
        check(charge("new", None, credits), second, expected, 4 - credits).await;
    }
    let first = Ok(json!({ "replayed": false, "balance": 1 }));
    check(charge("new", None, 1), charge("other", None, 2), first, 1).await;
}

#[tokio::test(start_paused = true)]
async fn refund_beside_a_partly_visible_charge() {
    for key in [None, Some("k")] {
        let refund = json!({
            "user_uuid": "u", "generation_uuid": "new", "idempotency_key": key, "reason": "it failed",
        });
        let voided = Ok(json!({ "outcome": "voided", "credits": 4, "balance": 4 }));
        check(charge("new", key, 4), (REFUND, refund), voided, 4).await;
    }
}

/// A refund without a key may miss a charge under a key that has no answer yet. Repeated
/// after the answer, it voids the charge.
#[tokio::test(start_paused = true)]
async fn refund_of_a_session_beside_its_charge_is_finished_by_a_repeat() {
    for visible in ORDERS {
        let (ledger, schedule) = ledger(true).await;
        schedule.set([after(visible)]);
        let (charged, refunded) = join!(ledger.charge("u", 3, "chat", Some("m3")), async {
            sleep(Duration::from_millis(DELAY / 2)).await;
            ledger.refund(Some("u"), "chat", None).await
        });
        charged.unwrap();
        let credits = refunded.unwrap()["credits"].as_u64().unwrap();
        assert!([2, 5].contains(&credits), "{visible:?}: {credits}");
        let repeated = ledger.refund(Some("u"), "chat", None).await.unwrap();
        assert_eq!((&repeated["credits"], &repeated["balance"]), (&json!(5 - credits), &json!(6)));
        check_balance(&ledger, 6, &format!("{visible:?}")).await;
    }
}

#[tokio::test(start_paused = true)]
async fn grant_beside_a_partly_visible_grant() {
    let replay = Ok(json!({ "replayed": true, "balance": 9 }));
    for (second, expected, balance) in [
        (grant("new", 5), replay, 9),
        (grant("new", 6), Err("IdempotencyConflict"), 9),
        (charge("new", None, 9), Ok(json!({ "replayed": false, "balance": 0 })), 0),
    ] {
        check(grant("new", 5), second, expected, balance).await;
    }
}

#[tokio::test(start_paused = true)]
async fn calls_beside_a_partly_visible_refund() {
    let again = |balance: u64| Ok(json!({ "outcome": "already_voided", "credits": 0, "balance": balance }));
    let fenced = Ok(json!({ "outcome": "fenced", "records": [], "balance": 4 }));
    for (generation, second, expected, balance) in [
        ("gen", refund(Some("u"), "gen"), again(8), 8),
        ("gen", charge("gen", None, 4), Err("GenerationVoided"), 8),
        ("gen", charge("new", None, 8), Ok(json!({ "replayed": false, "balance": 0 })), 0),
        ("chat", refund(Some("u"), "chat"), again(6), 6),
        ("new", refund(Some("u"), "new"), fenced, 4),
        ("new", charge("new", None, 1), Err("GenerationVoided"), 4),
    ] {
        check(refund(Some("u"), generation), second, expected, balance).await;
    }
}

/// The charge of `gen` costs 2 instead of 4 after the settlement, and the balance is 6.
#[tokio::test(start_paused = true)]
async fn calls_beside_a_partly_visible_settlement() {
    let again = Ok(json!({ "outcome": "already_settled", "returned": 2, "replayed": true, "balance": 6 }));
    for (second, expected, balance) in [
        (settle("gen", 2), again, 6),
        (settle("gen", 3), Err("IdempotencyConflict"), 6),
        (refund(Some("u"), "gen"), Ok(json!({ "outcome": "voided", "credits": 2, "balance": 8 })), 8),
        (charge("gen", None, 4), Ok(json!({ "replayed": true, "credits": -4, "balance": 6 })), 6),
        (charge("new", None, 6), Ok(json!({ "replayed": false, "balance": 0 })), 0),
        (report("gen", "succeeded"), Ok(json!({ "outcome": "already_settled" })), 6),
        (report("gen", "failed"), Ok(json!({ "outcome": "settled" })), 6),
    ] {
        check(settle("gen", 2), second, expected, balance).await;
    }
}

/// The charge of `gen` costs 20 after the settlement, takes the balance of 4, and owes 12.
#[tokio::test(start_paused = true)]
async fn calls_beside_a_partly_visible_debt() {
    for (second, expected, balance) in [
        (grant("new", 15), Ok(json!({ "repaid": 12, "balance": 3 })), 3),
        (charge("new", None, 1), Err("InsufficientCredits"), 0),
        (refund(Some("u"), "gen"), Ok(json!({ "outcome": "voided", "credits": 8, "balance": 8 })), 8),
        (refund(Some("u"), "chat"), Ok(json!({ "restored": 2, "repaid": 2, "balance": 0 })), 0),
    ] {
        check(settle("gen", 20), second, expected, balance).await;
    }
}

#[tokio::test(start_paused = true)]
async fn calls_beside_a_partly_visible_repayment() {
    for (second, expected, balance) in [
        (settle("gen", 20), Ok(json!({ "outcome": "already_settled", "debt_added": 12 })), 3),
        (refund(Some("u"), "gen"), Ok(json!({ "outcome": "voided", "credits": 20, "balance": 23 })), 23),
        (grant("new", 15), Ok(json!({ "replayed": true, "repaid": 12, "balance": 3 })), 3),
    ] {
        check_after(&[settle("gen", 20)], grant("new", 15), second, expected, balance).await;
    }
}

#[tokio::test(start_paused = true)]
async fn settlements_and_successes_beside_a_partly_visible_refund() {
    for (second, expected) in [
        (settle("gen", 2), Err("GenerationVoided")),
        (report("gen", "succeeded"), Ok(json!({ "outcome": "late_success" }))),
        (report("gen", "failed"), Ok(json!({ "outcome": "already_voided" }))),
    ] {
        check(refund(Some("u"), "gen"), second, expected, 8).await;
    }
    check(grant("new", 5), settle("gen", 12), Ok(json!({ "taken": 8, "debt_added": 0, "balance": 1 })), 1)
        .await;
}

/// A success without a key settles what it finds; so does a settlement. Repeated after the
/// charge's answer, each of them settles the charge.
#[tokio::test(start_paused = true)]
async fn settlement_and_success_beside_their_charge_are_finished_by_a_repeat() {
    for visible in ORDERS {
        for second in [settle("new", 4), report("new", "succeeded")] {
            let (ledger, schedule) = ledger(false).await;
            schedule.set([after(visible)]);
            let (charged, ended) = join!(ledger.charge("u", 4, "new", None), async {
                sleep(Duration::from_millis(DELAY / 2)).await;
                ledger.invoke(second.0, second.1.clone()).await
            });
            charged.unwrap();
            let settled = match ended {
                Ok(answer) => answer["outcome"].clone(),
                Err((code, _)) => {
                    assert!(["ChargeNotFound", "GenerationUnknown"].contains(&&*code), "{visible:?}: {code}");
                    ledger.invoke(second.0, second.1.clone()).await.unwrap()["outcome"].clone()
                }
            };
            assert_eq!(settled, "settled", "{visible:?}: {}", second.1);
            let repeated = ledger.invoke(second.0, second.1).await.unwrap();
            assert_eq!(repeated["outcome"], "already_settled", "{visible:?}");
            check_balance(&ledger, 0, &format!("{visible:?}")).await;
        }
    }
}

/// Sweeps until the deadline. Returns how many charges it voided and how many it could not.
async fn sweep(ledger: &TestLedger) -> (u64, u64) {
    let deadline = ledger.clock.now().plus_millis(60_000);
    let summary = ledger.ledger().sweep(deadline).await.unwrap();
    (summary.expired, summary.failed)
}

/// A charge of 4 whose hold has timed out, in a wallet of 4 credits.
async fn overdue() -> (TestLedger, Schedule) {
    let (ledger, schedule) = ledger(false).await;
    ledger.charge_with("u", 4, "held", json!({ "hold_seconds": 1 })).await.unwrap();
    sleep(Duration::from_secs(2)).await;
    (ledger, schedule)
}

#[tokio::test(start_paused = true)]
async fn sweep_beside_partly_visible_calls() {
    for visible in ORDERS {
        for (first, expired, balance) in [
            (settle("held", 1), 0, 3),
            (refund(Some("u"), "held"), 0, 4),
            (report("held", "succeeded"), 0, 0),
            (grant("new", 5), 1, 9),
        ] {
            let case = format!("a sweep beside {}, {visible:?}", first.1);
            let (ledger, schedule) = overdue().await;
            schedule.set([after(visible)]);
            let (first, swept) = join!(ledger.invoke(first.0, first.1.clone()), async {
                sleep(Duration::from_millis(DELAY / 2)).await;
                sweep(&ledger).await
            });
            first.unwrap();
            assert_eq!(swept, (expired, 0), "{case}");
            check_balance(&ledger, balance, &case).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn calls_beside_a_partly_visible_sweep() {
    for visible in ORDERS {
        for (second, expected) in [
            (settle("held", 1), Err("GenerationVoided")),
            (refund(Some("u"), "held"), Ok("already_voided")),
            (report("held", "succeeded"), Ok("late_success")),
        ] {
            let case = format!("{} beside a sweep, {visible:?}", second.1);
            let (ledger, schedule) = overdue().await;
            schedule.set([after(visible)]);
            let (swept, again, answer) = join!(
                sweep(&ledger),
                async {
                    sleep(Duration::from_millis(DELAY / 2)).await;
                    sweep(&ledger).await
                },
                async {
                    sleep(Duration::from_millis(DELAY / 2)).await;
                    ledger.invoke(second.0, second.1.clone()).await
                }
            );
            assert_eq!((swept, again), ((1, 0), (0, 0)), "{case}");
            let outcome = answer.as_ref().map(|answer| answer["outcome"].as_str().unwrap());
            assert_eq!(outcome.map_err(|(code, _)| code.as_str()), expected, "{case}");
            check_balance(&ledger, 4, &case).await;
        }
    }
}

/// An SDK gives up an attempt after three seconds, and the ledger sends the transaction
/// again while DynamoDB still applies it.
#[tokio::test(start_paused = true)]
async fn transaction_that_takes_longer_than_its_sender_waits_is_a_first_answer() {
    for is_keyed in [false, true] {
        for visible in [[4_000, 0], [0, 4_000], [4_000, 4_000]] {
            let (ledger, schedule) = ledger(is_keyed).await;
            for ((function, request), (field, value), balance) in [
                (grant("new", 5), ("replayed", json!(false)), 9),
                (charge("new", None, 9), ("replayed", json!(false)), 0),
                (refund(Some("u"), "gen"), ("outcome", json!("voided")), 4),
                (refund(Some("u"), "chat"), ("outcome", json!("voided")), 6),
                (refund(Some("u"), "late"), ("outcome", json!("fenced")), 6),
            ] {
                let case = format!("{visible:?}, {is_keyed}: {request}");
                schedule.set([after(visible)]);
                let answer = ledger.invoke(function, request).await;
                let answer = answer.unwrap_or_else(|error| panic!("{case}: {error:?}"));
                assert_eq!((&answer[field], &answer["balance"]), (&value, &json!(balance)), "{case}");
                check_balance(&ledger, balance, &case).await;
            }
        }
    }
}

/// Each read returns what it did before the transaction or what it does after it, and never
/// the former again. An audit meanwhile finds nothing.
#[tokio::test(start_paused = true)]
async fn reads_beside_a_transaction_answer_as_before_it_or_as_after_it() {
    let history = |operation| (HISTORY, json!({ "operation": operation, "user_uuid": "u" }));
    let generation = |name| (HISTORY, json!({ "operation": "generation", "generation_uuid": name }));
    let reads = [
        (BALANCE, json!({ "user_uuid": "u" })),
        history("summary"),
        history("timeline"),
        generation("gen"),
        generation("new"),
    ];
    for change in
        [grant("new", 5), charge("new", None, 4), refund(Some("u"), "gen"), refund(Some("u"), "new")]
    {
        for visible in ORDERS {
            let (ledger, schedule) = ledger(true).await;
            schedule.set([Timing { lag: DELAY / 2, ..after(visible) }]);
            let looks = async {
                let mut all = vec![Vec::new(); reads.len()];
                for _ in 0..25 {
                    for (answers, (function, request)) in all.iter_mut().zip(&reads) {
                        answers.push(ledger.invoke(*function, request.clone()).await);
                    }
                    sleep(Duration::from_millis(DELAY / 10)).await;
                }
                all
            };
            let found = async {
                sleep(Duration::from_millis(DELAY / 2)).await;
                audit(&ledger).await
            };
            let (changed, all, found) = join!(ledger.invoke(change.0, change.1.clone()), looks, found);
            changed.unwrap();
            assert_eq!(found, [""; 0], "{} {visible:?}", change.1);
            for (mut answers, (_, read)) in all.into_iter().zip(&reads) {
                answers.dedup();
                assert!(answers.len() <= 2, "{read} beside {}, {visible:?}: {answers:?}", change.1);
                assert!(answers.iter().all(is_sound), "{read} beside {}: {answers:?}", change.1);
            }
        }
    }
}

/// Whether the packs of a balance sum to it, or the generation has no charge yet.
fn is_sound(answer: &Ended) -> bool {
    let answer = match answer {
        Ok(answer) => answer,
        Err((code, _)) => return code == "ChargeNotFound",
    };
    answer["packs"].as_array().is_none_or(|packs| {
        let remaining = packs.iter().filter_map(|pack| pack["remaining"].as_u64());
        answer["balance"] == remaining.sum::<u64>()
    })
}
