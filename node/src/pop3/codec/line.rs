//! Splits the input into command lines of bounded length. It does not know what they mean.

use bytes::{Buf, Bytes, BytesMut};

use crate::limits::POP3_LINE_OCTETS;

/// One line of input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// A line without its line end.
    Complete(Bytes),
    /// A line longer than [`POP3_LINE_OCTETS`]; it was read to its end and dropped.
    TooLong,
}

/// Finds lines in what has been received.
///
/// Lines end in CRLF (RFC 1939 §3). A bare LF ends one too: nothing in POP3 turns on the
/// difference, and people type into it by hand.
#[derive(Debug, Default)]
pub struct LineDecoder {
    // Octets of the buffer that are known to hold no LF.
    searched_octets: usize,
    // The line at the head of the buffer is already too long; its end is awaited.
    dropping: bool,
}

impl LineDecoder {
    /// The next line, taken out of `buffer`; `None` if more input is needed. However much the peer
    /// sends without a line end, `buffer` keeps at most [`POP3_LINE_OCTETS`] and what came last.
    pub fn decode(&mut self, buffer: &mut BytesMut) -> Option<Line> {
        let Some(found) = memchr::memchr(b'\n', &buffer[self.searched_octets..]) else {
            self.searched_octets = buffer.len();
            if buffer.len() > POP3_LINE_OCTETS {
                self.dropping = true;
            }
            if self.dropping {
                buffer.clear();
                self.searched_octets = 0;
            }
            return None;
        };
        let end = self.searched_octets + found;
        self.searched_octets = 0;
        let mut line = buffer.split_to(end).freeze();
        buffer.advance(1);
        if std::mem::take(&mut self.dropping) || line.len() > POP3_LINE_OCTETS {
            return Some(Line::TooLong);
        }
        if line.last() == Some(&b'\r') {
            line.truncate(line.len() - 1);
        }
        Some(Line::Complete(line))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(chunks: &[&[u8]]) -> Vec<Line> {
        let (mut decoder, mut buffer, mut lines) = (LineDecoder::default(), BytesMut::new(), Vec::new());
        for chunk in chunks {
            buffer.extend_from_slice(chunk);
            while let Some(line) = decoder.decode(&mut buffer) {
                lines.push(line);
            }
            assert!(buffer.len() <= POP3_LINE_OCTETS);
        }
        lines
    }

    #[test]
    fn a_long_line_is_dropped_and_the_next_one_read() {
        let long = vec![b'x'; 3 * POP3_LINE_OCTETS];
        let lines = all(&[b"NO", &long, &long, b"\r", b"\nSTAT\r\n"]);
        assert_eq!(lines, [Line::TooLong, Line::Complete(Bytes::from_static(b"STAT"))]);
    }

    proptest! {
        #[test]
        fn lines_do_not_depend_on_how_they_arrive(
            text in "([A-Z \r\n]|a{2000}){0,40}", cuts in prop::collection::vec(1usize..50, 1..20),
        ) {
            let octets = text.as_bytes();
            let (mut rest, mut chunks) = (octets, Vec::new());
            for cut in cuts.iter().cycle() {
                if rest.is_empty() { break }
                let (chunk, after) = rest.split_at((*cut).min(rest.len()));
                chunks.push(chunk);
                rest = after;
            }
            let expected: Vec<Line> = octets.split_inclusive(|octet| *octet == b'\n')
                .filter_map(|line| line.strip_suffix(b"\n"))
                .map(|line| if line.len() > POP3_LINE_OCTETS {
                    Line::TooLong
                } else {
                    Line::Complete(Bytes::copy_from_slice(line.strip_suffix(b"\r").unwrap_or(line)))
                }).collect();
            prop_assert_eq!(all(&chunks), expected);
        }
    }
}
