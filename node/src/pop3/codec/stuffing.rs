//! The multi-line form of a message (RFC 1939 §3): a dot before each line that begins with one, and a
//! line with a single dot at the end. Works on a stream, whatever its chunks.

use bytes::BytesMut;

/// Where in a line the last octet left off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    LineStart,
    Within,
    AfterCr,
}

/// Byte-stuffs one message.
#[derive(Debug)]
pub struct Stuffer {
    at: At,
}

impl Default for Stuffer {
    fn default() -> Self {
        Self { at: At::LineStart }
    }
}

impl Stuffer {
    /// Appends the stuffed form of the next `chunk` of the message.
    pub fn push(&mut self, chunk: &[u8], output: &mut BytesMut) {
        let Some(last) = chunk.last() else { return };
        output.reserve(chunk.len() + chunk.len() / 64 + 1);
        // Up to here all has been written.
        let mut written = 0;
        for dot in memchr::memchr_iter(b'.', chunk) {
            if self.begins_line(chunk, dot) {
                output.extend_from_slice(&chunk[written..dot]);
                output.extend_from_slice(b".");
                written = dot;
            }
        }
        output.extend_from_slice(&chunk[written..]);
        self.at = match last {
            b'\n' if self.begins_line(chunk, chunk.len()) => At::LineStart,
            b'\r' => At::AfterCr,
            _ => At::Within,
        };
    }

    /// Whether the octet at `position` of `chunk` follows a CRLF, or is the message's first.
    fn begins_line(&self, chunk: &[u8], position: usize) -> bool {
        match position {
            0 => self.at == At::LineStart,
            1 => chunk[0] == b'\n' && self.at == At::AfterCr,
            _ => chunk[position - 2..position] == *b"\r\n",
        }
    }

    /// Ends the message. One that does not end in CRLF gets one, since the last dot needs a line of its own.
    pub fn finish(self, output: &mut BytesMut) {
        if self.at != At::LineStart {
            output.extend_from_slice(b"\r\n");
        }
        output.extend_from_slice(b".\r\n");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stuffed(chunks: &[&[u8]]) -> Vec<u8> {
        let (mut stuffer, mut output) = (Stuffer::default(), BytesMut::new());
        chunks.iter().for_each(|chunk| stuffer.push(chunk, &mut output));
        stuffer.finish(&mut output);
        output.to_vec()
    }

    #[test]
    fn dots_are_doubled_at_line_starts_only() {
        assert_eq!(stuffed(&[b".a\r\n..\r\n.\r\nb.c\r\n"]), b"..a\r\n...\r\n..\r\nb.c\r\n.\r\n");
        assert_eq!(stuffed(&[b"a\n.b\r.c"]), b"a\n.b\r.c\r\n.\r\n");
        assert_eq!(stuffed(&[]), b".\r\n");
    }

    /// What a client does, by the words of RFC 1939 §3.
    fn unstuffed(wire: &[u8]) -> Vec<u8> {
        let (mut message, mut rest) = (Vec::new(), wire);
        loop {
            let end = rest.windows(2).position(|pair| pair == b"\r\n").expect("a line end") + 2;
            let (line, after) = rest.split_at(end);
            rest = after;
            if line == b".\r\n" {
                assert!(rest.is_empty(), "the end comes once");
                return message;
            }
            message.extend_from_slice(line.strip_prefix(b".").unwrap_or(line));
        }
    }

    proptest! {
        #[test]
        fn a_client_reads_the_message_back(
            chunks in prop::collection::vec("[.\r\na]{0,6}", 0..12),
        ) {
            let chunks: Vec<&[u8]> = chunks.iter().map(|chunk| chunk.as_bytes()).collect();
            let mut message = chunks.concat();
            if !message.is_empty() && !message.ends_with(b"\r\n") {
                message.extend_from_slice(b"\r\n");
            }
            prop_assert_eq!(unstuffed(&stuffed(&chunks)), message);
        }
    }
}
