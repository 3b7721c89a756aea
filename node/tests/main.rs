//! The users' protocols against transcripts.

mod imap;
mod pop3;
mod pop3_driver;
