//! Reasons why a user cannot be migrated.

use std::fmt;

use super::OldRow;

/// The reason why a user cannot be migrated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// `id` of the row, unless the reason concerns the whole user.
    pub row: Option<i64>,
    /// The first reason that was found.
    pub reason: RejectReason,
}

/// See docs/migration.md, quarantine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RejectReason {
    /// `user_uuid` has an invalid form.
    UserId,
    /// `order_no` has an invalid form.
    OrderNo,
    /// The ledger has no such `trans_type`.
    UnknownTransType,
    /// A grant below zero, or a charge above zero.
    WrongSign,
    /// More credits than one record may have.
    CreditsOutOfRange,
    /// `order_no` is both an order and a generation.
    OrderAndGeneration,
    /// `order_no` is an order or a generation of another user.
    OtherUsersReference,
    /// `order_no` is neither an order nor a generation.
    UnknownReference,
    /// A grant whose `order_no` is a generation.
    GrantOfGeneration,
    /// `created_at` is before 1970 or after the moment of the migration.
    CreatedAt,
    /// A grant has more credits left than it granted.
    RemainingCredits,
    /// The sum of the unexpired rows is below zero, and the operator wants no such user.
    NegativeBalance,
    /// More packs, types or credits than a wallet may have.
    WalletLimits,
}

impl Rejection {
    pub(super) fn of_row(row: &OldRow, reason: RejectReason) -> Rejection {
        Rejection { row: Some(row.id), reason }
    }

    pub(super) fn of_user(reason: RejectReason) -> Rejection {
        Rejection { row: None, reason }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(row) = self.row {
            write!(f, "row {row}: ")?;
        }
        f.write_str(match self.reason {
            RejectReason::UserId => {
                "user_uuid must be 1 to 255 characters of A-Z a-z 0-9 . _ : - | @ + = ~ /"
            }
            RejectReason::OrderNo => {
                "order_no must be 1 to 255 characters of A-Z a-z 0-9 . _ : - | @ + = ~ /"
            }
            RejectReason::UnknownTransType => "unknown trans_type",
            RejectReason::WrongSign => "the sign of credits does not fit trans_type",
            RejectReason::CreditsOutOfRange => "more credits than one record may have",
            RejectReason::OrderAndGeneration => "order_no is both an order and a generation",
            RejectReason::OtherUsersReference => "order_no belongs to another user",
            RejectReason::UnknownReference => "order_no is neither an order nor a generation",
            RejectReason::GrantOfGeneration => "a grant whose order_no is a generation",
            RejectReason::CreatedAt => "created_at is before 1970 or after the moment of the migration",
            RejectReason::RemainingCredits => "more credits remain than were granted",
            RejectReason::NegativeBalance => "the sum of unexpired rows is below zero",
            RejectReason::WalletLimits => "more packs, trans_types or credits than a wallet may have",
        })
    }
}
