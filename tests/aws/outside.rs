//! What the deployed functions meet outside: the way to DynamoDB, on which the
//! test may put faults; the issuer of tokens; and the user's own step of a
//! workflow. One HTTP server in the process of the test is all three.

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
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use tokio::sync::oneshot;
use ureq::Agent;

use crate::{http::agent, process::PATIENCE};

const KEY_ID: &str = "1";

/// The server, which ends with the process.
#[derive(Clone)]
pub struct Outside {
    /// Where it is.
    pub url: String,
    state: Arc<Inside>,
}

struct Inside {
    issuer: String,
    /// Where DynamoDB is.
    engine: String,
    agent: Agent,
    key: KeyPair,
    refusals: Mutex<Vec<Refusal>>,
    /// What the user's step was asked and has not answered, by generation.
    asked: Mutex<HashMap<String, Vec<Asked>>>,
    somebody_asked: Condvar,
}

/// Requests that DynamoDB is to refuse.
struct Refusal {
    operation: &'static str,
    user: String,
    code: &'static str,
    left: u32,
}

/// The user's step, which waits for an answer; it hangs for as long as it gets none.
pub struct Asked {
    /// Its event.
    pub event: Value,
    answer: oneshot::Sender<Value>,
}

impl Asked {
    /// Lets it succeed with this answer.
    pub fn succeed(self, answer: &Value) {
        self.tell(json!({ "answer": answer }));
    }

    /// Lets it fail with this error.
    pub fn fail(self, error_type: &str, message: &str) {
        self.tell(json!({ "errorType": error_type, "errorMessage": message }));
    }

    fn tell(self, told: Value) {
        self.answer.send(told).expect("it still waits");
    }
}

impl Outside {
    /// Serves, on a port of its own, before the engine that is to be there.
    pub fn start(engine: &str) -> Outside {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let state = Arc::new(Inside {
            issuer: format!("{url}/issuer"),
            engine: engine.to_owned(),
            agent: agent(PATIENCE),
            key: KeyPair::generate(KeySize::Rsa2048).expect("a key"),
            refusals: Mutex::default(),
            asked: Mutex::default(),
            somebody_asked: Condvar::new(),
        });
        let router = Router::new()
            .route("/", post(dynamodb))
            .route("/step", post(step))
            .route("/issuer/.well-known/openid-configuration", get(configuration))
            .route("/issuer/keys", get(keys))
            .with_state(state.clone());
        thread::spawn(|| serve(listener, router));
        Outside { url, state }
    }

    /// Who signs the tokens.
    pub fn issuer(&self) -> &str {
        &self.state.issuer
    }

    /// A token of these claims, good for an hour; `claims` may say otherwise.
    pub fn token(&self, claims: &Value) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970").as_secs();
        let mut all = json!({ "iss": self.issuer(), "aud": "credits", "iat": now, "exp": now + 3600 });
        all.as_object_mut().expect("an object").extend(claims.as_object().expect("claims").clone());
        let part = |value: Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let signed =
            format!("{}.{}", part(json!({ "alg": "RS256", "typ": "JWT", "kid": KEY_ID })), part(all));
        let key = &self.state.key;
        let mut signature = vec![0; key.public_modulus_len()];
        key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)
            .expect("a signature");
        format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
    }

    /// Lets DynamoDB refuse the next `times` requests of this operation that
    /// name the user, with this error; nothing is done by them.
    pub fn refuse(&self, user: &str, operation: &'static str, code: &'static str, times: u32) {
        let refusal = Refusal { operation, user: user.to_owned(), code, left: times };
        lock(&self.state.refusals).push(refusal);
    }

    /// Takes back every refusal of the user's requests: how many were still left.
    pub fn allow(&self, user: &str) -> u32 {
        let mut refusals = lock(&self.state.refusals);
        let (of_user, others) = refusals.drain(..).partition(|refusal| refusal.user == user);
        *refusals = others;
        let of_user: Vec<Refusal> = of_user;
        of_user.iter().map(|refusal| refusal.left).sum()
    }

    /// What the user's step was asked for a generation, as soon as it is asked.
    pub fn asked(&self, generation: &str) -> Asked {
        let mut all = lock(&self.state.asked);
        loop {
            if let Some(asked) = all.get_mut(generation).and_then(Vec::pop) {
                return asked;
            }
            let (woken, waited) =
                self.state.somebody_asked.wait_timeout(all, PATIENCE).expect("no test panics meanwhile");
            all = woken;
            if waited.timed_out() {
                // Let go of first: a panic that holds it would fail every test to come.
                drop(all);
                panic!("nobody asked the user's step for {generation}");
            }
        }
    }
}

/// Serves this, for as long as the process lives.
#[tokio::main]
pub async fn serve(listener: TcpListener, router: Router) {
    listener.set_nonblocking(true).expect("a listener");
    let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
    axum::serve(listener, router).await.expect("it serves");
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no test panics while it holds this")
}

/// A request to DynamoDB: refused, where the test wants that, or handed on.
async fn dynamodb(State(inside): State<Arc<Inside>>, headers: HeaderMap, body: Bytes) -> Response {
    match inside.refusal(&headers, &body) {
        Some(code) => {
            let status = if code == "InternalServerError" {
                StatusCode::INTERNAL_SERVER_ERROR
            } else {
                StatusCode::BAD_REQUEST
            };
            let kind = format!("com.amazonaws.dynamodb.v20120810#{code}");
            (status, Json(json!({ "__type": kind, "message": "The test wants it so." }))).into_response()
        }
        None => tokio::task::spawn_blocking(move || inside.hand_on(&headers, &body)).await.expect("no panic"),
    }
}

impl Inside {
    fn refusal(&self, headers: &HeaderMap, body: &[u8]) -> Option<&'static str> {
        let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
        let body = String::from_utf8_lossy(body);
        let mut refusals = lock(&self.refusals);
        let refusal = refusals.iter_mut().find(|refusal| {
            refusal.left > 0
                && target.rsplit('.').next() == Some(refusal.operation)
                && body.contains(&format!("\"{}\"", refusal.user))
        })?;
        refusal.left -= 1;
        Some(refusal.code)
    }

    fn hand_on(&self, headers: &HeaderMap, body: &[u8]) -> Response {
        let mut request = self.agent.post(&self.engine);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        match request.send(body) {
            Ok(answer) => {
                let (parts, mut body) = answer.into_parts();
                (parts.status, body.read_to_vec().unwrap_or_default()).into_response()
            }
            Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
        }
    }
}

/// The user's step asks what it is to do.
async fn step(State(inside): State<Arc<Inside>>, Json(event): Json<Value>) -> Json<Value> {
    let (answer, told) = oneshot::channel();
    let generation = event["generation_uuid"].as_str().expect("a generation").to_owned();
    lock(&inside.asked).entry(generation).or_default().push(Asked { event, answer });
    inside.somebody_asked.notify_all();
    // A test that lets go of the question lets the step fail.
    Json(told.await.unwrap_or_else(|_| json!({ "errorType": "NoAnswer", "errorMessage": "no answer" })))
}

async fn configuration(State(inside): State<Arc<Inside>>) -> Json<Value> {
    Json(json!({ "issuer": inside.issuer, "jwks_uri": format!("{}/keys", inside.issuer) }))
}

async fn keys(State(inside): State<Arc<Inside>>) -> Json<Value> {
    // DER of two integers: nine bytes, the modulus of 2,048 bits, two bytes, the exponent.
    let public = inside.key.public_key().as_ref();
    let (modulus, exponent) = (&public[9..265], &public[267..]);
    let part = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
    Json(json!({ "keys": [{
        "kty": "RSA", "use": "sig", "alg": "RS256", "kid": KEY_ID, "n": part(modulus), "e": part(exponent),
    }] }))
}
