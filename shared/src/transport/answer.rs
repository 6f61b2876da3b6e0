//! The bodies of responses, as `docs/service.md` defines them.

mod balance;
mod callback;
mod charge;
mod grant;
mod history;

pub(super) use balance::{BalanceAnswer, UserCreditsAnswer};
pub(super) use callback::{MintAnswer, PaymentAnswer, WebhookAnswer};
pub(super) use charge::{ChargeAnswer, RefundAnswer, SettleAnswer};
pub(super) use grant::{GrantAnswer, RevokeAnswer};
pub(super) use history::{GenerationAnswer, SummaryAnswer, TimelineAnswer};

use crate::domain::Credits;

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(credits: &Credits) -> bool {
    credits.is_zero()
}
