//! Content-Transfer-Encoding undone (RFC 2045 §6), piece by piece, so that BINARY of a large attachment needs
//! no more memory than a piece. Never fails: what is no base64 or quoted-printable is passed over or kept
//! as it stands (RFC 2045 §6.7 and §6.8, RFC 7103 §8.2).

use super::structure::{Encoding, Kind, Part};

/// Undoes one part's encoding as its octets come.
#[derive(Debug, Clone)]
pub struct Decoder {
    transfer: Transfer,
    line_ends: Option<LineEnds>,
}

#[derive(Debug, Clone)]
enum Transfer {
    Identity,
    Base64 { bits: u32, digits: u8 },
    QuotedPrintable(Quoted),
}

impl Decoder {
    /// `None` where the encoding is unknown (`UNKNOWN-CTE`).
    pub fn new(encoding: &Encoding<'_>) -> Option<Self> {
        let transfer = match encoding {
            Encoding::SevenBit | Encoding::EightBit | Encoding::Binary => Transfer::Identity,
            Encoding::Base64 => Transfer::Base64 { bits: 0, digits: 0 },
            Encoding::QuotedPrintable => Transfer::QuotedPrintable(Quoted::default()),
            Encoding::Other(_) => return None,
        };
        Some(Self { transfer, line_ends: None })
    }

    /// The same for BINARY: lines of text end in CRLF whatever the encoder did (RFC 9051 §7.5.2).
    pub fn for_part(part: &Part<'_>) -> Option<Self> {
        let line_ends = (part.kind == Kind::Text).then(LineEnds::default);
        Some(Self { line_ends, ..Self::new(&part.encoding)? })
    }

    /// Whether every octet stands for itself.
    pub fn is_identity(&self) -> bool {
        matches!(self.transfer, Transfer::Identity) && self.line_ends.is_none()
    }

    /// Appends to `out` what the next octets stand for.
    pub fn push(&mut self, octets: &[u8], out: &mut Vec<u8>) {
        let start = out.len();
        match &mut self.transfer {
            Transfer::Identity => out.extend_from_slice(octets),
            Transfer::Base64 { bits, digits } => base64(octets, bits, digits, out),
            Transfer::QuotedPrintable(quoted) => octets.iter().for_each(|octet| quoted.push(*octet, out)),
        }
        if let Some(line_ends) = &mut self.line_ends {
            line_ends.fix(start, out);
        }
    }

    /// Appends what was held back for a continuation that did not come.
    pub fn finish(mut self, out: &mut Vec<u8>) {
        let start = out.len();
        match &mut self.transfer {
            Transfer::Identity => {}
            Transfer::Base64 { bits, digits } => flush_base64(bits, digits, out),
            Transfer::QuotedPrintable(quoted) => quoted.finish(out),
        }
        if let Some(line_ends) = &mut self.line_ends {
            line_ends.fix(start, out);
        }
    }
}

/// The whole of a part at once; `None` where the encoding is unknown.
pub fn decode_part(encoding: &Encoding<'_>, octets: &[u8]) -> Option<Vec<u8>> {
    let mut decoder = Decoder::new(encoding)?;
    let mut out = Vec::with_capacity(octets.len());
    decoder.push(octets, &mut out);
    decoder.finish(&mut out);
    Some(out)
}

const OTHER: u8 = 0xff;

/// The value of each base64 digit; [`OTHER`] for what is none.
const DIGITS: [u8; 256] = {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut digits = [OTHER; 256];
    let mut value = 0;
    while value < alphabet.len() {
        digits[alphabet[value] as usize] = value as u8;
        value += 1;
    }
    digits
};

fn base64(mut octets: &[u8], bits: &mut u32, digits: &mut u8, out: &mut Vec<u8>) {
    out.reserve(octets.len() / 4 * 3);
    while let Some((first, after)) = octets.split_first() {
        if let ([a, b, c, d, rest @ ..], 0) = (octets, *digits) {
            let [a, b, c, d] = [*a, *b, *c, *d].map(|octet| DIGITS[octet as usize]);
            if (a | b | c | d) < 64 {
                let group = u32::from(a) << 18 | u32::from(b) << 12 | u32::from(c) << 6 | u32::from(d);
                out.extend_from_slice(&group.to_be_bytes()[1..]);
                octets = rest;
                continue;
            }
        }
        match DIGITS[*first as usize] {
            // Padding ends a group; another encoded piece may follow.
            OTHER if *first == b'=' => flush_base64(bits, digits, out),
            OTHER => {}
            digit => {
                *bits = *bits << 6 | u32::from(digit);
                *digits += 1;
                if *digits == 4 {
                    out.extend_from_slice(&bits.to_be_bytes()[1..]);
                    (*bits, *digits) = (0, 0);
                }
            }
        }
        octets = after;
    }
}

fn flush_base64(bits: &mut u32, digits: &mut u8, out: &mut Vec<u8>) {
    match digits {
        2 => out.push((*bits >> 4) as u8),
        3 => out.extend_from_slice(&((*bits >> 2) as u16).to_be_bytes()),
        _ => {}
    }
    (*bits, *digits) = (0, 0);
}

/// Longest run of white space that is held back to see whether a line ends after it.
const HELD_OCTETS: usize = 1000;

#[derive(Debug, Clone, Default)]
struct Quoted {
    escape: Escape,
    /// White space that disappears if the line ends after it (RFC 2045 §6.7, rule 3).
    held: Vec<u8>,
}

#[derive(Debug, Clone, Copy, Default)]
enum Escape {
    #[default]
    None,
    /// After `=`.
    Equals,
    /// After `=` and one hexadecimal digit.
    Digit(u8),
    /// After `=` and white space or CR: a soft line break if LF follows.
    Soft,
}

impl Quoted {
    fn push(&mut self, octet: u8, out: &mut Vec<u8>) {
        match (self.escape, octet) {
            (Escape::None, b'=') => {
                out.append(&mut self.held);
                self.escape = Escape::Equals;
            }
            (Escape::None, b' ' | b'\t') if self.held.len() < HELD_OCTETS => self.held.push(octet),
            (Escape::None, b'\r' | b'\n') => {
                self.held.clear();
                out.push(octet);
            }
            (Escape::None, _) => {
                out.append(&mut self.held);
                out.push(octet);
            }
            (Escape::Equals | Escape::Soft, b'\n') => self.escape = Escape::None,
            (Escape::Equals | Escape::Soft, b' ' | b'\t' | b'\r') => self.escape = Escape::Soft,
            (Escape::Equals, _) if octet.is_ascii_hexdigit() => self.escape = Escape::Digit(octet),
            (Escape::Digit(high), _) if octet.is_ascii_hexdigit() => {
                let value = |octet: u8| char::from(octet).to_digit(16).unwrap_or_default() as u8;
                out.push(value(high) << 4 | value(octet));
                self.escape = Escape::None;
            }
            (Escape::Equals | Escape::Digit(_) | Escape::Soft, _) => {
                self.give_up(out);
                self.push(octet, out);
            }
        }
    }

    /// What looked like an escape stands for itself.
    fn give_up(&mut self, out: &mut Vec<u8>) {
        match std::mem::take(&mut self.escape) {
            Escape::Equals => out.push(b'='),
            Escape::Digit(digit) => out.extend_from_slice(&[b'=', digit]),
            Escape::None | Escape::Soft => {}
        }
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        // A last `=` is a soft break before the end of the part.
        if let Escape::Digit(digit) = std::mem::take(&mut self.escape) {
            out.extend_from_slice(&[b'=', digit]);
        }
        self.held.clear();
    }
}

/// Puts a CR before each LF that lacks it.
#[derive(Debug, Clone, Default)]
struct LineEnds {
    after_cr: bool,
}

impl LineEnds {
    /// Mends `out` from `start` on.
    fn fix(&mut self, start: usize, out: &mut Vec<u8>) {
        let mut previous_cr = self.after_cr;
        let mut missing = 0;
        for octet in &out[start..] {
            missing += usize::from(*octet == b'\n' && !previous_cr);
            previous_cr = *octet == b'\r';
        }
        if missing > 0 {
            let tail = out.split_off(start);
            out.reserve(tail.len() + missing);
            let mut previous_cr = self.after_cr;
            for octet in tail {
                if octet == b'\n' && !previous_cr {
                    out.push(b'\r');
                }
                out.push(octet);
                previous_cr = octet == b'\r';
            }
        }
        self.after_cr = previous_cr;
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use proptest::prelude::*;

    use super::*;

    fn text(encoding: Encoding<'_>, octets: &[u8]) -> String {
        String::from_utf8_lossy(&decode_part(&encoding, octets).expect("known")).into_owned()
    }

    #[test]
    fn quoted_printable_of_rfc_2045() {
        let quoted = |octets: &str| text(Encoding::QuotedPrintable, octets.as_bytes());
        assert_eq!(quoted("Now's the time =\r\nfor all"), "Now's the time for all");
        assert_eq!(quoted("a =  \r\nb=20 \t\r\nc=3D=3d"), "a b \r\nc==");
        assert_eq!(quoted("broken =zz =4 =G1 ="), "broken =zz =4 =G1 ");
        assert_eq!(quoted("=E2=82=AC"), "€");
    }

    #[test]
    fn base64_with_noise_and_pieces() {
        assert_eq!(text(Encoding::Base64, b"aGVs\r\nbG8=\r\n"), "hello");
        assert_eq!(text(Encoding::Base64, b"aGVsbG8=aGk="), "hellohi");
        assert_eq!(text(Encoding::Base64, b"a*G V-sbG8"), "hello");
        assert_eq!(decode_part(&Encoding::Other(b"x-uuencode"[..].into()), b""), None);
    }

    #[test]
    fn text_lines_end_in_crlf() {
        let mut decoder = Decoder::new(&Encoding::SevenBit).expect("known");
        decoder.line_ends = Some(LineEnds::default());
        let mut out = Vec::new();
        decoder.push(b"a\nb\r", &mut out);
        decoder.push(b"\nc\r\n\n", &mut out);
        decoder.finish(&mut out);
        assert_eq!(out, b"a\r\nb\r\nc\r\n\r\n");
    }

    proptest! {
        #[test]
        fn pieces_give_what_the_whole_gives(octets in proptest::collection::vec(any::<u8>(), 0..300), cuts in proptest::collection::vec(1usize..9, 1..80)) {
            for encoding in [Encoding::Base64, Encoding::QuotedPrintable, Encoding::SevenBit] {
                let whole = decode_part(&encoding, &octets).expect("known");
                let mut decoder = Decoder::new(&encoding).expect("known");
                let (mut rest, mut out) = (&octets[..], Vec::new());
                for cut in cuts.iter().cycle() {
                    let (piece, after) = rest.split_at((*cut).min(rest.len()));
                    decoder.push(piece, &mut out);
                    rest = after;
                    if rest.is_empty() { break }
                }
                decoder.finish(&mut out);
                prop_assert_eq!(out, whole);
            }
        }

        #[test]
        fn base64_reads_back(octets in proptest::collection::vec(any::<u8>(), 0..300)) {
            let encoded = base64::engine::general_purpose::STANDARD.encode(&octets);
            prop_assert_eq!(decode_part(&Encoding::Base64, encoded.as_bytes()).expect("known"), octets);
        }
    }
}
