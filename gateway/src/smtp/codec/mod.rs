//! SMTP's syntax (RFC 5321 §4, §2.3; RFC 1870, 2033, 3030, 3461, 4954, 6531): octets to commands,
//! replies and message text, and back. No state of a dialogue.

pub mod command;
mod data;
pub mod parameter;
pub mod path;
mod reply;
mod reply_parser;

pub use command::{Command, SyntaxError};
pub use data::{DataDecoder, DataEncoder, LineEndings, TextFault};
pub use path::{ForwardPath, MailDomain, Mailbox, ReversePath};
pub use reply::{EnhancedCode, Reply};
pub use reply_parser::{PeerReply, ReplyError, ReplyParser};
