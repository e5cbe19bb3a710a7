//! One server's far end: words and wire.
//!
//! `handshake` is a new connection, phase by phase, for whoever wants to know how connecting goes. `session` is a
//! kept connection for whoever wants answers. Both fail with a `Failure`.

pub mod budget;
pub mod endpoint;
pub mod failure;
pub mod handshake;
pub mod rows;
pub mod server;
pub mod session;
