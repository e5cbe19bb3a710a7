//! What the settings of a query of the operator's own may be: its statement, its names, its servers.

pub(super) mod names;
pub(super) mod servers;
pub(super) mod statement;
