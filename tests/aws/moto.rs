//! A second opinion: the same machines in another interpreter, moto, which
//! invokes the same functions on the same engine. It also does what the first one
//! lacks: heartbeats, and seconds that a path leads to. Where there is a heartbeat,
//! it looks neither at the time limit nor for a success.

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
    cloud::{Cloud, wait_until},
    http::agent,
    outside::serve,
    process::{PATIENCE, free_port, kept, tool},
    run::{Run, User},
};

/// By the name of the service in here moto knows which is called.
fn authorization(service: &str) -> String {
    format!(
        "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/{service}/aws4_request, SignedHeaders=host, Signature=0"
    )
}

static MOTO: LazyLock<Moto> = LazyLock::new(Moto::start);

/// Another Step Functions, for the functions and the queue of the first AWS.
struct Moto {
    endpoint: String,
    agent: Agent,
    /// Holds the pipe on which the keeper waits.
    _keeper: Child,
}

impl Moto {
    fn start() -> Moto {
        let port = free_port();
        let mut moto = kept(tool("moto/bin/moto_server"), "moto");
        moto.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
        // It looks for every other service at this port.
        moto.env("MOTO_PORT", door().to_string());
        let moto = Moto {
            endpoint: format!("http://127.0.0.1:{port}"),
            agent: agent(PATIENCE),
            _keeper: moto.spawn().expect("a shell"),
        };
        let config = json!({ "stepfunctions": { "execute_state_machine": true } });
        let configure = || {
            let request = moto.agent.post(format!("{}/moto-api/config", moto.endpoint));
            request.header("content-type", "application/json").send(config.to_string())
        };
        wait_until("moto listens; target/ci/moto.log has what it says", || {
            configure().is_ok_and(|answer| answer.status().is_success())
        });
        moto
    }
}

/// Hands requests on to the first AWS, which does not know moto's credentials.
/// Answers its port.
fn door() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let agent = agent(Duration::from_secs(120));
    let router = Router::new().fallback(move |method, uri, headers, body| {
        let agent = agent.clone();
        async move {
            let handed_on =
                tokio::task::spawn_blocking(move || hand_on(&agent, method, &uri, &headers, &body));
            handed_on.await.expect("no panic")
        }
    });
    thread::spawn(|| serve(listener, router));
    port
}

fn hand_on(agent: &Agent, method: Method, uri: &Uri, headers: &HeaderMap, body: &Bytes) -> Response {
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
        Ok(answer) => {
            let (parts, mut body) = answer.into_parts();
            let mut response = (parts.status, body.read_to_vec().unwrap_or_default()).into_response();
            let error = HeaderName::from_static("x-amz-function-error");
            let has_failed = parts.headers.get(&error).cloned();
            response.headers_mut().extend(has_failed.map(|value| (error, value)));
            response
        }
        Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
    }
}

/// What moto answers to an action of Step Functions.
fn states(action: &str, request: &Value) -> Value {
    let call = MOTO.agent.post(&MOTO.endpoint).header("authorization", authorization("states"));
    let call = call.header("x-amz-target", format!("AWSStepFunctions.{action}"));
    let mut answer =
        call.header("content-type", "application/x-amz-json-1.0").send(request.to_string()).unwrap();
    let body = answer.body_mut().read_to_string().unwrap();
    assert!(answer.status().is_success(), "{action}: {body}");
    serde_json::from_str(&body).unwrap()
}

/// What moto answers to an action of a service that takes forms and answers in XML.
pub fn form(service: &str, form: &[(&str, &str)]) -> String {
    let call = MOTO.agent.post(&MOTO.endpoint).header("authorization", authorization(service));
    let mut answer = call.send_form(form.iter().copied()).unwrap();
    let body = answer.body_mut().read_to_string().unwrap();
    assert!(answer.status().is_success(), "{body}");
    body
}

/// Starts an execution of a machine as it was deployed: with what CloudFormation
/// has put in.
fn start(output: &str, input: &Value) -> Run {
    let cloud = Cloud::deployed();
    let arn = json!({ "stateMachineArn": cloud.output(output) });
    let deployed = cloud.call("AWSStepFunctions.DescribeStateMachine", &arn).unwrap();
    let machine = json!({
        "name": Uuid::new_v4(), "definition": deployed["definition"], "roleArn": deployed["roleArn"],
    });
    let made = states("CreateStateMachine", &machine);
    Run::of(states, made["stateMachineArn"].as_str().unwrap(), input)
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
    assert_eq!(run.succeeds(), json!({ "picture": "cat.png" }));
    assert_eq!(run.way(), ["Defaults", "Request", "Check", "Charge", "Generate"]);
    user.has(&[""]);
}

#[test]
#[ignore = "needs ministack, moto, sam and cargo-lambda, which .ci/run installs"]
fn in_moto_a_refund_that_fails_twice_is_made_at_last() {
    let user = User::new("moto-refund-fails");
    let run = start("GenerationMachineArn", &user.input(&json!({ "idempotency_key": "k-1" })));
    let step = user.step();
    user.refuse("TransactWriteItems", "AccessDeniedException", 2);
    step.fail("NoGpu", "there is none left");
    assert!(run.fails("GenerationFailed").contains("there is none left"));
    assert_eq!(Cloud::deployed().outside.allow(user.0), 0, "all were refused");
    assert_eq!(run.way()[3..], ["Charge", "Generate", "Refund", "Failed"]);
    user.has(&["the generation failed"]);
}

#[test]
#[ignore = "needs ministack, moto, sam and cargo-lambda, which .ci/run installs"]
fn in_moto_a_charge_is_refused_or_sent_again() {
    let user = User::new("moto-charge");
    let refused = start("GenerationMachineArn", &user.input(&json!({ "credits": 11 })));
    refused.fails("InsufficientCredits");
    assert_eq!(refused.way()[3..], ["Charge", "Refused"]);
    start("ChatMachineArn", &user.input(&json!({}))).fails("InvalidRequest");
    user.refuse("TransactWriteItems", "AccessDeniedException", 1);
    let run = start("GenerationMachineArn", &user.input(&json!({})));
    user.step().succeed(&json!({}));
    run.succeeds();
    assert_eq!(run.way()[3..], ["Charge", "ChargeAgain", "Generate"]);
    user.has(&[""]);
}

#[test]
#[ignore = "needs ministack, moto, sam and cargo-lambda, which .ci/run installs"]
fn in_moto_a_video_is_waited_for_as_long_as_its_input_says() {
    let user = User::new("moto-video");
    let told = |status: &str| json!({ "generation_uuid": user.generation(), "status": status });
    let run = start("VideoMachineArn", &user.input(&json!({ "idempotency_key": "take-1" })));
    let step = user.step();
    let token = step.event["task_token"].clone();
    step.succeed(&json!({}));
    states("SendTaskSuccess", &json!({ "taskToken": token, "output": told("succeeded").to_string() }));
    assert_eq!(run.succeeds(), told("succeeded"));
    user.has(&[""]);
    let run =
        start("VideoMachineArn", &user.input(&json!({ "idempotency_key": "take-2", "timeout_seconds": 2 })));
    user.step().succeed(&json!({}));
    assert!(run.fails("GenerationFailed").contains("States.Timeout"));
    user.has(&["", "the generation failed"]);
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
    user.has(&[""]);
    // On AWS `States.HeartbeatTimeout`, which moto does not tell apart.
    assert!(run.fails("GenerationFailed").contains("States.Timeout"));
    user.has(&["the generation failed"]);
}

#[test]
#[ignore = "needs ministack, moto, sam and cargo-lambda, which .ci/run installs"]
fn in_moto_reclaim_refunds_a_message_alone_and_passes_by_what_is_settled() {
    let cloud = Cloud::deployed();
    let user = User::new("moto-reclaim");
    for key in ["m-1", "m-2"] {
        let run = start("ChatMachineArn", &user.message(key));
        user.step().succeed(&json!({}));
        run.succeeds();
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
    start("ReclaimMachineArn", &refused).succeeds();
    user.has(&["", ""]);
    let aborted = event(json!({ "status": "ABORTED", "error": null, "cause": null }));
    start("ReclaimMachineArn", &aborted).succeeds();
    user.has(&["", "the workflow ended: ABORTED"]);
}
