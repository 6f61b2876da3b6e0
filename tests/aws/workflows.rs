//! The workflows as they are deployed, on a stand-in of Step Functions, with the
//! built functions on a real engine. After each: the balance and the records.

use std::{collections::BTreeSet, sync::LazyLock};

use scrip_tests::WEBHOOK_SECRET;
use serde_json::{Value, json};

use crate::{
    cloud::{Cloud, wait_until},
    run::{GRANTED, PRICE, Run, User, output, states},
};

/// For how long the stand-in waits for a call-back that does not come.
const WAIT_SECONDS: u64 = 2;
/// A provider's call-back, signed.
fn call_back(body: &Value) -> Value {
    let answer = Cloud::deployed().call_back(body, WEBHOOK_SECRET);
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body
}

/// What the video's step was handed, less the input: what the call-back needs.
fn for_the_provider(mut event: Value, status: &str) -> Value {
    let fields = event.as_object_mut().unwrap();
    fields.remove("input");
    fields.insert("status".to_owned(), json!(status));
    event
}

#[test]
#[ignore = "needs ministack, sam and cargo-lambda, which .ci/run installs"]
fn a_generation_that_succeeds_is_charged_once() {
    let user = User::new("succeeds");
    let input = user.input(&json!({ "order_no": "o-1", "prompt": "a cat" }));
    let run = Run::start("generation", &input);
    let step = user.step();
    assert_eq!(step.event, input, "the step gets the input as it is");
    step.succeed(&json!({ "picture": "cat.png" }));
    assert_eq!(run.succeeds(), json!({ "picture": "cat.png" }));
    assert_eq!(run.way(), ["Defaults", "Request", "Check", "Charge", "Generate"]);
    user.has(&[""]);
    let charge = &Cloud::deployed().records(user.0)[0];
    assert_eq!((&charge["trans_type"], &charge["order_no"]), (&json!("anime_generation"), &json!("o-1")));
}

#[test]
#[ignore = "needs ministack, sam and cargo-lambda, which .ci/run installs"]
fn a_generation_that_fails_is_refunded() {
    let user = User::new("fails");
    let run = Run::start("generation", &user.input(&json!({})));
    user.step().fail("NoGpu", "there is none left");
    let cause = run.fails("GenerationFailed");
    assert!(cause.contains("there is none left"), "{cause}");
    user.has(&["the generation failed"]);
    let (reclaim, _) = run.reclaimed();
    reclaim.succeeds();
    assert_eq!(reclaim.way()[4..], ["Refund", "Settled"], "once more, which does nothing");
    user.has(&["the generation failed"]);
}

#[test]
#[ignore = "needs ministack, sam and cargo-lambda, which .ci/run installs"]
fn a_charge_that_is_throttled_at_first_is_made_once() {
    let user = User::new("throttled");
    user.refuse("TransactWriteItems", "ThrottlingException", 5);
    let run = Run::start("generation", &user.input(&json!({})));
    user.step().succeed(&json!({}));
    run.succeeds();
    assert_eq!(Cloud::deployed().outside.allow(user.0), 0, "all were refused");
    user.has(&[""]);
}

#[test]
#[ignore = "needs ministack, sam and cargo-lambda, which .ci/run installs"]
fn a_charge_that_is_throttled_for_longer_than_an_invocation_is_tried_again_in_place() {
    let user = User::new("busy");
    user.refuse("TransactWriteItems", "ThrottlingException", u32::MAX);
    let run = Run::start("generation", &user.input(&json!({})));
    wait_until("the first attempt ends", || run.failures() == ["Busy"]);
    Cloud::deployed().outside.allow(user.0);
    user.step().succeed(&json!({}));
    run.succeeds();
    assert_eq!(run.way()[3..], ["Charge", "Generate"]);
    user.has(&[""]);
}

#[test]
#[ignore = "needs ministack, sam and cargo-lambda, which .ci/run installs"]
fn a_charge_of_which_nobody_knows_is_sent_again_and_made_once() {
    let user = User::new("unknown");
    user.refuse("TransactWriteItems", "AccessDeniedException", 2);
    let run = Run::start("generation", &user.input(&json!({})));
    user.step().succeed(&json!({}));
    run.succeeds();
    assert_eq!(run.way()[3..], ["Charge", "ChargeAgain", "Generate"]);
    assert_eq!(run.failures(), ["StoreUnavailable"; 2]);
    user.has(&[""]);
}

#[test]
#[ignore = "needs ministack, sam and cargo-lambda, which .ci/run installs"]
fn a_charge_that_stays_unknown_is_fenced() {
    let user = User::new("unknown-for-ever");
    // The first attempt, and the second with its eight repeats; then the refund.
    user.refuse("TransactWriteItems", "AccessDeniedException", 10);
    let run = Run::start("generation", &user.input(&json!({})));
    assert!(run.fails("GenerationFailed").contains("StoreUnavailable"));
    assert_eq!(run.way()[3..], ["Charge", "ChargeAgain", "Refund", "Failed"]);
    assert_eq!(Cloud::deployed().outside.allow(user.0), 0, "all were refused");
    user.has(&[]);
    let again = Run::start("generation", &user.input(&json!({})));
    again.fails("GenerationVoided");
    user.has(&[]);
}

#[test]
#[ignore = "needs ministack, sam and cargo-lambda, which .ci/run installs"]
fn a_charge_of_which_nobody_knows_and_that_is_then_refused_is_fenced() {
    let user = User::new("unknown-and-poor");
    user.refuse("GetItem", "AccessDeniedException", 1);
    let run = Run::start("generation", &user.input(&json!({ "credits": GRANTED + 1 })));
    assert!(run.fails("GenerationFailed").contains("InsufficientCredits"));
    assert_eq!(run.failures(), ["StoreUnavailable", "InsufficientCredits"]);
    assert_eq!(run.way()[3..], ["Charge", "ChargeAgain", "Refund", "Failed"]);
    Run::start("generation", &user.input(&json!({}))).fails("GenerationVoided");
    user.has(&[]);
}

#[test]
#[ignore = "needs ministack, sam and cargo-lambda, which .ci/run installs"]
fn who_has_not_enough_may_try_the_same_generation_again() {
    let user = User::new("poor");
    let input = user.input(&json!({}));
    let too_much = user.input(&json!({ "credits": GRANTED + 1 }));
    let run = Run::start("generation", &too_much);
    assert!(run.fails("InsufficientCredits").contains("The balance is 10, but the charge needs 11."));
    assert_eq!(run.way()[3..], ["Charge", "Refused"]);
    let (reclaim, _) = run.reclaimed();
    reclaim.succeeds();
    assert_eq!(reclaim.way(), ["Ended", "Settled"], "nothing was charged");
    user.has(&[]);
    let again = Run::start("generation", &input);
    user.step().succeed(&json!({}));
    again.succeeds();
    user.has(&[""]);
}

#[test]
#[ignore = "needs ministack, sam and cargo-lambda, which .ci/run installs"]
fn the_charge_of_somebody_else_is_not_voided() {
    let user = User::new("conflict");
    let run = Run::start("generation", &user.input(&json!({})));
    let step = user.step();
    Run::start("generation", &user.input(&json!({ "credits": PRICE + 1 }))).fails("IdempotencyConflict");
    user.has(&[""]);
    step.succeed(&json!({}));
    run.succeeds();
    user.has(&[""]);
}

#[test]
#[ignore = "needs ministack, sam and cargo-lambda, which .ci/run installs"]
fn an_input_that_could_not_be_refunded_is_refused() {
    let user = User::new("form");
    let cases = [
        ("generation", json!({ "gen": null })),
        ("generation", json!({ "user_uuid": 7 })),
        ("generation", json!({ "generation_uuid": null })),
        ("generation", json!({ "credits": "3" })),
        ("generation", json!({ "gen": "No Such" })),
        ("video", json!({ "timeout_seconds": "soon" })),
        ("video", json!({ "timeout_seconds": 0 })),
        ("video", json!({ "timeout_seconds": 10, "heartbeat_seconds": 10 })),
        ("video", json!({ "heartbeat_seconds": "often" })),
        ("chat", json!({ "idempotency_key": null })),
    ];
    let runs = cases.map(|(machine, more)| (Run::start(machine, &user.input(&more)), more));
    for (run, more) in runs {
        let cause = run.fails("InvalidRequest");
        assert!(!cause.is_empty(), "{more}");
    }
    user.has(&[]);
}

#[test]
#[ignore = "needs ministack, sam and cargo-lambda, which .ci/run installs"]
fn a_video_whose_webhook_says_success_stays_charged() {
    let user = User::new("video-succeeds");
    let input = user.input(&json!({ "prompt": "a cat" }));
    let run = Run::start("video", &input);
    let step = user.step();
    assert_eq!(step.event["input"], input);
    let told = for_the_provider(step.event.clone(), "succeeded");
    step.succeed(&json!({}));
    call_back(&told);
    assert_eq!(run.succeeds(), json!({ "generation_uuid": user.generation(), "status": "succeeded" }));
    user.has(&[""]);
}

#[test]
#[ignore = "needs ministack, sam and cargo-lambda, which .ci/run installs"]
fn a_video_whose_webhook_says_failure_is_refunded() {
    let user = User::new("video-fails");
    let run = Run::start("video", &user.input(&json!({ "idempotency_key": "take-2" })));
    let step = user.step();
    let mut told = for_the_provider(step.event.clone(), "failed");
    told["error"] = json!("no cat was found");
    step.succeed(&json!({}));
    assert_eq!(call_back(&told)["outcome"], "voided");
    assert!(run.fails("GenerationFailed").contains("no cat was found"));
    user.has(&["no cat was found"]);
    // The provider calls again.
    assert_eq!(call_back(&told)["outcome"], "already_voided");
    user.has(&["no cat was found"]);
}

/// The stand-in takes `TimeoutSeconds` and not `TimeoutSecondsPath`: the machine
/// of the template, with a number in its place.
static IMPATIENT_VIDEO: LazyLock<String> = LazyLock::new(|| {
    let video = states("DescribeStateMachine", &json!({ "stateMachineArn": output("VideoMachineArn") }));
    let mut definition: Value = serde_json::from_str(video["definition"].as_str().unwrap()).unwrap();
    let start = definition["States"]["Start"].as_object_mut().unwrap();
    assert_eq!(start.remove("TimeoutSecondsPath"), Some(json!("$.timeout_seconds")));
    start.insert("TimeoutSeconds".to_owned(), json!(WAIT_SECONDS));
    let machine = json!({
        "name": "impatient-video", "definition": definition.to_string(), "roleArn": video["roleArn"],
    });
    states("CreateStateMachine", &machine)["stateMachineArn"].as_str().unwrap().to_owned()
});

#[test]
#[ignore = "needs ministack, sam and cargo-lambda, which .ci/run installs"]
fn a_video_whose_webhook_never_comes_is_refunded_and_stays_so_when_it_comes() {
    let user = User::new("video-never");
    let run = Run::of(states, &IMPATIENT_VIDEO, &user.input(&json!({})));
    let step = user.step();
    let told = for_the_provider(step.event.clone(), "succeeded");
    step.succeed(&json!({}));
    assert!(run.fails("GenerationFailed").contains("States.Timeout"));
    user.has(&["the generation failed"]);
    call_back(&told);
    user.has(&["the generation failed"]);
}

#[test]
#[ignore = "needs ministack, sam and cargo-lambda, which .ci/run installs"]
fn a_refund_that_fails_three_times_is_made_at_last() {
    let user = User::new("refund-fails");
    let run = Run::start("generation", &user.input(&json!({})));
    let step = user.step();
    user.refuse("TransactWriteItems", "AccessDeniedException", 3);
    step.fail("NoGpu", "there is none left");
    run.fails("GenerationFailed");
    assert_eq!(Cloud::deployed().outside.allow(user.0), 0, "all were refused");
    user.has(&["the generation failed"]);
}

/// A refund of this user that waits in the failure queue, taken out of it.
fn taken_from_the_queue(user: &User) -> Value {
    let queue = output("FailureQueueUrl");
    let sqs = |action: &str, mut request: Value| {
        request["QueueUrl"] = json!(queue);
        Cloud::deployed().call(&format!("AmazonSQS.{action}"), &request).unwrap()
    };
    let mut taken = Value::Null;
    wait_until("the refund is in the queue", || {
        let got = sqs("ReceiveMessage", json!({ "MaxNumberOfMessages": 10, "VisibilityTimeout": 1 }));
        for message in got["Messages"].as_array().into_iter().flatten() {
            let body: Value = serde_json::from_str(message["Body"].as_str().unwrap()).unwrap();
            if taken.is_null() && body["requestPayload"]["user_uuid"] == user.0 {
                sqs("DeleteMessage", json!({ "ReceiptHandle": message["ReceiptHandle"] }));
                taken = body;
            }
        }
        !taken.is_null()
    });
    taken
}

#[test]
#[ignore = "needs ministack, sam and cargo-lambda, which .ci/run installs"]
fn a_refund_that_keeps_failing_waits_in_the_queue_and_works_from_there() {
    let cloud = Cloud::deployed();
    let user = User::new("refund-waits");
    let run = Run::start("generation", &user.input(&json!({ "idempotency_key": "k-1" })));
    let step = user.step();
    user.refuse("TransactWriteItems", "AccessDeniedException", 1_000);
    step.fail("NoGpu", "there is none left");
    assert!(run.fails("RefundWaits").contains("StoreUnavailable"));
    user.has(&[""]);
    let (reclaim, _) = run.reclaimed();
    assert!(reclaim.fails("RefundWaits").contains("StoreUnavailable"), "it has tried, too");
    assert!(cloud.outside.allow(user.0) > 0);

    let mut sent_by = BTreeSet::new();
    for outcome in ["voided", "already_voided"] {
        let message = taken_from_the_queue(&user);
        sent_by.insert(message["execution"].as_str().unwrap().to_owned());
        assert_eq!(message["responsePayload"]["Error"], "StoreUnavailable");
        assert_eq!(cloud.invoke("refund", &message["requestPayload"]).unwrap()["outcome"], outcome);
    }
    assert_eq!(sent_by, [run.arn, reclaim.arn].into());
    user.has(&[user.charges()[0].as_deref().unwrap()]);
}

#[test]
#[ignore = "needs ministack, sam and cargo-lambda, which .ci/run installs"]
fn an_execution_that_is_stopped_after_its_charge_is_refunded_once() {
    let user = User::new("stopped");
    let run = Run::start("generation", &user.input(&json!({ "idempotency_key": "k-1" })));
    let step = user.step();
    user.has(&[""]);
    run.stop();
    let (reclaim, event) = run.reclaimed();
    reclaim.succeeds();
    assert_eq!(reclaim.way(), ["Ended", "Read", "Request", "Charged", "Refund", "Settled"]);
    user.has(&["the workflow ended: ABORTED"]);
    step.succeed(&json!({}));
    assert_eq!(run.end().status, "ABORTED");
    // The event comes twice, or from the queue; or is made by hand.
    for event in [event, json!({ "detail": run.described() })] {
        let reclaim = Run::start("reclaim", &event);
        reclaim.succeeds();
        assert_eq!(reclaim.way()[4..], ["Refund", "Settled"]);
        user.has(&["the workflow ended: ABORTED"]);
    }
}

/// An event has no room for a large input, and may not say how it failed.
#[test]
#[ignore = "needs ministack, sam and cargo-lambda, which .ci/run installs"]
fn what_an_event_leaves_out_is_asked_for() {
    let looked_up = ["Ended", "Incomplete", "Describe", "Described", "Complete", "AsEvent", "Ended"];
    let user = User::new("left-out");
    let run = Run::start("generation", &user.input(&json!({})));
    let step = user.step();
    run.stop();
    let (reclaim, mut event) = run.reclaimed();
    reclaim.succeeds();
    (event["detail"]["input"], event["detail"]["inputDetails"]["included"]) = (Value::Null, json!(false));
    let reclaim = Run::start("reclaim", &event);
    reclaim.succeeds();
    assert_eq!(reclaim.way()[..7], looked_up);
    assert_eq!(reclaim.way()[7..], ["Read", "Request", "Charged", "Refund", "Settled"]);
    user.has(&["the workflow ended: ABORTED"]);
    step.succeed(&json!({}));

    let poor = User::new("left-out-and-poor");
    let run = Run::start("generation", &poor.input(&json!({ "credits": GRANTED + 1 })));
    let (_, mut event) = run.reclaimed();
    event["detail"].as_object_mut().unwrap().remove("error");
    let reclaim = Run::start("reclaim", &event);
    reclaim.succeeds();
    assert_eq!(reclaim.way(), [&looked_up[..], &["Settled"]].concat(), "no fence is left");
}

#[test]
#[ignore = "needs ministack, sam and cargo-lambda, which .ci/run installs"]
fn an_execution_that_is_stopped_at_once_is_charged_neither_now_nor_later() {
    let user = User::new("stopped-early");
    let run = Run::start("generation", &user.input(&json!({})));
    run.stop();
    run.reclaimed().0.succeeds();
    // Mostly it has charged nothing yet.
    let is_void = |charges: Vec<Option<String>>| charges.iter().all(Option::is_some);
    assert!(is_void(user.charges()));
    Run::start("generation", &user.input(&json!({}))).fails("GenerationVoided");
    assert!(is_void(user.charges()));
}

#[test]
#[ignore = "needs ministack, sam and cargo-lambda, which .ci/run installs"]
fn a_message_that_fails_is_refunded_alone() {
    let user = User::new("chat-fails");
    let answered = Run::start("chat", &user.message("m-1"));
    user.step().succeed(&json!({ "text": "hello" }));
    assert_eq!(answered.succeeds(), json!({ "text": "hello" }));
    let failed = Run::start("chat", &user.message("m-2"));
    user.step().fail("NoWords", "it is speechless");
    failed.fails("GenerationFailed");
    user.has(&["", "the reply failed"]);
}

#[test]
#[ignore = "needs ministack, sam and cargo-lambda, which .ci/run installs"]
fn a_message_that_is_stopped_is_refunded_alone() {
    let user = User::new("chat-stopped");
    let answered = Run::start("chat", &user.message("m-1"));
    user.step().succeed(&json!({}));
    answered.succeeds();
    let stopped = Run::start("chat", &user.message("m-2"));
    let step = user.step();
    stopped.stop();
    let (reclaim, mut nameless) = stopped.reclaimed();
    reclaim.succeeds();
    user.has(&["", "the workflow ended: ABORTED"]);
    step.succeed(&json!({}));
    // Without a key nothing was charged: it is not for the whole session.
    nameless["detail"]["input"] = json!(user.input(&json!({})).to_string());
    let reclaim = Run::start("reclaim", &nameless);
    reclaim.succeeds();
    assert_eq!(reclaim.way(), ["Ended", "Read", "Request", "Charged", "Settled"]);
    user.has(&["", "the workflow ended: ABORTED"]);
}
