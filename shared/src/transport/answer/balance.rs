//! The responses of balances.

use serde::Serialize;

use crate::domain::{Credits, OrderNo, Pack, Timestamp, TransNo, TransType, UserId, Wallet};

#[derive(Serialize)]
pub(in crate::transport) struct BalanceAnswer<'a> {
    user_uuid: &'a UserId,
    balance: Credits,
    debt: Credits,
    packs: Vec<PackView<'a>>,
}

#[derive(Serialize)]
struct PackView<'a> {
    trans_no: TransNo,
    trans_type: &'a TransType,
    #[serde(skip_serializing_if = "Option::is_none")]
    order_no: Option<&'a OrderNo>,
    credits: Credits,
    remaining: Credits,
    #[serde(skip_serializing_if = "Option::is_none")]
    expired_at: Option<Timestamp>,
    created_at: Timestamp,
}

impl<'a> BalanceAnswer<'a> {
    pub(in crate::transport) fn new(user: &'a UserId, wallet: &'a Wallet, now: Timestamp) -> Self {
        let pack = |Pack { grant, remaining }: &'a Pack| PackView {
            trans_no: grant.trans_no,
            trans_type: &grant.trans_type,
            order_no: grant.order_no.as_ref(),
            credits: grant.credits,
            remaining: *remaining,
            expired_at: grant.expired_at,
            created_at: grant.trans_no.created_at(),
        };
        BalanceAnswer {
            user_uuid: user,
            balance: wallet.balance(now),
            debt: wallet.debt(),
            packs: wallet.usable(now).map(pack).collect(),
        }
    }
}

/// The response of `POST /api/get-user-credits`.
#[derive(Serialize)]
pub(in crate::transport) struct UserCreditsAnswer {
    code: i32,
    message: &'static str,
    data: UserCredits,
}

#[derive(Serialize)]
struct UserCredits {
    left_credits: Credits,
    is_recharged: bool,
}

impl UserCreditsAnswer {
    pub(in crate::transport) fn new(wallet: &Wallet, now: Timestamp) -> Self {
        let data = UserCredits { left_credits: wallet.balance(now), is_recharged: wallet.is_recharged() };
        UserCreditsAnswer { code: 0, message: "ok", data }
    }
}
