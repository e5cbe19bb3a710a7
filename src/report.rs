//! What people are told.
//!
//! Nothing here asks a database: it judges what `watch` has put on the board, for the HTTP side and the command
//! line alike.

pub mod assets;
pub mod health;
