//! The local stack as its user meets it: the binary, its flags, its two sockets
//! and the ways in which it ends.

mod console;
mod door;
mod ends;
mod engine;
mod figures;
mod flags;
mod kills;
mod openapi;
mod secrets;
mod support;
mod tokens;
