//! What a session asks of its driver, and what the driver may answer.

use sterna_gateway::login::sasl::Credentials;
use sterna_storage::types::{Uid, UidSet};

/// What the driver does next. Replies are in the output already and are written out when the driver
/// has no further line, or before anything that takes time.
#[derive(Debug)]
pub enum Step {
    /// Go on with the next line.
    Continue,
    /// Write the output, drop all input received so far, do the TLS handshake, then call
    /// [`Session::secured`](super::Session::secured).
    StartTls,
    /// Check the credentials, lock and open the maildrop, then call
    /// [`Session::opened`](super::Session::opened) or [`Session::refused`](super::Session::refused).
    LogIn(Credentials),
    /// Call [`Session::list`](super::Session::list) until it has no more, writing the output between.
    List(Listing),
    /// Stream a message: [`Session::message_follows`](super::Session::message_follows), then its stuffed octets;
    /// or [`Session::retrieval_failed`](super::Session::retrieval_failed).
    Retrieve(Retrieval),
    /// Remove these messages, then call [`Session::updated`](super::Session::updated).
    Update(UidSet),
    /// Write the output and close.
    Close,
}

/// Why the maildrop was not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoginRefusal {
    /// Wrong name or password, or an account that may not log in.
    Invalid,
    /// Too many failures; to be tried again later.
    Throttled,
    /// Another session has the maildrop.
    InUse,
    /// Trouble of ours that passes.
    Unavailable,
}

/// A LIST or UIDL under way.
#[derive(Debug)]
pub struct Listing {
    pub(in crate::pop3) kind: ListingKind,
    // The next message-number to look at.
    pub(in crate::pop3) next: u32,
}

/// What a listing says of each message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::pop3) enum ListingKind {
    Sizes,
    UniqueIds,
}

/// A RETR or TOP under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retrieval {
    /// The message in INBOX.
    pub uid: Uid,
    /// Its size in octets.
    pub size_octets: u64,
    /// For TOP: how many lines of the body.
    pub body_lines: Option<u64>,
}
