//! `sterna demo`: a server on loopback, with a certificate of its own and two accounts, shown at work and left
//! running to be tried. Reading order: [`run`] tells the story, the others stage it.

mod certificates;
mod client;
mod guide;
mod keys;
mod mail;
mod screen;
mod server;
mod stage;
mod story;

pub use story::{Arguments, run};
