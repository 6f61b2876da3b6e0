//! HTTP clients for the SDK that call a function in the same process.

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

/// An HTTP client for an SDK that returns the responses of a function.
pub fn mock_http_client<Responding>(
    respond: impl Fn(&HttpRequest) -> Responding + Send + Sync + 'static,
) -> SharedHttpClient
where
    Responding: Future<Output = Result<HttpResponse, ConnectorError>> + Send + 'static,
{
    let respond = move |request: &HttpRequest| HttpConnectorFuture::new(respond(request));
    SharedHttpClient::new(MockHttpClient(Arc::new(respond)))
}

/// The operation of DynamoDB that a request names.
pub fn operation(request: &HttpRequest) -> String {
    let target = request.headers().get("x-amz-target").unwrap_or_default();
    target.rsplit('.').next().unwrap_or_default().to_owned()
}

/// The JSON body of a request; null if it is not JSON.
pub(crate) fn json_body(request: &HttpRequest) -> Value {
    request.body().bytes().and_then(|bytes| serde_json::from_slice(bytes).ok()).unwrap_or_default()
}

/// A response with this status and body.
pub fn http_response(status: u16, body: impl Into<SdkBody>) -> HttpResponse {
    HttpResponse::new(StatusCode::try_from(status).expect("a status"), body.into())
}

/// The same client for requests and responses in JSON: the function gets the operation and the
/// request, and returns the HTTP status and the response.
pub fn mock_json_client<Responding>(
    respond: impl Fn(String, Value) -> Responding + Send + Sync + 'static,
) -> SharedHttpClient
where
    Responding: Future<Output = Result<(u16, Value), ConnectorError>> + Send + 'static,
{
    mock_http_client(move |request| {
        let response = respond(operation(request), json_body(request));
        async move {
            let (status, body) = response.await?;
            Ok(http_response(status, body.to_string()))
        }
    })
}

#[derive(Clone)]
struct MockHttpClient(Arc<dyn Fn(&HttpRequest) -> HttpConnectorFuture + Send + Sync>);

impl fmt::Debug for MockHttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MockHttpClient")
    }
}

impl HttpClient for MockHttpClient {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for MockHttpClient {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        (self.0)(&request)
    }
}
