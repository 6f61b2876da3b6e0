//! The deployed workflows in ministack's Step Functions, with the built functions on a real
//! engine. Each test checks the balance and the records.

use std::{collections::BTreeSet, sync::LazyLock};

use scrip_tests::WEBHOOK_SECRET;
use serde_json::{Value, json};

use crate::{
    cloud::{Cloud, wait_until},
    execution::{Execution, GRANTED, PRICE, User, output, states},
};

/// Time limit of the video machine below.
const WAIT_SECONDS: u64 = 2;

/// Sends a provider's signed call-back. Returns the response.
fn call_back(body: &Value) -> Value {
    let response = Cloud::deployed().call_back(body, WEBHOOK_SECRET);
    assert_eq!(response.status, 200, "{response:?}");
    response.body
}

/// The body of a call-back: the event of the video's step without its input.
fn call_back_body(mut event: Value, status: &str) -> Value {
    let fields = event.as_object_mut().unwrap();
    fields.remove("input");
    fields.insert("status".to_owned(), json!(status));
    event
}

#[test]
#[ignore = "needs ministack, sam and cargo-lambda, which .ci/run installs"]
fn generation_that_succeeds_is_charged_once() {
    let user = User::new("succeeds");
    let input = user.input(&json!({ "order_no": "o-1", "prompt": "a cat" }));
    let run = Execution::start("generation", &input);
    let step = user.step();
    assert_eq!(step.event, input, "the step receives the unchanged input");
    step.succeed(&json!({ "picture": "cat.png" }));
    assert_eq!(run.expect_success(), json!({ "picture": "cat.png" }));
    let entered = ["Defaults", "Request", "Check", "Charge", "Generate", "Cost", "Done"];
    assert_eq!(run.entered_states(), entered);
    user.assert_charges(&[""]);
    let charge = &Cloud::deployed().records(user.0)[0];
    assert_eq!((&charge["trans_type"], &charge["order_no"]), (&json!("anime_generation"), &json!("o-1")));
}

/// The record of the one charge of a generation that used so many credits of its estimate.
fn settled_charge(user: &User, input: &Value, result: &Value) -> Value {
    let run = Execution::start("generation", input);
    user.step().succeed(result);
    assert_eq!(&run.expect_success(), result);
    assert!(run.entered_states().contains(&"Settle".to_owned()));
    Cloud::deployed().records(user.0).remove(0)
}

#[test]
#[ignore = "needs ministack, sam and cargo-lambda, which .ci/run installs"]
fn generation_settles_to_the_cost_that_its_function_reports() {
    let user = User::new("settles");
    let input = user.input(&json!({ "hold_seconds": 3600 }));
    let charge = settled_charge(&user, &input, &json!({ "text": "a cat", "credits_used": 1 }));
    assert_eq!((&charge["credits"], &charge["estimated"]), (&json!(-1), &json!(PRICE)));
    assert_eq!(Cloud::deployed().balance(user.0), GRANTED - 1);
}

#[test]
#[ignore = "needs ministack, sam and cargo-lambda, which .ci/run installs"]
fn held_generation_without_a_cost_settles_at_its_charge() {
    let user = User::new("held");
    let charge = settled_charge(&user, &user.input(&json!({ "hold_seconds": 3600 })), &json!({}));
    assert_eq!((&charge["credits"], charge["settled_at"].is_string()), (&json!(-PRICE.cast_signed()), true));
    user.assert_charges(&[""]);
}

#[test]
#[ignore = "needs ministack, sam and cargo-lambda, which .ci/run installs"]
fn generation_that_fails_is_refunded() {
    let user = User::new("fails");
    let run = Execution::start("generation", &user.input(&json!({})));
    user.step().fail("NoGpu", "no GPU is free");
    let cause = run.expect_failure("GenerationFailed");
    assert!(cause.contains("no GPU is free"), "{cause}");
    user.assert_charges(&["the generation failed"]);
    let (reclaim, _) = run.reclaim();
    reclaim.expect_success();
    assert_eq!(reclaim.entered_states()[4..], ["Refund", "Settled"], "a second refund changes nothing");
    user.assert_charges(&["the generation failed"]);
}

#[test]
#[ignore = "needs ministack, sam and cargo-lambda, which .ci/run installs"]
fn charge_that_is_throttled_at_first_is_made_once() {
    let user = User::new("throttled");
    user.inject_errors("TransactWriteItems", "ThrottlingException", 5);
    let run = Execution::start("generation", &user.input(&json!({})));
    user.step().succeed(&json!({}));
    run.expect_success();
    assert_eq!(Cloud::deployed().fakes.clear_errors(user.0), 0, "every injected error was returned");
    user.assert_charges(&[""]);
}

#[test]
#[ignore = "needs ministack, sam and cargo-lambda, which .ci/run installs"]
fn charge_that_is_throttled_for_longer_than_an_invocation_is_tried_again_in_place() {
    let user = User::new("busy");
    user.inject_errors("TransactWriteItems", "ThrottlingException", u32::MAX);
    let run = Execution::start("generation", &user.input(&json!({})));
    wait_until("the first attempt ends", || run.task_errors() == ["Busy"]);
    Cloud::deployed().fakes.clear_errors(user.0);
    user.step().succeed(&json!({}));
    run.expect_success();
    assert_eq!(run.entered_states()[3..], ["Charge", "Generate", "Cost", "Done"]);
    user.assert_charges(&[""]);
}

#[test]
#[ignore = "needs ministack, sam and cargo-lambda, which .ci/run installs"]
fn charge_with_unknown_outcome_is_retried_and_executed_once() {
    let user = User::new("unknown");
    user.inject_errors("TransactWriteItems", "AccessDeniedException", 2);
    let run = Execution::start("generation", &user.input(&json!({})));
    user.step().succeed(&json!({}));
    run.expect_success();
    assert_eq!(run.entered_states()[3..], ["Charge", "ChargeAgain", "Generate", "Cost", "Done"]);
    assert_eq!(run.task_errors(), ["StoreUnavailable"; 2]);
    user.assert_charges(&[""]);
}

#[test]
#[ignore = "needs ministack, sam and cargo-lambda, which .ci/run installs"]
fn charge_that_stays_unknown_is_fenced() {
    let user = User::new("unknown-for-ever");
    // The first attempt, and the second with its eight retries; then the refund.
    user.inject_errors("TransactWriteItems", "AccessDeniedException", 10);
    let run = Execution::start("generation", &user.input(&json!({})));
    assert!(run.expect_failure("GenerationFailed").contains("StoreUnavailable"));
    assert_eq!(run.entered_states()[3..], ["Charge", "ChargeAgain", "Refund", "Failed"]);
    assert_eq!(Cloud::deployed().fakes.clear_errors(user.0), 0, "every injected error was returned");
    user.assert_charges(&[]);
    let again = Execution::start("generation", &user.input(&json!({})));
    again.expect_failure("GenerationVoided");
    user.assert_charges(&[]);
}

#[test]
#[ignore = "needs ministack, sam and cargo-lambda, which .ci/run installs"]
fn charge_with_unknown_outcome_that_is_then_rejected_is_fenced() {
    let user = User::new("unknown-and-poor");
    user.inject_errors("GetItem", "AccessDeniedException", 1);
    let run = Execution::start("generation", &user.input(&json!({ "credits": GRANTED + 1 })));
    assert!(run.expect_failure("GenerationFailed").contains("InsufficientCredits"));
    assert_eq!(run.task_errors(), ["StoreUnavailable", "InsufficientCredits"]);
    assert_eq!(run.entered_states()[3..], ["Charge", "ChargeAgain", "Refund", "Failed"]);
    Execution::start("generation", &user.input(&json!({}))).expect_failure("GenerationVoided");
    user.assert_charges(&[]);
}

#[test]
#[ignore = "needs ministack, sam and cargo-lambda, which .ci/run installs"]
fn caller_without_credits_may_retry_the_same_generation() {
    let user = User::new("poor");
    let input = user.input(&json!({}));
    let too_much = user.input(&json!({ "credits": GRANTED + 1 }));
    let run = Execution::start("generation", &too_much);
    assert!(
        run.expect_failure("InsufficientCredits").contains("The balance is 10, but the charge needs 11.")
    );
    assert_eq!(run.entered_states()[3..], ["Charge", "Refused"]);
    let (reclaim, _) = run.reclaim();
    reclaim.expect_success();
    assert_eq!(reclaim.entered_states(), ["Ended", "Settled"], "nothing was charged");
    user.assert_charges(&[]);
    let again = Execution::start("generation", &input);
    user.step().succeed(&json!({}));
    again.expect_success();
    user.assert_charges(&[""]);
}

#[test]
#[ignore = "needs ministack, sam and cargo-lambda, which .ci/run installs"]
fn charge_of_another_user_is_not_voided() {
    let user = User::new("conflict");
    let run = Execution::start("generation", &user.input(&json!({})));
    let step = user.step();
    Execution::start("generation", &user.input(&json!({ "credits": PRICE + 1 })))
        .expect_failure("IdempotencyConflict");
    user.assert_charges(&[""]);
    step.succeed(&json!({}));
    run.expect_success();
    user.assert_charges(&[""]);
}

#[test]
#[ignore = "needs ministack, sam and cargo-lambda, which .ci/run installs"]
fn input_that_could_not_be_refunded_is_refused() {
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
    let runs = cases.map(|(machine, more)| (Execution::start(machine, &user.input(&more)), more));
    for (run, more) in runs {
        let cause = run.expect_failure("InvalidRequest");
        assert!(!cause.is_empty(), "{more}");
    }
    user.assert_charges(&[]);
}

#[test]
#[ignore = "needs ministack, sam and cargo-lambda, which .ci/run installs"]
fn video_with_a_successful_call_back_stays_charged() {
    let user = User::new("video-succeeds");
    let input = user.input(&json!({ "prompt": "a cat" }));
    let run = Execution::start("video", &input);
    let step = user.step();
    assert_eq!(step.event["input"], input);
    let body = call_back_body(step.event.clone(), "succeeded");
    step.succeed(&json!({}));
    call_back(&body);
    assert_eq!(run.expect_success(), json!({ "generation_uuid": user.generation(), "status": "succeeded" }));
    user.assert_charges(&[""]);
}

#[test]
#[ignore = "needs ministack, sam and cargo-lambda, which .ci/run installs"]
fn video_with_a_failed_call_back_is_refunded() {
    let user = User::new("video-fails");
    let run = Execution::start("video", &user.input(&json!({ "idempotency_key": "take-2" })));
    let step = user.step();
    let mut body = call_back_body(step.event.clone(), "failed");
    body["error"] = json!("no cat was found");
    step.succeed(&json!({}));
    assert_eq!(call_back(&body)["outcome"], "voided");
    assert!(run.expect_failure("GenerationFailed").contains("no cat was found"));
    user.assert_charges(&["no cat was found"]);
    // The provider repeats the call-back.
    assert_eq!(call_back(&body)["outcome"], "already_voided");
    user.assert_charges(&["no cat was found"]);
}

/// The template's machine with `TimeoutSeconds`: ministack has no `TimeoutSecondsPath`.
static SHORT_TIMEOUT_VIDEO: LazyLock<String> = LazyLock::new(|| {
    let video = states("DescribeStateMachine", &json!({ "stateMachineArn": output("VideoMachineArn") }));
    let mut definition: Value = serde_json::from_str(video["definition"].as_str().unwrap()).unwrap();
    let start = definition["States"]["Start"].as_object_mut().unwrap();
    assert_eq!(start.remove("TimeoutSecondsPath"), Some(json!("$.timeout_seconds")));
    start.insert("TimeoutSeconds".to_owned(), json!(WAIT_SECONDS));
    let machine = json!({
        "name": "short-timeout-video", "definition": definition.to_string(), "roleArn": video["roleArn"],
    });
    states("CreateStateMachine", &machine)["stateMachineArn"].as_str().unwrap().to_owned()
});

#[test]
#[ignore = "needs ministack, sam and cargo-lambda, which .ci/run installs"]
fn video_whose_webhook_never_comes_is_refunded_and_stays_so_when_it_comes() {
    let user = User::new("video-never");
    let run = Execution::start_in(states, &SHORT_TIMEOUT_VIDEO, &user.input(&json!({})));
    let step = user.step();
    let body = call_back_body(step.event.clone(), "succeeded");
    step.succeed(&json!({}));
    assert!(run.expect_failure("GenerationFailed").contains("States.Timeout"));
    user.assert_charges(&["the generation failed"]);
    call_back(&body);
    user.assert_charges(&["the generation failed"]);
}

#[test]
#[ignore = "needs ministack, sam and cargo-lambda, which .ci/run installs"]
fn refund_that_fails_three_times_is_made_at_last() {
    let user = User::new("refund-fails");
    let run = Execution::start("generation", &user.input(&json!({})));
    let step = user.step();
    user.inject_errors("TransactWriteItems", "AccessDeniedException", 3);
    step.fail("NoGpu", "no GPU is free");
    run.expect_failure("GenerationFailed");
    assert_eq!(Cloud::deployed().fakes.clear_errors(user.0), 0, "every injected error was returned");
    user.assert_charges(&["the generation failed"]);
}

/// Takes a failed refund of this user out of the failure queue.
fn take_from_queue(user: &User) -> Value {
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
fn refund_that_keeps_failing_waits_in_the_queue_and_works_from_there() {
    let cloud = Cloud::deployed();
    let user = User::new("refund-waits");
    let run = Execution::start("generation", &user.input(&json!({ "idempotency_key": "k-1" })));
    let step = user.step();
    user.inject_errors("TransactWriteItems", "AccessDeniedException", 1_000);
    step.fail("NoGpu", "no GPU is free");
    assert!(run.expect_failure("RefundWaits").contains("StoreUnavailable"));
    user.assert_charges(&[""]);
    let (reclaim, _) = run.reclaim();
    assert!(
        reclaim.expect_failure("RefundWaits").contains("StoreUnavailable"),
        "reclaim tries the refund too"
    );
    assert!(cloud.fakes.clear_errors(user.0) > 0);

    let mut sent_by = BTreeSet::new();
    for outcome in ["voided", "already_voided"] {
        let message = take_from_queue(&user);
        sent_by.insert(message["execution"].as_str().unwrap().to_owned());
        assert_eq!(message["responsePayload"]["Error"], "StoreUnavailable");
        assert_eq!(cloud.invoke("refund", &message["requestPayload"]).unwrap()["outcome"], outcome);
    }
    assert_eq!(sent_by, [run.arn, reclaim.arn].into());
    user.assert_charges(&[user.checked_charges()[0].as_deref().unwrap()]);
}

#[test]
#[ignore = "needs ministack, sam and cargo-lambda, which .ci/run installs"]
fn execution_that_is_stopped_after_its_charge_is_refunded_once() {
    let user = User::new("stopped");
    let run = Execution::start("generation", &user.input(&json!({ "idempotency_key": "k-1" })));
    let step = user.step();
    user.assert_charges(&[""]);
    run.stop();
    let (reclaim, event) = run.reclaim();
    reclaim.expect_success();
    assert_eq!(reclaim.entered_states(), ["Ended", "Read", "Request", "Charged", "Refund", "Settled"]);
    user.assert_charges(&["the workflow ended: ABORTED"]);
    step.succeed(&json!({}));
    assert_eq!(run.wait().status, "ABORTED");
    // The event arrives twice, or from the queue; or an operator writes it.
    for event in [event, json!({ "detail": run.describe() })] {
        let reclaim = Execution::start("reclaim", &event);
        reclaim.expect_success();
        assert_eq!(reclaim.entered_states()[4..], ["Refund", "Settled"]);
        user.assert_charges(&["the workflow ended: ABORTED"]);
    }
}

/// An event omits a large input, and may omit the error.
#[test]
#[ignore = "needs ministack, sam and cargo-lambda, which .ci/run installs"]
fn reclaim_reads_fields_that_an_event_omits() {
    let lookup = ["Ended", "Incomplete", "Describe", "Described", "Complete", "AsEvent", "Ended"];
    let user = User::new("left-out");
    let run = Execution::start("generation", &user.input(&json!({})));
    let step = user.step();
    run.stop();
    let (reclaim, mut event) = run.reclaim();
    reclaim.expect_success();
    (event["detail"]["input"], event["detail"]["inputDetails"]["included"]) = (Value::Null, json!(false));
    let reclaim = Execution::start("reclaim", &event);
    reclaim.expect_success();
    assert_eq!(reclaim.entered_states()[..7], lookup);
    assert_eq!(reclaim.entered_states()[7..], ["Read", "Request", "Charged", "Refund", "Settled"]);
    user.assert_charges(&["the workflow ended: ABORTED"]);
    step.succeed(&json!({}));

    let poor = User::new("left-out-and-poor");
    let run = Execution::start("generation", &poor.input(&json!({ "credits": GRANTED + 1 })));
    let (_, mut event) = run.reclaim();
    event["detail"].as_object_mut().unwrap().remove("error");
    let reclaim = Execution::start("reclaim", &event);
    reclaim.expect_success();
    assert_eq!(reclaim.entered_states(), [&lookup[..], &["Settled"]].concat(), "no fence is left");
}

#[test]
#[ignore = "needs ministack, sam and cargo-lambda, which .ci/run installs"]
fn execution_that_is_stopped_at_once_is_charged_neither_now_nor_later() {
    let user = User::new("stopped-early");
    let run = Execution::start("generation", &user.input(&json!({})));
    run.stop();
    run.reclaim().0.expect_success();
    // Usually it has not charged yet.
    let is_void = |charges: Vec<Option<String>>| charges.iter().all(Option::is_some);
    assert!(is_void(user.checked_charges()));
    Execution::start("generation", &user.input(&json!({}))).expect_failure("GenerationVoided");
    assert!(is_void(user.checked_charges()));
}

#[test]
#[ignore = "needs ministack, sam and cargo-lambda, which .ci/run installs"]
fn message_that_fails_is_refunded_alone() {
    let user = User::new("chat-fails");
    let first = Execution::start("chat", &user.message("m-1"));
    user.step().succeed(&json!({ "text": "hello" }));
    assert_eq!(first.expect_success(), json!({ "text": "hello" }));
    let failed = Execution::start("chat", &user.message("m-2"));
    user.step().fail("NoWords", "it is speechless");
    failed.expect_failure("GenerationFailed");
    user.assert_charges(&["", "the reply failed"]);
}

#[test]
#[ignore = "needs ministack, sam and cargo-lambda, which .ci/run installs"]
fn message_that_is_stopped_is_refunded_alone() {
    let user = User::new("chat-stopped");
    let first = Execution::start("chat", &user.message("m-1"));
    user.step().succeed(&json!({}));
    first.expect_success();
    let second = Execution::start("chat", &user.message("m-2"));
    let step = user.step();
    second.stop();
    let (reclaim, mut event_without_key) = second.reclaim();
    reclaim.expect_success();
    user.assert_charges(&["", "the workflow ended: ABORTED"]);
    step.succeed(&json!({}));
    // Without a key there was no charge: reclaim must not refund the whole session.
    event_without_key["detail"]["input"] = json!(user.input(&json!({})).to_string());
    let reclaim = Execution::start("reclaim", &event_without_key);
    reclaim.expect_success();
    assert_eq!(reclaim.entered_states(), ["Ended", "Read", "Request", "Charged", "Settled"]);
    user.assert_charges(&["", "the workflow ended: ABORTED"]);
}
