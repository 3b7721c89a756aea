//! What the machine tells of itself and of the processes on it, all read from `/proc`.

pub(crate) mod disk;
pub(crate) mod meter;
pub(crate) mod process;
