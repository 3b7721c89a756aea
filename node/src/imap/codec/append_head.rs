//! APPEND's arguments before its message literal (RFC 9051 §9 `append`): read before the literal has
//! come, so that the message can be streamed apart from the command.

use super::command::AppendHead;
use super::cursor::{Cursor, Parse, SyntaxError};

impl Cursor<'_> {
    /// What stands between `APPEND` with its space and the literal. `None` if the text ends where
    /// the mailbox is expected: then the literal to come is the mailbox's name.
    pub(super) fn append_head(&mut self) -> Parse<Option<AppendHead>> {
        if self.is_at_end() {
            return Ok(None);
        }
        let mailbox = self.astring()?.into_owned();
        self.space()?;
        let mut head = AppendHead { mailbox, flags: Default::default(), internal_date: None };
        if self.peek() == Some(b'(') {
            head.flags = self.flags(false)?;
            self.space()?;
        }
        if self.peek() == Some(b'"') {
            head.internal_date = Some(self.date_time()?);
            self.space()?;
        }
        if self.is_at_end() {
            Ok(Some(head))
        } else {
            Err(SyntaxError("APPEND expects its message as a literal"))
        }
    }
}
