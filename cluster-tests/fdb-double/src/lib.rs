//! A stand-in for FoundationDB's client library in tests: the C functions that its bindings call, over a store in
//! memory that does what we take a cluster to do. It has been compared with none (`docs/foundationdb.md`).
//!
//! It is loaded in the real library's place, by path. Each `description:id` of a cluster file is a
//! database of its own, shared by all of the process that open it and gone with the process. What goes wrong on purpose is
//! said in the cluster file too, in a comment that a real client passes over ([`control`]), and may be
//! changed there at any time.
//!
//! Reading order: [`history`] (versions, conflicts) with [`atomic`], [`overlay`] and [`view`] (what a
//! transaction sees), [`cluster`] (commits, watches), [`transaction`], [`network`] and [`future`] (when things
//! happen), [`c`] (the functions). Nothing here is shared with the engine that it tests.

mod atomic;
mod c;
mod cluster;
mod control;
mod errors;
mod future;
mod history;
mod network;
mod options;
mod overlay;
mod transaction;
mod view;
