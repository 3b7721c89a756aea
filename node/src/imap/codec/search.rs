//! The syntax of SEARCH (RFC 9051 §9 `search`; RETURN: RFC 4731, RFC 5182; MODSEQ: RFC 7162 §7).

use sterna_storage::types::{ModSeq, SystemFlag};

use super::command::{Search, SearchKey, SearchReturn};
use super::cursor::{Cursor, Parse, SyntaxError};
use crate::limits;

impl Cursor<'_> {
    /// What follows `SEARCH` and a space.
    pub(super) fn search(&mut self, uid: bool) -> Parse<Search> {
        let mut returns = None;
        if self.take_word("RETURN ") {
            returns = Some(self.search_return()?);
            self.space()?;
        }
        let mut charset = None;
        if self.take_word("CHARSET ") {
            charset = Some(self.text()?.to_ascii_uppercase());
            self.space()?;
        }
        let mut keys = vec![self.search_key(0)?];
        while self.take(b' ') {
            keys.push(self.search_key(0)?);
        }
        let key = if keys.len() == 1 { keys.remove(0) } else { SearchKey::And(keys) };
        Ok(Search { uid, returns, charset, key })
    }

    fn search_return(&mut self) -> Parse<SearchReturn> {
        let mut returns = SearchReturn::default();
        self.list(|cursor| {
            match cursor.word()?.as_str() {
                "MIN" => returns.min = true,
                "MAX" => returns.max = true,
                "ALL" => returns.all = true,
                "COUNT" => returns.count = true,
                "SAVE" => returns.save = true,
                _ => return Err(SyntaxError("unknown search return option")),
            }
            Ok(())
        })?;
        // RFC 4731 §3.1: an empty list asks for ALL.
        returns.all |= returns == SearchReturn::default();
        Ok(returns)
    }

    fn search_key(&mut self, depth: usize) -> Parse<SearchKey> {
        if depth > limits::IMAP_SEARCH_DEPTH {
            return Err(SyntaxError("search keys nested too deeply"));
        }
        match self.peek() {
            Some(b'(') => {
                let keys = self.list(|cursor| cursor.search_key(depth + 1))?;
                return if keys.is_empty() {
                    Err(SyntaxError("empty search key"))
                } else {
                    Ok(SearchKey::And(keys))
                };
            }
            Some(b'$' | b'*' | b'0'..=b'9') => return self.sequence_set().map(SearchKey::Sequence),
            _ => {}
        }
        let word = self.word()?;
        if let Some(key) = simple_key(&word) {
            return Ok(key);
        }
        self.expect(b' ', "unknown search key, or one without its argument")?;
        self.search_key_with_argument(&word, depth)
    }

    fn search_key_with_argument(&mut self, word: &str, depth: usize) -> Parse<SearchKey> {
        Ok(match word {
            "NOT" => not(self.search_key(depth + 1)?),
            "OR" => {
                let left = self.search_key(depth + 1)?;
                self.space()?;
                SearchKey::Or(Box::new(left), Box::new(self.search_key(depth + 1)?))
            }
            "UID" => SearchKey::Uid(self.sequence_set()?),
            "KEYWORD" => SearchKey::Keyword(self.keyword()?),
            "UNKEYWORD" => not(SearchKey::Keyword(self.keyword()?)),
            "FROM" | "TO" | "CC" | "BCC" | "SUBJECT" => {
                SearchKey::Header { name: word.to_ascii_lowercase(), text: self.search_text()? }
            }
            "HEADER" => {
                let name = self.text()?.to_ascii_lowercase();
                self.space()?;
                SearchKey::Header { name, text: self.search_text()? }
            }
            "BODY" => SearchKey::Body(self.search_text()?),
            "TEXT" => SearchKey::Text(self.search_text()?),
            "BEFORE" => SearchKey::Before(self.date()?),
            "ON" => SearchKey::On(self.date()?),
            "SINCE" => SearchKey::Since(self.date()?),
            "SENTBEFORE" => SearchKey::SentBefore(self.date()?),
            "SENTON" => SearchKey::SentOn(self.date()?),
            "SENTSINCE" => SearchKey::SentSince(self.date()?),
            "LARGER" => SearchKey::Larger(self.number64()?),
            "SMALLER" => SearchKey::Smaller(self.number64()?),
            "MODSEQ" => self.search_modseq()?,
            _ => return Err(SyntaxError("unknown search key")),
        })
    }

    fn search_text(&mut self) -> Parse<Vec<u8>> {
        self.astring().map(std::borrow::Cow::into_owned)
    }

    /// `MODSEQ [entry-name entry-type] value`: with one MODSEQ per message, the entry is to be ignored.
    fn search_modseq(&mut self) -> Parse<SearchKey> {
        if self.peek() == Some(b'"') {
            self.string()?;
            self.space()?;
            if !["PRIV", "SHARED", "ALL"].contains(&self.word()?.as_str()) {
                return Err(SyntaxError("unknown entry type"));
            }
            self.space()?;
        }
        Ok(SearchKey::ModSeq(ModSeq(self.number64()?)))
    }
}

fn not(key: SearchKey) -> SearchKey {
    SearchKey::Not(Box::new(key))
}

fn simple_key(word: &str) -> Option<SearchKey> {
    let flag = SearchKey::System;
    Some(match word {
        "ALL" => SearchKey::All,
        "ANSWERED" => flag(SystemFlag::Answered),
        "DELETED" => flag(SystemFlag::Deleted),
        "DRAFT" => flag(SystemFlag::Draft),
        "FLAGGED" => flag(SystemFlag::Flagged),
        "SEEN" => flag(SystemFlag::Seen),
        "UNANSWERED" => not(flag(SystemFlag::Answered)),
        "UNDELETED" => not(flag(SystemFlag::Deleted)),
        "UNDRAFT" => not(flag(SystemFlag::Draft)),
        "UNFLAGGED" => not(flag(SystemFlag::Flagged)),
        "UNSEEN" => not(flag(SystemFlag::Seen)),
        "RECENT" => SearchKey::Recent,
        "OLD" => not(SearchKey::Recent),
        "NEW" => SearchKey::And(vec![SearchKey::Recent, not(flag(SystemFlag::Seen))]),
        _ => return None,
    })
}
