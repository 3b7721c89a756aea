//! A disk under the server's feet whose power can be cut, that can be full, and that can fail: a file system in
//! memory, mounted by FUSE and served from the test's own process, with the program under test in another.
//!
//! Reading order: `volume` (files and folders, and what of each is durable), `power_loss` (what a cut leaves), `plan`
//! (what shall go wrong, and when), `mount` (the kernel's requests), `disk` (what a test holds in its hand).

mod disk;
mod mount;
mod plan;
mod power_loss;
mod volume;

pub use disk::{Disk, Tally};
pub use plan::{Action, Failure, Fault, Plan};
