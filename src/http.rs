//! The HTTP side: who may connect for how long, what answers on which path.
//!
//! Nothing here waits for a database: every answer is made from the board. What can make an answer late is the
//! client, so `connection` gives each step of it an end, and `accept` keeps a place free for the next one.
//!
//! `bind` first, so that a port that is taken ends the program before anything else has started; then `serve`.

mod handler;
pub mod families;
mod process;
mod listen;
mod answer;
mod life;
mod places;
mod state;
mod query;
mod reply;
mod scrape;
mod events;
mod page;
mod routes;
mod connection;
mod accept;
#[cfg(test)]
mod tests;

pub use accept::{Limits, serve};
pub use families::FAMILIES;
pub use listen::{BindError, Listener, bind};
pub use state::State;
