//! The tests that need more than one file: goldens, and the program against real servers.

mod golden;
mod incumbent;
