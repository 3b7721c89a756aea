//! Replies that another server gives (RFC 5321 §4.2): read line by line, within bounds, and with
//! patience for servers that end lines in LF alone or write more than ASCII.

use std::fmt;

use bytes::{Buf, BytesMut};

use super::reply::EnhancedCode;
use crate::limits::{PEER_REPLY_LINE_OCTETS, PEER_REPLY_OCTETS};

/// A reply as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerReply {
    /// 200 to 599.
    pub code: u16,
    /// The enhanced code of the last line, where it has one of the code's class.
    pub enhanced: Option<EnhancedCode>,
    /// Its lines, without codes.
    pub lines: Vec<String>,
}

/// What came is no reply; the connection is of no further use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// Not three digits and text.
    #[error("the server sent something that is no reply")]
    Malformed,
    /// Longer than a reply may be.
    #[error("the server's reply is too long")]
    TooLong,
}

/// Collects the lines of one reply after the other.
#[derive(Debug, Default)]
pub struct ReplyParser {
    lines: Vec<String>,
    octets: usize,
}

impl PeerReply {
    /// 2xx
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.code)
    }

    /// 3xx
    pub fn is_intermediate(&self) -> bool {
        (300..400).contains(&self.code)
    }

    /// 4xx: the same may succeed later.
    pub fn is_temporary(&self) -> bool {
        (400..500).contains(&self.code)
    }

    /// 5xx
    pub fn is_permanent(&self) -> bool {
        self.code >= 500
    }

    /// Its lines in one, with spaces between.
    pub fn text(&self) -> String {
        self.lines.join(" ")
    }
}

impl fmt::Display for PeerReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        if let Some(enhanced) = self.enhanced {
            write!(f, " {enhanced}")?;
        }
        write!(f, " {}", self.text())
    }
}

impl ReplyParser {
    /// Takes lines from `input` until a reply is whole; `None` if more is needed.
    pub fn parse(&mut self, input: &mut BytesMut) -> Result<Option<PeerReply>, ReplyError> {
        while let Some(end) = memchr::memchr(b'\n', input) {
            let line = input.split_to(end);
            input.advance(1);
            let line = line.strip_suffix(b"\r").unwrap_or(&line);
            if let Some(reply) = self.line(line)? {
                return Ok(Some(reply));
            }
        }
        if input.len() > PEER_REPLY_LINE_OCTETS { Err(ReplyError::TooLong) } else { Ok(None) }
    }

    fn line(&mut self, line: &[u8]) -> Result<Option<PeerReply>, ReplyError> {
        self.octets += line.len();
        if line.len() > PEER_REPLY_LINE_OCTETS || self.octets > PEER_REPLY_OCTETS {
            return Err(ReplyError::TooLong);
        }
        let (code, rest) = line.split_first_chunk::<3>().ok_or(ReplyError::Malformed)?;
        let code = code_of(*code).ok_or(ReplyError::Malformed)?;
        let (last, text) = match rest.split_first() {
            None => (true, rest),
            Some((b' ', text)) => (true, text),
            Some((b'-', text)) => (false, text),
            Some(_) => return Err(ReplyError::Malformed),
        };
        let text = String::from_utf8_lossy(text);
        let (enhanced, text) = split_enhanced(code, &text);
        self.lines.push(text.chars().filter(|character| !character.is_control()).collect());
        if !last {
            return Ok(None);
        }
        self.octets = 0;
        Ok(Some(PeerReply { code, enhanced, lines: std::mem::take(&mut self.lines) }))
    }
}

fn code_of(digits: [u8; 3]) -> Option<u16> {
    let value = digits.iter().try_fold(0u16, |value, digit| {
        digit.is_ascii_digit().then(|| value * 10 + u16::from(digit - b'0'))
    })?;
    (200..600).contains(&value).then_some(value)
}

/// The enhanced code at the start of a reply's text, if there is one of the same class (RFC 2034 §4).
fn split_enhanced(code: u16, text: &str) -> (Option<EnhancedCode>, &str) {
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    let mut numbers = word.split('.').map(|part| match part.len() {
        1..=3 => part.parse::<u16>().ok(),
        _ => None,
    });
    let parsed = match (numbers.next(), numbers.next(), numbers.next(), numbers.next()) {
        (Some(Some(class)), Some(Some(subject)), Some(Some(detail)), None) if class == code / 100 => {
            u8::try_from(class).ok().map(|class| EnhancedCode(class, subject, detail))
        }
        _ => None,
    };
    match parsed {
        Some(enhanced) => (Some(enhanced), rest),
        None => (None, text),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(wire: &str) -> Result<Option<PeerReply>, ReplyError> {
        ReplyParser::default().parse(&mut BytesMut::from(wire.as_bytes()))
    }

    #[test]
    fn replies_are_read() {
        let reply = parse("250-mx.example\r\n250-SIZE 10\r\n250 HELP\r\n").expect("valid").expect("whole");
        assert_eq!(
            (reply.code, reply.lines.as_slice()),
            (250, &["mx.example".into(), "SIZE 10".into(), "HELP".into()][..])
        );
        let reply = parse("550 5.1.1 <a@b.c>: no\n").expect("valid").expect("whole");
        assert_eq!(reply.to_string(), "550 5.1.1 <a@b.c>: no");
        assert_eq!(reply.enhanced, Some(EnhancedCode(5, 1, 1)));
        assert_eq!(parse("250\r\n").expect("valid").expect("whole").text(), "");
        assert_eq!(parse("220 4.2.2 x\r\n").expect("valid").expect("whole").enhanced, None);
        assert_eq!(parse("250-a\r\n250 b"), Ok(None));
    }

    #[test]
    fn what_is_no_reply_ends_it() {
        for bad in ["HTTP/1.1 400 Bad\r\n", "25 ok\r\n", "150 no\r\n", "600 no\r\n", "250_x\r\n", "\r\n"] {
            assert_eq!(parse(bad), Err(ReplyError::Malformed), "{bad}");
        }
        assert_eq!(parse(&"a".repeat(5000)), Err(ReplyError::TooLong));
        assert_eq!(parse(&"250-endless\r\n".repeat(10_000)), Err(ReplyError::TooLong));
    }

    proptest! {
        #[test]
        fn splits_do_not_matter_and_nothing_panics(
            wire in "(2[0-9]{2}[- ][ -~]{0,9}\r?\n|\\PC{0,9}){0,5}", split: prop::sample::Index,
        ) {
            let wire = wire.as_bytes();
            let (mut whole, mut parser) = (BytesMut::from(wire), ReplyParser::default());
            let expected = parser.parse(&mut whole);
            let at = split.index(wire.len() + 1);
            let (mut pieces, mut parser) = (BytesMut::from(&wire[..at]), ReplyParser::default());
            let mut given = parser.parse(&mut pieces);
            if given == Ok(None) {
                pieces.extend_from_slice(&wire[at..]);
                given = parser.parse(&mut pieces);
            }
            prop_assert_eq!(given, expected);
        }
    }
}
