//! What became of a test.

use std::time::Duration;

use super::canary::{CanaryId, Role};
use crate::mysql::signal::Signal;

/// How a test of the ladder ended; the label `result` of `mysql_conn_idle_tests_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TestResult {
    Survived,
    /// Idleness ended the connection: it found the limit. No loss.
    Lost,
    /// An outage, or something else that is not idleness, spoilt the test.
    Void,
}

impl TestResult {
    pub const ALL: [TestResult; 3] = [TestResult::Survived, TestResult::Lost, TestResult::Void];

    pub fn label(self) -> &'static str {
        match self {
            TestResult::Survived => "survived",
            TestResult::Lost => "lost",
            TestResult::Void => "void",
        }
    }
}

/// One test that is decided. Of a death that may be some time after it: it wants to be confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tested {
    pub result: TestResult,
    pub id: CanaryId,
    pub role: Role,
    /// The rest at its end.
    pub age: Duration,
    /// How it ended, if it did. A `Void` with a signal is a loss like any other connection's.
    pub signal: Option<Signal>,
}
