//! Operations: the route, the access and the handler of each.

use std::pin::Pin;

use super::{
    App,
    caller::Caller,
    error::RequestError,
    event::HttpRequest,
    reply::{Answer, ErrorForm},
    request_fields::RequestFields,
    route::PathParameters,
};
use crate::ledger::Invocation;

/// One operation of a function.
#[derive(Clone, Copy)]
pub(super) struct Operation {
    pub(super) method: &'static str,
    /// The path. A `{name}` segment matches any text.
    pub(super) path: &'static str,
    pub(super) access: Access,
    pub(super) body_form: BodyForm,
    /// The value of the field `operation` of a direct payload. Without a name it has the
    /// function's, and is the default of a payload without the field.
    pub(super) name: Option<&'static str>,
    /// The name in metrics and log, if it is not the function's.
    pub(super) metric: Option<&'static str>,
    pub(super) error_form: ErrorForm,
    pub(super) run: OperationFn,
}

/// The access to an operation over HTTP.
#[derive(Clone, Copy)]
pub(super) enum Access {
    /// Any caller with a token. The operation checks which users the caller may read.
    Read,
    /// A caller with permission to write.
    Write,
    /// A sender of a valid signature or call-back token. A function pointer, so that functions
    /// without such an operation do not link the clients of verification.
    Signed(VerifyFn),
    /// No caller over HTTP.
    Direct,
}

/// The form of a request's body.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum BodyForm {
    /// The fields of the request.
    Fields,
    /// Any JSON of a provider.
    ProviderJson,
    /// An event of a payment provider. Its signature alone authenticates it, so that it has no
    /// direct form.
    PaymentEvent,
}

impl BodyForm {
    /// The largest body, in bytes, after base64 decoding.
    pub(super) const fn bytes_max(self) -> usize {
        match self {
            BodyForm::Fields | BodyForm::ProviderJson => 16 * 1024,
            BodyForm::PaymentEvent => 256 * 1024,
        }
    }
}

/// Verifies the signature or the call-back token of a request.
pub(super) type VerifyFn = for<'a> fn(&'a App, &'a HttpRequest, &'a PathParameters) -> VerifyFuture<'a>;
pub(super) type VerifyFuture<'a> = Pin<Box<dyn Future<Output = Result<(), RequestError>> + Send + 'a>>;

/// The handler of an operation.
pub(super) type OperationFn = for<'a> fn(&'a App, OperationRequest) -> AnswerFuture<'a>;
pub(super) type AnswerFuture<'a> = Pin<Box<dyn Future<Output = Result<Answer, RequestError>> + Send + 'a>>;

/// An HTTP request or a direct payload, with its caller and fields.
pub(super) struct OperationRequest {
    pub(super) caller: Caller,
    pub(super) fields: RequestFields,
    pub(super) invocation: Invocation,
}

/// Constructs a future on the heap, where `Box::pin` would copy several kilobytes.
pub(super) fn box_future<'a, Work>(work: impl FnOnce() -> Work) -> AnswerFuture<'a>
where
    Work: Future<Output = Result<Answer, RequestError>> + Send + 'a,
{
    let future: Pin<Box<Work>> = Box::into_pin(Box::write(Box::new_uninit(), work()));
    future
}

impl Operation {
    pub(super) const fn get(path: &'static str, access: Access, run: OperationFn) -> Operation {
        Operation::at("GET", path, access, run)
    }

    pub(super) const fn post(path: &'static str, access: Access, run: OperationFn) -> Operation {
        Operation::at("POST", path, access, run)
    }

    /// An operation without a route.
    pub(super) const fn direct(run: OperationFn) -> Operation {
        Operation::at("", "", Access::Direct, run)
    }

    const fn at(method: &'static str, path: &'static str, access: Access, run: OperationFn) -> Operation {
        let (body_form, error_form) = (BodyForm::Fields, ErrorForm::Problem);
        Operation { method, path, access, body_form, name: None, metric: None, error_form, run }
    }

    /// With a name of its own, in direct payloads and in metrics.
    pub(super) const fn named(self, name: &'static str) -> Operation {
        Operation { name: Some(name), metric: Some(name), ..self }
    }

    /// With a name of its own in direct payloads.
    pub(super) const fn selected_by(self, name: &'static str) -> Operation {
        Operation { name: Some(name), ..self }
    }

    /// With any JSON of a provider as body.
    pub(super) const fn with_provider_json(self) -> Operation {
        Operation { body_form: BodyForm::ProviderJson, ..self }
    }

    /// With an event of a payment provider as body.
    pub(super) const fn with_payment_event(self) -> Operation {
        Operation { body_form: BodyForm::PaymentEvent, ..self }
    }

    pub(super) const fn with_errors(self, error_form: ErrorForm) -> Operation {
        Operation { error_form, ..self }
    }

    pub(super) const fn has_route(&self) -> bool {
        !matches!(self.access, Access::Direct)
    }

    /// Whether a direct invocation may select the operation.
    pub(super) fn has_direct_form(&self) -> bool {
        self.body_form != BodyForm::PaymentEvent
    }

    /// The scheme that an HTTP caller without access must use.
    pub(super) const fn challenge(&self) -> &'static str {
        match (self.access, self.body_form) {
            (Access::Signed(_), BodyForm::PaymentEvent) => "Stripe-Signature",
            (Access::Signed(_), _) => "X-Signature",
            _ => "Bearer",
        }
    }

    /// The caller of an HTTP request, if it has access to the operation.
    pub(super) async fn caller(
        &self,
        app: &App,
        request: &HttpRequest,
        parameters: &PathParameters,
    ) -> Result<Caller, RequestError> {
        match self.access {
            Access::Read => app.caller(request.claims()),
            Access::Write => {
                let caller = app.caller(request.claims())?;
                caller.require_write()?;
                Ok(caller)
            }
            Access::Signed(verify) => {
                verify(app, request, parameters).await?;
                Ok(Caller::Trusted)
            }
            Access::Direct => Err(RequestError::NotFound),
        }
    }
}
