//! IMAP4rev2 and IMAP4rev1: codec, session, driver, commands.

pub mod codec;
