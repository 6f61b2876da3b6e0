//! The console: a web page that shows what the ledger does.
//!
//! It consists of static files and four endpoints of its own: a list of users, a user's items
//! in the table, a paid order, and a stream of changes. It reads everything else from the API, as
//! an app does.

mod changes;
mod files;
mod orders;
mod table;

use std::{net::SocketAddr, sync::Arc};

use aws_sdk_dynamodb::Client;
use axum::{
    body::Bytes,
    http::{
        HeaderMap, HeaderName, HeaderValue, Method, Request,
        header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, HOST, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS},
        request::Parts,
        uri::Authority,
    },
    response::Response,
};
use percent_encoding::percent_decode_str;
use scrip::domain::UserId;

use crate::{console::changes::Changes, http_api::HttpApi};

/// Headers of every response: no resource of another site, no inline script, no frame, no cache.
const HEADERS: [(HeaderName, &str); 6] = [
    (
        CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
         require-trusted-types-for 'script'; trusted-types 'none'",
    ),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "no-referrer"),
    (CACHE_CONTROL, "no-store"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// Serves the console's files and endpoints.
pub(crate) struct Console {
    api: Arc<HttpApi>,
    client: Client,
    changes: Changes,
}

impl Console {
    pub(crate) fn new(api: Arc<HttpApi>, client: Client) -> Console {
        Console { api, client, changes: Changes::default() }
    }

    /// Wakes all streams, because a request may have written.
    pub(crate) fn notify_change(&self) {
        self.changes.notify();
    }

    /// Ends all streams, so that shutdown does not wait for them.
    pub(crate) fn end_streams(&self) {
        self.changes.end();
    }

    /// The response to a request for the console: from this machine, to a loopback name, at a path
    /// of the console. `None` for every other request.
    pub(crate) async fn answer(&self, parts: &Parts, peer: SocketAddr) -> Option<Response> {
        let is_read = matches!(parts.method, Method::GET | Method::HEAD);
        if !is_read || !peer.ip().is_loopback() || !is_loopback_host(&parts.headers) {
            return None;
        }
        let mut response = match files::at(parts.uri.path()) {
            Some(file) => file,
            None if parts.method == Method::GET => self.endpoint(parts).await?,
            None => return None,
        };
        let headers = response.headers_mut();
        headers.extend(HEADERS.map(|(name, value)| (name, HeaderValue::from_static(value))));
        Some(response)
    }

    async fn endpoint(&self, parts: &Parts) -> Option<Response> {
        let segments: Vec<_> = parts.uri.path().strip_prefix("/console/")?.split('/').collect();
        Some(match segments[..] {
            ["users"] => table::users(&self.api).await,
            ["changes", user] => match self.readable_user(parts, user).await? {
                Ok(user) => changes::stream(self.api.app.clone(), &self.changes, user),
                Err(rejection) => rejection,
            },
            ["table", user] | ["table", user, _] => match self.readable_user(parts, user).await? {
                Ok(user) => {
                    table::page(&self.client, &user, segments.get(2).map(|after| decode(after))).await
                }
                Err(rejection) => rejection,
            },
            ["orders", user, order_no] => match self.readable_user(parts, user).await? {
                Ok(user) => orders::order(&self.client, &user, decode(order_no)).await,
                Err(rejection) => rejection,
            },
            _ => return None,
        })
    }

    /// The user, if the caller may read it, or the response that rejects the caller. The API
    /// decides: this requests the balance.
    async fn readable_user(&self, parts: &Parts, user: &str) -> Option<Result<UserId, Response>> {
        let request = Request::builder().uri(format!("/credits/{user}/balance")).body(()).ok()?;
        let (mut balance, ()) = request.into_parts();
        balance.headers = parts.headers.clone();
        let response = self.api.answer(&balance, &Bytes::new()).await;
        if response.status().is_success() {
            UserId::try_from(decode(user)).ok().map(Ok)
        } else {
            Some(Err(response))
        }
    }
}

/// Whether `Host` is a loopback name. A page of another site whose name resolves to this machine
/// (DNS rebinding) sends its own name.
fn is_loopback_host(headers: &HeaderMap) -> bool {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()?.parse::<Authority>().ok());
    host.is_some_and(|host| matches!(host.host(), "127.0.0.1" | "localhost" | "[::1]"))
}

fn decode(segment: &str) -> String {
    percent_decode_str(segment).decode_utf8_lossy().into_owned()
}
