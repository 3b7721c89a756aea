//! Where a command ends: lines and literals cut from a stream of octets (RFC 9051 §4.3, RFC 7888),
//! without a socket and without ever allocating what the peer merely announces.

use super::command::AppendHead;
use super::cursor::{Cursor, SyntaxError};
use super::parse;
use crate::limits;

/// What opens a literal: `{42}`, `{42+}`, `~{42}` or `~{42+}` at the end of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LiteralHead {
    /// How many octets follow.
    pub octets: u64,
    /// Whether the client waits for `+`.
    pub synchronizing: bool,
    /// `~`: a literal8, which may hold NUL (RFC 3516).
    pub binary: bool,
}

/// What the octets so far amount to.
#[derive(Debug)]
pub enum Frame {
    /// The command is not whole.
    NeedMore,
    /// The client waits for `+` before it sends a literal. Told once per literal.
    Continue,
    /// The first `octets` octets are one command.
    Command {
        /// Its length with the final CRLF.
        octets: usize,
    },
    /// The first `octets` octets are an APPEND up to its message literal, which was not asked for yet.
    Append {
        /// The length up to and with the CRLF that opens the literal.
        octets: usize,
        /// Under which it is answered.
        tag: String,
        /// What came before the literal.
        head: AppendHead,
        /// The literal.
        literal: LiteralHead,
    },
    /// The command cannot be accepted. It ends with the literal: a client that waits for `+` will
    /// not send it, any other will.
    Refused {
        /// The length up to and with the CRLF that opens the literal.
        octets: usize,
        /// Under which it is answered, if it could be read.
        tag: Option<String>,
        /// What is to be answered.
        reason: Refusal,
        /// The literal that may still have to be read.
        literal: LiteralHead,
    },
    /// The line is longer than any command may be: there is no telling where the next one starts.
    TooLong,
}

/// Why a command is refused before it is whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The literal is larger than this command can take.
    TooBig,
    /// What stands before the literal is malformed.
    Syntax(SyntaxError),
}

/// Finds the end of the command that starts at the front of a buffer. One per command.
#[derive(Debug, Default)]
pub struct Framer {
    /// Start of the line being read: literals before it are opaque.
    line: usize,
    /// Up to here there is no line end.
    scanned: usize,
}

impl Framer {
    /// Looks at all octets received since the command's start, of which at most `bound` may be
    /// one command.
    pub fn next(&mut self, buffer: &[u8], bound: usize) -> Frame {
        loop {
            let from = self.scanned.max(self.line);
            let Some(found) = buffer.get(from..).and_then(|rest| rest.iter().position(|byte| *byte == b'\n'))
            else {
                self.scanned = buffer.len();
                return if buffer.len() > bound { Frame::TooLong } else { Frame::NeedMore };
            };
            let end = from + found + 1;
            if end > bound {
                return Frame::TooLong;
            }
            let Some((start, literal)) = literal_head(&buffer[self.line..end]) else {
                return Frame::Command { octets: end };
            };
            if let Some(frame) = self.apart(&buffer[..self.line + start], end, literal, bound) {
                return frame;
            }
            // The literal is part of the command: `apart` has checked that it is within the bound.
            self.line = end + literal.octets as usize;
            self.scanned = self.line;
            if literal.synchronizing {
                return Frame::Continue;
            }
        }
    }

    /// A literal that is not simply read along with its command: an APPEND's message, or a refused one.
    fn apart(&self, before: &[u8], end: usize, literal: LiteralHead, bound: usize) -> Option<Frame> {
        let tag = || parse::tag(&mut Cursor::new(before)).ok();
        let refused = |reason| Some(Frame::Refused { octets: end, tag: tag(), reason, literal });
        match parse::append(before) {
            Some((tag, Ok(Some(head)))) => return Some(Frame::Append { octets: end, tag, head, literal }),
            Some((_, Err(error))) => return refused(Refusal::Syntax(error)),
            Some((_, Ok(None))) | None => {}
        }
        if literal.binary {
            return refused(Refusal::Syntax(SyntaxError("a literal8 is allowed in APPEND only")));
        }
        if literal.octets > limits::IMAP_LITERAL_OCTETS || end as u64 + literal.octets > bound as u64 {
            return refused(Refusal::TooBig);
        }
        None
    }
}

/// The literal that a line (without its line end) opens.
pub fn literal_at_end(line: &[u8]) -> Option<LiteralHead> {
    literal_opening(line).map(|(_, literal)| literal)
}

/// The literal that the line (with its line end) opens, and where in the line it starts.
fn literal_head(line: &[u8]) -> Option<(usize, LiteralHead)> {
    literal_opening(line.strip_suffix(b"\r\n")?)
}

fn literal_opening(line: &[u8]) -> Option<(usize, LiteralHead)> {
    let inner = line.strip_suffix(b"}")?;
    let (inner, synchronizing) = match inner.strip_suffix(b"+") {
        Some(inner) => (inner, false),
        None => (inner, true),
    };
    let brace = inner.iter().rposition(|byte| !byte.is_ascii_digit())?;
    if inner[brace] != b'{' || brace + 1 == inner.len() {
        return None;
    }
    let digits = std::str::from_utf8(&inner[brace + 1..]).ok()?;
    // Past 2⁶⁴ the number is as good as the largest: refused for its size.
    let octets = digits.parse().unwrap_or(u64::MAX);
    let binary = brace > 0 && inner[brace - 1] == b'~';
    Some((brace - usize::from(binary), LiteralHead { octets, synchronizing, binary }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BOUND: usize = 65_536;

    /// What a driver does: takes frames from the front until more is needed.
    fn frames(pieces: &[&[u8]]) -> Vec<String> {
        let (mut buffer, mut seen, mut framer) = (Vec::new(), Vec::new(), Framer::default());
        for piece in pieces {
            buffer.extend_from_slice(piece);
            loop {
                let octets = match framer.next(&buffer, BOUND) {
                    Frame::NeedMore => break,
                    Frame::Continue => {
                        seen.push("+".to_owned());
                        continue;
                    }
                    Frame::Command { octets } => {
                        seen.push(format!(
                            "{:?}",
                            parse::command(&buffer[..octets]).command.map_err(|e| e.0)
                        ));
                        octets
                    }
                    Frame::Append { octets, tag, head, literal } => {
                        seen.push(format!("{tag} {head:?} {literal:?}"));
                        octets
                    }
                    Frame::Refused { octets, reason, literal, .. } => {
                        seen.push(format!("{reason:?} {literal:?}"));
                        octets
                    }
                    Frame::TooLong => {
                        seen.push("too long".into());
                        return seen;
                    }
                };
                buffer.drain(..octets);
                framer = Framer::default();
            }
        }
        seen
    }

    #[test]
    fn literals_are_part_of_their_command() {
        let seen = frames(&[b"a LOGIN {3}\r\nann {3+}\r\np\r\n\r\nb NOOP\r\n"]);
        assert_eq!(seen.len(), 3);
        assert!(seen[0] == "+" && seen[1].contains("Login") && seen[2].contains("Noop"), "{seen:?}");
    }

    #[test]
    fn appends_stop_before_their_message() {
        let seen = frames(&[b"a APPEND {5+}\r\nINBOX (\\Seen) ~{310}\r\n"]);
        assert!(seen[0].contains("octets: 310, synchronizing: true, binary: true"), "{seen:?}");
        let seen = frames(&[b"a APPEND INBOX \" 7-Feb-1994 22:43:04 -0800\" {9+}\r\n"]);
        assert!(seen[0].contains("synchronizing: false, binary: false"), "{seen:?}");
        let seen = frames(&[b"a APPEND INBOX (\\Foo) {9}\r\n"]);
        assert!(seen[0].contains("unknown system flag"), "{seen:?}");
    }

    #[test]
    fn what_is_too_big_is_never_buffered() {
        assert!(frames(&[b"a LOGIN {99999999999999999999999}\r\n"])[0].contains("TooBig"));
        assert!(frames(&[b"a LOGIN {65000+}\r\n"])[0].contains("TooBig"));
        assert_eq!(frames(&[&vec![b'a'; BOUND + 1]]), ["too long"]);
        assert!(frames(&[b"a LOGIN ~{3}\r\n"])[0].contains("literal8"));
    }

    #[test]
    fn a_bare_line_feed_ends_a_line_that_is_refused() {
        let seen = frames(&[b"a NOOP\nb NOOP\r\n"]);
        assert!(seen[0].contains("CR LF") && seen[1].contains("Noop"), "{seen:?}");
    }

    fn stream() -> impl Strategy<Value = Vec<u8>> {
        let command = prop_oneof![
            Just(&b"a NOOP\r\n"[..]),
            Just(&b"b LOGIN {3}\r\nann {6+}\r\nse\r\nct\r\n"[..]),
            Just(&b"c FETCH 1:*,7 (UID BODY.PEEK[1.2.HEADER.FIELDS (A \"b\")]<0.9>)\r\n"[..]),
            Just(&b"d SEARCH OR (FROM {2}\r\nxx NOT SEEN) UID 3:4\r\n"[..]),
            Just(&b"e STORE 2 +FLAGS.SILENT (\\Seen x)\r\n"[..]),
            Just(&b"f BOGUS {1}\r\n\n\r\n"[..]),
            Just(&b"\r\n"[..]),
            Just(&b"g APPEND {5}\r\nINBOX {0+}\r\n"[..]),
        ];
        prop::collection::vec(command, 1..8).prop_map(|commands| commands.concat())
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_commands(stream in stream(), cuts in prop::collection::vec(0usize..400, 0..12)) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(stream.len())).collect();
            cuts.extend([0, stream.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|pair| &stream[pair[0]..pair[1]]).collect();
            prop_assert_eq!(frames(&pieces), frames(&[&stream]));
        }

        #[test]
        fn arbitrary_octets_never_panic(octets in prop::collection::vec(any::<u8>(), 0..300)) {
            frames(&[&octets]);
            parse::command(&octets);
        }

        #[test]
        fn nearly_valid_text_never_panics(
            words in prop::collection::vec("[A-Za-z0-9.*:,$<>()\\[\\]\"\\\\{}+~ -]{0,9}", 0..9),
            name in prop::sample::select(vec!["FETCH", "UID SEARCH", "STORE", "LIST", "APPEND", "STATUS", "SELECT", "ID"]),
        ) {
            let line = format!("t {name} {}\r\n", words.join(" "));
            frames(&[line.as_bytes()]);
            parse::command(line.as_bytes());
        }
    }
}
