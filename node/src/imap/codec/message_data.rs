//! ENVELOPE and BODYSTRUCTURE as FETCH writes them (RFC 9051 §7.5.2, §9 `envelope` and `body`).

use sterna_gateway::message::address::Address;
use sterna_gateway::message::parameter::Parameter;
use sterna_gateway::message::{Envelope, Kind, Part, Structure};

use super::writer;

/// Appends `envelope`.
pub fn envelope(out: &mut Vec<u8>, envelope: &Envelope<'_>) {
    out.push(b'(');
    writer::nstring(out, envelope.date.as_deref());
    out.push(b' ');
    writer::nstring(out, envelope.subject.as_deref());
    let lists = [
        &envelope.from[..],
        envelope.sender(),
        envelope.reply_to(),
        &envelope.to,
        &envelope.cc,
        &envelope.bcc,
    ];
    for list in lists {
        out.push(b' ');
        addresses(out, list);
    }
    out.push(b' ');
    writer::nstring(out, envelope.in_reply_to.as_deref());
    out.push(b' ');
    writer::nstring(out, envelope.message_id.as_deref());
    out.push(b')');
}

fn addresses(out: &mut Vec<u8>, list: &[Address<'_>]) {
    if list.is_empty() {
        out.extend_from_slice(b"NIL");
        return;
    }
    out.push(b'(');
    for address in list {
        out.push(b'(');
        writer::nstring(out, address.name.as_deref());
        out.push(b' ');
        writer::nstring(out, address.route.as_deref());
        out.push(b' ');
        writer::nstring(out, address.mailbox.as_deref());
        out.push(b' ');
        writer::nstring(out, address.host.as_deref());
        out.push(b')');
    }
    out.push(b')');
}

/// Appends `body`; with its extension data for BODYSTRUCTURE. The depth is bounded by the message parser.
pub fn structure(out: &mut Vec<u8>, structure: &Structure<'_>, extended: bool) {
    body(out, structure, 0, extended);
}

fn body(out: &mut Vec<u8>, structure: &Structure<'_>, index: usize, extended: bool) {
    let Some(part) = structure.parts().get(index) else { return };
    out.push(b'(');
    if part.kind == Kind::Multipart {
        for child in structure.children(index) {
            body(out, structure, child, extended);
        }
        out.push(b' ');
        writer::string(out, &part.media_subtype);
        if extended {
            out.push(b' ');
            parameters(out, &part.parameters);
            common_extension(out, part);
        }
    } else {
        single(out, structure, index, part, extended);
    }
    out.push(b')');
}

fn single(out: &mut Vec<u8>, structure: &Structure<'_>, index: usize, part: &Part<'_>, extended: bool) {
    writer::string(out, &part.media_type);
    out.push(b' ');
    writer::string(out, &part.media_subtype);
    out.push(b' ');
    parameters(out, &part.parameters);
    out.push(b' ');
    writer::nstring(out, part.id.as_deref());
    out.push(b' ');
    writer::nstring(out, part.description.as_deref());
    out.push(b' ');
    writer::string(out, part.encoding.name());
    out.push(b' ');
    writer::number(out, part.octets());
    if let Kind::Message(inner) = &part.kind {
        out.push(b' ');
        envelope(out, inner);
        out.push(b' ');
        body(out, structure, index + 1, extended);
    }
    if matches!(part.kind, Kind::Message(_) | Kind::Text) {
        out.push(b' ');
        writer::number(out, part.lines);
    }
    if extended {
        out.push(b' ');
        writer::nstring(out, part.md5.as_deref());
        common_extension(out, part);
    }
}

/// Disposition, language and location.
fn common_extension(out: &mut Vec<u8>, part: &Part<'_>) {
    out.push(b' ');
    match &part.disposition {
        Some((kind, arguments)) => {
            out.push(b'(');
            writer::string(out, kind);
            out.push(b' ');
            parameters(out, arguments);
            out.push(b')');
        }
        None => out.extend_from_slice(b"NIL"),
    }
    out.push(b' ');
    match &part.language[..] {
        [] => out.extend_from_slice(b"NIL"),
        [one] => writer::string(out, one),
        several => {
            for (position, tag) in several.iter().enumerate() {
                out.push(if position == 0 { b'(' } else { b' ' });
                writer::string(out, tag);
            }
            out.push(b')');
        }
    }
    out.push(b' ');
    writer::nstring(out, part.location.as_deref());
}

fn parameters(out: &mut Vec<u8>, list: &[Parameter<'_>]) {
    if list.is_empty() {
        out.extend_from_slice(b"NIL");
        return;
    }
    for (position, (name, value)) in list.iter().enumerate() {
        out.push(if position == 0 { b'(' } else { b' ' });
        writer::string(out, name);
        out.push(b' ');
        writer::string(out, value);
    }
    out.push(b')');
}

#[cfg(test)]
mod tests {
    use sterna_gateway::message::Summary;

    use super::*;

    fn written(message: &[u8], extended: bool) -> (String, String) {
        let summary = Summary::of(message);
        let (mut first, mut second) = (Vec::new(), Vec::new());
        envelope(&mut first, &summary.envelope);
        structure(&mut second, &summary.structure, extended);
        (String::from_utf8(first).expect("ASCII"), String::from_utf8(second).expect("ASCII"))
    }

    #[test]
    fn the_example_of_rfc_9051_section_8() {
        let body = "x".repeat(31) + "\r\n";
        let message = format!(
            "Date: Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\r\n\
             From: Terry Gray <gray@cac.washington.edu>\r\n\
             Subject: IMAP4rev2 WG mtg summary and minutes\r\n\
             To: imap@cac.washington.edu\r\n\
             cc: minutes@CNRI.Reston.VA.US, John Klensin <KLENSIN@MIT.EDU>\r\n\
             Message-Id: <B27397-0100000@cac.washington.edu>\r\n\
             MIME-Version: 1.0\r\n\
             Content-Type: TEXT/PLAIN; CHARSET=US-ASCII\r\n\r\n{}",
            body.repeat(92)
        );
        let (envelope, body) = written(message.as_bytes(), false);
        assert_eq!(
            envelope,
            "(\"Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\" \"IMAP4rev2 WG mtg summary and minutes\" \
             ((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) \
             ((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) \
             ((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) \
             ((NIL NIL \"imap\" \"cac.washington.edu\")) \
             ((NIL NIL \"minutes\" \"CNRI.Reston.VA.US\")(\"John Klensin\" NIL \"KLENSIN\" \"MIT.EDU\")) \
             NIL NIL \"<B27397-0100000@cac.washington.edu>\")"
        );
        assert_eq!(body, "(\"TEXT\" \"PLAIN\" (\"CHARSET\" \"US-ASCII\") NIL NIL \"7BIT\" 3036 92)");
    }

    #[test]
    fn multiparts_and_attached_messages() {
        let message = b"Content-Type: multipart/mixed; boundary=b\r\nContent-Language: en, de\r\n\r\n\
            --b\r\n\r\nhello\r\n--b\r\nContent-Type: message/rfc822\r\nContent-Disposition: attachment; filename=a\r\n\r\n\
            Subject: in\r\n\r\nx\r\n--b--\r\n";
        let (_, body) = written(message, false);
        assert_eq!(
            body,
            "((\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7BIT\" 5 0)\
             (\"message\" \"rfc822\" NIL NIL NIL \"7BIT\" 16 \
             (NIL \"in\" NIL NIL NIL NIL NIL NIL NIL NIL) \
             (\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7BIT\" 1 0) 2) \"mixed\")"
        );
        let (_, body) = written(message, true);
        assert!(body.ends_with("\"mixed\" (\"boundary\" \"b\") NIL (\"en\" \"de\") NIL)"), "{body}");
        assert!(body.contains("(\"attachment\" (\"filename\" \"a\")) NIL NIL)"), "{body}");
    }
}
