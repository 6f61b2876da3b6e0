//! Checks that pass for every input: the harness of the fuzz targets in `tests/fuzz`, and of
//! the tests that replay their corpus.
//!
//! Everything goes through [`Function::handle`](scrip::transport::Function::handle)
//! and the calls of [`Store`](scrip::store::Store), on a mock table of a few
//! items behind the real SDK. A check that fails panics.

mod event;
mod harness;
mod items;
mod request;
mod response;

pub use event::event;
pub use items::items;
pub use request::request;
pub use response::Response;

/// Panics if an input violates a check.
pub type Check = fn(&[u8]);

/// Name and check of every target. The name is also the folder of its corpus.
pub const TARGETS: [(&str, Check); 3] = [("event", event), ("request", request), ("items", items)];
