use std::{collections::BTreeMap, ops::RangeInclusive, panic::AssertUnwindSafe, pin::Pin, time::Instant};

use futures_util::FutureExt;
use lambda_runtime::{Context, LambdaEvent};

use super::{
    caller::Caller,
    error::RequestError,
    event::{Claims, Event, HttpRequest, Payload},
    failure::Failure,
    form::Form,
    reply::{Answer, ErrorForm, HttpError, Reply, http_answer},
    route::{ROUTES, Route},
    telemetry::{self, Ended, Metrics},
};
use crate::{
    callback::Callbacks,
    domain::{LedgerError, Timestamp},
    ledger::{Invocation, Ledger},
    meter::{self, Notes},
};

/// What of an invocation's time is kept for the answer, in milliseconds.
const ANSWER_MILLIS: i64 = 500;

/// How long an invocation may take that has no deadline ahead of it: `cargo
/// lambda watch` gives all of them one of the year 1970.
const UNTOLD_MILLIS: i64 = 30_000;

/// The range of `Retry-After`, in seconds. A random value in it spreads the next tries of
/// callers who failed together.
const RETRY_AFTER_SECONDS: RangeInclusive<u64> = 1..=3;

/// A Lambda function: its name and what it does.
#[derive(Clone, Copy)]
pub struct Function {
    /// The name, as the table of the contract has it.
    pub name: &'static str,
    pub(super) operations: &'static [Operation],
}

/// One thing that a function does.
#[derive(Clone, Copy)]
pub(super) struct Operation {
    route: Route,
    /// What a direct payload says in its `operation` field to get it; where a
    /// function's operations have none, the first is meant.
    name: Option<&'static str>,
    writes: bool,
    /// How a signature admits a caller, where it does so in place of a token. A
    /// function without such an operation carries no client of the secrets.
    admit_signed: Option<Admission>,
    /// Whether the header `Idempotency-Key` is the field's equal.
    takes_key_header: bool,
    error_form: ErrorForm,
    run: Run,
}

/// What an operation does with a call.
pub(super) type Run = for<'a> fn(&'a App, Call) -> Answering<'a>;

/// How a request gets its caller.
type Admission = for<'a> fn(
    &'a App,
    &'a HttpRequest,
) -> Pin<Box<dyn Future<Output = Result<Caller, RequestError>> + Send + 'a>>;

pub(super) type Answering<'a> = Pin<Box<dyn Future<Output = Result<Answer, RequestError>> + Send + 'a>>;

/// Work on the heap, made there: `Box::pin` takes it ready and copies it, and it is several
/// kilobytes.
pub(super) fn boxed<'a, Work>(work: impl FnOnce() -> Work) -> Answering<'a>
where
    Work: Future<Output = Result<Answer, RequestError>> + Send + 'a,
{
    let boxed: Pin<Box<Work>> = Box::into_pin(Box::write(Box::new_uninit(), work()));
    boxed
}

impl Operation {
    /// For who may read the user.
    pub(super) const fn reading(route: Route, run: Run) -> Operation {
        let error_form = ErrorForm::Problem;
        let (name, admit_signed) = (None, None);
        Operation { route, name, writes: false, admit_signed, takes_key_header: false, error_form, run }
    }

    /// For who may write.
    pub(super) const fn writing(route: Route, run: Run) -> Operation {
        Operation { writes: true, ..Operation::reading(route, run) }
    }

    /// For who signs.
    pub(super) const fn signed(route: Route, run: Run) -> Operation {
        assert!(route.is_signed);
        let admit: Admission = |app, request| Box::pin(admit_signed(app, request));
        Operation { admit_signed: Some(admit), ..Operation::writing(route, run) }
    }

    pub(super) const fn named(self, name: &'static str) -> Operation {
        Operation { name: Some(name), ..self }
    }

    pub(super) const fn with_key_header(self) -> Operation {
        Operation { takes_key_header: true, ..self }
    }

    pub(super) const fn with_errors(self, error_form: ErrorForm) -> Operation {
        Operation { error_form, ..self }
    }
}

/// A request that has reached its operation.
pub(super) struct Call {
    pub(super) caller: Caller,
    pub(super) form: Form,
    pub(super) invocation: Invocation,
}

/// What a function needs to do its work.
pub struct App {
    /// The ledger.
    pub ledger: Ledger,
    /// Whether an HTTP event without claims is let in. For a stack without an
    /// authorizer, such as the local one, and for no other.
    pub admits_anyone: bool,
    /// Who may sign in place of a token, and who waits for what is signed.
    pub callbacks: Callbacks,
    /// What is counted of every event.
    pub metrics: Metrics,
}

impl Function {
    /// Answers one event.
    ///
    /// # Errors
    /// For a direct invocation; over HTTP an error is an answer too.
    pub async fn handle(self, app: &App, event: LambdaEvent<Payload>) -> Result<Reply, Failure> {
        let deadline = deadline(app.ledger.now(), &event.context);
        let request_id = event.context.request_id;
        let invocation = Invocation::until(deadline).delivered_as(&request_id);
        match Event::parse(&event.payload) {
            Ok(Event::Http(request)) => Ok(self.over_http(app, &request, &request_id, invocation).await),
            Ok(Event::Direct(payload)) => {
                let answered =
                    self.told(app, self.answer_direct(app, &payload, invocation), &request_id).await;
                answered.map(|answer| Reply::Direct(answer.body)).map_err(Failure)
            }
            Err(error) => {
                let refused = self.told(app, std::future::ready(Err(error)), &request_id).await;
                refused.map(|answer| Reply::Direct(answer.body)).map_err(Failure)
            }
        }
    }

    /// Answers, and tells what that did and cost.
    async fn told(
        self,
        app: &App,
        answering: impl Future<Output = Result<Answer, RequestError>>,
        request_id: &str,
    ) -> Result<Answer, RequestError> {
        let began = Instant::now();
        let ended = guard(meter::noted(answering)).await;
        // What was noted is lost with a panic.
        let (answered, notes) = ended.unwrap_or_else(|panic| (Err(panic.into()), Notes::default()));
        let (function, error, took) = (self.name, answered.as_ref().err(), began.elapsed());
        telemetry::tell(&app.metrics, &Ended { function, request_id, error, took }, &notes);
        answered
    }

    async fn over_http(
        self,
        app: &App,
        request: &HttpRequest,
        lambda_request_id: &str,
        invocation: Invocation,
    ) -> Reply {
        let request_id = request.request_id().unwrap_or(lambda_request_id);
        let path = request.path();
        let operation = self.operation_at(request.method(), path);
        let answering = async { answer_http(self, operation?, app, request, invocation).await };
        match self.told(app, answering, request_id).await {
            Ok(answer) => http_answer(answer),
            Err(error) => {
                let retry_after =
                    error.kind().has_retry_after().then(|| app.ledger.random_number(RETRY_AFTER_SECONDS));
                HttpError { error: &error, form: self.error_form(path), path, request_id, retry_after }
                    .reply()
            }
        }
    }

    /// How errors are told on this path, whatever the method.
    fn error_form(self, path: &str) -> ErrorForm {
        let at_path = self.operations.iter().find(|operation| operation.route.parameters(path).is_some());
        at_path.map_or(ErrorForm::Problem, |operation| operation.error_form)
    }

    /// The route by which the function serves this method and path, if it does.
    pub fn route_at(&self, method: &str, path: &str) -> Option<Route> {
        self.operation_at(method, path).ok().map(|(operation, _)| operation.route)
    }

    /// The operation at a path, and the path's named segments.
    fn operation_at(&self, method: &str, path: &str) -> Result<(Operation, Segments), RequestError> {
        for operation in self.operations.iter().filter(|operation| operation.route.method == method) {
            if let Some(segments) = operation.route.parameters(path) {
                return Ok((*operation, segments));
            }
        }
        let is_path = ROUTES.iter().any(|route| route.method != method && route.parameters(path).is_some());
        Err(if is_path { RequestError::MethodNotAllowed } else { RequestError::NotFound })
    }

    /// Notes which operation it is.
    fn note(self, operation: &Operation) {
        meter::note(|notes| notes.operation = Some(operation.name.unwrap_or(self.name)));
    }

    async fn answer_direct(
        self,
        app: &App,
        payload: &[u8],
        invocation: Invocation,
    ) -> Result<Answer, RequestError> {
        let mut form = Form::from_json(payload)?;
        let named = |name: &str| self.operations.iter().find(|operation| operation.name == Some(name));
        let operation = if self.operations.iter().all(|operation| operation.name.is_none()) {
            self.operations.first()
        } else {
            let parse = |value: &serde_json::Value| {
                value.as_str().and_then(named).ok_or("is none of this function's")
            };
            form.required("operation", parse)
        };
        let Some(operation) = operation else { return Err(form.refusal()) };
        self.note(operation);
        (operation.run)(app, Call { caller: Caller::Trusted, form, invocation }).await
    }
}

/// The named segments of a path.
type Segments = BTreeMap<&'static str, String>;

async fn answer_http(
    function: Function,
    (operation, segments): (Operation, Segments),
    app: &App,
    request: &HttpRequest,
    invocation: Invocation,
) -> Result<Answer, RequestError> {
    function.note(&operation);
    let caller = match operation.admit_signed {
        Some(admit_signed) => admit_signed(app, request).await?,
        None => admit(app, request.claims())?,
    };
    if operation.writes {
        caller.may_write()?;
    }
    let form = if operation.route.method == "GET" {
        Form::from_url(segments, &request.query)
    } else {
        let mut form = Form::from_json(&request.body()?)?;
        form.refuse_query(&request.query);
        if let Some(key) = request.idempotency_key().filter(|_| operation.takes_key_header) {
            form.merge_header("idempotency_key", key.to_owned());
        }
        form
    };
    (operation.run)(app, Call { caller, form, invocation }).await
}

fn admit(app: &App, claims: Option<&Claims>) -> Result<Caller, RequestError> {
    match claims {
        Some(claims) => Ok(Caller::from_claims(claims)),
        None if app.admits_anyone => Ok(Caller::Trusted),
        None => Err(RequestError::Unauthorized("No valid caller.")),
    }
}

/// Whoever has signed the body may do with it what the operation does.
async fn admit_signed(app: &App, request: &HttpRequest) -> Result<Caller, RequestError> {
    app.callbacks.admit(request.signature(), &request.body()?, app.ledger.now()).await?;
    Ok(Caller::Trusted)
}

/// When all but the answer must be done.
pub(super) fn deadline(now: Timestamp, context: &Context) -> Timestamp {
    let told = i64::try_from(context.deadline).ok().and_then(Timestamp::from_millis);
    let deadline = told.filter(|deadline| *deadline > now).unwrap_or(now.plus_millis(UNTOLD_MILLIS));
    deadline.plus_millis(-ANSWER_MILLIS)
}

/// Turns a panic into an error: the runtime would show a caller its own. What was at work
/// is dropped with it, so that nobody sees what it left undone.
pub(super) async fn guard<T>(work: impl Future<Output = T>) -> Result<T, LedgerError> {
    AssertUnwindSafe(work).catch_unwind().await.map_err(|panic| {
        let said = panic.downcast_ref::<String>().map(String::as_str);
        let said = said.or_else(|| panic.downcast_ref().copied());
        LedgerError::Internal(format!("panicked: {}", said.unwrap_or("in no words")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_becomes_an_internal_error() {
        for (nth, said) in ["panicked: a fault of the code", "panicked: fault 1"].into_iter().enumerate() {
            let ended = guard(async {
                assert!(nth > 0, "a fault of the code");
                assert!(nth > 1, "fault {nth}");
            });
            assert_eq!(ended.await, Err(LedgerError::Internal(said.to_owned())));
        }
    }
}
