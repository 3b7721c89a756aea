//! The real binary under real clients.

mod restart;
