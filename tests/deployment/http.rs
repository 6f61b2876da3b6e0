//! HTTP requests of the tests.

use std::time::Duration;

use serde_json::Value;
use ureq::{
    Agent,
    http::{HeaderMap, Request},
};

#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub headers: HeaderMap,
    /// `null` if the body is not JSON.
    pub body: Value,
}

impl Response {
    /// A text field of the body; empty if it has none.
    pub fn text(&self, name: &str) -> String {
        self.body[name].as_str().unwrap_or_default().to_owned()
    }
}

/// A client without a proxy, for which no status is an error.
pub fn agent(timeout: Duration) -> Agent {
    let config = Agent::config_builder()
        .allow_non_standard_methods(true)
        .http_status_as_error(false)
        .proxy(None)
        .timeout_global(Some(timeout));
    config.build().new_agent()
}

pub fn send(agent: &Agent, method: &str, url: &str, headers: &[(&str, &str)], body: &str) -> Response {
    let mut request = Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = agent.run(request.body(body.to_owned()).expect("a request")).expect("a response");
    let (parts, mut body) = response.into_parts();
    let body = body.read_to_vec().expect("a body");
    let body = serde_json::from_slice(&body).unwrap_or_default();
    Response { status: parts.status.as_u16(), headers: parts.headers, body }
}
