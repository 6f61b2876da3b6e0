//! The handler of a Lambda function: from an event to its response.

use std::{future::ready, ops::RangeInclusive, panic::AssertUnwindSafe, time::Instant};

use futures_util::FutureExt;
use lambda_runtime::{Context, LambdaEvent};

use super::{
    App,
    caller::Caller,
    error::RequestError,
    event::{Event, HttpRequest, Payload},
    failure::Failure,
    operation::{Access, BodyForm, Operation, OperationRequest},
    reply::{Answer, ErrorForm, HttpError, Reply, http_answer},
    request_fields::RequestFields,
    route::{PathParameters, Route, match_path, routes_at},
    telemetry::{self, InvocationOutcome},
};
use crate::{
    domain::{LedgerError, Timestamp},
    invocation_metrics::{self, InvocationMetrics},
    ledger::Invocation,
};

/// The part of an invocation's time that is left for the response, in milliseconds.
const RESPONSE_MILLIS: i64 = 500;

/// The duration of an invocation whose deadline has passed, in milliseconds: `cargo lambda
/// watch` sets all deadlines to the year 1970.
const DEFAULT_MILLIS: i64 = 30_000;

/// The range of `Retry-After`, in seconds. A random value spreads the retries of callers that
/// failed at the same time.
const RETRY_AFTER_SECONDS: RangeInclusive<u64> = 1..=3;

/// A Lambda function and its operations.
#[derive(Clone, Copy)]
pub struct Function {
    /// The name of the function, as in `docs/service.md`.
    pub name: &'static str,
    pub(super) operations: &'static [Operation],
}

impl Function {
    /// Handles one event.
    ///
    /// # Errors
    /// Only for a direct invocation. An error over HTTP is a [`Reply`].
    pub async fn handle(self, app: &App, event: LambdaEvent<Payload>) -> Result<Reply, Failure> {
        let deadline = deadline(app.ledger.now(), &event.context);
        let request_id = event.context.request_id;
        let invocation = Invocation::until(deadline).delivered_as(&request_id);
        let answer = match Event::parse(&event.payload) {
            Ok(Event::Http(request)) => {
                return Ok(self.reply_http(app, &request, &request_id, invocation).await);
            }
            Ok(Event::Direct(payload)) => {
                self.instrument(app, self.answer_direct(app, &payload, invocation), &request_id).await
            }
            Err(error) => self.instrument(app, ready(Err(error)), &request_id).await,
        };
        answer.map(|answer| Reply::Direct(answer.body)).map_err(Failure)
    }

    /// Runs the work, catches its panic, emits its metrics and logs its outcome.
    async fn instrument(
        self,
        app: &App,
        work: impl Future<Output = Result<Answer, RequestError>>,
        request_id: &str,
    ) -> Result<Answer, RequestError> {
        let started_at = Instant::now();
        let result = catch_panic(invocation_metrics::collect(work)).await;
        // The metrics of a panicked invocation are lost.
        let (answer, metrics) =
            result.unwrap_or_else(|panic| (Err(panic.into()), InvocationMetrics::default()));
        let (function, error, took) = (self.name, answer.as_ref().err(), started_at.elapsed());
        let outcome = InvocationOutcome { function, request_id, error, took };
        telemetry::log_invocation(&app.metrics, &outcome, &metrics);
        answer
    }

    async fn reply_http(
        self,
        app: &App,
        request: &HttpRequest,
        lambda_request_id: &str,
        invocation: Invocation,
    ) -> Reply {
        let request_id = request.request_id().unwrap_or(lambda_request_id);
        match self.instrument(app, self.answer_http(app, request, invocation), request_id).await {
            Ok(answer) => http_answer(answer),
            Err(error) => {
                let (path, has_retry_after) = (request.path(), error.kind().has_retry_after());
                let retry_after = has_retry_after.then(|| app.ledger.random_number(RETRY_AFTER_SECONDS));
                let form = self.error_form(request);
                HttpError { error: &error, form, path, request_id, retry_after }.reply()
            }
        }
    }

    async fn answer_http(
        self,
        app: &App,
        request: &HttpRequest,
        invocation: Invocation,
    ) -> Result<Answer, RequestError> {
        let (operation, parameters) = self.operation_of(request)?;
        self.record_operation(operation);
        let caller = operation.caller(app, request, &parameters).await?;
        let body = || request.body(operation.body_form);
        let fields = match operation.body_form {
            BodyForm::PaymentEvent => RequestFields::from_event(&body()?)?,
            BodyForm::ProviderJson => RequestFields::from_provider(parameters, &request.query, &body()?)?,
            BodyForm::Fields if operation.method == "GET" => {
                RequestFields::from_url(parameters, &request.query)
            }
            BodyForm::Fields => {
                let mut fields = RequestFields::from_body(parameters, &body()?)?;
                fields.reject_query(&request.query);
                fields.set_key_header(request.idempotency_key());
                fields
            }
        };
        (operation.run)(app, OperationRequest { caller, fields, invocation }).await
    }

    async fn answer_direct(
        self,
        app: &App,
        payload: &[u8],
        invocation: Invocation,
    ) -> Result<Answer, RequestError> {
        let mut fields = RequestFields::from_json(payload)?;
        let name = |operation: &Operation| operation.name.unwrap_or(self.name);
        let operations = || self.operations.iter().filter(|operation| operation.has_direct_form());
        let named = |text: &str| operations().find(|operation| name(operation) == text);
        let parse = |value: &serde_json::Value| {
            value.as_str().and_then(named).ok_or("is not an operation of this function")
        };
        let operation = match operations().find(|operation| operation.name.is_none()) {
            Some(default) => fields.optional("operation", parse).or(Some(default)),
            None => fields.required("operation", parse),
        };
        let Some(operation) = operation else { return Err(fields.into_error()) };
        self.record_operation(operation);
        if operation.body_form == BodyForm::ProviderJson {
            fields = fields.into_provider_fields(operation.path, payload)?;
        }
        (operation.run)(app, OperationRequest { caller: Caller::Trusted, fields, invocation }).await
    }

    /// The form of errors on the request's path, whatever the method.
    fn error_form(self, request: &HttpRequest) -> ErrorForm {
        let is_at_path = |operation: &&Operation| match_path(operation.path, request.path()).is_some();
        let operation = self.routed(request).or_else(|| self.operations.iter().find(is_at_path));
        operation.map_or(ErrorForm::Problem, |operation| operation.error_form)
    }

    /// The operation of the route that API Gateway matched.
    fn routed(&self, request: &HttpRequest) -> Option<&'static Operation> {
        let (method, path) = request.route_key()?;
        self.operations.iter().find(|operation| (operation.method, operation.path) == (method, path))
    }

    /// The route by which the function serves this method and path, if it does.
    pub fn route_at(&self, method: &str, path: &str) -> Option<Route> {
        self.operation_at(method, path).ok().map(|(operation, _)| self.route(operation))
    }

    /// The operation of an HTTP request, and its path parameters: by the route that API Gateway
    /// matched, which a base path of a custom domain does not change, or else by the path.
    fn operation_of(
        &self,
        request: &HttpRequest,
    ) -> Result<(&'static Operation, PathParameters), RequestError> {
        let parameters =
            |operation: &'static Operation| Some((operation, request.path_parameters(operation.path)?));
        match self.routed(request).and_then(parameters) {
            Some(routed) => Ok(routed),
            None => self.operation_at(request.method(), request.path()),
        }
    }

    /// The operation at a path, and the path's named segments.
    fn operation_at(
        &self,
        method: &str,
        path: &str,
    ) -> Result<(&'static Operation, PathParameters), RequestError> {
        for operation in self.operations.iter().filter(|operation| operation.method == method) {
            if let Some(parameters) = match_path(operation.path, path) {
                return Ok((operation, parameters));
            }
        }
        let has_other_method = routes_at(path).any(|route| route.method != method);
        Err(if has_other_method { RequestError::MethodNotAllowed } else { RequestError::NotFound })
    }

    /// The route of an operation of this function.
    pub(super) const fn route(&self, operation: &Operation) -> Route {
        Route {
            method: operation.method,
            path: operation.path,
            operation: self.operation_name(operation),
            is_query: matches!(operation.access, Access::Read),
            is_signed: matches!(operation.access, Access::Signed(_)),
            challenge: operation.challenge(),
        }
    }

    const fn operation_name(&self, operation: &Operation) -> &'static str {
        match operation.metric {
            Some(name) => name,
            None => self.name,
        }
    }

    fn record_operation(self, operation: &Operation) {
        invocation_metrics::record(|metrics| metrics.operation = Some(self.operation_name(operation)));
    }
}

/// The time by which all work except the response must end.
pub(super) fn deadline(now: Timestamp, context: &Context) -> Timestamp {
    let deadline = i64::try_from(context.deadline).ok().and_then(Timestamp::from_millis);
    let deadline = deadline.filter(|deadline| *deadline > now);
    deadline.unwrap_or(now.plus_millis(DEFAULT_MILLIS)).plus_millis(-RESPONSE_MILLIS)
}

/// Converts a panic into an error, because the runtime would return its message to the caller.
/// The panicked work is dropped, so its state is never used again.
pub(super) async fn catch_panic<T>(work: impl Future<Output = T>) -> Result<T, LedgerError> {
    AssertUnwindSafe(work).catch_unwind().await.map_err(|panic| {
        let message = panic.downcast_ref::<String>().map(String::as_str);
        let message = message.or_else(|| panic.downcast_ref().copied());
        LedgerError::Internal(format!("panicked: {}", message.unwrap_or("without a message")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn catch_panic_returns_an_internal_error() {
        for (nth, message) in ["panicked: a fault of the code", "panicked: fault 1"].into_iter().enumerate() {
            let result = catch_panic(async {
                assert!(nth > 0, "a fault of the code");
                assert!(nth > 1, "fault {nth}");
            });
            assert_eq!(result.await, Err(LedgerError::Internal(message.to_owned())));
        }
    }
}
