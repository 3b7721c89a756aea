//! Whole servers of the real binary, real clients, and what goes wrong between them.
//!
//! Nothing here shares a parser with the server: other people's programs speak to it, and where none does what a
//! test needs, [`wire`] moves plain lines. A failure panics with the place and the server's log.

pub mod binary;
pub mod certificates;
pub mod console;
pub mod crowd;
pub mod dialogue;
pub mod dns;
pub mod faulty_disk;
pub mod host;
pub mod neighbour;
pub mod network;
pub mod process;
pub mod s3;
pub mod sink;
pub mod sterna;
pub mod tools;
pub mod trio;
pub mod victim;
pub mod wall_clock;
pub mod wire;
