//! What holds of every input, tried on what fuzzing has found and on inputs
//! like it. `tests/fuzz` looks for more.

use std::{fs, panic, path::Path, sync::Arc};

use proptest::{
    prelude::{Strategy, any},
    sample::Index,
    test_runner::{Config, TestRunner},
};
use scrip::{
    ledger::{ClockAndRandom, Ledger},
    transport::{App, functions::GRANT},
};
use scrip_tests::{
    TestLedger,
    fuzz::{Response, TARGETS},
    http_event, invoke,
};
use serde_json::json;

/// The inputs of a target, each with its file's name.
fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let mut inputs: Vec<_> =
        files.map(|path| (path.display().to_string(), fs::read(&path).unwrap())).collect();
    inputs.sort();
    assert!(!inputs.is_empty(), "{target} has a corpus");
    inputs
}

#[test]
fn fuzz_corpus_passes_every_check() {
    for (target, check) in TARGETS {
        for (file, input) in corpus(target) {
            let held = panic::catch_unwind(|| check(&input));
            assert!(held.is_ok(), "{target}: {file}");
        }
    }
}

#[test]
fn mutated_fuzz_corpus_passes_every_check() {
    for (target, check) in TARGETS {
        let corpus = corpus(target);
        let part = || any::<(Index, Index, Index)>();
        // The beginning of one input, a piece of another, and the end of the first.
        let spliced = (part(), part()).prop_map(|((one, from, to), (other, begin, end))| {
            let ((_, one), (_, other)) = (one.get(&corpus), other.get(&corpus));
            let (from, to) = (from.index(one.len() + 1), to.index(one.len() + 1));
            let (begin, end) = (begin.index(other.len() + 1), end.index(other.len() + 1));
            let piece = &other[begin.min(end)..begin.max(end)];
            [&one[..from.min(to)], piece, &one[from.max(to)..]].concat()
        });
        let config = Config { cases: 200, failure_persistence: None, ..Config::default() };
        let held = TestRunner::new(config).run(&spliced, |input| {
            check(&input);
            Ok(())
        });
        held.unwrap_or_else(|failure| panic!("{target}: {failure}"));
    }
}

/// A panic inside a function is caught there; the checks must see it all the same.
#[tokio::test]
async fn panic_inside_a_function_fails_the_checks() {
    let ledger = TestLedger::new().await;
    let (clock, deadline) = (ledger.clock.clone(), ledger.clock.now().plus_millis(1_000));
    let sources = ClockAndRandom {
        now: Box::new(move || clock.now()),
        random: Box::new(|| panic!("a fault of the code")),
    };
    let ledger = Ledger::new(ledger.store(), sources);
    let app = Arc::new(App::new(ledger).without_authentication());
    let grant = json!({ "user_uuid": "u", "trans_type": "new_user", "credits": 1 }).to_string();
    let event = http_event("POST", "/credits/grant", grant.clone().into_bytes(), None, &json!({}));
    for payload in [grant, event.to_string()] {
        let answer = Response::from_reply(invoke(&app, GRANT, payload, deadline).await);
        assert!(panic::catch_unwind(|| answer.assert_not_internal()).is_err(), "{answer:?}");
        let is_told = matches!(answer, Response::InternalError(_));
        assert_eq!(panic::catch_unwind(|| answer.assert_no_panic()).is_err(), is_told, "{answer:?}");
    }
}
