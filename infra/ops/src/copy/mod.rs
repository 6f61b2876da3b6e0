//! The whole table as a file: written by `export`, put into a table by `import`.
//!
//! The file is gzip of lines of JSON: a header, which says of what table and when; then one
//! item a line; then a trailer, which counts the items and users and has the SHA-256 of all
//! lines before it. A file without its trailer is not whole.

pub mod export;
mod format;
pub mod import;
mod reader;
mod writer;

pub use format::Trailer;
