//! The same state machines in moto, a second interpreter, which invokes the same functions on
//! the same engine. It has heartbeats and `TimeoutSecondsPath`, which ministack lacks. Beside
//! a heartbeat it ignores the time limit and a success.

use std::{net::TcpListener, process::Child, sync::LazyLock, thread, time::Duration};

use axum::{
    Router,
    body::Bytes,
    http::{HeaderMap, HeaderName, Method, StatusCode, Uri},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use ureq::{Agent, http::Request};
use uuid::Uuid;

use crate::{
    aws_fakes::serve,
    cloud::{Cloud, wait_until},
    execution::{Execution, User},
    http::agent,
    process::{TIMEOUT, free_port, supervised, tool},
};

/// moto selects the service by its name in the credential.
fn authorization(service: &str) -> String {
    format!(
        "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/{service}/aws4_request, SignedHeaders=host, Signature=0"
    )
}

static MOTO: LazyLock<Moto> = LazyLock::new(Moto::start);

/// Step Functions in moto, with the functions and the queue in ministack.
struct Moto {
    endpoint: String,
    agent: Agent,
    /// moto ends when this is dropped.
    _supervisor: Child,
}

impl Moto {
    fn start() -> Moto {
        let port = free_port();
        let mut moto = supervised(tool("moto/bin/moto_server"), "moto");
        moto.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
        // It calls every other service at this port.
        moto.env("MOTO_PORT", start_proxy().to_string());
        let moto = Moto {
            endpoint: format!("http://127.0.0.1:{port}"),
            agent: agent(TIMEOUT),
            _supervisor: moto.spawn().expect("a shell"),
        };
        let config = json!({ "stepfunctions": { "execute_state_machine": true } });
        let configure = || {
            let request = moto.agent.post(format!("{}/moto-api/config", moto.endpoint));
            request.header("content-type", "application/json").send(config.to_string())
        };
        wait_until("moto listens; its log is target/ci/moto.log", || {
            configure().is_ok_and(|response| response.status().is_success())
        });
        moto
    }
}

/// Forwards requests to ministack, with credentials that ministack accepts. Returns its port.
fn start_proxy() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let agent = agent(Duration::from_secs(120));
    let router = Router::new().fallback(move |method, uri, headers, body| {
        let agent = agent.clone();
        async move {
            let response =
                tokio::task::spawn_blocking(move || forward(&agent, method, &uri, &headers, &body));
            response.await.expect("no panic")
        }
    });
    thread::spawn(|| serve(listener, router));
    port
}

fn forward(agent: &Agent, method: Method, uri: &Uri, headers: &HeaderMap, body: &Bytes) -> Response {
    let mut request = Request::builder().method(method).uri(format!("{}{uri}", Cloud::deployed().endpoint));
    for name in ["x-amz-target", "content-type"] {
        if let Some(value) = headers.get(name) {
            request = request.header(name, value);
        }
    }
    let signed =
        headers["authorization"].to_str().expect("text").replace("Credential=ak/", "Credential=test/");
    let request = request.header("authorization", signed).body(&body[..]).expect("a request");
    match agent.run(request) {
        Ok(response) => {
            let (parts, mut body) = response.into_parts();
            let mut response = (parts.status, body.read_to_vec().unwrap_or_default()).into_response();
            let error = HeaderName::from_static("x-amz-function-error");
            let error_type = parts.headers.get(&error).cloned();
            response.headers_mut().extend(error_type.map(|value| (error, value)));
            response
        }
        Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
    }
}

/// Calls an action of Step Functions in moto.
fn states(action: &str, request: &Value) -> Value {
    let call = MOTO.agent.post(&MOTO.endpoint).header("authorization", authorization("states"));
    let call = call.header("x-amz-target", format!("AWSStepFunctions.{action}"));
    let mut response =
        call.header("content-type", "application/x-amz-json-1.0").send(request.to_string()).unwrap();
    let body = response.body_mut().read_to_string().unwrap();
    assert!(response.status().is_success(), "{action}: {body}");
    serde_json::from_str(&body).unwrap()
}

/// Calls a service of moto with a query protocol. Returns its XML.
pub fn form(service: &str, form: &[(&str, &str)]) -> String {
    let call = MOTO.agent.post(&MOTO.endpoint).header("authorization", authorization(service));
    let mut response = call.send_form(form.iter().copied()).unwrap();
    let body = response.body_mut().read_to_string().unwrap();
    assert!(response.status().is_success(), "{body}");
    body
}

/// Starts an execution of the deployed definition of a machine.
fn start(output: &str, input: &Value) -> Execution {
    let cloud = Cloud::deployed();
    let arn = json!({ "stateMachineArn": cloud.output(output) });
    let deployed = cloud.call("AWSStepFunctions.DescribeStateMachine", &arn).unwrap();
    let machine = json!({
        "name": Uuid::new_v4(), "definition": deployed["definition"], "roleArn": deployed["roleArn"],
    });
    let created = states("CreateStateMachine", &machine);
    Execution::start_in(states, created["stateMachineArn"].as_str().unwrap(), input)
}

#[test]
#[ignore = "needs ministack, moto, sam and cargo-lambda, which .ci/run installs"]
fn in_moto_a_generation_that_succeeds_is_charged_once() {
    let user = User::new("moto-succeeds");
    let input = user.input(&json!({ "order_no": "o-1" }));
    let run = start("GenerationMachineArn", &input);
    let step = user.step();
    assert_eq!(step.event, input);
    step.succeed(&json!({ "picture": "cat.png" }));
    assert_eq!(run.expect_success(), json!({ "picture": "cat.png" }));
    let entered = ["Defaults", "Request", "Check", "Charge", "Generate", "Cost", "Done"];
    assert_eq!(run.entered_states(), entered);
    user.assert_charges(&[""]);
}

#[test]
#[ignore = "needs ministack, moto, sam and cargo-lambda, which .ci/run installs"]
fn in_moto_a_refund_that_fails_twice_is_made_at_last() {
    let user = User::new("moto-refund-fails");
    let run = start("GenerationMachineArn", &user.input(&json!({ "idempotency_key": "k-1" })));
    let step = user.step();
    user.inject_errors("TransactWriteItems", "AccessDeniedException", 2);
    step.fail("NoGpu", "no GPU is free");
    assert!(run.expect_failure("GenerationFailed").contains("no GPU is free"));
    assert_eq!(Cloud::deployed().fakes.clear_errors(user.0), 0, "every injected error was returned");
    assert_eq!(run.entered_states()[3..], ["Charge", "Generate", "Refund", "Failed"]);
    user.assert_charges(&["the generation failed"]);
}

#[test]
#[ignore = "needs ministack, moto, sam and cargo-lambda, which .ci/run installs"]
fn in_moto_a_charge_is_refused_or_sent_again() {
    let user = User::new("moto-charge");
    let refused = start("GenerationMachineArn", &user.input(&json!({ "credits": 11 })));
    refused.expect_failure("InsufficientCredits");
    assert_eq!(refused.entered_states()[3..], ["Charge", "Refused"]);
    start("ChatMachineArn", &user.input(&json!({}))).expect_failure("InvalidRequest");
    user.inject_errors("TransactWriteItems", "AccessDeniedException", 1);
    let run = start("GenerationMachineArn", &user.input(&json!({})));
    user.step().succeed(&json!({}));
    run.expect_success();
    assert_eq!(run.entered_states()[3..], ["Charge", "ChargeAgain", "Generate", "Cost", "Done"]);
    user.assert_charges(&[""]);
}

#[test]
#[ignore = "needs ministack, moto, sam and cargo-lambda, which .ci/run installs"]
fn in_moto_a_video_is_waited_for_as_long_as_its_input_says() {
    let user = User::new("moto-video");
    let result = |status: &str| json!({ "generation_uuid": user.generation(), "status": status });
    let run = start("VideoMachineArn", &user.input(&json!({ "idempotency_key": "take-1" })));
    let step = user.step();
    let token = step.event["task_token"].clone();
    step.succeed(&json!({}));
    states("SendTaskSuccess", &json!({ "taskToken": token, "output": result("succeeded").to_string() }));
    assert_eq!(run.expect_success(), result("succeeded"));
    user.assert_charges(&[""]);
    let run =
        start("VideoMachineArn", &user.input(&json!({ "idempotency_key": "take-2", "timeout_seconds": 2 })));
    user.step().succeed(&json!({}));
    assert!(run.expect_failure("GenerationFailed").contains("States.Timeout"));
    user.assert_charges(&["", "the generation failed"]);
}

#[test]
#[ignore = "needs ministack, moto, sam and cargo-lambda, which .ci/run installs"]
fn in_moto_a_video_whose_heartbeat_stops_is_refunded_before_its_time_is_up() {
    let user = User::new("moto-heartbeat");
    let run = start("VideoMachineArn", &user.input(&json!({ "heartbeat_seconds": 2 })));
    let step = user.step();
    let token = step.event["task_token"].clone();
    step.succeed(&json!({}));
    for _ in 0..3 {
        thread::sleep(Duration::from_secs(1));
        states("SendTaskHeartbeat", &json!({ "taskToken": token }));
    }
    user.assert_charges(&[""]);
    // AWS fails with `States.HeartbeatTimeout`.
    assert!(run.expect_failure("GenerationFailed").contains("States.Timeout"));
    user.assert_charges(&["the generation failed"]);
}

#[test]
#[ignore = "needs ministack, moto, sam and cargo-lambda, which .ci/run installs"]
fn in_moto_reclaim_refunds_a_message_alone_and_passes_by_what_is_settled() {
    let cloud = Cloud::deployed();
    let user = User::new("moto-reclaim");
    for key in ["m-1", "m-2"] {
        let run = start("ChatMachineArn", &user.message(key));
        user.step().succeed(&json!({}));
        run.expect_success();
    }
    let event = |more: Value| {
        let mut detail = json!({
            "stateMachineArn": cloud.output("ChatMachineArn"), "executionArn": "of the test",
            "input": user.message("m-2").to_string(),
        });
        detail.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({ "detail": detail })
    };
    let refused = event(json!({ "status": "FAILED", "error": "InsufficientCredits", "cause": "" }));
    start("ReclaimMachineArn", &refused).expect_success();
    user.assert_charges(&["", ""]);
    let aborted = event(json!({ "status": "ABORTED", "error": null, "cause": null }));
    start("ReclaimMachineArn", &aborted).expect_success();
    user.assert_charges(&["", "the workflow ended: ABORTED"]);
}
