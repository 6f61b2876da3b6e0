//! The events of Stripe: their signatures, and what each means for the ledger.

mod event;
mod invoice;
mod reader;
#[cfg(test)]
mod tests;

pub(crate) use event::{OrderAlias, PaymentAction, PaymentGrant};
pub(crate) use reader::PaymentError;

use crate::{
    callback::{CallbackError, STRIPE_SIGNATURE, Secrets, Tolerance},
    domain::Timestamp,
};

/// The secrets of payment events.
#[derive(Debug)]
pub struct Payments {
    secrets: Secrets,
}

impl Payments {
    /// Accepts what these secrets signed at most 300 seconds ago.
    pub fn signed_with(secrets: Secrets) -> Payments {
        Payments { secrets }
    }

    /// Rejects every event.
    pub fn none() -> Payments {
        Payments::signed_with(Secrets::fixed(Vec::new()))
    }

    /// Verifies the header `Stripe-Signature` of a body. One valid signature is enough.
    ///
    /// # Errors
    /// `Unauthorized`, or `Service` if the secrets cannot be read.
    pub(crate) async fn verify(
        &self,
        header: Option<&str>,
        body: &[u8],
        now: Timestamp,
    ) -> Result<(), CallbackError> {
        let header =
            header.ok_or(CallbackError::Unauthorized("The header `Stripe-Signature` is missing."))?;
        let signature = STRIPE_SIGNATURE.parse(header, now, Tolerance::DEFAULT);
        let signature = signature.map_err(CallbackError::Unauthorized)?;
        self.secrets.verify(&[signature], body, now).await
    }
}
