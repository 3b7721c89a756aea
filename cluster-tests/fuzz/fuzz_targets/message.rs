//! Messages: structure, sections, summary, decoding, search, and what a server rewrites; the same in whatever
//! pieces a body is read.
//!
//! Input: two octets of settings (cut, place of the needle), then the message.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sterna_fuzz::memory;
use sterna_fuzz::wire::{self, Cut};
use sterna_gateway::limits;
use sterna_gateway::message::decode::{Decoder, decode_part};
use sterna_gateway::message::dsn::{self, Action, Recipient, Report, Returned};
use sterna_gateway::message::search::{Needle, RegionKind, Scan, regions};
use sterna_gateway::message::{
    Envelope, Kind, Part, Section, Structure, Summary, address, date, encoded_word, fuzzing, header,
    parameter, submission, trace,
};
use sterna_storage::types::Timestamp;

fuzz_target!(|input: &[u8]| {
    let Some(([seed, place], message)) = wire::settings::<2>(input) else { return };
    // A part of a few octets is some hundred in the structure; each look at the text copies it.
    memory::bounded(600 * message.len() + (256 << 10), || look_at(message, seed, place));
});

fn look_at(message: &[u8], seed: u8, place: u8) {
    fuzzing::assert_sound(message);
    let summary = Summary::of(message);
    fields(message, &summary);
    sections(message, &summary.structure);
    summary.structure.parts().iter().filter(|part| part.kind != Kind::Multipart).take(8).for_each(|part| {
        decoded(part, message, seed);
    });
    searched(message, &summary.structure, seed, place);
    mended(message);
    reported(message);
}

/// The header's fields and what is read from their values.
fn fields(message: &[u8], summary: &Summary<'_>) {
    let section = &message[..header::length(message)];
    assert_eq!(summary.structure.root().header, 0..section.len() as u64);
    assert_eq!(Envelope::of(section), summary.envelope);
    let mut end = 0;
    for field in header::fields(section) {
        assert!(field.offset >= end);
        end = field.offset + field.raw.len();
        assert_eq!(&section[field.offset..end], field.raw);
        let text = field.text();
        assert!(!text.iter().any(|octet| matches!(octet, b'\r' | b'\n' | 0)));
        let clean = |text: &Option<address::Text<'_>>| {
            text.as_deref().is_none_or(|text| !text.iter().any(|octet| matches!(octet, b'\r' | b'\n' | 0)))
        };
        let addresses = address::parse(field.value);
        assert!(addresses.len() <= limits::HEADER_ADDRESSES);
        for entry in &addresses {
            assert!(clean(&entry.name) && clean(&entry.route) && clean(&entry.mailbox) && clean(&entry.host));
            let _ = entry.to_address();
        }
        let (_, parameters) = parameter::parse(field.value);
        assert!(parameters.len() <= limits::MIME_PARAMETERS);
        assert!(encoded_word::decode(&text).len() <= 4 * text.len() + 16);
        let _ = (date::day(field.value), parameter::decode_extended(field.value));
        if let Some(moment) = date::moment(field.value) {
            let again = date::moment(date::rfc5322(moment).as_bytes());
            assert!(again.is_none_or(|again| again.as_secs() == moment.as_secs()));
        }
    }
    let names = ["subject", "FROM", "content-type"];
    let (with, without) = (header::filter(section, &names, false), header::filter(section, &names, true));
    assert!(with.len() + without.len() <= 2 * section.len());
    assert!(header::fields(&with).all(|field| names.iter().any(|name| field.is(name))));
    assert!(!header::fields(&without).any(|field| names.iter().any(|name| field.is(name))));
    let _ = (trace::hops(section), submission::authors(section));
}

/// Every section that can be named lies where the parts say.
fn sections(message: &[u8], structure: &Structure<'_>) {
    let length = message.len() as u64;
    let within = |section: &Section| {
        let plain = section.range(structure, 0);
        let shifted = section.range(structure, 100);
        assert_eq!(plain.is_some(), shifted.is_some());
        if let (Some(plain), Some(shifted)) = (&plain, &shifted) {
            assert!(plain.start <= plain.end && plain.end <= length);
            assert_eq!(shifted.end, plain.end + 100);
        }
        plain
    };
    assert_eq!(within(&Section::All), Some(0..length));
    assert_eq!(
        within(&Section::Header).map(|range| range.end),
        within(&Section::Text).map(|range| range.start)
    );
    // All paths down to three levels, and a bit beyond what there is.
    let mut paths: Vec<Vec<u32>> = vec![vec![]];
    for _ in 0..3 {
        let longer = paths.iter().flat_map(|path| (0..5).map(|number| [&path[..], &[number]].concat()));
        paths = longer.filter(|path| structure.part(path).is_some() || path.last() == Some(&0)).collect();
        for path in &paths {
            let body = within(&Section::Part(path.clone()));
            assert_eq!(body.is_some(), structure.part(path).is_some());
            let mime = within(&Section::PartMime(path.clone()));
            assert_eq!(mime.map(|range| range.end), body.map(|range| range.start));
            let header = within(&Section::PartHeader(path.clone()));
            let text = within(&Section::PartText(path.clone()));
            assert_eq!(header.map(|range| range.end), text.map(|range| range.start));
        }
    }
}

fn body<'m>(part: &Part<'_>, message: &'m [u8]) -> &'m [u8] {
    &message[part.body.start as usize..part.body.end as usize]
}

/// A part's octets decoded, in pieces and at once.
fn decoded(part: &Part<'_>, message: &[u8], seed: u8) {
    let octets = body(part, message);
    let Some(whole) = decode_part(&part.encoding, octets) else { return };
    // A soft line end that turns out to be none comes back longer by nothing.
    assert!(whole.len() <= octets.len());
    let in_pieces = |mut decoder: Decoder, cut: Cut| {
        let mut out = Vec::new();
        cut.pieces(octets).for_each(|piece| decoder.push(piece, &mut out));
        decoder.finish(&mut out);
        out
    };
    let plain = Decoder::new(&part.encoding).expect("known");
    assert_eq!(in_pieces(plain, Cut::Pieces(seed)), whole);
    let lines = Decoder::for_part(part).expect("known");
    let fixed = in_pieces(lines.clone(), Cut::Whole);
    assert_eq!(in_pieces(lines, Cut::Octets), fixed);
    if part.kind == Kind::Text {
        let bare = fixed.windows(2).any(|pair| pair[1] == b'\n' && pair[0] != b'\r');
        assert!(!bare && fixed.first() != Some(&b'\n'));
    }
}

/// A needle of the message's own text is found, in whatever pieces the body is read.
fn searched(message: &[u8], structure: &Structure<'_>, seed: u8, place: u8) {
    let text = &message[message.len() * usize::from(place) / 256..];
    let length = text.iter().take(12).take_while(|octet| octet.is_ascii_graphic()).count();
    let needle = std::str::from_utf8(&text[..length]).expect("ASCII");
    let needle = Needle::new(needle);
    let found = needle.is_in_body(structure, message);
    for region in regions(structure).into_iter().take(8) {
        let octets = &message[region.range.start as usize..region.range.end as usize];
        match region.kind {
            RegionKind::Header => assert!(found || !needle.is_in_header(octets)),
            RegionKind::Text => {
                let part = &structure.parts()[region.part];
                let scan = |cut: Cut| {
                    let mut scan = Scan::new(&needle, part)?;
                    Some(cut.pieces(octets).any(|piece| scan.push(piece)) || scan.finish())
                };
                let whole = scan(Cut::Whole);
                // Where no charset is named, the first piece is what it is guessed from.
                if part.parameter("charset").is_some() {
                    assert_eq!(scan(Cut::Pieces(seed)), whole);
                }
                assert!(found || whole != Some(true));
            }
        }
    }
    let _ = needle.is_in_header(&message[..header::length(message)]);
}

/// What a submission server makes of it: one Date and one Message-ID at least, no Bcc, the body untouched.
fn mended(message: &[u8]) {
    let now = Timestamp::from_secs(1_700_000_000);
    let fix_up = submission::fix_up(message, "mx.example", now);
    let mended = fix_up.pieces(message).collect::<Vec<_>>().concat();
    assert_eq!(mended.len(), fix_up.octets());
    let section = &mended[..header::length(&mended)];
    let count = |name: &str| header::fields(section).filter(|field| field.is(name)).count();
    assert_eq!(count("Bcc") + count("Resent-Bcc"), 0);
    assert!(count("Date") > 0 && count("Message-ID") > 0);
    let body = &message[header::length(message)..];
    assert!(mended.ends_with(body));
    if fix_up.is_empty() {
        assert_eq!(mended, message);
    }
}

/// A report on it, with words from it: a multipart of three parts, whatever is in them.
fn reported(message: &[u8]) {
    let section = &message[..header::length(message)];
    let words = String::from_utf8_lossy(&message[message.len() / 2..]);
    let recipient = Recipient {
        address: "b@x.example",
        original: Some(&words),
        action: Action::Failed,
        status: "5.1.1",
        remote_host: Some(&words),
        text: &words,
        last_attempt: None,
        retried_until: None,
    };
    let now = Timestamp::from_secs(1_700_000_000);
    for (returned, smtputf8) in [(Returned::Header(section), true), (Returned::Full(message), false)] {
        let recipients = std::slice::from_ref(&recipient);
        let (sender, envelope_id) = ("a@x.example", Some(&words[..]));
        let host = "mx.example";
        let report = Report { host, sender, envelope_id, arrived: now, now, recipients, returned, smtputf8 };
        let composed = dsn::compose(&report);
        let structure = Summary::of(&composed.octets).structure;
        assert!(structure.root().is_type("multipart", "report"));
        assert_eq!(structure.children(0).count(), 3, "{}", composed.octets.escape_ascii());
        let status = &structure.parts()[structure.children(0).nth(1).expect("three parts")];
        assert!(status.media_subtype.eq_ignore_ascii_case(b"delivery-status"));
        let own = ["Reporting-MTA", "Original-Envelope-Id", "Arrival-Date", ""];
        let of_recipient =
            ["Original-Recipient", "Final-Recipient", "Action", "Status", "Remote-MTA", "Diagnostic-Code"];
        for field in header::fields(body(status, &composed.octets)) {
            let name = std::str::from_utf8(field.name).expect("ASCII");
            assert!(own.iter().chain(&of_recipient).any(|known| known.eq_ignore_ascii_case(name)), "{name}");
        }
    }
}
