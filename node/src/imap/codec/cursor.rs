//! The tokens of IMAP (RFC 9051 §9) read from one whole command: its lines and literals in one
//! slice, without the final CRLF. Case does not matter in words; exactly one space stands between tokens.

use std::borrow::Cow;
use std::num::NonZeroU32;

use sterna_storage::types::{Flags, Keyword, SystemFlag};

use super::sequence_set::{SequenceNumber, SequenceSet};

/// What is wrong with a command, in words for the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SyntaxError(pub &'static str);

/// The result of reading a token.
pub type Parse<T> = Result<T, SyntaxError>;

/// A position in a command.
#[derive(Debug, Clone)]
pub struct Cursor<'a> {
    input: &'a [u8],
    at: usize,
}

/// `ATOM-CHAR`.
pub fn is_atom_char(byte: u8) -> bool {
    is_astring_char(byte) && byte != b']'
}

/// `ASTRING-CHAR`.
pub fn is_astring_char(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"(){%*\"\\".contains(&byte)
}

fn is_list_char(byte: u8) -> bool {
    // 8-bit octets are allowed beyond the grammar: UTF-8 names under IMAP4rev2 in unquoted form.
    is_astring_char(byte) || matches!(byte, b'%' | b'*') || byte >= 0x80
}

impl<'a> Cursor<'a> {
    /// At the start of `input`.
    pub fn new(input: &'a [u8]) -> Self {
        Self { input, at: 0 }
    }

    /// What has not been read.
    pub fn rest(&self) -> &'a [u8] {
        &self.input[self.at..]
    }

    /// Whether nothing is left.
    pub fn is_at_end(&self) -> bool {
        self.at >= self.input.len()
    }

    /// The next octet, not taken.
    pub fn peek(&self) -> Option<u8> {
        self.input.get(self.at).copied()
    }

    /// Nothing may follow.
    pub fn end(&self) -> Parse<()> {
        if self.is_at_end() { Ok(()) } else { Err(SyntaxError("unexpected text after the command")) }
    }

    /// Takes `byte` if it is next.
    pub fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// Takes `byte`, which must be next; `otherwise` says what is wrong if it is not.
    pub fn expect(&mut self, byte: u8, otherwise: &'static str) -> Parse<()> {
        if self.take(byte) { Ok(()) } else { Err(SyntaxError(otherwise)) }
    }

    /// Exactly one space.
    pub fn space(&mut self) -> Parse<()> {
        self.expect(b' ', "one space expected between arguments")
    }

    /// Takes `word` (given in upper case) if it is next, without regard to case and to what follows.
    pub fn take_word(&mut self, word: &str) -> bool {
        let found =
            self.rest().get(..word.len()).is_some_and(|next| next.eq_ignore_ascii_case(word.as_bytes()));
        if found {
            self.at += word.len();
        }
        found
    }

    /// The octets as long as `test` holds; may be none.
    pub fn take_while(&mut self, test: impl Fn(u8) -> bool) -> &'a [u8] {
        let rest = self.rest();
        let length = rest.iter().position(|byte| !test(*byte)).unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }

    /// `atom`, in upper case for comparison.
    pub fn word(&mut self) -> Parse<String> {
        self.atom().map(str::to_ascii_uppercase)
    }

    /// `atom`.
    pub fn atom(&mut self) -> Parse<&'a str> {
        let octets = self.take_while(is_atom_char);
        match std::str::from_utf8(octets) {
            Ok(text) if !text.is_empty() => Ok(text),
            _ => Err(SyntaxError("an atom expected")),
        }
    }

    /// `number`: at most 2³² − 1.
    pub fn number(&mut self) -> Parse<u32> {
        let value = self.number64()?;
        u32::try_from(value).map_err(|_| SyntaxError("number too large"))
    }

    /// `number64`: at most 2⁶³ − 1.
    pub fn number64(&mut self) -> Parse<u64> {
        let digits = self.take_while(|byte| byte.is_ascii_digit());
        if digits.is_empty() {
            return Err(SyntaxError("a number expected"));
        }
        let value = digits.iter().try_fold(0u64, |value, digit| {
            value
                .checked_mul(10)?
                .checked_add(u64::from(digit - b'0'))
                .filter(|value| *value <= i64::MAX as u64)
        });
        value.ok_or(SyntaxError("number too large"))
    }

    /// `nz-number`.
    pub fn nonzero(&mut self) -> Parse<NonZeroU32> {
        NonZeroU32::new(self.number()?).ok_or(SyntaxError("a number above 0 expected"))
    }

    /// `astring`.
    pub fn astring(&mut self) -> Parse<Cow<'a, [u8]>> {
        self.string_or(|byte| is_astring_char(byte) || byte >= 0x80)
    }

    /// `list-mailbox`: an `astring` that may hold wildcards.
    pub fn list_mailbox(&mut self) -> Parse<Cow<'a, [u8]>> {
        self.string_or(is_list_char)
    }

    fn string_or(&mut self, unquoted: impl Fn(u8) -> bool) -> Parse<Cow<'a, [u8]>> {
        if matches!(self.peek(), Some(b'"' | b'{')) {
            return self.string();
        }
        let octets = self.take_while(unquoted);
        if octets.is_empty() { Err(SyntaxError("a string expected")) } else { Ok(Cow::Borrowed(octets)) }
    }

    /// `astring` that must be UTF-8.
    pub fn text(&mut self) -> Parse<String> {
        let octets = self.astring()?;
        String::from_utf8(octets.into_owned()).map_err(|_| SyntaxError("not valid UTF-8"))
    }

    /// `nstring`.
    pub fn nstring(&mut self) -> Parse<Option<Cow<'a, [u8]>>> {
        if matches!(self.peek(), Some(b'"' | b'{')) {
            return self.string().map(Some);
        }
        if self.take_word("NIL") { Ok(None) } else { Err(SyntaxError("a string or NIL expected")) }
    }

    /// `string`: `quoted` or `literal`.
    pub fn string(&mut self) -> Parse<Cow<'a, [u8]>> {
        match self.peek() {
            Some(b'"') => self.quoted(),
            Some(b'{') => self.literal().map(Cow::Borrowed),
            _ => Err(SyntaxError("a quoted string or literal expected")),
        }
    }

    fn quoted(&mut self) -> Parse<Cow<'a, [u8]>> {
        self.expect(b'"', "a quoted string expected")?;
        let plain = self.take_while(|byte| !matches!(byte, b'"' | b'\\' | b'\r' | b'\n' | 0));
        if self.take(b'"') {
            return Ok(Cow::Borrowed(plain));
        }
        let mut text = plain.to_vec();
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(Cow::Owned(text));
                }
                Some(b'\\') => {
                    self.at += 1;
                    match self.peek() {
                        Some(escaped @ (b'"' | b'\\')) => text.push(escaped),
                        _ => return Err(SyntaxError("only \" and \\ can be escaped in a quoted string")),
                    }
                    self.at += 1;
                }
                Some(b'\r' | b'\n' | 0) | None => return Err(SyntaxError("quoted string without end")),
                Some(_) => text.extend_from_slice(
                    self.take_while(|byte| !matches!(byte, b'"' | b'\\' | b'\r' | b'\n' | 0)),
                ),
            }
        }
    }

    fn literal(&mut self) -> Parse<&'a [u8]> {
        const WRONG: &str = "malformed literal";
        self.expect(b'{', WRONG)?;
        let length = usize::try_from(self.number64()?).map_err(|_| SyntaxError(WRONG))?;
        self.take(b'+');
        let head_ends = self.take(b'}') && self.take(b'\r') && self.take(b'\n');
        let octets = self.rest().get(..length).filter(|_| head_ends).ok_or(SyntaxError(WRONG))?;
        if octets.contains(&0) {
            return Err(SyntaxError("NUL is not allowed in a literal"));
        }
        self.at += length;
        Ok(octets)
    }

    /// `sequence-set`.
    pub fn sequence_set(&mut self) -> Parse<SequenceSet> {
        if self.take(b'$') {
            return Ok(SequenceSet::Saved);
        }
        let mut ranges = Vec::new();
        loop {
            let first = self.sequence_number()?;
            let last = if self.take(b':') { self.sequence_number()? } else { first };
            ranges.push((first, last));
            if !self.take(b',') {
                return Ok(SequenceSet::Ranges(ranges));
            }
        }
    }

    fn sequence_number(&mut self) -> Parse<SequenceNumber> {
        if self.take(b'*') {
            return Ok(SequenceNumber::Last);
        }
        self.nonzero().map(SequenceNumber::Number).map_err(|_| SyntaxError("a sequence set expected"))
    }

    /// `( … )` with one space between the items that `item` reads; the list may be empty.
    pub fn list<T>(&mut self, mut item: impl FnMut(&mut Self) -> Parse<T>) -> Parse<Vec<T>> {
        self.expect(b'(', "a parenthesized list expected")?;
        let mut items = Vec::new();
        if self.take(b')') {
            return Ok(items);
        }
        loop {
            items.push(item(self)?);
            if self.take(b')') {
                return Ok(items);
            }
            self.space()?;
        }
    }

    /// `flag-list`, or flags without parentheses where `bare` allows them (STORE).
    /// `\Recent` is read and left out: clients of old send back what they were told (RFC 3501 §2.3.2).
    pub fn flags(&mut self, bare: bool) -> Parse<Flags> {
        let mut flags = Flags::default();
        if self.peek() == Some(b'(') {
            self.list(|cursor| cursor.flag(&mut flags))?;
            return Ok(flags);
        }
        if !bare {
            return Err(SyntaxError("a parenthesized list of flags expected"));
        }
        self.flag(&mut flags)?;
        while self.take(b' ') {
            self.flag(&mut flags)?;
        }
        Ok(flags)
    }

    fn flag(&mut self, flags: &mut Flags) -> Parse<()> {
        if self.take(b'\\') {
            match self.word()?.as_str() {
                "ANSWERED" => flags.system = flags.system.with(SystemFlag::Answered),
                "FLAGGED" => flags.system = flags.system.with(SystemFlag::Flagged),
                "DELETED" => flags.system = flags.system.with(SystemFlag::Deleted),
                "SEEN" => flags.system = flags.system.with(SystemFlag::Seen),
                "DRAFT" => flags.system = flags.system.with(SystemFlag::Draft),
                "RECENT" => {}
                _ => return Err(SyntaxError("unknown system flag")),
            }
        } else {
            flags.keywords.insert(self.keyword()?);
        }
        Ok(())
    }

    /// `flag-keyword`.
    pub fn keyword(&mut self) -> Parse<Keyword> {
        self.atom()?.parse().map_err(|_| SyntaxError("not a valid keyword"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_in_their_three_forms() {
        let mut cursor = Cursor::new(b"a]b \"q\\\"\\\\ \xc3\xa9\" {3}\r\n\r\nx {0+}\r\n \"\"");
        let mut read = Vec::new();
        loop {
            read.push(cursor.astring().expect("a string").into_owned());
            if cursor.is_at_end() {
                break;
            }
            cursor.space().expect("a space");
        }
        assert_eq!(read, [&b"a]b"[..], "q\"\\ é".as_bytes(), b"\r\nx", b"", b""]);
    }

    #[test]
    fn what_is_no_string() {
        for bad in [
            &b""[..],
            b"\"open",
            b"\"a\\nb\"",
            b"{5}\r\nabc",
            b"{1}\r\n\0",
            b"(",
            b"\"a\rb\"",
            b"{9999999999999999999}\r\n",
        ] {
            assert!(Cursor::new(bad).astring().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn numbers_are_bounded() {
        assert_eq!(Cursor::new(b"4294967295").number(), Ok(u32::MAX));
        assert!(Cursor::new(b"4294967296").number().is_err());
        assert_eq!(Cursor::new(b"9223372036854775807").number64(), Ok(i64::MAX as u64));
        assert!(Cursor::new(b"9223372036854775808").number64().is_err());
        assert!(Cursor::new(b"0").nonzero().is_err());
    }

    #[test]
    fn flags_with_and_without_parentheses() {
        let flags = Cursor::new(b"(\\Seen \\RECENT $Junk)").flags(false).expect("flags");
        assert!(flags.contains(SystemFlag::Seen) && flags.keywords.len() == 1);
        assert_eq!(Cursor::new(b"\\seen $JUNK").flags(true).expect("flags"), flags);
        assert!(Cursor::new(b"(\\Unknown)").flags(true).is_err());
        assert!(Cursor::new(b"\\Seen").flags(false).is_err());
    }
}
