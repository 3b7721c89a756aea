//! Where TOP cuts a message: after its header, the empty line, and so many lines of the body
//! (RFC 1939 §7). Works on a stream, whatever its chunks.

/// Follows one message as it passes.
#[derive(Debug)]
pub struct TopCutter {
    body_lines_left: u64,
    in_body: bool,
    line: LineSoFar,
}

/// What the current line holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LineSoFar {
    Nothing,
    Cr,
    Text,
}

impl LineSoFar {
    fn with(self, octets: &[u8]) -> Self {
        match (self, octets) {
            (so_far, b"") => so_far,
            (Self::Nothing, b"\r") => Self::Cr,
            _ => Self::Text,
        }
    }
}

impl TopCutter {
    /// For the first `body_lines` lines of the body.
    pub fn new(body_lines: u64) -> Self {
        Self { body_lines_left: body_lines, in_body: false, line: LineSoFar::Nothing }
    }

    /// How many octets of the next `chunk` belong to the answer. Once that is less than all of it,
    /// or [`is_done`](Self::is_done), the rest of the message need not be read.
    pub fn take(&mut self, chunk: &[u8]) -> usize {
        let mut position = 0;
        while position < chunk.len() && !self.is_done() {
            let rest = &chunk[position..];
            let Some(length) = memchr::memchr(b'\n', rest) else {
                self.line = self.line.with(rest);
                return chunk.len();
            };
            let line = std::mem::replace(&mut self.line, LineSoFar::Nothing).with(&rest[..length]);
            position += length + 1;
            if self.in_body {
                self.body_lines_left -= 1;
            } else {
                self.in_body = line != LineSoFar::Text;
            }
        }
        position
    }

    /// Whether no further octet belongs to the answer.
    pub fn is_done(&self) -> bool {
        self.in_body && self.body_lines_left == 0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn top(chunks: &[&[u8]], lines: u64) -> Vec<u8> {
        let (mut cutter, mut taken) = (TopCutter::new(lines), Vec::new());
        for chunk in chunks {
            let octets = cutter.take(chunk);
            taken.extend_from_slice(&chunk[..octets]);
        }
        taken
    }

    #[test]
    fn header_empty_line_and_n_lines() {
        let message = b"A: 1\r\nB: 2\r\n\r\none\r\n\r\nthree\r\n";
        assert_eq!(top(&[message], 0), b"A: 1\r\nB: 2\r\n\r\n");
        assert_eq!(top(&[message], 2), b"A: 1\r\nB: 2\r\n\r\none\r\n\r\n");
        assert_eq!(top(&[message], 9), message);
        assert_eq!(top(&[b"A: 1\r\n"], 0), b"A: 1\r\n");
        assert_eq!(top(&[b"\r\nbody\r\n"], 0), b"\r\n");
    }

    proptest! {
        #[test]
        fn does_not_depend_on_chunks(message in "(a|\r|\n|\r\n){0,30}", cut in 0usize..40, lines in 0u64..6) {
            let octets = message.as_bytes();
            let (head, tail) = octets.split_at(cut.min(octets.len()));
            prop_assert_eq!(top(&[head, tail], lines), top(&[octets], lines));
            let single: Vec<&[u8]> = octets.chunks(1).collect();
            prop_assert_eq!(top(&single, lines), top(&[octets], lines));
        }
    }
}
