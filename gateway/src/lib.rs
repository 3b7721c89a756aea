//! The mail edge: SMTP in and out, message structure, DNS, delivery and queue runs. It knows nothing
//! of IMAP, POP3 or HTTP.

pub mod deliver;
pub mod dns;
pub mod limits;
pub mod login;
pub mod message;
pub mod mx;
pub mod net;
pub mod outbound;
pub mod queue;
pub mod smtp;
pub mod submission;
