//! Address lists of header fields as ENVELOPE shows them (RFC 5322 §3.4, RFC 9051 §7.5.2), tolerant of what
//! RFC 7103 §7.1 lists: unbalanced brackets, comments and quotes, naked local parts, stray commas.
//! Encoded words are left as they are.

use std::borrow::Cow;

use sterna_storage::types;

use crate::limits;

/// Octets of a header without CR, LF or NUL.
pub type Text<'a> = Cow<'a, [u8]>;

/// One address structure: a mailbox, or one end of a group.
///
/// A mailbox has a `host`, which is empty where the field names none. A group begins with an entry without
/// host whose `mailbox` is the group's name, and ends with one that has neither.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Address<'a> {
    /// The display name, or the comment that stands for one; without quoting.
    pub name: Option<Text<'a>>,
    /// The source route of old (`@a,@b`).
    pub route: Option<Text<'a>>,
    /// The local part without quoting.
    pub mailbox: Option<Text<'a>>,
    /// The domain as written.
    pub host: Option<Text<'a>>,
}

impl Address<'_> {
    /// The address as the directory compares it; `None` for group marks and what is no valid address.
    pub fn to_address(&self) -> Option<types::Address> {
        let local = std::str::from_utf8(self.mailbox.as_deref()?).ok()?;
        let domain = std::str::from_utf8(self.host.as_deref()?).ok()?;
        types::Address::new(local, domain.parse().ok()?).ok()
    }

    /// Whether this opens a group.
    pub fn is_group_start(&self) -> bool {
        self.host.is_none() && self.mailbox.is_some()
    }

    /// Whether this closes a group.
    pub fn is_group_end(&self) -> bool {
        self.host.is_none() && self.mailbox.is_none()
    }
}

/// The entries of a field's value, in order, within [`limits::HEADER_ADDRESSES`]. Never fails: what cannot be
/// understood is kept as the mailbox name of an entry with an empty host.
pub fn parse(value: &[u8]) -> Vec<Address<'static>> {
    let mut parser =
        Parser { rest: value, item: Item::default(), in_group: false, unbalanced: 0, list: Vec::new() };
    while parser.list.len() < limits::HEADER_ADDRESSES && parser.step() {}
    parser.finish_item();
    parser.end_group();
    parser.list
}

/// After so many brackets without their other half they are taken for letters, so that the search for the
/// other half stays linear.
pub(super) const UNBALANCED: usize = 8;

#[derive(Default)]
struct Item {
    /// Words joined by single spaces: a display name or a group's name.
    phrase: Vec<u8>,
    /// The same without white space between them: an address without angle brackets.
    spec: Vec<u8>,
    /// Where the last unquoted `@` stands in `spec`.
    at: Option<usize>,
    comment: Option<Vec<u8>>,
    angle: Option<Address<'static>>,
}

struct Parser<'a> {
    rest: &'a [u8],
    item: Item,
    in_group: bool,
    unbalanced: usize,
    list: Vec<Address<'static>>,
}

impl Parser<'_> {
    /// Takes one token; `false` at the end.
    fn step(&mut self) -> bool {
        let Some((&first, after)) = self.rest.split_first() else { return false };
        match first {
            b' ' | b'\t' | b'\r' | b'\n' | 0 | b'>' => self.rest = after,
            b',' => {
                self.rest = after;
                self.finish_item();
            }
            b';' => {
                self.rest = after;
                self.finish_item();
                self.end_group();
            }
            // `a@[IPv6:…]` is no group.
            b':' if self.item.at.is_none() => {
                self.rest = after;
                self.start_group();
            }
            b'<' => self.angle(),
            b'"' if self.quoted() => {}
            b'(' if self.comment() => {}
            _ => self.atom(),
        }
        true
    }

    fn atom(&mut self) {
        let special = |octet: &u8| b" \t\r\n\0,;:<>\"(".contains(octet);
        // The first octet may be a quote or bracket without its other half: it is a letter here.
        let end = self.rest[1..].iter().position(special).map_or(self.rest.len(), |end| end + 1);
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        if let Some(at) = memchr::memrchr(b'@', word) {
            self.item.at = Some(self.item.spec.len() + at);
        }
        self.word(word);
    }

    fn word(&mut self, word: &[u8]) {
        if !self.item.phrase.is_empty() {
            self.item.phrase.push(b' ');
        }
        self.item.phrase.extend_from_slice(word);
        self.item.spec.extend_from_slice(word);
    }

    fn quoted(&mut self) -> bool {
        if self.unbalanced >= UNBALANCED {
            return false;
        }
        let Some((text, rest)) = quoted_string(self.rest) else {
            self.unbalanced += 1;
            return false;
        };
        self.rest = rest;
        self.word(&text);
        true
    }

    fn comment(&mut self) -> bool {
        if self.unbalanced >= UNBALANCED {
            return false;
        }
        let Some((text, rest)) = comment(self.rest) else {
            self.unbalanced += 1;
            return false;
        };
        self.rest = rest;
        self.item.comment = Some(text);
        true
    }

    /// `<route:local@domain>`; without its closing bracket it ends at the next comma (RFC 7103 §7.1.3).
    fn angle(&mut self) {
        let inner = &self.rest[1..];
        let inner = &inner[inner.iter().take_while(|octet| **octet == b'<').count()..];
        let length = angle_length(inner, &mut self.unbalanced);
        self.rest = &inner[length..];
        let inner = &inner[..length];
        let (route, spec) = match (inner.trim_ascii_start().first(), memchr::memchr(b':', inner)) {
            (Some(b'@'), Some(colon)) => (Some(compact(&inner[..colon]).0), &inner[colon + 1..]),
            _ => (None, inner),
        };
        let (spec, at) = compact(spec);
        let (mailbox, host) = halves(spec, at);
        let route = route.map(Cow::Owned);
        self.item.angle = Some(Address { name: None, route, mailbox: Some(mailbox), host: Some(host) });
    }

    fn finish_item(&mut self) {
        let item = std::mem::take(&mut self.item);
        let comment = item.comment.filter(|comment| !comment.is_empty());
        if let Some(angle) = item.angle {
            let phrase = Some(item.phrase).filter(|phrase| !phrase.is_empty());
            self.list.push(Address { name: phrase.or(comment).map(Cow::Owned), ..angle });
        } else if item.at.is_some() {
            let (mailbox, host) = halves(item.spec, item.at);
            let name = comment.map(Cow::Owned);
            self.list.push(Address { name, route: None, mailbox: Some(mailbox), host: Some(host) });
        } else if !item.phrase.is_empty() {
            let (mailbox, host) = (Some(Cow::Owned(item.phrase)), Some(Cow::Borrowed(&b""[..])));
            self.list.push(Address { name: comment.map(Cow::Owned), route: None, mailbox, host });
        }
    }

    fn start_group(&mut self) {
        self.end_group();
        let name = std::mem::take(&mut self.item).phrase;
        self.list.push(Address { mailbox: Some(Cow::Owned(name)), ..Address::default() });
        self.in_group = true;
    }

    fn end_group(&mut self) {
        if std::mem::take(&mut self.in_group) {
            self.list.push(Address::default());
        }
    }
}

/// The octets inside angle brackets: up to `>` outside quotes, else up to a comma or semicolon, else all.
fn angle_length(inner: &[u8], unbalanced: &mut usize) -> usize {
    let mut quoted = false;
    let mut fallback = None;
    let mut position = 0;
    while let Some(octet) = inner.get(position) {
        match octet {
            b'\\' if quoted => position += 1,
            b'"' if *unbalanced < UNBALANCED => quoted = !quoted,
            b'>' if !quoted => return position,
            b'<' if !quoted => break,
            b',' | b';' if !quoted && inner.first() != Some(&b'@') => fallback = fallback.or(Some(position)),
            _ => {}
        }
        position += 1;
    }
    *unbalanced += usize::from(quoted);
    fallback.unwrap_or(position.min(inner.len()))
}

/// Without white space, comments and quoting; and where the last unquoted `@` then stands.
fn compact(mut rest: &[u8]) -> (Vec<u8>, Option<usize>) {
    let (mut text, mut at, mut unbalanced) = (Vec::with_capacity(rest.len()), None, 0);
    while let Some((first, after)) = rest.split_first() {
        let token = match first {
            b'"' if unbalanced < UNBALANCED => quoted_string(rest),
            b'(' if unbalanced < UNBALANCED => comment(rest).map(|(_, rest)| (Vec::new(), rest)),
            _ => None,
        };
        if let Some((token, after)) = token {
            text.extend(token);
            rest = after;
            continue;
        }
        match first {
            b' ' | b'\t' | b'\r' | b'\n' | 0 => {}
            other => {
                unbalanced += usize::from(matches!(other, b'"' | b'('));
                if *other == b'@' {
                    at = Some(text.len());
                }
                text.push(*other);
            }
        }
        rest = after;
    }
    (text, at)
}

fn halves(mut spec: Vec<u8>, at: Option<usize>) -> (Text<'static>, Text<'static>) {
    match at {
        Some(at) => {
            let host = spec.split_off(at + 1);
            spec.truncate(at);
            (Cow::Owned(spec), Cow::Owned(host))
        }
        None => (Cow::Owned(spec), Cow::Borrowed(b"")),
    }
}

/// The text of the quoted string that `octets` begins with, and what follows it; `None` if it is not closed.
pub(super) fn quoted_string(octets: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut text = Vec::new();
    let mut position = 1;
    loop {
        match *octets.get(position)? {
            b'"' => return Some((text, &octets[position + 1..])),
            b'\\' => {
                position += 1;
                text.extend(kept(*octets.get(position)?));
            }
            b'\r' | b'\n' | 0 => {}
            octet => text.push(octet),
        }
        position += 1;
    }
}

/// The text of the comment (RFC 5322 §3.2.2) that `octets` begins with, and what follows it; `None` if it
/// is not closed.
pub(super) fn comment(octets: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut text = Vec::new();
    let (mut depth, mut position) = (1usize, 1);
    loop {
        match *octets.get(position)? {
            b')' if depth == 1 => return Some((text.trim_ascii().to_vec(), &octets[position + 1..])),
            b'\\' => {
                position += 1;
                text.extend(kept(*octets.get(position)?));
            }
            b'\r' | b'\n' | 0 => {}
            octet => {
                match octet {
                    b'(' => depth += 1,
                    b')' => depth -= 1,
                    _ => {}
                }
                text.push(octet);
            }
        }
        position += 1;
    }
}

/// An octet after a backslash, unless no header text can hold it.
fn kept(octet: u8) -> Option<u8> {
    (!matches!(octet, b'\r' | b'\n' | 0)).then_some(octet)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// `name|route|mailbox|host`, with `-` for NIL.
    fn shown(value: &str) -> Vec<String> {
        let text = |text: &Option<Text<'_>>| match text {
            Some(text) => String::from_utf8_lossy(text).into_owned(),
            None => "-".into(),
        };
        let line = |entry: &Address<'_>| {
            [&entry.name, &entry.route, &entry.mailbox, &entry.host].map(text).join("|")
        };
        parse(value.as_bytes()).iter().map(line).collect()
    }

    /// If each of these looked for its other half through all that follows, this would take minutes.
    #[test]
    fn halves_without_the_other_are_not_sought_again_and_again() {
        for hostile in ["<a,\\\"", "(a,", "\"a,", "<a,(", "<(\"", "a:\"("] {
            let value = hostile.repeat(200_000);
            assert!(!parse(value.as_bytes()).is_empty(), "{hostile}");
        }
    }

    #[test]
    fn the_forms_of_rfc_5322() {
        assert_eq!(shown("a@x.org"), ["-|-|a|x.org"]);
        assert_eq!(
            shown("John Doe <jd@x.org>, \"Roe, \\\"J\\\"\" <r@y>"),
            ["John Doe|-|jd|x.org", "Roe, \"J\"|-|r|y"]
        );
        assert_eq!(
            shown("Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>"),
            ["Pete|-|pete|silly.test"]
        );
        assert_eq!(
            shown("A Group(Some people)\r\n :Chris <c@public.example>,\r\n joe@example.org;"),
            ["-|-|A Group|-", "Chris|-|c|public.example", "-|-|joe|example.org", "-|-|-|-"]
        );
        assert_eq!(shown("Undisclosed recipients:;"), ["-|-|Undisclosed recipients|-", "-|-|-|-"]);
        assert_eq!(shown("John  . Doe  @ x . org (J)"), ["J|-|John.Doe|x.org"]);
        assert_eq!(shown("<@a,@b:c@d>"), ["-|@a,@b|c|d"]);
        assert_eq!(shown("\"a b\"@x, <\"q@r\"@y>"), ["-|-|a b|x", "-|-|q@r|y"]);
        assert_eq!(shown("=?utf-8?q?J=C3=BCrgen?= <j@x>"), ["=?utf-8?q?J=C3=BCrgen?=|-|j|x"]);
        assert_eq!(shown("A. B. Cee <c@x>"), ["A. B. Cee|-|c|x"]);
    }

    #[test]
    fn addresses_are_kept_up_to_a_bound() {
        let list = vec!["a@b.example"; limits::HEADER_ADDRESSES + 1].join(", ");
        assert_eq!(parse(list.as_bytes()).len(), limits::HEADER_ADDRESSES);
    }

    #[test]
    fn the_anomalies_of_rfc_7103() {
        assert_eq!(shown("<<<user@x.org>>>"), ["-|-|user|x.org"]);
        assert_eq!(shown("<second@x, <third@y>"), ["-|-|second|x", "-|-|third|y"]);
        assert_eq!(shown("Testing <a@x"), ["Testing|-|a|x"]);
        assert_eq!(shown("root"), ["-|-|root|"]);
        assert_eq!(shown("a@x,, ,b@y,"), ["-|-|a|x", "-|-|b|y"]);
        assert_eq!(shown("\"Joe <joe@x>"), ["\"Joe|-|joe|x"]);
        assert_eq!(shown("a@x (unclosed"), ["-|-|a|x(unclosed"]);
        assert_eq!(shown(""), Vec::<String>::new());
        assert_eq!(shown(" , ; "), Vec::<String>::new());
    }

    proptest! {
        #[test]
        fn any_octets_give_clean_entries(value in proptest::collection::vec(any::<u8>(), 0..200)) {
            for entry in parse(&value) {
                for text in [&entry.name, &entry.route, &entry.mailbox, &entry.host].into_iter().flatten() {
                    prop_assert!(!text.iter().any(|octet| matches!(octet, b'\r' | b'\n' | 0)));
                }
            }
        }

        #[test]
        fn plain_lists_read_back(names in proptest::collection::vec(("[A-Za-z ]{1,12}", "[a-z.]{1,8}", "[a-z.]{1,8}"), 1..6)) {
            let list: Vec<_> = names.iter().map(|(name, local, host)| format!("\"{name}\" <{local}@{host}>")).collect();
            let parsed = parse(list.join(",\r\n ").as_bytes());
            prop_assert_eq!(parsed.len(), names.len());
            for (entry, (name, local, host)) in parsed.iter().zip(&names) {
                prop_assert_eq!(entry.name.as_deref(), Some(name.as_bytes()));
                prop_assert_eq!(entry.mailbox.as_deref(), Some(local.as_bytes()));
                prop_assert_eq!(entry.host.as_deref(), Some(host.as_bytes()));
            }
        }
    }
}
