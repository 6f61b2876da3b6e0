//! The commands that block a user whom a migration left behind, and unblock the user again.

use super::{Command, Plan, ReadRequest, Step, View};
use crate::domain::{LedgerError, Timestamp, UserId, Wallet};

/// Blocks a user who has no wallet: until [`Unblock`] or an import, every change is rejected.
///
/// The answer is whether the user is blocked. A user who has a wallet is left unchanged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The user.
    pub user: UserId,
}

/// Removes the block of a user. The answer is whether this call removed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unblock {
    /// The user.
    pub user: UserId,
}

impl Command for Block {
    type Answer = bool;

    fn user(&self) -> &UserId {
        &self.user
    }

    fn first_read(&self, _: &View) -> ReadRequest {
        ReadRequest::Wallet
    }

    fn next(&self, view: &View, _: Timestamp) -> Result<Step, LedgerError> {
        let is_without_wallet = view.wallet().version.is_none();
        Ok(if is_without_wallet { change_wallet(Wallet::blocked()) } else { Step::Done })
    }

    fn answer(&self, view: View, _: Timestamp) -> Result<bool, LedgerError> {
        Ok(view.wallet().is_blocked)
    }
}

impl Command for Unblock {
    type Answer = bool;

    fn user(&self) -> &UserId {
        &self.user
    }

    fn first_read(&self, _: &View) -> ReadRequest {
        ReadRequest::Wallet
    }

    fn next(&self, view: &View, now: Timestamp) -> Result<Step, LedgerError> {
        if !view.wallet().is_blocked {
            return Ok(Step::Done);
        }
        let (wallet, _) = view.wallet().next_version(now)?;
        Ok(change_wallet(Wallet { is_blocked: false, ..wallet }))
    }

    fn answer(&self, view: View, _: Timestamp) -> Result<bool, LedgerError> {
        Ok(view.has_committed())
    }
}

fn change_wallet(wallet: Wallet) -> Step {
    Step::Commit(Plan { wallet: Some(wallet), ..Plan::default() })
}

impl Wallet {
    /// The wallet of a blocked user without records. Its version is the first one, so that the
    /// wallet of a later import, whose records are older than the block, has a later version.
    pub fn blocked() -> Wallet {
        Wallet { version: Timestamp::from_millis(0), is_blocked: true, ..Wallet::default() }
    }

    /// Whether the user has no history: there is no wallet, or only the mark of a block.
    pub fn is_before_history(&self) -> bool {
        let is_empty = self.packs.is_empty() && self.totals.is_empty() && self.fences == 0;
        self.version.is_none() || (self.is_blocked && is_empty)
    }
}
