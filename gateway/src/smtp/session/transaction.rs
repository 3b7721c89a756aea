//! What a mail transaction has gathered (RFC 5321 §3.3).

use super::super::codec::parameter::{MailParameters, RcptParameters};
use super::super::codec::{ForwardPath, ReversePath};

/// How the client introduced itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// The name it gave: printable ASCII without spaces, otherwise unchecked.
    pub name: String,
    /// By EHLO or LHLO, so that extensions may be used.
    pub extended: bool,
}

/// From MAIL to the end of DATA. `A` is what the policy wants to remember of each recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction<A> {
    /// The reverse-path.
    pub sender: ReversePath,
    /// MAIL's parameters.
    pub parameters: MailParameters,
    /// The recipients that were accepted, in order.
    pub recipients: Vec<Recipient<A>>,
}

/// A recipient that was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient<A> {
    /// As the client gave it.
    pub path: ForwardPath,
    /// RCPT's parameters.
    pub parameters: RcptParameters,
    /// What the policy knows of it.
    pub admission: A,
}

/// A recipient that the policy is asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// As the client gave it.
    pub path: ForwardPath,
    /// RCPT's parameters.
    pub parameters: RcptParameters,
}

/// A message that was received whole.
#[derive(Debug)]
pub struct Incoming<A> {
    /// Its envelope; at least one recipient.
    pub transaction: Transaction<A>,
    /// Its octets: lines end in CRLF, no bare CR or LF, no NUL.
    pub message: Vec<u8>,
    /// Who brought it.
    pub hello: Hello,
    /// The protocol for the trace header (RFC 3848, RFC 6531 §4.3): `ESMTPSA` and the like.
    pub protocol: &'static str,
}
