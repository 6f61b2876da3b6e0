//! One HTTP server with the three services that the tests control: a proxy of DynamoDB that
//! injects errors, the issuer of tokens, and the user's own step of a workflow.

use std::{
    collections::HashMap,
    net::TcpListener,
    sync::{Arc, Condvar, Mutex, MutexGuard},
    thread,
    time::{SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::{
    rand::SystemRandom,
    rsa::{KeyPair, KeySize},
    signature::{KeyPair as _, RSA_PKCS1_SHA256},
};
use axum::{
    Json, Router,
    body::Bytes,
    extract,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use tokio::sync::oneshot;
use ureq::Agent;

use crate::{http::agent, process::TIMEOUT};

const KEY_ID: &str = "1";

/// The server, which ends with the process.
#[derive(Clone)]
pub struct AwsFakes {
    pub url: String,
    state: Arc<State>,
}

struct State {
    issuer: String,
    /// Endpoint of DynamoDB.
    engine: String,
    agent: Agent,
    key: KeyPair,
    errors: Mutex<Vec<InjectedError>>,
    /// Invocations of the user's step that wait for a result, by generation.
    pending_steps: Mutex<HashMap<String, Vec<PendingStep>>>,
    step_arrived: Condvar,
}

/// An error that the proxy returns to matching requests.
struct InjectedError {
    operation: &'static str,
    user: String,
    code: &'static str,
    remaining: u32,
}

/// An invocation of the user's step that waits for its result.
pub struct PendingStep {
    pub event: Value,
    result: oneshot::Sender<Value>,
}

impl PendingStep {
    pub fn succeed(self, output: &Value) {
        self.finish(json!({ "output": output }));
    }

    pub fn fail(self, error_type: &str, message: &str) {
        self.finish(json!({ "errorType": error_type, "errorMessage": message }));
    }

    fn finish(self, result: Value) {
        self.result.send(result).expect("the step waits");
    }
}

impl AwsFakes {
    /// Serves on a free port. The engine may start later.
    pub fn start(engine: &str) -> AwsFakes {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let state = Arc::new(State {
            issuer: format!("{url}/issuer"),
            engine: engine.to_owned(),
            agent: agent(TIMEOUT),
            key: KeyPair::generate(KeySize::Rsa2048).expect("a key"),
            errors: Mutex::default(),
            pending_steps: Mutex::default(),
            step_arrived: Condvar::new(),
        });
        let router = Router::new()
            .route("/", post(dynamodb))
            .route("/step", post(step))
            .route("/issuer/.well-known/openid-configuration", get(configuration))
            .route("/issuer/keys", get(keys))
            .with_state(state.clone());
        thread::spawn(|| serve(listener, router));
        AwsFakes { url, state }
    }

    /// URL of the issuer of tokens.
    pub fn issuer(&self) -> &str {
        &self.state.issuer
    }

    /// A token with these claims. Without others it is valid for an hour.
    pub fn token(&self, claims: &Value) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970").as_secs();
        let mut all = json!({ "iss": self.issuer(), "aud": "credits", "iat": now, "exp": now + 3600 });
        all.as_object_mut().expect("an object").extend(claims.as_object().expect("claims").clone());
        let encode = |value: Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let signed =
            format!("{}.{}", encode(json!({ "alg": "RS256", "typ": "JWT", "kid": KEY_ID })), encode(all));
        let key = &self.state.key;
        let mut signature = vec![0; key.public_modulus_len()];
        key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)
            .expect("a signature");
        format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
    }

    /// Returns an error to the next `times` requests of this operation that name the user.
    /// DynamoDB does not receive them.
    pub fn inject_errors(&self, user: &str, operation: &'static str, code: &'static str, times: u32) {
        let error = InjectedError { operation, user: user.to_owned(), code, remaining: times };
        lock(&self.state.errors).push(error);
    }

    /// Removes the user's injected errors. Returns how many requests they did not meet.
    pub fn clear_errors(&self, user: &str) -> u32 {
        let mut errors = lock(&self.state.errors);
        let (of_user, others) = errors.drain(..).partition(|error| error.user == user);
        *errors = others;
        let of_user: Vec<InjectedError> = of_user;
        of_user.iter().map(|error| error.remaining).sum()
    }

    /// Waits until the user's step is invoked for a generation.
    pub fn next_step(&self, generation: &str) -> PendingStep {
        let mut pending = lock(&self.state.pending_steps);
        loop {
            if let Some(step) = pending.get_mut(generation).and_then(Vec::pop) {
                return step;
            }
            let (woken, wait) =
                self.state.step_arrived.wait_timeout(pending, TIMEOUT).expect("no panic under the lock");
            pending = woken;
            if wait.timed_out() {
                // A panic under the lock would fail every later test.
                drop(pending);
                panic!("the user's step was not invoked for {generation}");
            }
        }
    }
}

/// Serves until the process ends.
#[tokio::main]
pub async fn serve(listener: TcpListener, router: Router) {
    listener.set_nonblocking(true).expect("a listener");
    let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
    axum::serve(listener, router).await.expect("it serves");
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no panic under the lock")
}

/// A request to DynamoDB: returns an injected error, or forwards it.
async fn dynamodb(
    extract::State(state): extract::State<Arc<State>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    match state.take_error(&headers, &body) {
        Some(code) => {
            let status = if code == "InternalServerError" {
                StatusCode::INTERNAL_SERVER_ERROR
            } else {
                StatusCode::BAD_REQUEST
            };
            let kind = format!("com.amazonaws.dynamodb.v20120810#{code}");
            (status, Json(json!({ "__type": kind, "message": "An error that the test injected." })))
                .into_response()
        }
        None => tokio::task::spawn_blocking(move || state.forward(&headers, &body)).await.expect("no panic"),
    }
}

impl State {
    /// The code of an injected error that this request meets.
    fn take_error(&self, headers: &HeaderMap, body: &[u8]) -> Option<&'static str> {
        let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
        let body = String::from_utf8_lossy(body);
        let mut errors = lock(&self.errors);
        let error = errors.iter_mut().find(|error| {
            error.remaining > 0
                && target.rsplit('.').next() == Some(error.operation)
                && body.contains(&format!("\"{}\"", error.user))
        })?;
        error.remaining -= 1;
        Some(error.code)
    }

    fn forward(&self, headers: &HeaderMap, body: &[u8]) -> Response {
        let mut request = self.agent.post(&self.engine);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        match request.send(body) {
            Ok(response) => {
                let (parts, mut body) = response.into_parts();
                (parts.status, body.read_to_vec().unwrap_or_default()).into_response()
            }
            Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
        }
    }
}

/// An invocation of the user's step, which returns the result that the test chooses.
async fn step(extract::State(state): extract::State<Arc<State>>, Json(event): Json<Value>) -> Json<Value> {
    let (result, chosen) = oneshot::channel();
    let generation = event["generation_uuid"].as_str().expect("a generation").to_owned();
    lock(&state.pending_steps).entry(generation).or_default().push(PendingStep { event, result });
    state.step_arrived.notify_all();
    // The step fails if the test drops it.
    Json(chosen.await.unwrap_or_else(|_| json!({ "errorType": "NoAnswer", "errorMessage": "no result" })))
}

async fn configuration(extract::State(state): extract::State<Arc<State>>) -> Json<Value> {
    Json(json!({ "issuer": state.issuer, "jwks_uri": format!("{}/keys", state.issuer) }))
}

async fn keys(extract::State(state): extract::State<Arc<State>>) -> Json<Value> {
    // DER of two integers: 9 bytes of header, the modulus of 2,048 bits, 2 bytes, the exponent.
    let public = state.key.public_key().as_ref();
    let (modulus, exponent) = (&public[9..265], &public[267..]);
    let encode = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
    Json(json!({ "keys": [{
        "kty": "RSA", "use": "sig", "alg": "RS256", "kid": KEY_ID, "n": encode(modulus), "e": encode(exponent),
    }] }))
}
