//! What holds of every input, whatever it is: the harness of the fuzz targets
//! in `tests/fuzz`, and of the tests that replay their corpus.
//!
//! Everything goes through [`Function::handle`](scrip::transport::Function::handle)
//! and the calls of [`Store`](scrip::store::Store), on a table of a few items that
//! answers through the real SDK. A check that fails is a panic.

mod answer;
mod event;
mod items;
mod request;
mod world;

pub use answer::Answer;
pub use event::event;
pub use items::items;
pub use request::request;

/// Panics where an input breaks what must hold.
pub type Check = fn(&[u8]);

/// Every target: its name, which is also its corpus' folder, and its check.
pub const TARGETS: [(&str, Check); 3] = [("event", event), ("request", request), ("items", items)];
