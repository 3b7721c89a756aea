//! The syntax of LIST and STATUS (RFC 9051 §9; RFC 5258 §6, RFC 5819, RFC 6154).

use super::command::{List, ListReturn, ListSelection, StatusItem};
use super::cursor::{Cursor, Parse, SyntaxError};
use crate::limits;

impl Cursor<'_> {
    /// What follows `LIST` and a space.
    pub(super) fn list_command(&mut self) -> Parse<List> {
        let mut list = List::default();
        if self.peek() == Some(b'(') {
            list.extended = true;
            list.select = self.list_selection()?;
            self.space()?;
        }
        list.reference = self.astring()?.into_owned();
        self.space()?;
        if self.peek() == Some(b'(') {
            list.extended = true;
            list.patterns = self.list(|cursor| cursor.list_mailbox().map(std::borrow::Cow::into_owned))?;
            if list.patterns.is_empty() || list.patterns.len() > limits::IMAP_LIST_PATTERNS {
                return Err(SyntaxError("too few or too many patterns"));
            }
        } else {
            list.patterns.push(self.list_mailbox()?.into_owned());
        }
        if self.take_word(" RETURN ") {
            list.extended = true;
            list.returns = self.list_return()?;
        }
        Ok(list)
    }

    fn list_selection(&mut self) -> Parse<ListSelection> {
        let mut select = ListSelection::default();
        self.list(|cursor| {
            match cursor.word()?.as_str() {
                "SUBSCRIBED" => select.subscribed = true,
                "RECURSIVEMATCH" => select.recursive_match = true,
                "SPECIAL-USE" => select.special_use = true,
                // There are no remote mailboxes to add.
                "REMOTE" => {}
                _ => return Err(SyntaxError("unknown LIST selection option")),
            }
            Ok(())
        })?;
        // RFC 5258 §3.1: RECURSIVEMATCH modifies another option and must not stand alone.
        if select.recursive_match && !select.subscribed && !select.special_use {
            return Err(SyntaxError("RECURSIVEMATCH needs a selection option to modify"));
        }
        Ok(select)
    }

    fn list_return(&mut self) -> Parse<ListReturn> {
        let mut returns = ListReturn::default();
        self.list(|cursor| {
            match cursor.word()?.as_str() {
                "SUBSCRIBED" => returns.subscribed = true,
                "CHILDREN" => returns.children = true,
                "SPECIAL-USE" => returns.special_use = true,
                "STATUS" => {
                    cursor.space()?;
                    returns.status = cursor.status_items()?;
                }
                _ => return Err(SyntaxError("unknown LIST return option")),
            }
            Ok(())
        })?;
        Ok(returns)
    }

    /// `( status-att … )`.
    pub(super) fn status_items(&mut self) -> Parse<Vec<StatusItem>> {
        let mut items = Vec::new();
        self.list(|cursor| {
            let item = match cursor.word()?.as_str() {
                "MESSAGES" => StatusItem::Messages,
                "RECENT" => StatusItem::Recent,
                "UIDNEXT" => StatusItem::UidNext,
                "UIDVALIDITY" => StatusItem::UidValidity,
                "UNSEEN" => StatusItem::Unseen,
                "DELETED" => StatusItem::Deleted,
                "SIZE" => StatusItem::Size,
                "HIGHESTMODSEQ" => StatusItem::HighestModSeq,
                "APPENDLIMIT" => StatusItem::AppendLimit,
                _ => return Err(SyntaxError("unknown STATUS item")),
            };
            if !items.contains(&item) {
                items.push(item);
            }
            Ok(())
        })?;
        if items.is_empty() { Err(SyntaxError("no STATUS item named")) } else { Ok(items) }
    }
}
