//! The whole table as a file: written by `export`, put into a table by `import`.
//!
//! The file is gzip of lines of JSON: a head, which says of what table and when; then one
//! item a line; then a foot, which counts the items and users and has the SHA-256 of all
//! lines before it. A file without its foot is not whole.

pub mod export;
mod file;
pub mod import;
mod reader;
mod writer;

pub use file::Foot;
