//! The console: what the ledger does, in a browser.
//!
//! It is files, and three helpers that no app has: which users there are, a user's items
//! as DynamoDB has them, and word of every change. All else it asks of the API, as any
//! app would.

mod changes;
mod files;
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
use scrip::domain::UserUuid;

use crate::{console::changes::Changes, gateway::Gateway};

/// What stands in every answer: nothing comes from elsewhere, nothing inline is run,
/// nobody frames it, and what is shown is as new as the stack.
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

/// What the console needs besides the API.
pub(crate) struct Console {
    client: Client,
    /// Word of every write.
    pub(crate) changes: Changes,
}

impl Console {
    /// On the engine that this client reaches.
    pub(crate) fn of(client: Client) -> Console {
        Console { client, changes: Changes::default() }
    }
}

/// What the console answers, if it is asked: from this machine, under a name of this
/// machine, for something of its own. To others it is not there.
pub(crate) async fn answer(gateway: &Arc<Gateway>, parts: &Parts, peer: SocketAddr) -> Option<Response> {
    let reads = matches!(parts.method, Method::GET | Method::HEAD);
    if !reads || !peer.ip().is_loopback() || !names_loopback(&parts.headers) {
        return None;
    }
    let mut response = match files::at(parts.uri.path()) {
        Some(file) => file,
        None if parts.method == Method::GET => help(gateway, parts).await?,
        None => return None,
    };
    let headers = response.headers_mut();
    headers.extend(HEADERS.map(|(name, value)| (name, HeaderValue::from_static(value))));
    Some(response)
}

/// Whether a request was made to a name that is this machine's in every browser: a page
/// from elsewhere whose own name leads here says its own.
fn names_loopback(headers: &HeaderMap) -> bool {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()?.parse::<Authority>().ok());
    host.is_some_and(|host| matches!(host.host(), "127.0.0.1" | "localhost" | "[::1]"))
}

/// What the helpers answer.
async fn help(gateway: &Arc<Gateway>, parts: &Parts) -> Option<Response> {
    let segments: Vec<_> = parts.uri.path().strip_prefix("/console/")?.split('/').collect();
    Some(match segments[..] {
        ["users"] => table::users(gateway).await,
        ["changes", user] => match readable(gateway, parts, user).await? {
            Ok(user) => changes::stream(gateway.clone(), user),
            Err(refusal) => refusal,
        },
        ["table", user] | ["table", user, _] => match readable(gateway, parts, user).await? {
            Ok(user) => table::page(gateway, &user, segments.get(2).map(|from| decoded(from))).await,
            Err(refusal) => refusal,
        },
        _ => return None,
    })
}

/// A user whom the caller may read, or why not. The API decides, by its own rules: it is
/// asked for the balance.
async fn readable(gateway: &Gateway, parts: &Parts, user: &str) -> Option<Result<UserUuid, Response>> {
    let request = Request::builder().uri(format!("/credits/{user}/balance")).body(()).ok()?;
    let (mut balance, ()) = request.into_parts();
    balance.headers = parts.headers.clone();
    let answer = gateway.answer(&balance, &Bytes::new()).await;
    if answer.status().is_success() {
        UserUuid::try_from(decoded(user)).ok().map(Ok)
    } else {
        Some(Err(answer))
    }
}

fn decoded(segment: &str) -> String {
    percent_decode_str(segment).decode_utf8_lossy().into_owned()
}
