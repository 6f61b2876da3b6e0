//! The process is killed under load several times, with the same folder.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    thread,
};

use serde_json::Value;

use crate::support::{Client, Stack, charge, wait_until};

const THREADS: usize = 8;
const ROUNDS: usize = 3;
/// Acknowledged charges before the process is killed.
const ACKNOWLEDGED: usize = 200;
/// All threads charge the first user.
const USERS: [&str; 4] = ["hot", "u1", "u2", "u3"];
const GRANTED: u64 = 1_000_000;

/// A charge that was requested.
struct Attempt {
    user: &'static str,
    generation: String,
    credits: u64,
    /// `trans_no` of the record, if a response was received.
    acknowledged: Option<Value>,
}

impl Attempt {
    fn request(&self) -> Vec<u8> {
        charge(self.user, self.credits, &self.generation).to_string().into_bytes()
    }
}

#[test]
fn acknowledged_charges_survive_a_killed_process() {
    let folder = tempfile::tempdir().unwrap();
    let mut attempts = Vec::new();
    let mut stack = Stack::on(folder.path());
    for user in USERS {
        stack.client().grant(user, GRANTED);
    }
    for round in 0..ROUNDS {
        let mut new_attempts = load_until_killed(stack, round);
        stack = Stack::on(folder.path());
        let client = stack.client();
        attempts.append(&mut new_attempts);
        let surviving = charges(&client, &attempts);
        for attempt in &mut attempts[..] {
            if attempt.generation.starts_with(&format!("{round}-")) {
                retry(&client, attempt, surviving.get(&attempt.generation));
            }
        }
        assert_eq!(charges(&client, &attempts).len(), attempts.len(), "one charge for each attempt");
    }
}

/// Charges from many threads, and kills the process meanwhile.
fn load_until_killed(stack: Stack, round: usize) -> Vec<Attempt> {
    let acknowledged = AtomicUsize::new(0);
    let attempts: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (client, acknowledged) = (stack.client(), &acknowledged);
                scope.spawn(move || charge_until_disconnected(&client, round, thread, acknowledged))
            })
            .collect();
        wait_until("charges are acknowledged", || acknowledged.load(Relaxed) >= ACKNOWLEDGED);
        stack.kill();
        threads.into_iter().flat_map(|thread| thread.join().expect("attempts")).collect()
    });
    let lost = attempts.iter().filter(|attempt| attempt.acknowledged.is_none()).count();
    assert!(lost >= THREADS, "each thread had a pending request");
    attempts
}

fn charge_until_disconnected(
    client: &Client,
    round: usize,
    thread: usize,
    acknowledged: &AtomicUsize,
) -> Vec<Attempt> {
    let mut attempts = Vec::new();
    for (number, credits) in (0..).zip((1..=9).cycle()) {
        let user = if number % 2 == 0 { USERS[0] } else { USERS[1 + thread % (USERS.len() - 1)] };
        let generation = format!("{round}-{thread}-{number}");
        let mut attempt = Attempt { user, generation, credits, acknowledged: None };
        let answer = client.try_send("POST", "/credits/decrease", &[], &attempt.request());
        let is_disconnected = answer.is_err();
        if let Ok(mut answer) = answer {
            match answer.status {
                200 => {
                    attempt.acknowledged = Some(answer.body["trans_no"].take());
                    acknowledged.fetch_add(1, Relaxed);
                }
                // Busy: not acknowledged, so it is retried like a lost request.
                503 => {}
                _ => panic!("{answer:?}"),
            }
        }
        attempts.push(attempt);
        if is_disconnected {
            break;
        }
    }
    attempts
}

/// The `trans_no` of all charges by generation, after a comparison with attempts and balances.
fn charges(client: &Client, attempts: &[Attempt]) -> BTreeMap<String, Value> {
    let mut charges = BTreeMap::new();
    for user in USERS {
        let mut spent = 0;
        for mut record in client.records(user) {
            let credits = record["credits"].as_i64().expect("credits");
            if credits < 0 {
                assert_eq!(record["is_voided"], false);
                let generation = record["generation_uuid"].as_str().expect("a generation").to_owned();
                spent += credits.unsigned_abs();
                let attempt = attempts.iter().find(|attempt| attempt.generation == generation);
                let requested = attempt.map(|attempt| (attempt.user, attempt.credits));
                assert_eq!(requested, Some((user, credits.unsigned_abs())), "{record}");
                let earlier = charges.insert(generation, record["trans_no"].take());
                assert_eq!(earlier, None, "a second charge: {record}");
            }
        }
        assert_eq!(client.balance(user), GRANTED - spent, "{user}");
    }
    for attempt in attempts.iter().filter(|attempt| attempt.acknowledged.is_some()) {
        assert_eq!(charges.get(&attempt.generation), attempt.acknowledged.as_ref(), "{}", attempt.generation);
    }
    charges
}

/// Retries a charge. It must be a replay if, and only if, the first attempt survived.
fn retry(client: &Client, attempt: &mut Attempt, survived: Option<&Value>) {
    let mut answer = client.send("POST", "/credits/decrease", &[], &attempt.request());
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.body["replayed"], survived.is_some(), "{answer:?}");
    let trans_no = answer.body["trans_no"].take();
    assert!(survived.is_none_or(|survived| *survived == trans_no), "{survived:?} became {trans_no}");
    attempt.acknowledged = Some(trans_no);
}
