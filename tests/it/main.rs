//! The tests that need more than one file: real servers, real sockets.

mod servers;
mod scripted;
mod client;
mod login;
mod reasons;
mod wire;
mod encrypted;
