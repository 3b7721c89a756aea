//! The users' protocols against transcripts.

mod pop3;
mod pop3_driver;
