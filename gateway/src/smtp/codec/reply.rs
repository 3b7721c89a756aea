//! Replies that a server gives (RFC 5321 §4.2, RFC 2034).

use std::borrow::Cow;
use std::fmt;

/// Longest line of a reply without its CRLF, in octets (RFC 5321 §4.5.3.1.5).
const LINE_OCTETS: usize = 510;

/// `class.subject.detail` (RFC 3463).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EnhancedCode(pub u8, pub u16, pub u16);

impl fmt::Display for EnhancedCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// A reply: a code, the enhanced code where the reply has one, and text. Each line of the text
/// becomes a line of the reply; control characters in it become spaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    code: u16,
    enhanced: Option<EnhancedCode>,
    text: Cow<'static, str>,
}

impl Reply {
    /// A reply with a constant text.
    pub const fn new(code: u16, enhanced: EnhancedCode, text: &'static str) -> Self {
        Self { code, enhanced: Some(enhanced), text: Cow::Borrowed(text) }
    }

    /// A reply whose text is made for the occasion.
    pub const fn composed(code: u16, enhanced: EnhancedCode, text: String) -> Self {
        Self { code, enhanced: Some(enhanced), text: Cow::Owned(text) }
    }

    /// One of the replies that have no enhanced code: greetings, 3xx (RFC 2034 §3).
    pub fn bare(code: u16, text: impl Into<Cow<'static, str>>) -> Self {
        Self { code, enhanced: None, text: text.into() }
    }

    /// The three digits.
    pub const fn code(&self) -> u16 {
        self.code
    }

    /// The enhanced code.
    pub const fn enhanced(&self) -> Option<EnhancedCode> {
        self.enhanced
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it is 2xx or 3xx.
    pub const fn is_positive(&self) -> bool {
        self.code < 400
    }

    /// Appends the wire form.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        let mut lines = self.text.split('\n').peekable();
        while let Some(line) = lines.next() {
            let start = out.len();
            let separator = if lines.peek().is_some() { '-' } else { ' ' };
            out.extend_from_slice(format!("{:03}{separator}", self.code).as_bytes());
            if let Some(enhanced) = self.enhanced {
                out.extend_from_slice(format!("{enhanced} ").as_bytes());
            }
            let room = LINE_OCTETS - (out.len() - start);
            let line = &line[..line.floor_char_boundary(room)];
            let printable = |octet: u8| if octet.is_ascii_control() { b' ' } else { octet };
            out.extend(line.bytes().map(printable));
            out.extend_from_slice(b"\r\n");
        }
    }
}

impl fmt::Display for Reply {
    /// On one line, for logs and reports.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:03}", self.code)?;
        if let Some(enhanced) = self.enhanced {
            write!(f, " {enhanced}")?;
        }
        write!(f, " {}", self.text.replace('\n', " "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(reply: &Reply) -> String {
        let mut out = Vec::new();
        reply.write_to(&mut out);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn replies_are_written() {
        let unknown = Reply::new(550, EnhancedCode(5, 1, 1), "no such user");
        assert_eq!(wire(&unknown), "550 5.1.1 no such user\r\n");
        assert_eq!(wire(&Reply::bare(250, "a\nSIZE 1")), "250-a\r\n250 SIZE 1\r\n");
        let help = Reply::new(214, EnhancedCode(2, 0, 0), "a\nb");
        assert_eq!(wire(&help), "214-2.0.0 a\r\n214 2.0.0 b\r\n");
    }

    #[test]
    fn text_cannot_make_lines_of_its_own() {
        let reply = Reply::composed(550, EnhancedCode(5, 0, 0), format!("a\rb\0c{}", "é".repeat(400)));
        let wire = wire(&reply);
        assert!(wire.starts_with("550 5.0.0 a b c"));
        assert!(wire.len() <= 512 && wire.ends_with("é\r\n"));
    }
}
