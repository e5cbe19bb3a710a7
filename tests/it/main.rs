//! The tests that need more than one file: real servers, real sockets.

mod servers;
mod client;
mod login;
mod reasons;
