//! PREVIEW (RFC 8970): the first words of a message, decoded, on one line.

use std::borrow::Cow;

use super::charset;
use super::decode::decode_part;
use super::structure::{Kind, Part, Structure};
use crate::limits;

/// At most [`limits::PREVIEW_CHARACTERS`] characters of the first plain text part that says anything, else of
/// the first HTML part; empty where there is neither. Attachments are not looked at; quoted lines are left out.
pub(super) fn of(structure: &Structure<'_>, message: &[u8]) -> String {
    let shown = |part: &&Part<'_>| part.kind == Kind::Text && !part.is_attachment();
    let is_html = |part: &&Part<'_>| part.is_type("text", "html");
    let is_plain = |part: &&Part<'_>| part.is_type("text", "plain");
    // A part that says nothing is rare; looking at a few suffices.
    let plain = structure.parts().iter().filter(shown).filter(is_plain).take(3);
    let html = structure.parts().iter().filter(shown).filter(is_html).take(2);
    plain
        .map(|part| of_plain(part, message))
        .chain(html.map(|part| of_html(part, message)))
        .find(|preview| !preview.is_empty())
        .unwrap_or_default()
}

fn of_plain(part: &Part<'_>, message: &[u8]) -> String {
    let mut words = Words::default();
    let text = decoded(part, message, limits::PREVIEW_TEXT_OCTETS);
    for line in text.lines().filter(|line| !line.starts_with('>')) {
        if !words.push_all(line) {
            break;
        }
        words.space();
    }
    words.text
}

fn of_html(part: &Part<'_>, message: &[u8]) -> String {
    let first = html_words(&decoded(part, message, limits::PREVIEW_TEXT_OCTETS));
    if first.is_full() || part.octets() <= limits::PREVIEW_TEXT_OCTETS as u64 {
        return first.text;
    }
    html_words(&decoded(part, message, limits::PREVIEW_HTML_OCTETS)).text
}

/// The first `limit` octets of a part as text.
fn decoded<'m>(part: &Part<'_>, message: &'m [u8], limit: usize) -> Cow<'m, str> {
    let body = &message[part.body.start as usize..part.body.end as usize];
    let octets = &body[..body.len().min(limit)];
    let charset = part.parameter("charset").unwrap_or_default();
    let decoded = if part.encoding.is_identity() {
        charset::decode(charset, octets)
    } else {
        let octets = decode_part(&part.encoding, octets).unwrap_or_default();
        charset::decode(charset, &octets).into_owned().into()
    };
    if octets.len() == body.len() {
        return decoded;
    }
    // The cut may have gone through a character.
    match decoded {
        Cow::Borrowed(text) => text.trim_end_matches('\u{fffd}').into(),
        Cow::Owned(mut text) => {
            text.truncate(text.trim_end_matches('\u{fffd}').len());
            text.into()
        }
    }
}

/// Text with runs of white space made one space, up to the bound.
#[derive(Default)]
struct Words {
    text: String,
    characters: usize,
    after_space: bool,
}

impl Words {
    fn is_full(&self) -> bool {
        self.characters >= limits::PREVIEW_CHARACTERS
    }

    fn space(&mut self) {
        self.after_space = true;
    }

    /// `false` once the bound is reached.
    fn push_all(&mut self, text: &str) -> bool {
        text.chars().all(|character| self.push(character))
    }

    fn push(&mut self, character: char) -> bool {
        if character.is_whitespace() {
            self.space();
        } else if !character.is_control() && !is_filler(character) {
            if std::mem::take(&mut self.after_space) && self.characters > 0 {
                self.add(' ');
            }
            if !self.is_full() {
                self.add(character);
            }
        }
        !self.is_full()
    }

    fn add(&mut self, character: char) {
        self.text.push(character);
        self.characters += 1;
    }
}

/// Characters of no width, with which newsletters pad what a preview shows.
fn is_filler(character: char) -> bool {
    matches!(character, '\u{ad}' | '\u{34f}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}')
}

/// Elements whose content is not shown.
const HIDDEN: [&str; 5] = ["head", "style", "script", "template", "title"];

fn html_words(html: &str) -> Words {
    let mut words = Words::default();
    let mut rest = html;
    while !words.is_full() {
        let Some(at) = rest.find(['<', '&']) else {
            words.push_all(rest);
            break;
        };
        words.push_all(&rest[..at]);
        rest = &rest[at..];
        rest = if rest.starts_with('&') { entity(rest, &mut words) } else { after_tag(rest, &mut words) };
    }
    words
}

/// Longest name of an entity with `&` and `;`.
const ENTITY_OCTETS: usize = 34;

fn entity<'h>(rest: &'h str, words: &mut Words) -> &'h str {
    match rest.bytes().take(ENTITY_OCTETS).position(|octet| octet == b';') {
        Some(end) => {
            let mut text = String::new();
            mail_parser::decoders::html::add_html_token(&mut text, &rest.as_bytes()[..=end], false);
            words.push_all(&text);
            &rest[end + 1..]
        }
        None => {
            words.push('&');
            &rest[1..]
        }
    }
}

/// Past the tag or comment that `rest` begins with, and past the content of an element that is not shown.
fn after_tag<'h>(rest: &'h str, words: &mut Words) -> &'h str {
    if rest.starts_with("<!--") {
        return rest.find("-->").map_or("", |end| &rest[end + 3..]);
    }
    let Some(end) = rest.find('>') else { return "" };
    let name: &str = rest[1..end].split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
    let after = &rest[end + 1..];
    if let Some(hidden) = HIDDEN.iter().find(|hidden| name.eq_ignore_ascii_case(hidden)) {
        return find_close(after, hidden);
    }
    // A tag of a letter or two is mostly a matter of looks within a word; others part words.
    if !["b", "i", "u", "a", "em", "span", "strong", "font"]
        .iter()
        .any(|inline| name.eq_ignore_ascii_case(inline))
        && !name.is_empty()
        || rest.starts_with("</p")
        || rest.starts_with("</div")
        || rest.starts_with("</t")
    {
        words.space();
    }
    after
}

/// From the element's closing tag on; nothing if it is not closed.
fn find_close<'h>(html: &'h str, name: &str) -> &'h str {
    let mut from = 0;
    while let Some(at) = html[from..].find("</") {
        let tag = &html.as_bytes()[from + at + 2..];
        if tag.len() >= name.len() && tag[..name.len()].eq_ignore_ascii_case(name.as_bytes()) {
            return &html[from + at..];
        }
        from += at + 2;
    }
    ""
}
