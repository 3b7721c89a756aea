//! The users' protocols against transcripts.

mod pop3;
