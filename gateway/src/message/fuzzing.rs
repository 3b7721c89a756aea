//! What must hold of every message, whatever its octets are. Only built for tests and fuzzing.

use super::{Kind, Summary};
use crate::limits;

/// Every range lies within the message, children within their parents and in order, each part is what its kind
/// says, and the summary comes back from its stored form.
pub fn assert_sound(message: &[u8]) {
    let summary = Summary::of(message);
    let parts = summary.structure.parts();
    assert!(!parts.is_empty() && parts.len() <= limits::MIME_PARTS);
    for (index, part) in parts.iter().enumerate() {
        assert!(part.header.start <= part.header.end && part.header.end == part.body.start);
        assert!(part.body.start <= part.body.end && part.body.end <= message.len() as u64);
        let body = &message[part.body.start as usize..part.body.end as usize];
        assert_eq!(part.lines, body.iter().filter(|octet| **octet == b'\n').count() as u64);
        let mut from = part.body.start;
        let children: Vec<_> = summary.structure.children(index).collect();
        for child in &children {
            let child = &parts[*child];
            assert!(from <= child.header.start && child.body.end <= part.body.end);
            from = child.body.end;
        }
        match part.kind {
            Kind::Text => assert!(part.media_type.eq_ignore_ascii_case(b"text") && children.is_empty()),
            Kind::Leaf => assert!(!part.is_type("message", "rfc822") && children.is_empty()),
            Kind::Multipart => assert!(!children.is_empty()),
            Kind::Message(_) => assert_eq!(children.len(), 1),
        }
    }
    assert!(summary.preview.chars().count() <= limits::PREVIEW_CHARACTERS);
    if let Some(stored) = summary.encode() {
        assert_eq!(Summary::decode(&stored).expect("own encoding"), summary);
    }
}
