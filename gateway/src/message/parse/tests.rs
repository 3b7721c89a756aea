//! The parser against messages whose ranges are known because the test wrote them, against mail-parser, and
//! against damage.

use proptest::prelude::*;

use super::super::{Encoding, Kind, Section, Structure, Summary, fuzzing};
use super::*;

/// Each part as `depth type/subtype body`, where the body of a leaf is quoted.
fn outline(message: &str) -> String {
    let (structure, _) = parse(message.as_bytes());
    let mut lines = Vec::new();
    let mut pending = vec![(0, 0)];
    while let Some((index, depth)) = pending.pop() {
        let part = &structure.parts()[index];
        let body = &message[part.body.start as usize..part.body.end as usize];
        let text = |text: &[u8]| String::from_utf8_lossy(text).into_owned();
        let shown =
            if structure.children(index).next().is_none() { format!(" {body:?}") } else { String::new() };
        let (kind, subtype) = (text(&part.media_type), text(&part.media_subtype));
        lines.push(format!("{}{kind}/{subtype}{shown}", " ".repeat(depth)));
        let children: Vec<_> = structure.children(index).collect();
        pending.extend(children.into_iter().rev().map(|child| (child, depth + 1)));
    }
    lines.join("\n")
}

fn octets<'m>(message: &'m str, structure: &Structure<'_>, section: Section) -> Option<&'m str> {
    let range = section.range(structure, 0)?;
    Some(&message[range.start as usize..range.end as usize])
}

#[test]
fn a_message_without_mime_is_plain_text() {
    let message = "Subject: x\r\n\r\none\r\ntwo\r\n";
    assert_eq!(outline(message), r#"text/plain "one\r\ntwo\r\n""#);
    let (structure, _) = parse(message.as_bytes());
    assert_eq!(structure.root().lines, 2);
    assert_eq!(structure.root().parameter("CHARSET"), Some(&b"us-ascii"[..]));
    assert_eq!(octets(message, &structure, Section::Part(vec![1])), Some("one\r\ntwo\r\n"));
    assert_eq!(octets(message, &structure, Section::PartMime(vec![1])), Some("Subject: x\r\n\r\n"));
    assert_eq!(octets(message, &structure, Section::Part(vec![2])), None);
    assert_eq!(octets(message, &structure, Section::PartText(vec![1])), None);
    assert_eq!(Section::All.range(&structure, 7), Some(0..message.len() as u64 + 7));
    assert_eq!(Section::Text.range(&structure, 7), Some(21..message.len() as u64 + 7));
}

#[test]
fn empty_and_headless_messages() {
    assert_eq!(outline(""), r#"text/plain """#);
    assert_eq!(outline("\r\nbody"), r#"text/plain "body""#);
    assert_eq!(outline("A: b"), r#"text/plain """#);
}

/// RFC 2046 §5.1.1, with its preamble, epilogue, and a part without header.
#[test]
fn the_multipart_of_rfc_2046() {
    let message = concat!(
        "MIME-Version: 1.0\r\nContent-type: multipart/mixed; boundary=\"simple boundary\"\r\n\r\n",
        "This is the preamble.\r\n\r\n--simple boundary\r\n\r\nimplicitly typed\r\nNOT end with a linebreak.\r\n",
        "--simple boundary\r\nContent-type: text/plain; charset=us-ascii\r\n\r\nDOES end with a linebreak.\r\n\r\n",
        "--simple boundary--\r\n\r\nThis is the epilogue.\r\n"
    );
    assert_eq!(
        outline(message),
        "multipart/mixed\n text/plain \"implicitly typed\\r\\nNOT end with a linebreak.\"\n text/plain \"DOES end with a linebreak.\\r\\n\""
    );
    let (structure, _) = parse(message.as_bytes());
    assert_eq!(structure.parts()[1].lines, 1);
    assert_eq!(octets(message, &structure, Section::PartMime(vec![1])), Some("\r\n"));
    assert!(octets(message, &structure, Section::Text).is_some_and(|text| text.ends_with("epilogue.\r\n")));
}

/// The example of RFC 9051 §6.4.5.1.
#[test]
fn section_numbers_of_rfc_9051() {
    let alternative = "--c\r\n\r\nplain\r\n--c\r\nContent-Type: text/richtext\r\n\r\nrich\r\n--c--";
    let inner = format!(
        "Subject: in\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\none\r\n--b\r\n\
         Content-Type: multipart/alternative; boundary=c\r\n\r\n{alternative}\r\n--b--"
    );
    let message = format!(
        "Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n\r\nfirst\r\n--a\r\n\
         Content-Type: message/rfc822\r\n\r\n{inner}\r\n--a\r\nContent-Type: image/gif\r\n\r\nGIF\r\n--a--\r\n"
    );
    let (structure, _) = parse(message.as_bytes());
    let get = |section| octets(&message, &structure, section);
    assert_eq!(get(Section::Part(vec![1])), Some("first"));
    assert_eq!(get(Section::Part(vec![2])), Some(&inner[..]));
    assert_eq!(get(Section::PartMime(vec![2])), Some("Content-Type: message/rfc822\r\n\r\n"));
    let header = "Subject: in\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n";
    assert_eq!(get(Section::PartHeader(vec![2])), Some(header));
    assert_eq!(get(Section::PartText(vec![2])), Some(&inner[header.len()..]));
    assert_eq!(get(Section::Part(vec![2, 1])), Some("one"));
    assert_eq!(get(Section::Part(vec![2, 2])), Some(alternative));
    assert_eq!(get(Section::Part(vec![2, 2, 2])), Some("rich"));
    assert_eq!(get(Section::PartMime(vec![2, 2, 2])), Some("Content-Type: text/richtext\r\n\r\n"));
    assert_eq!(get(Section::Part(vec![3])), Some("GIF"));
    for absent in [vec![0], vec![4], vec![1, 1], vec![2, 3], vec![2, 2, 2, 1]] {
        assert_eq!(get(Section::Part(absent.clone())), None, "{absent:?}");
    }
    assert_eq!(get(Section::PartHeader(vec![1])), None);
    let Kind::Message(envelope) = &structure.part(&[2]).expect("attached").kind else { panic!("a message") };
    assert_eq!(envelope.subject.as_deref(), Some(&b"in"[..]));
}

#[test]
fn a_digest_holds_messages() {
    let message = "Content-Type: multipart/digest; boundary=d\r\n\r\n--d\r\n\r\nFrom: a@x\r\n\r\nhi\r\n--d--";
    assert_eq!(outline(message), "multipart/digest\n message/rfc822\n  text/plain \"hi\"");
}

#[test]
fn broken_multiparts_become_something_simpler() {
    let no_boundary = "Content-Type: multipart/mixed\r\n\r\n--x\r\n\r\na\r\n--x--\r\n";
    assert_eq!(outline(no_boundary), r#"text/plain "--x\r\n\r\na\r\n--x--\r\n""#);
    let no_delimiter = "Content-Type: multipart/mixed; boundary=x\r\n\r\nwords\r\n";
    assert_eq!(outline(no_delimiter), r#"text/plain "words\r\n""#);
    let unclosed = "Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\na\r\n--x\r\n\r\nb";
    assert_eq!(outline(unclosed), "multipart/mixed\n text/plain \"a\"\n text/plain \"b\"");
    let inner_unclosed = concat!(
        "Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Type: multipart/mixed; boundary=y\r\n\r\n",
        "--y\r\n\r\na\r\n--x\r\n\r\nb\r\n--x--"
    );
    assert_eq!(
        outline(inner_unclosed),
        "multipart/mixed\n multipart/mixed\n  text/plain \"a\"\n text/plain \"b\""
    );
    let cut_header =
        "Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Type: image/png\r\n--x--";
    assert_eq!(outline(cut_header), "multipart/mixed\n image/png \"\"");
    let empty_parts = "Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n--x\r\n\r\n--x--";
    assert_eq!(outline(empty_parts), "multipart/mixed\n text/plain \"\"\n text/plain \"\"");
    let encoded = "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\nRnJvbQ==\r\n";
    assert_eq!(outline(encoded), r#"application/octet-stream "RnJvbQ==\r\n""#);
}

#[test]
fn boundaries_that_begin_alike_are_told_apart() {
    let message = concat!(
        "Content-Type: multipart/mixed; boundary=\"=_a\"\r\n\r\n--=_a\r\n",
        "Content-Type: multipart/mixed; boundary=\"=_a1\"\r\n\r\n--=_a1 \t\r\n\r\nin\r\n--=_a1--\r\n--=_a\r\n\r\nout\r\n--=_a--\r\n"
    );
    assert_eq!(
        outline(message),
        "multipart/mixed\n multipart/mixed\n  text/plain \"in\"\n text/plain \"out\""
    );
}

#[test]
fn bare_line_feeds_are_understood() {
    let message = "Content-Type: multipart/mixed; boundary=x\n\n--x\n\na\n\n--x\n\nb\n--x--\n";
    assert_eq!(outline(message), "multipart/mixed\n text/plain \"a\\n\"\n text/plain \"b\"");
}

#[test]
fn nesting_and_parts_are_bounded() {
    let deep: String = (0..500)
        .map(|n| format!("Content-Type: multipart/mixed; boundary=b{n}x\r\n\r\n--b{n}x\r\n"))
        .collect();
    let (structure, _) = parse(deep.as_bytes());
    assert_eq!(structure.parts().len(), limits::MIME_DEPTH);
    let messages = "Content-Type: message/rfc822\r\n\r\n".repeat(500);
    let (structure, _) = parse(messages.as_bytes());
    assert_eq!(structure.parts().len(), limits::MIME_DEPTH);
    assert!(structure.parts().last().is_some_and(|part| part.is_type("application", "octet-stream")));
    let wide =
        format!("Content-Type: multipart/digest; boundary=b\r\n\r\n{}", "--b\r\n\r\n\r\n".repeat(30_000));
    let (structure, _) = parse(wide.as_bytes());
    assert!((limits::MIME_PARTS - 2..=limits::MIME_PARTS).contains(&structure.parts().len()));
    assert_eq!(structure.root().body.end, wide.len() as u64);
}

#[test]
fn content_fields_are_kept() {
    let message = concat!(
        "Content-Type: application/pdf; name=x.pdf\r\nContent-ID: <1@x>\r\nContent-Description: a\r\n b\r\n",
        "Content-MD5: Q2hlY2s=\r\nContent-Language: en, de-AT\r\nContent-Location: http://x/\r\n",
        "Content-Disposition: attachment; filename*=utf-8''%e2%82%ac.pdf\r\nContent-Transfer-Encoding: BASE64\r\n\r\nAAAA"
    );
    let (structure, _) = parse(message.as_bytes());
    let part = structure.root();
    assert_eq!(part.id.as_deref(), Some(&b"<1@x>"[..]));
    assert_eq!(part.description.as_deref(), Some(&b"a b"[..]));
    assert_eq!(part.md5.as_deref(), Some(&b"Q2hlY2s="[..]));
    assert_eq!(part.language, [&b"en"[..], b"de-AT"]);
    assert_eq!(part.location.as_deref(), Some(&b"http://x/"[..]));
    assert!(part.is_attachment());
    assert_eq!(part.encoding, Encoding::Base64);
}

#[derive(Debug, Clone)]
enum Node {
    Leaf(&'static str, String),
    Multipart(Vec<Node>),
    Message(Box<Node>),
}

fn node() -> impl Strategy<Value = Node> {
    let types = prop_oneof![
        Just("text/plain"),
        Just("text/html; charset=utf-8"),
        Just("image/png"),
        Just("application/x")
    ];
    let leaf = (types, "([a-z=. ]{0,20}\r\n){0,4}[a-z]{0,5}").prop_map(|(kind, body)| Node::Leaf(kind, body));
    leaf.prop_recursive(5, 24, 4, |inner| {
        prop_oneof![
            3 => proptest::collection::vec(inner.clone(), 1..4).prop_map(Node::Multipart),
            1 => inner.prop_map(|node| Node::Message(Box::new(node))),
        ]
    })
}

/// What the parser must find: media type, header, body.
type Expected = Vec<(String, Range<u64>, Range<u64>)>;

fn write(node: &Node, out: &mut String, boundaries: &mut u32, expected: &mut Expected) {
    let start = out.len() as u64;
    let index = expected.len();
    let (kind, content) = match node {
        Node::Leaf(kind, _) => ((*kind).to_owned(), String::new()),
        Node::Multipart(_) => {
            *boundaries += 1;
            ("multipart/mixed".to_owned(), format!("; boundary=\"b {boundaries}\""))
        }
        Node::Message(_) => ("message/rfc822".to_owned(), String::new()),
    };
    let boundary = *boundaries;
    out.push_str(&format!("Subject: s\r\nContent-Type: {kind}{content}\r\n\r\n"));
    let body = out.len() as u64;
    let name = kind.split(';').next().unwrap_or_default().to_owned();
    expected.push((name, start..body, body..body));
    match node {
        Node::Leaf(_, text) => out.push_str(text),
        Node::Message(inner) => write(inner, out, boundaries, expected),
        Node::Multipart(children) => {
            for child in children {
                out.push_str(&format!("--b {boundary}\r\n"));
                write(child, out, boundaries, expected);
                out.push_str("\r\n");
            }
            out.push_str(&format!("--b {boundary}--"));
        }
    }
    expected[index].2.end = out.len() as u64;
}

fn written(node: &Node) -> (String, Expected) {
    let (mut message, mut expected) = (String::new(), Vec::new());
    write(node, &mut message, &mut 0, &mut expected);
    (message, expected)
}

/// The bodies of all leaves as mail-parser delimits them, in order.
fn oracle_leaves(message: &mail_parser::Message<'_>, into: &mut Vec<(u64, u64)>) {
    for part in &message.parts {
        match &part.body {
            mail_parser::PartType::Multipart(_) => {}
            mail_parser::PartType::Message(inner) => oracle_leaves(inner, into),
            _ => into.push((part.offset_body.into(), part.offset_end.into())),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn written_trees_are_found_exactly(node in node()) {
        let (message, expected) = written(&node);
        let (structure, _) = parse(message.as_bytes());
        let found: Expected = structure.parts().iter().map(|part| {
            let name = format!("{}/{}", String::from_utf8_lossy(&part.media_type), String::from_utf8_lossy(&part.media_subtype));
            (name, part.header.clone(), part.body.clone())
        }).collect();
        prop_assert_eq!(found, expected);
        fuzzing::assert_sound(message.as_bytes());
    }

    #[test]
    fn leaves_are_where_mail_parser_sees_them(node in node()) {
        let (message, tree) = written(&node);
        // mail-parser's own debug assertions fail on some nested trees ("Invalid part ID"), and of others it loses
        // leaves: those say nothing of ours.
        let oracle = std::panic::catch_unwind(|| mail_parser::MessageParser::default().parse(message.as_bytes()));
        prop_assume!(oracle.is_ok());
        let oracle = oracle.expect("checked").expect("a message");
        let mut expected = Vec::new();
        oracle_leaves(&oracle, &mut expected);
        let is_leaf = |name: &str| !name.starts_with("multipart/") && !name.starts_with("message/");
        prop_assume!(expected.len() == tree.iter().filter(|(name, ..)| is_leaf(name)).count());
        let (structure, _) = parse(message.as_bytes());
        let leaf = |part: &&Part<'_>| matches!(part.kind, Kind::Text | Kind::Leaf);
        let found: Vec<_> = structure.parts().iter().filter(leaf).map(|part| (part.body.start, part.body.end)).collect();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn damage_stays_within_bounds(node in node(), cuts in proptest::collection::vec((any::<prop::sample::Index>(), 0usize..12, "[-b \r\n:;1-4]{0,4}"), 1..6)) {
        let mut message = written(&node).0.into_bytes();
        for (at, length, replacement) in cuts {
            let at = at.index(message.len() + 1);
            let end = (at + length).min(message.len());
            message.splice(at..end, replacement.bytes());
        }
        fuzzing::assert_sound(&message);
    }

    #[test]
    fn any_octets_stay_within_bounds(octets in proptest::collection::vec(any::<u8>(), 0..400)) {
        fuzzing::assert_sound(&octets);
    }

    #[test]
    fn any_stored_octets_decode_or_fail(octets in proptest::collection::vec(any::<u8>(), 0..200), keep in 0usize..200) {
        let stored = Summary::of(b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\na\r\n--x--").encode().expect("small");
        let mut damaged = stored[..keep.min(stored.len())].to_vec();
        damaged.extend(octets);
        if let Ok(summary) = Summary::decode(&damaged) {
            for index in 0..summary.structure.parts().len() {
                prop_assert!(summary.structure.children(index).all(|child| child > index));
            }
        }
    }
}

#[test]
fn previews_show_the_first_words() {
    let preview = |message: &str| Summary::of(message.as_bytes()).preview.into_owned();
    assert_eq!(preview("\r\n> quoted\r\nHello,\r\n\r\n  dear   world\r\n"), "Hello, dear world");
    assert_eq!(
        preview(
            "Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\ngr=FCn=\r\ne"
        ),
        "grüne"
    );
    let html = "Content-Type: text/html\r\n\r\n<html><head><style>p{x}</style></head><body><!-- no -->\
                <p>One &amp; t<b>w</b>o</p><p>three&nbsp;<br>four</body>";
    assert_eq!(preview(html), "One & two three four");
    assert_eq!(preview(&format!("\r\n{}", "ä".repeat(500))).chars().count(), 200);
    assert_eq!(preview("Content-Type: image/png\r\n\r\nxxx"), "");
}

#[test]
fn stored_summaries_stay_below_their_bound() {
    let many = format!("To: {}\r\n\r\n", "someone@example.org, ".repeat(5000));
    assert_eq!(Summary::of(many.as_bytes()).encode(), None);
}
