//! Integration tests of the mail edge, in one binary.

mod house;
mod smtp_delivery;
mod smtp_transcripts;
