//! Integration tests of the mail edge, in one binary.

mod house;
mod queue_run;
mod smtp_delivery;
mod smtp_transcripts;
#[path = "../src/dns/test_zone.rs"]
mod test_zone;
