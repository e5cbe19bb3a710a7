//! One test binary: the real servers are started once for all tests in it.

#![allow(clippy::print_stdout, reason = "tests say what they measured")]

mod network;
mod servers;
mod client;
mod scripted;
mod exposition;
mod daemon;
mod prometheus;
mod incumbent;
mod collectors;
mod burdened;
mod visits;
mod sessions;
mod grants;
mod queries;
mod many;

mod order;
mod config;
mod drop_in;
mod listening;
mod golden;
mod login;
mod passwords;
mod reasons;
mod wire;
mod encrypted;
mod pool;
mod canary;
mod watched;
mod faults;
mod ladder;
mod storm;
mod doors;
mod asked;
mod tuned;
mod scraped;
mod fleet;
mod findings;
mod hands;
mod page;
mod readme;
mod container;
mod control;
mod reload;
mod gate;
