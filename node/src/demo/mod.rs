//! `sterna demo`: a server on loopback, or a cluster of three, with a certificate of its own and two accounts, shown at
//! work and left running to be tried. Reading order: [`run`] and `cluster` tell the stories, the others stage them.

mod bucket;
mod certificates;
mod client;
mod cluster;
mod guide;
mod keys;
mod mail;
mod screen;
mod server;
mod stage;
mod story;

pub use story::{Arguments, run};
