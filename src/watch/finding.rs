//! A finding: what was judged to be wrong with a target, and what to do about it, ready to be told.
//!
//! Here is only what one is, so that it can lie on the board beside what it was made from. Judging is `report`'s.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// How bad it is, from least to worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing; nobody suffers yet.
    Info,
    /// Clients lose connections, or will.
    Warning,
    /// Clients cannot connect, or soon cannot.
    Critical,
}

impl Severity {
    /// The value of the label `severity`.
    pub fn label(self) -> &'static str {
        match self {
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::Critical => "critical",
        }
    }
}

/// One thing that is wrong with a target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The value of the label `finding`.
    pub name: Cow<'static, str>,
    pub severity: Severity,
    /// What is wrong, in one line.
    pub title: String,
    /// What was seen: values with their units.
    pub seen: String,
    /// Why it matters.
    pub why: String,
    /// What to change; each of them is a way of its own.
    pub changes: Vec<Change>,
    /// How to see that it is gone.
    pub verify: String,
}

/// One way out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    pub what: String,
    /// Statements for an administrator of the server, to be run as they stand.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sql: Vec<String>,
    /// Lines for the section `[mysqld]` of the server's configuration.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub my_cnf: Vec<String>,
    /// Whether those lines need a restart: there is no statement that does the same.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub restart: bool,
    /// The same in the words of libraries that keep pools, one line each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pool: Vec<String>,
}

impl Finding {
    pub fn new(name: &'static str, severity: Severity, title: impl Into<String>) -> Finding {
        Finding {
            name: Cow::Borrowed(name),
            severity,
            title: title.into(),
            seen: String::new(),
            why: String::new(),
            changes: Vec::new(),
            verify: String::new(),
        }
    }

    pub fn seen(self, seen: impl Into<String>) -> Finding {
        Finding { seen: seen.into(), ..self }
    }

    pub fn why(self, why: impl Into<String>) -> Finding {
        Finding { why: why.into(), ..self }
    }

    pub fn change(mut self, change: Change) -> Finding {
        self.changes.push(change);
        self
    }

    pub fn verify(self, verify: impl Into<String>) -> Finding {
        Finding { verify: verify.into(), ..self }
    }
}

impl Change {
    pub fn new(what: impl Into<String>) -> Change {
        Change { what: what.into(), ..Change::default() }
    }

    pub fn sql(mut self, statement: impl Into<String>) -> Change {
        self.sql.push(statement.into());
        self
    }

    /// A setting of the server that can be changed while it runs, and is kept over a restart by the line.
    pub fn set(self, variable: &str, value: impl std::fmt::Display) -> Change {
        self.sql(format!("SET GLOBAL {variable} = {value};")).line(format!("{variable} = {value}"))
    }

    pub fn line(mut self, line: impl Into<String>) -> Change {
        self.my_cnf.push(line.into());
        self
    }

    /// A setting of the server that takes a restart.
    pub fn restart(self, variable: &str, value: impl std::fmt::Display) -> Change {
        Change { restart: true, ..self.line(format!("{variable} = {value}")) }
    }

    pub fn pool(self, lines: Vec<String>) -> Change {
        Change { pool: lines, ..self }
    }
}
