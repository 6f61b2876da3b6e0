//! The responses of call-backs and payment events.

use serde::Serialize;

use crate::domain::{GenerationId, OrderNo};

#[derive(Serialize)]
pub(in crate::transport) struct WebhookAnswer<'a> {
    generation_uuid: &'a GenerationId,
    status: &'static str,
    outcome: &'static str,
}

impl<'a> WebhookAnswer<'a> {
    pub(in crate::transport) fn new(
        generation: &'a GenerationId,
        status: &'static str,
        outcome: &'static str,
    ) -> Self {
        WebhookAnswer { generation_uuid: generation, status, outcome }
    }
}

#[derive(Serialize)]
pub(in crate::transport) struct PaymentAnswer<'a> {
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    order_no: Option<&'a OrderNo>,
}

impl<'a> PaymentAnswer<'a> {
    pub(in crate::transport) fn new(outcome: &'static str, order_no: Option<&'a OrderNo>) -> Self {
        PaymentAnswer { outcome, order_no }
    }
}

#[derive(Serialize)]
pub(in crate::transport) struct MintAnswer {
    pub(in crate::transport) token: String,
    /// The path of the call-back.
    pub(in crate::transport) path: String,
    /// Seconds since 1970.
    pub(in crate::transport) exp: i64,
}
