//! `kill -9` again and again under load, and then the account of every message.
//!
//! `text` (what a message says), `ledger` (what was promised), `world` (what all clients share), `sender`
//! (SMTP), `imap` and `appender` (APPEND), `model` and `editor` (STORE, COPY, MOVE, EXPUNGE), `audit` (what is
//! there in the end), `run` (the test).

mod appender;
mod audit;
mod editor;
mod imap;
mod ledger;
mod model;
mod run;
mod sender;
mod text;
mod world;
