//! POP3: RFC 1939 with CAPA and response codes (RFC 2449), STLS (RFC 2595), AUTH-RESP-CODE (RFC 3206)
//! and AUTH (RFC 5034). It reads INBOX and changes nothing but what was deleted, and that at QUIT.

pub mod codec;
mod driver;
mod inbox;
pub mod lock;
pub mod maildrop;
pub mod session;

mod cmd;

pub use driver::{Runtime, serve};
