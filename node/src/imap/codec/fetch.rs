//! The syntax of FETCH: data items, sections and partials (RFC 9051 §9 `fetch`), CHANGEDSINCE (RFC 7162 §7).

use std::num::NonZeroU64;

use sterna_storage::types::ModSeq;

use super::command::{Fetch, FetchItem, Partial, Section, SectionName, SectionText};
use super::cursor::{Cursor, Parse, SyntaxError, is_atom_char};
use crate::limits;

impl Cursor<'_> {
    /// What follows `FETCH` and a space.
    pub(super) fn fetch(&mut self, uid: bool) -> Parse<Fetch> {
        let set = self.sequence_set()?;
        self.space()?;
        let mut items = Vec::new();
        if self.peek() == Some(b'(') {
            self.list(|cursor| {
                if items.len() >= limits::IMAP_FETCH_ITEMS {
                    return Err(SyntaxError("too many data items"));
                }
                cursor.fetch_item().map(|item| items.push(item))
            })?;
        } else {
            items = self.fetch_macro()?;
        }
        if items.is_empty() {
            return Err(SyntaxError("no data item named"));
        }
        let changed_since = if self.take(b' ') { self.fetch_modifiers()? } else { None };
        Ok(Fetch { set, uid, items, changed_since })
    }

    fn fetch_macro(&mut self) -> Parse<Vec<FetchItem>> {
        use FetchItem::{Envelope, Flags, InternalDate, Size};
        let mut after = self.clone();
        let word = after.take_while(|byte| byte.is_ascii_alphabetic()).to_ascii_uppercase();
        let items = match word.as_slice() {
            b"FAST" => vec![Flags, InternalDate, Size],
            b"ALL" => vec![Flags, InternalDate, Size, Envelope],
            b"FULL" => vec![Flags, InternalDate, Size, Envelope, FetchItem::Structure { extended: false }],
            _ => return Ok(vec![self.fetch_item()?]),
        };
        *self = after;
        Ok(items)
    }

    fn fetch_modifiers(&mut self) -> Parse<Option<ModSeq>> {
        let mut changed_since = None;
        self.list(|cursor| {
            if !cursor.take_word("CHANGEDSINCE ") {
                return Err(SyntaxError("unknown FETCH modifier"));
            }
            changed_since = Some(ModSeq(cursor.number64()?));
            Ok(())
        })?;
        Ok(changed_since)
    }

    fn fetch_item(&mut self) -> Parse<FetchItem> {
        let name = self.take_while(|byte| byte.is_ascii_alphanumeric() || byte == b'.').to_ascii_uppercase();
        let section = self.peek() == Some(b'[');
        Ok(match (name.as_slice(), section) {
            (b"UID", false) => FetchItem::Uid,
            (b"FLAGS", false) => FetchItem::Flags,
            (b"INTERNALDATE", false) => FetchItem::InternalDate,
            (b"RFC822.SIZE", false) => FetchItem::Size,
            (b"MODSEQ", false) => FetchItem::ModSeq,
            (b"ENVELOPE", false) => FetchItem::Envelope,
            (b"BODYSTRUCTURE", false) => FetchItem::Structure { extended: true },
            (b"BODY", false) => FetchItem::Structure { extended: false },
            (b"RFC822", false) => old_form(SectionName::Rfc822),
            (b"RFC822.HEADER", false) => old_form(SectionName::Rfc822Header),
            (b"RFC822.TEXT", false) => old_form(SectionName::Rfc822Text),
            (b"BODY", true) => self.body_section(false)?,
            (b"BODY.PEEK", true) => self.body_section(true)?,
            (b"BINARY", true) => self.binary(false)?,
            (b"BINARY.PEEK", true) => self.binary(true)?,
            (b"BINARY.SIZE", true) => FetchItem::BinarySize { part: self.section_binary()? },
            _ => return Err(SyntaxError("unknown FETCH data item")),
        })
    }

    fn body_section(&mut self, peek: bool) -> Parse<FetchItem> {
        let section = self.section()?;
        let partial = self.partial()?;
        Ok(FetchItem::Section { section, name: SectionName::Body, peek, partial })
    }

    fn binary(&mut self, peek: bool) -> Parse<FetchItem> {
        let part = self.section_binary()?;
        let partial = self.partial()?;
        Ok(FetchItem::Binary { part, peek, partial })
    }

    fn section_binary(&mut self) -> Parse<Vec<u32>> {
        self.expect(b'[', "a section expected")?;
        let part = self.section_part()?;
        self.expect(b']', "malformed part number")?;
        Ok(part)
    }

    /// `section-part`, or nothing.
    fn section_part(&mut self) -> Parse<Vec<u32>> {
        let mut part = Vec::new();
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            if part.len() >= limits::IMAP_PART_DEPTH {
                return Err(SyntaxError("part number too deep"));
            }
            part.push(self.nonzero()?.get());
            let mut after = self.clone();
            if !(after.take(b'.') && after.peek().is_some_and(|byte| byte.is_ascii_digit())) {
                break;
            }
            *self = after;
        }
        Ok(part)
    }

    fn section(&mut self) -> Parse<Section> {
        self.expect(b'[', "a section expected")?;
        let part = self.section_part()?;
        if self.take(b']') {
            return Ok(Section { part, text: None });
        }
        if !part.is_empty() {
            self.expect(b'.', "malformed part number")?;
        }
        let word = self.take_while(|byte| byte.is_ascii_alphabetic() || byte == b'.').to_ascii_uppercase();
        let text = match word.as_slice() {
            b"HEADER" => SectionText::Header,
            b"HEADER.FIELDS" => SectionText::Fields { names: self.header_list()?, not: false },
            b"HEADER.FIELDS.NOT" => SectionText::Fields { names: self.header_list()?, not: true },
            b"TEXT" => SectionText::Text,
            b"MIME" if !part.is_empty() => SectionText::Mime,
            _ => return Err(SyntaxError("unknown section")),
        };
        self.expect(b']', "section without ]")?;
        Ok(Section { part, text: Some(text) })
    }

    fn header_list(&mut self) -> Parse<Vec<String>> {
        self.space()?;
        let names = self.list(|cursor| {
            let name = cursor.astring()?;
            // `ftext` of RFC 5322 §3.6.8.
            match std::str::from_utf8(&name) {
                Ok(text) if text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':') => {
                    Ok(text.to_owned())
                }
                _ => Err(SyntaxError("not a header field name")),
            }
        })?;
        if names.is_empty() { Err(SyntaxError("no header field named")) } else { Ok(names) }
    }

    fn partial(&mut self) -> Parse<Option<Partial>> {
        if !self.take(b'<') {
            return Ok(None);
        }
        let offset = self.number64()?;
        self.expect(b'.', "a partial is <offset.length>")?;
        let length = NonZeroU64::new(self.number64()?).ok_or(SyntaxError("a partial of no octets"))?;
        self.expect(b'>', "a partial is <offset.length>")?;
        Ok(Some(Partial { offset, length }))
    }
}

/// RFC 3501 §6.4.5: RFC822 is BODY[], RFC822.HEADER is BODY.PEEK[HEADER], RFC822.TEXT is BODY[TEXT].
fn old_form(name: SectionName) -> FetchItem {
    let (text, peek) = match name {
        SectionName::Rfc822Header => (Some(SectionText::Header), true),
        SectionName::Rfc822Text => (Some(SectionText::Text), false),
        SectionName::Rfc822 | SectionName::Body => (None, false),
    };
    FetchItem::Section { section: Section { part: Vec::new(), text }, name, peek, partial: None }
}

impl Section {
    /// Appends what stands between the brackets, as it is returned to the client.
    pub fn write(&self, out: &mut Vec<u8>) {
        for (position, number) in self.part.iter().enumerate() {
            if position > 0 {
                out.push(b'.');
            }
            out.extend_from_slice(number.to_string().as_bytes());
        }
        let Some(text) = &self.text else { return };
        if !self.part.is_empty() {
            out.push(b'.');
        }
        match text {
            SectionText::Header => out.extend_from_slice(b"HEADER"),
            SectionText::Text => out.extend_from_slice(b"TEXT"),
            SectionText::Mime => out.extend_from_slice(b"MIME"),
            SectionText::Fields { names, not } => {
                out.extend_from_slice(if *not { b"HEADER.FIELDS.NOT (" } else { b"HEADER.FIELDS (" });
                write_names(out, names);
                out.push(b')');
            }
        }
    }
}

fn write_names(out: &mut Vec<u8>, names: &[String]) {
    for (position, name) in names.iter().enumerate() {
        if position > 0 {
            out.push(b' ');
        }
        // An unquoted `]` would be legal, and end the section for clients that look for the first one.
        if name.bytes().all(is_atom_char) && !name.is_empty() {
            out.extend_from_slice(name.as_bytes());
        } else {
            super::writer::string(out, name.as_bytes());
        }
    }
}
