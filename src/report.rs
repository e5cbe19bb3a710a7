//! What people are told.
//!
//! Nothing here asks a database: it judges what `watch` has put on the board, for the HTTP side and the command
//! line alike.

pub mod assets;
pub mod diagnose;
pub mod judge;
pub mod health;
pub mod sizing;
pub mod picture;

use crate::metrics::Family;

/// Every family of this room.
pub static FAMILIES: &[&[&Family]] = &[diagnose::FAMILIES];
