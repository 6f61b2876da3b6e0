//! Copies of the whole table: `export` writes a file, `import` writes its items to a table.
//!
//! The file is gzip of JSON lines: a header with the table and the time, one item a line, and
//! a trailer with the numbers of items and users and the SHA-256 of all lines before it. A
//! file without its trailer is truncated.

pub mod export;
mod format;
pub mod import;
mod reader;
mod writer;

pub use format::Trailer;
