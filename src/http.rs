//! The HTTP side: who may connect for how long, what answers on which path.
//!
//! Nothing here waits for a database, `/probe` aside: every answer is made from the board. What can make an answer late is the
//! client, so `connection` gives each step of it an end, and `accept` keeps a place free for the next one. Whom to answer,
//! and whether by TLS, an operator says in a file that `guard` keeps in force.
//!
//! `client` is the other side: how a command asks a daemon that runs.
//!
//! `bind` first (or `passed` and `adopt`, where systemd has bound), so that a port that is taken ends the program before anything else has started; then `serve`.

mod handler;
pub mod families;
mod process;
mod stream;
mod unix;
mod systemd;
mod listen;
mod answer;
mod life;
mod wire;
mod places;
mod reply;
mod files;
mod web_config;
mod tls;
mod auth;
mod rate;
mod guard;
mod reload;
mod state;
mod query;
mod scrape;
mod visit;
mod discovery;
mod events;
mod lifecycle;
mod page;
mod routes;
mod opening;
mod connection;
mod accept;
mod client;
#[cfg(test)]
mod tests;

pub use accept::{Limits, serve};
pub use client::{Client, Response, Unanswered, encoded};
pub use families::FAMILIES;
pub use guard::Guard;
pub use listen::{BindError, ListenAddress, Listener, adopt, bind, bind_control};
pub use reload::{Reload, Reloaded, reloads};
pub use state::State;
pub use systemd::{NotPassed, Passed, is_passed, passed};
