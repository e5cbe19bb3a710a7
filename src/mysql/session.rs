//! A kept connection.
