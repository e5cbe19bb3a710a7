//! One server's far end: words and wire.
//!
//! `handshake` is a new connection, phase by phase, for whoever wants to know how connecting goes. `session` is a
//! kept connection for whoever wants answers, `pool` keeps some of them as an application does. All fail with a
//! `Failure`; `errno` and `transport` make one of what a server, the system or the TLS library says. How the end of a
//! connection showed is a `signal`.

pub mod server;
pub mod rows;
pub mod endpoint;
pub mod pattern;
pub mod budget;
pub mod failure;
pub mod signal;
pub mod errno;
pub mod transport;
pub mod path;
pub mod handshake;
pub mod canary;
pub mod session;
pub mod pool;
