//! Command lines out of the input (RFC 5321 §2.3.8, §4.5.3.1.4).

use bytes::{Buf, BytesMut};

/// Takes lines of bounded length out of an input; of a longer one it keeps nothing.
#[derive(Debug, Default)]
pub(super) struct LineReader {
    skipping: bool,
}

/// What there was.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// No whole line yet.
    Partial,
    /// A line of that many octets, at the start of the input, behind which stands CRLF. The caller
    /// reads it and then calls [`take`].
    Whole(usize),
    /// The line ended in LF alone; it was taken away.
    WithoutCr,
    /// It was longer than the limit; it was taken away.
    TooLong,
}

impl LineReader {
    /// Looks for a line of at most `limit` octets.
    pub(super) fn next(&mut self, input: &mut BytesMut, limit: usize) -> Line {
        match memchr::memchr(b'\n', input) {
            None => {
                if self.skipping || input.len() > limit {
                    self.skipping = true;
                    input.clear();
                }
                Line::Partial
            }
            Some(end) if self.skipping || end > limit => {
                self.skipping = false;
                input.advance(end + 1);
                Line::TooLong
            }
            Some(end) if end > 0 && input[end - 1] == b'\r' => Line::Whole(end - 1),
            Some(end) => {
                input.advance(end + 1);
                Line::WithoutCr
            }
        }
    }
}

/// Takes a whole line of that many octets, and its CRLF, away.
pub(super) fn take(input: &mut BytesMut, line_octets: usize) {
    input.advance(line_octets + 2);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_found_within_their_bound() {
        let mut reader = LineReader::default();
        let mut input = BytesMut::from(&b"NOOP\r\nlf only\nlonger than eight\r\nsplit, and lon"[..]);
        assert_eq!(reader.next(&mut input, 8), Line::Whole(4));
        take(&mut input, 4);
        assert_eq!(reader.next(&mut input, 8), Line::WithoutCr);
        assert_eq!(reader.next(&mut input, 8), Line::TooLong);
        assert_eq!(reader.next(&mut input, 8), Line::Partial);
        assert!(input.is_empty(), "nothing is kept of a line that is too long");
        input.extend_from_slice(b"ger\r\n\r\n");
        assert_eq!(reader.next(&mut input, 8), Line::TooLong);
        assert_eq!(reader.next(&mut input, 8), Line::Whole(0));
    }
}
