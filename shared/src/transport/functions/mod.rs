//! The functions, one file each: what an operation takes, does and answers.

mod balance;
mod decrease;
mod grant;
mod history;
mod refund;
mod webhook;

pub use balance::BALANCE;
pub use decrease::DECREASE;
pub use grant::GRANT;
pub use history::HISTORY;
pub use refund::REFUND;
pub use webhook::WEBHOOK;
