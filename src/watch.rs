//! One task a target, and what it learns.

pub mod board;
pub mod snapshot;
