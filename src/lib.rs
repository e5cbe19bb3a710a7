//! goneaway watches MySQL and MariaDB servers the way an application uses them.
//!
//! The rooms, in the order of the law: each may name only those listed above it, and within a room each file only
//! those listed above it in the room's root file. `tests/it/order.rs` reads these lists and names every breach.

pub mod config;
pub mod metrics;
pub mod mysql;
pub mod collect;
pub mod watch;
pub mod report;
pub mod http;
pub mod cli;
