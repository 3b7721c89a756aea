//! What a client may count on in whatever a server says, read without any of the server's own code.

/// SMTP's replies (RFC 5321 §4.2): lines of a code, a separator and text, ended by CRLF, at most 512 octets each;
/// all lines of a reply have its code, and only the last has a space behind it. Gives the codes.
pub fn smtp(output: &[u8]) -> Vec<u16> {
    let mut codes = Vec::new();
    let mut open: Option<u16> = None;
    for line in lines(output) {
        assert!(line.len() + 2 <= 512, "a reply line of {} octets", line.len() + 2);
        assert!(line.iter().all(|octet| !octet.is_ascii_control()), "{}", line.escape_ascii());
        assert!(line.len() >= 4 && line[..3].iter().all(u8::is_ascii_digit), "{}", line.escape_ascii());
        assert!((b'2'..=b'5').contains(&line[0]), "{}", line.escape_ascii());
        let code = line[..3].iter().fold(0, |code, digit| code * 10 + u16::from(digit - b'0'));
        assert!(open.is_none_or(|open| open == code), "one reply with two codes");
        match line[3] {
            b' ' => {
                codes.push(code);
                open = None;
            }
            b'-' => open = Some(code),
            _ => panic!("{}", line.escape_ascii()),
        }
    }
    assert!(open.is_none(), "a reply without its last line");
    codes
}

/// The lines of an output that ends with one.
pub fn lines(output: &[u8]) -> impl Iterator<Item = &[u8]> {
    assert!(output.is_empty() || output.ends_with(b"\r\n"), "an output that ends within a line");
    output.strip_suffix(b"\r\n").into_iter().flat_map(|all| {
        // By hand: a CR or LF alone is the line's own fault, which `smtp` and the others see.
        let mut rest = Some(all);
        std::iter::from_fn(move || {
            let text = rest?;
            match text.windows(2).position(|pair| pair == b"\r\n") {
                Some(at) => {
                    rest = Some(&text[at + 2..]);
                    Some(&text[..at])
                }
                None => rest.take(),
            }
        })
    })
}

/// One parenthesized or plain item of an IMAP response (RFC 9051 §9): atoms and numbers, quoted strings, literals,
/// lists. Gives what follows it; panics at what no client could read.
pub fn imap_item(text: &[u8], depth: usize) -> &[u8] {
    assert!(depth < 200, "nested deeper than any message is read");
    match text.first() {
        Some(b'(') => {
            let mut rest = &text[1..];
            let mut first = true;
            loop {
                if let Some(after) = rest.strip_prefix(b")") {
                    return after;
                }
                if !first {
                    // Bodies of a multipart stand side by side without spaces.
                    rest = rest.strip_prefix(b" ").unwrap_or_else(|| {
                        assert!(rest.starts_with(b"("), "no space between items: {}", shown(rest));
                        rest
                    });
                }
                first = false;
                rest = imap_item(rest, depth + 1);
            }
        }
        Some(b'"') => {
            let mut at = 1;
            loop {
                match text.get(at) {
                    Some(b'"') => return &text[at + 1..],
                    Some(b'\\') => {
                        assert!(matches!(text.get(at + 1), Some(b'"' | b'\\')), "{}", shown(text));
                        at += 2;
                    }
                    Some(octet) => {
                        assert!(!matches!(octet, b'\r' | b'\n' | 0), "{}", shown(text));
                        at += 1;
                    }
                    None => panic!("a quoted string without end"),
                }
            }
        }
        Some(b'~') if text.get(1) == Some(&b'{') => imap_literal(&text[1..], true),
        Some(b'{') => imap_literal(text, false),
        Some(_) => imap_atom(text),
        None => panic!("an item is missing"),
    }
}

/// `{n}` CRLF and so many octets; NUL only in a literal8.
fn imap_literal(text: &[u8], binary: bool) -> &[u8] {
    let end = text.iter().position(|octet| *octet == b'}').expect("a literal's length ends");
    let digits = text[..end].strip_prefix(b"{").and_then(|digits| std::str::from_utf8(digits).ok());
    let length: usize =
        digits.and_then(|digits| digits.parse().ok()).expect("a literal's length is a number");
    let octets = text[end + 1..].strip_prefix(b"\r\n").expect("CRLF behind a literal's length");
    assert!(binary || !octets[..length].contains(&0), "NUL in a literal");
    &octets[length..]
}

/// An atom, a number or a flag; brackets are characters of keywords like any other (RFC 9051 §9, atom-specials).
fn imap_atom(text: &[u8]) -> &[u8] {
    let end = text.iter().position(|octet| b" ()\"{".contains(octet)).unwrap_or(text.len());
    assert!(end > 0 && !text[..end].iter().any(u8::is_ascii_control), "{}", shown(text));
    &text[end..]
}

/// The list of a FETCH response: names with values (RFC 9051 §9, msg-att).
fn fetch_items(text: &[u8]) {
    let mut rest = text.strip_prefix(b"(").unwrap_or_else(|| panic!("no list: {}", shown(text)));
    loop {
        let value = fetch_name(rest).strip_prefix(b" ");
        rest = imap_item(value.unwrap_or_else(|| panic!("no value: {}", shown(rest))), 1);
        match rest.strip_prefix(b" ") {
            Some(next) => rest = next,
            None => return assert!(rest == b")", "{}", shown(rest)),
        }
    }
}

/// The name of a FETCH item with its section, in which spaces, lists and strings may stand, and origin.
fn fetch_name(text: &[u8]) -> &[u8] {
    let end = text.iter().position(|octet| b" [".contains(octet)).unwrap_or(text.len());
    let has_section = [&b"BODY"[..], b"BINARY", b"BINARY.SIZE"].contains(&&text[..end]);
    let Some(mut rest) = text[end..].strip_prefix(b"[").filter(|_| has_section) else {
        return imap_atom(text);
    };
    loop {
        rest = match rest.first() {
            Some(b']') if rest[1..].starts_with(b" ") => return &rest[1..],
            Some(b']') => return imap_atom(&rest[1..]),
            Some(b'"' | b'{') => imap_item(rest, 0),
            Some(octet) if !octet.is_ascii_control() => &rest[1..],
            _ => panic!("a section without end: {}", shown(text)),
        }
    }
}

fn shown(text: &[u8]) -> String {
    text[..text.len().min(80)].escape_ascii().to_string()
}

/// A client that believes what it is told, and looks whether it holds together.
#[derive(Debug, Default)]
pub struct ImapClient {
    /// Messages in the open mailbox.
    exists: u64,
    ended: bool,
}

impl ImapClient {
    /// Hears all that a server says in a session, from the greeting to the end. The last response may be cut
    /// off where the client has gone.
    pub fn hears(&mut self, mut said: &[u8]) {
        assert!(said.starts_with(b"* OK ") || said.starts_with(b"* BYE "), "{}", shown(said));
        while !said.is_empty() {
            let Some(length) = response_length(said) else { return };
            let (response, rest) = said.split_at(length);
            assert!(!self.ended || !response.starts_with(b"* "), "after BYE: {}", shown(response));
            self.hear(&response[..length - 2]);
            said = rest;
        }
    }

    fn hear(&mut self, response: &[u8]) {
        if response.starts_with(b"+ ") {
            return;
        }
        let (tag, rest) = split_word(response);
        assert!(!tag.is_empty() && !rest.is_empty(), "{}", shown(response));
        let (word, text) = split_word(rest);
        if tag != b"*" {
            assert!(matches!(word, b"OK" | b"NO" | b"BAD"), "{}", shown(response));
            return;
        }
        match std::str::from_utf8(word).ok().and_then(|word| word.parse::<u64>().ok()) {
            Some(number) => self.hear_of(number, text),
            None => match word {
                b"BYE" => self.ended = true,
                b"OK" | b"NO" | b"BAD" => {}
                b"CAPABILITY" | b"ENABLED" => assert!(text.iter().all(u8::is_ascii)),
                _ => items(text),
            },
        }
    }

    fn hear_of(&mut self, number: u64, text: &[u8]) {
        let (what, rest) = split_word(text);
        match what {
            b"EXISTS" => self.exists = number,
            b"RECENT" => assert!(number <= self.exists),
            b"EXPUNGE" => {
                assert!((1..=self.exists).contains(&number), "EXPUNGE of {number} of {}", self.exists);
                self.exists -= 1;
            }
            b"FETCH" => {
                assert!((1..=self.exists).contains(&number), "FETCH of {number} of {}", self.exists);
                fetch_items(rest);
            }
            _ => panic!("{}", shown(text)),
        }
    }
}

/// Up to the line end that no literal opens; `None` where the end is missing.
fn response_length(said: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let end = said[at..].windows(2).position(|pair| pair == b"\r\n")?;
        let line = &said[at..at + end];
        at += end + 2;
        let Some(inner) = line.strip_suffix(b"}") else { return Some(at) };
        let digits = inner.iter().rev().take_while(|octet| octet.is_ascii_digit()).count();
        let (before, digits) = inner.split_at(inner.len() - digits);
        if !before.ends_with(b"{") || digits.is_empty() {
            return Some(at);
        }
        let octets: usize = std::str::from_utf8(digits).expect("digits").parse().expect("a literal's length");
        at = at.checked_add(octets).filter(|at| *at <= said.len())?;
    }
}

fn split_word(text: &[u8]) -> (&[u8], &[u8]) {
    match text.iter().position(|octet| *octet == b' ') {
        Some(at) => (&text[..at], &text[at + 1..]),
        None => (text, b""),
    }
}

/// Items with spaces between, up to the end.
fn items(mut text: &[u8]) {
    while !text.is_empty() {
        text = imap_item(text, 0);
        if !text.is_empty() {
            text =
                text.strip_prefix(b" ").unwrap_or_else(|| panic!("no space between items: {}", shown(text)));
        }
    }
}
