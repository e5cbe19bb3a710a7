//! One test binary: the real servers are started once for all tests in it.

mod servers;
mod scripted;
mod client;
mod exposition;
mod daemon;
mod incumbent;

mod order;
mod golden;
mod login;
mod reasons;
mod wire;
mod encrypted;
mod watched;
