//! Message text on the wire (RFC 5321 §2.3.8, §4.1.1.4, §4.5.2): transparency of dots, and line ends.
//!
//! Only `CRLF . CRLF` ends a message, and only a dot behind a CRLF is taken away: a bare CR or LF
//! never counts as a line end, so that no other reading of the same octets finds a second message
//! in them (SMTP smuggling). What is wrong with the text is remembered and told at its end.

/// What becomes of line ends that are not CRLF.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineEndings {
    /// A bare CR or LF is a fault.
    Strict,
    /// A bare LF becomes CRLF; a bare CR is a fault.
    Repair,
}

/// The first thing wrong with a message's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextFault {
    /// A CR or LF alone.
    BareLineEnding,
    /// An octet 0.
    Nul,
}

/// From the wire to the message. The same octets give the same message however they are split.
#[derive(Debug)]
pub struct DataDecoder {
    endings: LineEndings,
    dots: bool,
    state: State,
    fault: Option<TextFault>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Behind a CRLF, or at the beginning.
    LineStart,
    /// A dot at the start of a line was read, and nothing given for it.
    Dot,
    /// That, and a CR.
    DotCr,
    /// In a line.
    Text,
    /// A CR was read, and nothing given for it.
    Cr,
}

/// How far [`DataDecoder::decode`] came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decoded {
    /// Octets of the input that were taken.
    pub consumed: usize,
    /// Whether the message ended; what was not taken is the next command.
    pub ended: bool,
}

impl DataDecoder {
    /// For DATA: with transparency, until the final dot.
    pub fn for_data(endings: LineEndings) -> Self {
        Self { endings, dots: true, state: State::LineStart, fault: None }
    }

    /// For BDAT (RFC 3030): the octets as they are, until [`DataDecoder::finish`].
    pub fn for_chunks(endings: LineEndings) -> Self {
        Self { dots: false, ..Self::for_data(endings) }
    }

    /// What is wrong with the text so far.
    pub fn fault(&self) -> Option<TextFault> {
        self.fault
    }

    /// Appends what `input` gives to `message`: at most twice its length and one octet.
    pub fn decode(&mut self, input: &[u8], message: &mut Vec<u8>) -> Decoded {
        let mut at = 0;
        while let Some(&octet) = input.get(at) {
            match (self.state, octet) {
                (State::LineStart, b'.') if self.dots => {
                    self.state = State::Dot;
                    at += 1;
                }
                (State::Dot, b'\r') => {
                    self.state = State::DotCr;
                    at += 1;
                }
                (State::DotCr, b'\n') => return Decoded { consumed: at + 1, ended: true },
                // The dot was there for transparency alone.
                (State::DotCr, _) => self.state = State::Cr,
                (State::Cr, b'\n') => {
                    message.extend_from_slice(b"\r\n");
                    self.state = State::LineStart;
                    at += 1;
                }
                (State::Cr, _) => {
                    self.bare_cr(message);
                    self.state = State::Text;
                }
                (State::LineStart | State::Dot | State::Text, _) => {
                    self.state = State::Text;
                    at += self.text(&input[at..], message);
                }
            }
        }
        Decoded { consumed: at, ended: false }
    }

    /// Ends a message that came in chunks.
    pub fn finish(&mut self, message: &mut Vec<u8>) {
        if self.state == State::Cr {
            self.bare_cr(message);
        }
        self.state = State::LineStart;
    }

    /// Copies as much as can be in one go: up to an octet that may end a line and is not certain to
    /// do just that.
    fn text(&mut self, input: &[u8], message: &mut Vec<u8>) -> usize {
        let mut end = 0;
        while let Some(found) = memchr::memchr3(b'\r', b'\n', 0, &input[end..]) {
            end += found;
            match (input[end], input.get(end + 1), input.get(end + 2)) {
                (b'\r', Some(b'\n'), Some(next)) if *next != b'.' || !self.dots => end += 2,
                (b'\r', ..) => {
                    message.extend_from_slice(&input[..end]);
                    self.state = State::Cr;
                    return end + 1;
                }
                (b'\n', ..) if self.endings == LineEndings::Repair => {
                    message.extend_from_slice(&input[..end]);
                    message.extend_from_slice(b"\r\n");
                    return end + 1;
                }
                (b'\n', ..) => {
                    self.note(TextFault::BareLineEnding);
                    end += 1;
                }
                _ => {
                    self.note(TextFault::Nul);
                    end += 1;
                }
            }
        }
        message.extend_from_slice(input);
        input.len()
    }

    fn bare_cr(&mut self, message: &mut Vec<u8>) {
        self.note(TextFault::BareLineEnding);
        message.push(b'\r');
    }

    fn note(&mut self, fault: TextFault) {
        self.fault.get_or_insert(fault);
    }
}

/// From the message to the wire: adds what transparency needs, a CR before an LF that has none, and
/// at the end the final dot.
#[derive(Debug)]
pub struct DataEncoder {
    last: [u8; 2], // the last two octets written
}

impl Default for DataEncoder {
    fn default() -> Self {
        Self { last: *b"\r\n" }
    }
}

impl DataEncoder {
    /// Appends the wire form of a piece of the message.
    pub fn encode(&mut self, message: &[u8], out: &mut Vec<u8>) {
        let mut rest = message;
        while let Some(&first) = rest.first() {
            if first == b'.' && self.last == *b"\r\n" {
                out.push(b'.');
            }
            let line = memchr::memchr(b'\n', rest).map_or(rest, |end| &rest[..=end]);
            self.line(line, out);
            rest = &rest[line.len()..];
        }
    }

    /// Appends the end of the message.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        if self.last != *b"\r\n" {
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b".\r\n");
        self.last = *b"\r\n";
    }

    fn line(&mut self, line: &[u8], out: &mut Vec<u8>) {
        let text = line.strip_suffix(b"\n");
        let before = text.unwrap_or(line).last().copied().unwrap_or(self.last[1]);
        match text {
            Some(text) if before != b'\r' => {
                out.extend_from_slice(text);
                out.extend_from_slice(b"\r\n");
            }
            _ => out.extend_from_slice(line),
        }
        self.last = match (text, line) {
            (Some(_), _) => *b"\r\n",
            (None, [.., one, two]) => [*one, *two],
            (None, [one]) => [self.last[1], *one],
            (None, []) => self.last,
        };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Message, fault, and what was left; `None` if it did not end.
    fn decode(
        endings: LineEndings,
        wire: &[u8],
        splits: &[usize],
    ) -> Option<(Vec<u8>, Option<TextFault>, Vec<u8>)> {
        let mut decoder = DataDecoder::for_data(endings);
        let mut message = Vec::new();
        let mut starts: Vec<usize> = splits.iter().map(|split| split % (wire.len() + 1)).collect();
        starts.extend([0, wire.len()]);
        starts.sort_unstable();
        for piece in starts.windows(2) {
            let before = message.len();
            let input = &wire[piece[0]..piece[1]];
            let decoded = decoder.decode(input, &mut message);
            assert!(message.len() - before <= 2 * input.len() + 1);
            if decoded.ended {
                return Some((message, decoder.fault(), wire[piece[0] + decoded.consumed..].to_vec()));
            }
            assert_eq!(decoded.consumed, input.len());
        }
        None
    }

    #[test]
    fn transparency_is_undone() {
        let (message, fault, rest) =
            decode(LineEndings::Strict, b"..a\r\n.b\r\n...\r\n.\r\nQUIT\r\n", &[]).expect("ended");
        assert_eq!(
            (message.as_slice(), fault, rest.as_slice()),
            (&b".a\r\nb\r\n..\r\n"[..], None, &b"QUIT\r\n"[..])
        );
        let (message, ..) = decode(LineEndings::Strict, b".\r\n", &[]).expect("ended");
        assert!(message.is_empty());
    }

    /// Every mixture of line ends around a dot, except the right one.
    #[test]
    fn nothing_but_crlf_dot_crlf_ends_a_message() {
        let ends = ["\r\n", "\n", "\r", "\r\r\n", "\n\r", "\r\n\n", "\r\0\n", "\0\n", "\n\n", ""];
        for (before, after) in ends.iter().flat_map(|before| ends.map(|after| (before, after))) {
            let right = before.ends_with("\r\n") && after.starts_with("\r\n");
            let wire = format!("first{before}.{after}MAIL FROM:<x@y.z>\r\nDATA\r\nsecond\r\n.\r\n");
            for endings in [LineEndings::Strict, LineEndings::Repair] {
                let (message, fault, rest) = decode(endings, wire.as_bytes(), &[]).expect("ended");
                assert_eq!(rest.is_empty(), !right, "{before:?}.{after:?}");
                assert_eq!(message.windows(6).any(|part| part == b"second"), !right);
                let around = format!("{before}.{after}").replace("\r\n", "");
                if endings == LineEndings::Strict && !right {
                    assert_eq!(fault.is_some(), around != ".", "{before:?}.{after:?}");
                }
            }
        }
    }

    #[test]
    fn bare_line_feeds_are_repaired_and_bare_carriage_returns_are_not() {
        let repaired = decode(LineEndings::Repair, b"a\nb\r\n.\r\n", &[]).expect("ended");
        assert_eq!(repaired, (b"a\r\nb\r\n".to_vec(), None, Vec::new()));
        let (_, fault, _) = decode(LineEndings::Repair, b"a\rb\r\n.\r\n", &[]).expect("ended");
        assert_eq!(fault, Some(TextFault::BareLineEnding));
        let (_, fault, _) = decode(LineEndings::Repair, b"a\0b\r\n.\r\n", &[]).expect("ended");
        assert_eq!(fault, Some(TextFault::Nul));
    }

    #[test]
    fn chunks_are_taken_as_they_are() {
        let mut decoder = DataDecoder::for_chunks(LineEndings::Strict);
        let mut message = Vec::new();
        for chunk in [&b".a\r"[..], b"\n.\r\n", b"..b"] {
            assert_eq!(decoder.decode(chunk, &mut message), Decoded { consumed: chunk.len(), ended: false });
        }
        decoder.finish(&mut message);
        assert_eq!((message.as_slice(), decoder.fault()), (&b".a\r\n.\r\n..b"[..], None));
        decoder.decode(b"\r", &mut message);
        decoder.finish(&mut message);
        assert_eq!(decoder.fault(), Some(TextFault::BareLineEnding));
    }

    fn wire_like() -> impl Strategy<Value = Vec<u8>> {
        let octet = prop_oneof![
            4 => Just(b'\r'), 4 => Just(b'\n'), 4 => Just(b'.'), 4 => Just(b'a'), 1 => Just(0u8), 1 => any::<u8>()
        ];
        proptest::collection::vec(octet, 0..60)
    }

    proptest! {
        #[test]
        fn splits_do_not_matter(
            mut wire in wire_like(), splits in proptest::collection::vec(any::<usize>(), 0..6), strict: bool,
        ) {
            wire.extend_from_slice(b"\r\n.\r\n");
            let endings = if strict { LineEndings::Strict } else { LineEndings::Repair };
            prop_assert_eq!(decode(endings, &wire, &splits), decode(endings, &wire, &[]));
        }

        #[test]
        fn what_is_encoded_is_decoded_again(
            lines in proptest::collection::vec("[.a]{0,4}", 0..8), splits in proptest::collection::vec(any::<usize>(), 0..4),
        ) {
            let mut message: Vec<u8> = lines.iter().flat_map(|line| format!("{line}\r\n").into_bytes()).collect();
            let mut starts: Vec<usize> = splits.iter().map(|split| split % (message.len() + 1)).collect();
            starts.extend([0, message.len()]);
            starts.sort_unstable();
            let (mut encoder, mut wire) = (DataEncoder::default(), Vec::new());
            for piece in starts.windows(2) {
                encoder.encode(&message[piece[0]..piece[1]], &mut wire);
            }
            encoder.finish(&mut wire);
            let decoded = decode(LineEndings::Strict, &wire, &[]).expect("ended");
            prop_assert_eq!(decoded, (std::mem::take(&mut message), None, Vec::new()));
        }

        #[test]
        fn whatever_is_encoded_is_one_message_with_clean_line_feeds(message in wire_like()) {
            let (mut encoder, mut wire) = (DataEncoder::default(), Vec::new());
            encoder.encode(&message, &mut wire);
            encoder.finish(&mut wire);
            let (_, _, rest) = decode(LineEndings::Strict, &wire, &[]).expect("ended");
            prop_assert!(rest.is_empty());
            let mut before = 0;
            for octet in wire {
                prop_assert!(octet != b'\n' || before == b'\r');
                before = octet;
            }
        }
    }
}
