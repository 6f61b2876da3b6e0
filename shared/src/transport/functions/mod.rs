//! The functions, one file each: the fields of each operation, its call of the ledger, and its
//! answer.

mod balance;
mod decrease;
mod grant;
mod history;
mod payments;
mod refund;
mod webhook;

pub use balance::BALANCE;
pub use decrease::DECREASE;
pub use grant::GRANT;
pub use history::HISTORY;
pub use payments::PAYMENTS;
pub use refund::REFUND;
pub use webhook::WEBHOOK;

use super::Function;

/// Every function with a route. Routes and metrics derive from its operations.
pub const FUNCTIONS: [Function; 7] = [GRANT, DECREASE, REFUND, BALANCE, HISTORY, WEBHOOK, PAYMENTS];
