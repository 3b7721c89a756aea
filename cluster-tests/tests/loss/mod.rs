//! Nothing acknowledged is lost: clients under load while servers fail, and then the account of every message.
//!
//! `text` (what a message says), `ledger` (what was promised), `world` (what all clients share), `sender`
//! (SMTP), `imap` and `appender` (APPEND), `model` and `editor` (STORE, COPY, MOVE, EXPUNGE), `idler` (IDLE), `crowd` (all
//! of them), `audit` (what is there in the end). The tests: `kills` (one server), `cluster` and its `faults` (three).

mod appender;
mod audit;
mod cluster;
mod crowd;
mod editor;
mod faults;
mod idler;
mod imap;
mod kills;
mod ledger;
mod model;
mod sender;
mod text;
mod world;
