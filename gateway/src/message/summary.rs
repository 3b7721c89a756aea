//! What FETCH shows of a message without reading it: ENVELOPE, BODYSTRUCTURE with part offsets, PREVIEW.
//! Parsed once at arrival and kept beside the message; decoding borrows from the stored octets.

use bytes::Bytes;
use sterna_storage::{Error, Result};

use super::address::{Address, Text};
use super::codec::{Reader, put_number, put_octets};
use super::envelope::Envelope;
use super::parameter::Parameter;
use super::structure::{Encoding, Kind, Part, Structure};
use super::{parse, preview};
use crate::limits;

/// Parsed from the message without the per-recipient header lines in front of it: every offset counts from the
/// first octet of what was parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary<'a> {
    /// ENVELOPE.
    pub envelope: Envelope<'a>,
    /// BODYSTRUCTURE.
    pub structure: Structure<'a>,
    /// PREVIEW: at most [`limits::PREVIEW_CHARACTERS`] characters.
    pub preview: std::borrow::Cow<'a, str>,
}

/// The first octet of the encoded form.
const VERSION: u8 = 1;

impl<'a> Summary<'a> {
    /// Of a whole message. Never fails: see [`super::structure`] for what becomes of broken MIME.
    pub fn of(message: &'a [u8]) -> Self {
        let (structure, envelope) = parse::parse(message);
        let preview = preview::of(&structure, message).into();
        Self { envelope, structure, preview }
    }

    /// The stored form; `None` above [`limits::SUMMARY_OCTETS`].
    pub fn encode(&self) -> Option<Bytes> {
        let mut out = Vec::with_capacity(512);
        out.push(VERSION);
        put_octets(&mut out, self.preview.as_bytes());
        put_envelope(&mut out, &self.envelope);
        put_number(&mut out, self.structure.parts.len() as u64);
        for part in &self.structure.parts {
            put_part(&mut out, part);
            if out.len() > limits::SUMMARY_OCTETS {
                return None;
            }
        }
        (out.len() <= limits::SUMMARY_OCTETS).then(|| out.into())
    }

    /// From the stored form; `Corrupt` where it is not that of a known version.
    pub fn decode(stored: &'a [u8]) -> Result<Self> {
        let mut reader = Reader(stored);
        match reader.octet() {
            Some(VERSION) => {}
            version => return Err(Error::Corrupt(format!("summary version {version:?}").into())),
        }
        read_summary(&mut reader).ok_or(Error::Corrupt("summary".into()))
    }
}

fn read_summary<'a>(reader: &mut Reader<'a>) -> Option<Summary<'a>> {
    let preview = std::str::from_utf8(reader.octets()?).ok()?.into();
    let envelope = read_envelope(reader)?;
    let parts = reader.list(read_part)?;
    let last = parts.len().checked_sub(1)?;
    let whole = parts.iter().enumerate().all(|(index, part)| {
        let childless = matches!(part.kind, Kind::Multipart | Kind::Message(_)) && part.descendants == 0;
        index + part.descendants as usize <= last && !childless
    });
    (whole && reader.0.is_empty()).then_some(Summary { envelope, structure: Structure { parts }, preview })
}

fn put_envelope(out: &mut Vec<u8>, envelope: &Envelope<'_>) {
    let texts = [&envelope.date, &envelope.subject, &envelope.in_reply_to, &envelope.message_id];
    put_texts(out, &texts);
    let lists =
        [&envelope.from, &envelope.sender, &envelope.reply_to, &envelope.to, &envelope.cc, &envelope.bcc];
    let present =
        lists.iter().enumerate().fold(0, |mask, (bit, list)| mask | u8::from(!list.is_empty()) << bit);
    out.push(present);
    for list in lists.into_iter().filter(|list| !list.is_empty()) {
        put_number(out, list.len() as u64);
        for entry in list {
            put_texts(out, &[&entry.name, &entry.route, &entry.mailbox, &entry.host]);
        }
    }
}

fn read_envelope<'a>(reader: &mut Reader<'a>) -> Option<Envelope<'a>> {
    let [date, subject, in_reply_to, message_id] = read_texts(reader)?;
    let present = reader.octet()?;
    let mut list =
        |bit: u8| if present >> bit & 1 == 1 { reader.list(read_address) } else { Some(Vec::new()) };
    let (from, sender, reply_to) = (list(0)?, list(1)?, list(2)?);
    let (to, cc, bcc) = (list(3)?, list(4)?, list(5)?);
    Some(Envelope { date, subject, from, sender, reply_to, to, cc, bcc, in_reply_to, message_id })
}

fn read_address<'a>(reader: &mut Reader<'a>) -> Option<Address<'a>> {
    let [name, route, mailbox, host] = read_texts(reader)?;
    Some(Address { name, route, mailbox, host })
}

/// An octet whose bits say which texts follow, and those.
fn put_texts(out: &mut Vec<u8>, texts: &[&Option<Text<'_>>]) {
    out.push(texts.iter().enumerate().fold(0, |mask, (bit, text)| mask | u8::from(text.is_some()) << bit));
    texts.iter().filter_map(|text| text.as_deref()).for_each(|text| put_octets(out, text));
}

fn read_texts<'a, const N: usize>(reader: &mut Reader<'a>) -> Option<[Option<Text<'a>>; N]> {
    let present = reader.octet()?;
    let mut texts = [const { None }; N];
    for (bit, text) in texts.iter_mut().enumerate() {
        *text = reader.text_if(present >> bit & 1 == 1)?;
    }
    Some(texts)
}

fn put_parameters(out: &mut Vec<u8>, parameters: &[Parameter<'_>]) {
    put_number(out, parameters.len() as u64);
    for (name, value) in parameters {
        put_octets(out, name);
        put_octets(out, value);
    }
}

fn read_parameters<'a>(reader: &mut Reader<'a>) -> Option<Vec<Parameter<'a>>> {
    reader.list(|reader| Some((reader.text()?, reader.text()?)))
}

fn put_part(out: &mut Vec<u8>, part: &Part<'_>) {
    put_octets(out, &part.media_type);
    put_octets(out, &part.media_subtype);
    put_parameters(out, &part.parameters);
    put_texts(out, &[&part.id, &part.description, &part.md5, &part.location]);
    put_encoding(out, &part.encoding);
    out.push(u8::from(part.disposition.is_some()));
    if let Some((kind, parameters)) = &part.disposition {
        put_octets(out, kind);
        put_parameters(out, parameters);
    }
    put_number(out, part.language.len() as u64);
    part.language.iter().for_each(|tag| put_octets(out, tag));
    for number in [
        part.header.start,
        part.header.end - part.header.start,
        part.body.end - part.body.start,
        part.lines,
        u64::from(part.descendants),
    ] {
        put_number(out, number);
    }
    match &part.kind {
        Kind::Text => out.push(0),
        Kind::Leaf => out.push(1),
        Kind::Multipart => out.push(2),
        Kind::Message(envelope) => {
            out.push(3);
            put_envelope(out, envelope);
        }
    }
}

fn read_part<'a>(reader: &mut Reader<'a>) -> Option<Part<'a>> {
    let (media_type, media_subtype) = (reader.text()?, reader.text()?);
    let parameters = read_parameters(reader)?;
    let [id, description, md5, location] = read_texts(reader)?;
    let encoding = read_encoding(reader)?;
    let disposition = match reader.octet()? {
        0 => None,
        _ => Some((reader.text()?, read_parameters(reader)?)),
    };
    let language = reader.list(Reader::text)?;
    let start = reader.number()?;
    let middle = start.checked_add(reader.number()?)?;
    let end = middle.checked_add(reader.number()?)?;
    let (lines, descendants) = (reader.number()?, u32::try_from(reader.number()?).ok()?);
    let kind = match reader.octet()? {
        0 => Kind::Text,
        1 => Kind::Leaf,
        2 => Kind::Multipart,
        3 => Kind::Message(Box::new(read_envelope(reader)?)),
        _ => return None,
    };
    let (header, body) = (start..middle, middle..end);
    Some(Part {
        kind,
        media_type,
        media_subtype,
        parameters,
        id,
        description,
        encoding,
        md5,
        disposition,
        language,
        location,
        header,
        body,
        lines,
        descendants,
    })
}

fn put_encoding(out: &mut Vec<u8>, encoding: &Encoding<'_>) {
    match encoding {
        Encoding::SevenBit => out.push(0),
        Encoding::EightBit => out.push(1),
        Encoding::Binary => out.push(2),
        Encoding::Base64 => out.push(3),
        Encoding::QuotedPrintable => out.push(4),
        Encoding::Other(name) => {
            out.push(5);
            put_octets(out, name);
        }
    }
}

fn read_encoding<'a>(reader: &mut Reader<'a>) -> Option<Encoding<'a>> {
    Some(match reader.octet()? {
        0 => Encoding::SevenBit,
        1 => Encoding::EightBit,
        2 => Encoding::Binary,
        3 => Encoding::Base64,
        4 => Encoding::QuotedPrintable,
        5 => Encoding::Other(reader.text()?),
        _ => return None,
    })
}
