//! One test binary: the real servers are started once for all tests in it.

mod daemon;
mod exposition;
mod servers;

mod order;
mod watched;
