//! What the server can be asked: one file a collector.
