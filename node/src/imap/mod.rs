//! IMAP4rev2 and IMAP4rev1 (RFC 9051, RFC 3501) with the extensions that `session::capability`
//! announces.
//!
//! In reading order: `codec` (octets to commands and back), `session` (what a client may do and has
//! been told), `cmd` (what each command does), `driver` (the socket), `status` (how commands end).

mod cmd;
pub mod codec;
mod config;
mod context;
mod driver;
pub mod session;
pub mod status;

pub use config::ImapConfig;
pub use context::ImapContext;
pub use driver::serve;
