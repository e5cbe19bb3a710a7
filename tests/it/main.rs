//! One test binary: the real servers are started once for all tests in it.

mod servers;
mod client;
mod exposition;
mod daemon;
mod incumbent;

mod order;
mod config;
mod golden;
mod login;
mod reasons;
mod watched;
