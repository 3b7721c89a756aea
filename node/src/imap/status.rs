//! How a command ends: its status response, and the one place where errors of the floors below
//! become `NO` and `BAD` (RFC 5530).

use std::borrow::Cow;
use std::io;

use sterna_storage::Error;

use super::codec::cursor::SyntaxError;
use super::codec::writer;

/// `OK`, `NO` or `BAD` with its code and text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Which of the three.
    pub kind: Kind,
    /// What stands between the brackets.
    pub code: Option<Cow<'static, str>>,
    /// For people.
    pub text: Cow<'static, str>,
}

/// The outcome of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Done.
    Ok,
    /// Not done.
    No,
    /// Not understood, or not allowed now.
    Bad,
}

impl Status {
    /// `OK`.
    pub fn ok(text: &'static str) -> Self {
        Self { kind: Kind::Ok, code: None, text: text.into() }
    }

    /// `OK` with a code.
    pub fn ok_with(code: impl Into<Cow<'static, str>>, text: &'static str) -> Self {
        Self { kind: Kind::Ok, code: Some(code.into()), text: text.into() }
    }

    /// `NO` with a code.
    pub fn no(code: impl Into<Cow<'static, str>>, text: impl Into<Cow<'static, str>>) -> Self {
        Self { kind: Kind::No, code: Some(code.into()), text: text.into() }
    }

    /// `BAD`.
    pub fn bad(text: impl Into<Cow<'static, str>>) -> Self {
        Self { kind: Kind::Bad, code: None, text: text.into() }
    }

    /// Appends the tagged response.
    pub fn write(&self, out: &mut Vec<u8>, tag: &str) {
        out.extend_from_slice(tag.as_bytes());
        out.extend_from_slice(match self.kind {
            Kind::Ok => b" OK ",
            Kind::No => b" NO ",
            Kind::Bad => b" BAD ",
        });
        if let Some(code) = &self.code {
            out.push(b'[');
            out.extend_from_slice(code.as_bytes());
            out.extend_from_slice(b"] ");
        }
        writer::human(out, &self.text);
        out.extend_from_slice(b"\r\n");
    }
}

/// Why a command did not come to its end.
#[derive(Debug)]
pub enum CommandError {
    /// The connection is gone or must go: nothing more can be said.
    Connection(io::Error),
    /// What the client is told.
    Refused(Status),
    /// The session cannot go on: the client is told `BYE` with this text.
    Bye(&'static str),
}

/// The result of a command.
pub type Outcome<T = Status> = Result<T, CommandError>;

impl From<io::Error> for CommandError {
    fn from(error: io::Error) -> Self {
        Self::Connection(error)
    }
}

impl From<Status> for CommandError {
    fn from(status: Status) -> Self {
        Self::Refused(status)
    }
}

impl From<SyntaxError> for CommandError {
    fn from(error: SyntaxError) -> Self {
        Self::Refused(Status::bad(error.0))
    }
}

impl From<Error> for CommandError {
    fn from(error: Error) -> Self {
        Self::Refused(refusal(&error))
    }
}

/// What a client is told of an error below: generic where it is ours. The detail goes to the log.
pub fn refusal(error: &Error) -> Status {
    match error {
        Error::NotFound(_) => Status::no("NONEXISTENT", "No such mailbox or message"),
        Error::Exists(_) => Status::no("ALREADYEXISTS", "It exists already"),
        Error::Invalid(why) => Status::no("CANNOT", why.to_string()),
        Error::OverQuota(_) => Status::no("OVERQUOTA", "Over quota"),
        Error::TooLarge(why) => {
            tracing::info!(%error, "a command passed a limit");
            Status::no("LIMIT", why.to_string())
        }
        Error::Corrupt(_) => {
            tracing::error!(%error, "corrupt data met by an IMAP command");
            Status::no("CORRUPTION", "The server's data is damaged; the administrator has been told")
        }
        _ if error.is_temporary() => {
            tracing::warn!(%error, "an IMAP command could not be carried out now");
            Status::no("UNAVAILABLE", "Not possible at the moment; try again later")
        }
        _ => {
            tracing::error!(%error, "an IMAP command failed");
            Status::no("SERVERBUG", "Internal error")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_on_the_wire() {
        let mut out = Vec::new();
        Status::no("OVERQUOTA", "one\r\ntwo").write(&mut out, "a1");
        Status::ok("done").write(&mut out, "a2");
        assert_eq!(out, b"a1 NO [OVERQUOTA] one??two\r\na2 OK done\r\n");
    }

    #[test]
    fn temporary_errors_may_be_tried_again() {
        for error in [Error::Conflict, Error::Closed, Error::Overloaded("x".into()), Error::CommitUnknown] {
            assert_eq!(refusal(&error).code.as_deref(), Some("UNAVAILABLE"));
        }
        assert_eq!(refusal(&Error::OverQuota("x".into())).code.as_deref(), Some("OVERQUOTA"));
    }
}
