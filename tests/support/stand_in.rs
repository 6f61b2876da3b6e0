//! Stand-ins for DynamoDB in the same process: what the SDK sends goes to a function.

use std::{fmt, sync::Arc};

use aws_smithy_runtime_api::{
    client::{
        http::{
            HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
            SharedHttpConnector,
        },
        orchestrator::{HttpRequest, HttpResponse},
        result::ConnectorError,
        runtime_components::RuntimeComponents,
    },
    http::StatusCode,
};
use aws_smithy_types::body::SdkBody;
use serde_json::Value;

/// An HTTP client for an SDK, whose requests are answered by this function.
pub fn stand_in<Answered>(
    answer: impl Fn(&HttpRequest) -> Answered + Send + Sync + 'static,
) -> SharedHttpClient
where
    Answered: Future<Output = Result<HttpResponse, ConnectorError>> + Send + 'static,
{
    let answer = move |request: &HttpRequest| HttpConnectorFuture::new(answer(request));
    SharedHttpClient::new(StandIn(Arc::new(answer)))
}

/// Which operation of DynamoDB a request asks for.
pub fn operation(request: &HttpRequest) -> String {
    let target = request.headers().get("x-amz-target").unwrap_or_default();
    target.rsplit('.').next().unwrap_or_default().to_owned()
}

/// The JSON that a request carries; null where it is none.
pub(crate) fn asked(request: &HttpRequest) -> Value {
    request.body().bytes().and_then(|bytes| serde_json::from_slice(bytes).ok()).unwrap_or_default()
}

/// An answer of this status, with this body.
pub fn answered(status: u16, body: impl Into<SdkBody>) -> HttpResponse {
    HttpResponse::new(StatusCode::try_from(status).expect("a status"), body.into())
}

#[derive(Clone)]
struct StandIn(Arc<dyn Fn(&HttpRequest) -> HttpConnectorFuture + Send + Sync>);

impl fmt::Debug for StandIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StandIn")
    }
}

impl HttpClient for StandIn {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for StandIn {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        (self.0)(&request)
    }
}
