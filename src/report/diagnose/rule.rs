//! What a rule is: facts in, a finding out, if there is one.

use super::facts::Facts;
use crate::watch::finding::{Finding, Severity};

/// One thing that can be wrong with a target.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// The value of the label `finding`.
    pub name: &'static str,
    /// One line for the README: when it speaks.
    pub summary: &'static str,
    /// How bad it can be.
    pub severities: &'static [Severity],
    pub(super) judge: fn(&Facts) -> Option<Finding>,
}
