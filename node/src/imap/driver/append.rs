//! APPEND's message: decided about before it is sent, received under the node's octet budget, mended
//! (bare LF becomes CR LF), and handed to the command.

use bytes::{Buf as _, Bytes};
use sterna_gateway::net::Reservation;
use tokio::time::Instant;

use super::connection::{End, Link, bye};
use crate::imap::cmd;
use crate::imap::codec::command::AppendHead;
use crate::imap::codec::frame::{LiteralHead, literal_at_end};
use crate::imap::session::Stage;
use crate::imap::status::{CommandError, Kind, Status};
use crate::limits;

impl Link {
    pub(super) async fn append(
        &mut self,
        tag: &str,
        head: AppendHead,
        literal: LiteralHead,
    ) -> Result<(), End> {
        let admitted = match self.session.stage() {
            Stage::Greeted => Err(Status::bad("Log in first").into()),
            _ => cmd::admit_append(&mut self.call(tag), &head, literal).await,
        };
        let mailbox = match admitted {
            Ok(mailbox) => mailbox,
            Err(CommandError::Refused(status)) => {
                let is_bad = status.kind == Kind::Bad;
                self.refuse_literal(Some(tag), status, literal).await?;
                return if is_bad { self.count_error() } else { Ok(()) };
            }
            Err(error) => return self.conclude(tag, Err(error)),
        };
        if literal.synchronizing {
            self.output.extend_from_slice(b"+ Ready for the message\r\n");
        }
        self.flush().await?;
        let received = self.receive(literal).await?;
        if let Some(more) = self.skip_command().await? {
            return self.conclude(tag, Ok(more));
        }
        let (message, _held) = match received {
            Ok(received) => received,
            Err(status) => return self.conclude(tag, Ok(status)),
        };
        let outcome = cmd::append(&mut self.call(tag), mailbox, head, message).await;
        self.conclude(tag, outcome)
    }

    /// Reads the literal. What it holds of the budget grows with what has come, not with what was
    /// announced. If it cannot be held, it is read to its end all the same.
    async fn receive(&mut self, literal: LiteralHead) -> Result<Result<(Bytes, Reservation), Status>, End> {
        let total = usize::try_from(literal.octets).map_err(|_| bye("[TOOBIG] Literal too large"))?;
        let deadline = literal_deadline(literal.octets);
        let mut held = self.context.budget.empty();
        let mut message: Vec<u8> = Vec::new();
        while message.len() < total {
            if message.len() == message.capacity() {
                let capacity = (message.capacity() * 2).max(limits::IMAP_APPEND_STEP_OCTETS).min(total);
                if held.grow_to(capacity, limits::IMAP_BUDGET_PATIENCE).await.is_err() {
                    self.discard((total - message.len()) as u64, deadline).await?;
                    return Ok(Err(short_of_memory()));
                }
                message.reserve_exact(capacity - message.len());
            }
            if self.input.is_empty() {
                let pause = Instant::now() + limits::IMAP_LITERAL_PAUSE;
                self.fill(deadline.min(pause), false).await?;
            }
            let room = (message.capacity() - message.len()).min(total - message.len());
            let here = room.min(self.input.len());
            message.extend_from_slice(&self.input[..here]);
            self.input.advance(here);
        }
        if message.contains(&0) {
            // As a message it could not be read back: no literal of BODY[] has NUL (RFC 9051 §9, `CHAR8`).
            return Ok(Err(match literal.binary {
                true => Status::no("UNKNOWN-CTE", "Messages with NUL are not kept: encode them in base64"),
                false => Status::bad("NUL is allowed in a literal8 only"),
            }));
        }
        if literal.binary {
            return Ok(Ok((message.into(), held)));
        }
        let missing = bare_line_feeds(&message);
        if missing > 0 {
            let octets = message.len() * 2 + missing;
            if held.grow_to(octets, limits::IMAP_BUDGET_PATIENCE).await.is_err() {
                return Ok(Err(short_of_memory()));
            }
            message = with_line_ends(&message, missing);
            held.shrink_to(message.len());
        }
        Ok(Ok((message.into(), held)))
    }

    /// Answers a command that is refused at a literal. A client that waits for `+` sends no more of
    /// it; of any other the rest is read and dropped, or the connection closed over it (RFC 7888 §4).
    pub(super) async fn refuse_literal(
        &mut self,
        tag: Option<&str>,
        status: Status,
        literal: LiteralHead,
    ) -> Result<(), End> {
        if !literal.synchronizing {
            self.flush().await?;
            self.drop_literal(literal.octets).await?;
            self.skip_command().await?;
        }
        status.write(&mut self.output, tag.unwrap_or("*"));
        Ok(())
    }

    /// Reads to the end of a command after its literal. What is wrong if more came than that.
    async fn skip_command(&mut self) -> Result<Option<Status>, End> {
        let mut wrong = None;
        loop {
            let line = self.line().await?;
            if line.is_empty() && wrong.is_none() {
                return Ok(None);
            }
            wrong.get_or_insert_with(|| Status::bad("One message at a time"));
            match literal_at_end(&line) {
                Some(literal) if !literal.synchronizing => self.drop_literal(literal.octets).await?,
                _ => return Ok(wrong),
            }
        }
    }

    /// Reads and drops a literal. Who has not logged in gets no more time and octets for it than for
    /// any command.
    async fn drop_literal(&mut self, octets: u64) -> Result<(), End> {
        let (most, deadline) = match self.session.stage() {
            Stage::Greeted => (limits::IMAP_COMMAND_OCTETS_BEFORE_LOGIN as u64, self.command_deadline()),
            _ => (limits::IMAP_DISCARD_OCTETS, literal_deadline(octets)),
        };
        if octets > most {
            return Err(bye("[TOOBIG] Literal too large"));
        }
        self.discard(octets, deadline).await
    }
}

fn short_of_memory() -> Status {
    Status::no("UNAVAILABLE", "The server is short of memory; try again later")
}

/// By when a literal of that size must have come.
fn literal_deadline(octets: u64) -> Instant {
    let slowest = std::time::Duration::from_secs(octets / limits::IMAP_LITERAL_RATE);
    Instant::now() + limits::IMAP_LITERAL_PAUSE + slowest
}

/// How many LF have no CR before them.
fn bare_line_feeds(message: &[u8]) -> usize {
    let mut previous = 0;
    let mut bare = 0;
    for byte in message {
        bare += usize::from(*byte == b'\n' && previous != b'\r');
        previous = *byte;
    }
    bare
}

/// Puts a CR before each LF that has none; there are `missing` of them.
fn with_line_ends(message: &[u8], missing: usize) -> Vec<u8> {
    let mut mended = Vec::with_capacity(message.len() + missing);
    for line in message.split_inclusive(|byte| *byte == b'\n') {
        match line {
            [.., b'\r', b'\n'] => mended.extend_from_slice(line),
            [text @ .., b'\n'] => {
                mended.extend_from_slice(text);
                mended.extend_from_slice(b"\r\n");
            }
            rest => mended.extend_from_slice(rest),
        }
    }
    mended
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_ends_are_mended() {
        for (given, wanted) in [
            (&b"a\nb\r\n\nc"[..], &b"a\r\nb\r\n\r\nc"[..]),
            (b"\n", b"\r\n"),
            (b"a\rb\r\n", b"a\rb\r\n"),
            (b"", b""),
        ] {
            let missing = bare_line_feeds(given);
            let mended = with_line_ends(given, missing);
            assert_eq!(mended, wanted);
            assert_eq!(mended.len(), given.len() + missing);
            assert_eq!(bare_line_feeds(&mended), 0);
        }
    }
}
