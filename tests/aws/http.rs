//! Requests over HTTP, and their answers.

use std::time::Duration;

use serde_json::Value;
use ureq::{
    Agent,
    http::{HeaderMap, Request},
};

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body; `null` where it is no JSON.
    pub body: Value,
}

impl Answer {
    /// A text of its body; empty where there is none of this name.
    pub fn text(&self, name: &str) -> String {
        self.body[name].as_str().unwrap_or_default().to_owned()
    }
}

/// A client that takes every answer as one, meets no proxy, and waits no longer.
pub fn agent(patience: Duration) -> Agent {
    let config = Agent::config_builder()
        .allow_non_standard_methods(true)
        .http_status_as_error(false)
        .proxy(None)
        .timeout_global(Some(patience));
    config.build().new_agent()
}

/// Sends a request, and reads all of its answer.
pub fn send(agent: &Agent, method: &str, url: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut request = Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = agent.run(request.body(body.to_owned()).expect("a request")).expect("an answer");
    let (parts, mut body) = answer.into_parts();
    let body = body.read_to_vec().expect("a body");
    let body = serde_json::from_slice(&body).unwrap_or_default();
    Answer { status: parts.status.as_u16(), headers: parts.headers, body }
}
