//! IMAP's syntax: octets to [`command::Command`] values, and values to octets. No sockets, no mail store.

mod append_head;
pub mod command;
pub mod cursor;
pub mod date;
mod fetch;
pub mod frame;
mod list;
pub mod mailbox_name;
pub mod message_data;
pub mod parse;
mod search;
pub mod sequence_set;
pub mod writer;
