//! The fuzz harness of tests/support, for the fuzz targets.

#![forbid(unsafe_code)]

#[path = "../support/event.rs"]
pub mod event;
#[path = "../support/fuzz/mod.rs"]
pub mod fuzz;
#[path = "../support/mock_http.rs"]
mod mock_http;
