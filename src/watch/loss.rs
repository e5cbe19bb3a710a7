//! Why an established connection was lost: evidence in, one cause out.
//!
//! Nothing here asks anything or knows the time. Whoever noticed the loss fills in an `Evidence`, with "not asked"
//! where that is so; `judge` puts the questions to it in a fixed order and answers with the first cause that holds, or
//! that it is too early to say. What is too early waits in the `Ledger` and is booked once.

pub mod cause;
pub mod evidence;
mod judge;
pub mod ledger;
pub mod families;

#[cfg(test)]
mod tests;

pub use cause::{Cause, Confidence, Source, Verdict};
pub use evidence::{
    Attempts, Evidence, Fresh, Identity, IdleTransactionTimeouts, Incarnation, Kills, Ladder, Path, Rest, Thread,
    Transaction,
};
pub use judge::judge;
pub use ledger::{Booked, Held, Ledger};
