//! A new connection, phase by phase.
