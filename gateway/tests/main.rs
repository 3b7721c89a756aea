//! Integration tests of the mail edge, in one binary.

mod smtp_transcripts;
