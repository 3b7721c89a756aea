//! IMAP: the same octets in any pieces give the same commands or the same refusals, no command is longer than it
//! may be, and what is written back (ENVELOPE, BODYSTRUCTURE, names, dates) can be read by a client.
//!
//! Input: two octets of settings (what is looked at, cut), then what the client sends, a message, or a name.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sterna_fuzz::wire::{self, Cut};
use sterna_fuzz::{memory, replies};
use sterna_gateway::message::Summary;
use sterna_node::imap::codec::command::{Command, FetchItem, SearchKey};
use sterna_node::imap::codec::cursor::Cursor;
use sterna_node::imap::codec::frame::{Frame, Framer, Refusal, literal_at_end};
use sterna_node::imap::codec::mailbox_name::{self, NameEncoding};
use sterna_node::imap::codec::sequence_set::SequenceSet;
use sterna_node::imap::codec::{date, message_data, parse, writer};
use sterna_node::limits;

fuzz_target!(|input: &[u8]| {
    let Some(([mode, seed], wire)) = wire::settings::<2>(input) else { return };
    match mode & 7 {
        6 => memory::bounded(2_000 * wire.len() + (256 << 10), || shown(wire)),
        7 => words(wire),
        mode => dialogue(wire, if mode & 1 == 0 { limits::IMAP_COMMAND_OCTETS } else { BEFORE_LOGIN }, seed),
    }
});

const BEFORE_LOGIN: usize = limits::IMAP_COMMAND_OCTETS_BEFORE_LOGIN;

fn dialogue(wire: &[u8], bound: usize, seed: u8) {
    let most = 200 * wire.len() + (64 << 10);
    let run = |cut| memory::bounded(most, || Reader::new(bound).run(wire, cut));
    let whole = run(Cut::Whole);
    assert_eq!(run(Cut::Octets), whole);
    assert_eq!(run(Cut::Pieces(seed)), whole);
}

/// What a connection does with what comes, without the store.
struct Reader {
    bound: usize,
    framer: Framer,
    buffer: Vec<u8>,
    /// Octets of a literal still to be passed over.
    literal: u64,
    seen: Vec<String>,
}

impl Reader {
    fn new(bound: usize) -> Self {
        Self { bound, framer: Framer::default(), buffer: Vec::new(), literal: 0, seen: Vec::new() }
    }

    fn run(mut self, wire: &[u8], cut: Cut) -> Vec<String> {
        for piece in cut.pieces(wire) {
            self.buffer.extend_from_slice(piece);
            if !self.take_all() {
                break;
            }
            assert!(self.buffer.len() <= self.bound, "what is kept is bounded");
        }
        self.seen
    }

    fn take_all(&mut self) -> bool {
        loop {
            let passed = usize::try_from(self.literal).unwrap_or(usize::MAX).min(self.buffer.len());
            self.buffer.drain(..passed);
            self.literal -= passed as u64;
            if self.literal > 0 {
                return true;
            }
            let taken = match self.framer.next(&self.buffer, self.bound) {
                Frame::NeedMore => return true,
                Frame::Continue => {
                    self.seen.push("+".into());
                    continue;
                }
                Frame::Command { octets } => {
                    assert_eq!(octets, length(&self.buffer), "a command that ends somewhere else");
                    let tagged = parse::command(&self.buffer[..octets]);
                    let command = tagged.command.as_ref().map(sound);
                    self.seen.push(format!("{:?} {command:?} {}", tagged.tag, tagged.known));
                    octets
                }
                Frame::Append { octets, tag, head, literal } => {
                    self.seen.push(format!("{tag} {head:?} {literal:?}"));
                    self.literal = literal.octets;
                    octets
                }
                Frame::Refused { octets, tag, reason, literal } => {
                    let reason = match reason {
                        Refusal::TooBig => "too big",
                        Refusal::Syntax(error) => error.0,
                    };
                    self.seen.push(format!("{tag:?} {reason} {literal:?}"));
                    self.literal = if literal.synchronizing { 0 } else { literal.octets };
                    octets
                }
                Frame::TooLong => {
                    self.seen.push("too long".into());
                    return false;
                }
            };
            assert!(taken <= self.bound);
            self.buffer.drain(..taken);
            self.framer = Framer::default();
        }
    }
}

/// Where the command at the front ends: behind the first line that opens no literal.
fn length(buffer: &[u8]) -> usize {
    let mut at = 0;
    loop {
        let line = &buffer[at..];
        let end = line.iter().position(|octet| *octet == b'\n').expect("a whole line") + 1;
        at += end;
        match line[..end].strip_suffix(b"\r\n").and_then(literal_at_end) {
            Some(literal) => at += usize::try_from(literal.octets).expect("within the bound"),
            None => return at,
        }
    }
}

/// What must hold of a command that was read; gives it in words.
fn sound(command: &Command) -> String {
    match command {
        Command::Fetch(fetch) => {
            set(&fetch.set);
            assert!((1..=limits::IMAP_FETCH_ITEMS).contains(&fetch.items.len()));
            let deep = |part: &[u32]| part.len() <= limits::IMAP_PART_DEPTH && !part.contains(&0);
            assert!(fetch.items.iter().all(|item| match item {
                FetchItem::Section { section, .. } => deep(&section.part),
                FetchItem::Binary { part, .. } | FetchItem::BinarySize { part } => deep(part),
                _ => true,
            }));
        }
        Command::Search(search) => {
            assert!(depth(&search.key) <= limits::IMAP_SEARCH_DEPTH + 2);
            let _ = search.key.any(&|key| {
                if let SearchKey::Sequence(numbers) | SearchKey::Uid(numbers) = key {
                    set(numbers);
                }
                false
            });
        }
        Command::Store(store) => set(&store.set),
        Command::Copy { set: numbers, mailbox, .. } => {
            set(numbers);
            name(mailbox);
        }
        Command::Select { mailbox, .. }
        | Command::Create { mailbox, .. }
        | Command::Status { mailbox, .. } => {
            name(mailbox);
        }
        Command::List(list) => {
            assert!((1..=limits::IMAP_LIST_PATTERNS).contains(&list.patterns.len()));
            list.patterns.iter().for_each(|pattern| name(pattern));
        }
        _ => {}
    }
    format!("{command:?}")
}

fn depth(key: &SearchKey) -> usize {
    match key {
        SearchKey::Not(key) => 1 + depth(key),
        SearchKey::Or(left, right) => 1 + depth(left).max(depth(right)),
        SearchKey::And(keys) => 1 + keys.iter().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// A set reads back, and stands for no more ranges than it has.
fn set(set: &SequenceSet) {
    let text = set.to_string();
    assert_eq!(Cursor::new(text.as_bytes()).sequence_set().as_ref(), Ok(set));
    for last in [0, 1, 7, u32::MAX] {
        let resolved = set.resolve(last);
        if let SequenceSet::Ranges(ranges) = set {
            assert!(resolved.ranges().count() <= ranges.len());
            if set.is_within(last) && last > 0 {
                assert!(resolved.ranges().all(|range| range.end().get() <= last));
            }
        }
    }
}

/// A name that is one in an encoding comes back from it.
fn name(octets: &[u8]) {
    for encoding in [NameEncoding::ModifiedUtf7, NameEncoding::Utf8] {
        if let Ok(name) = mailbox_name::decode(octets, encoding) {
            let again = mailbox_name::encode(&name, encoding);
            assert_eq!(mailbox_name::decode(again.as_bytes(), encoding), Ok(name.clone()));
            let mut out = Vec::new();
            writer::mailbox(&mut out, &name, encoding);
            if !name.contains('\0') {
                assert_eq!(Cursor::new(&out).astring().expect("own string").as_ref(), again.as_bytes());
            }
        }
    }
}

/// ENVELOPE and both forms of BODYSTRUCTURE of a message are one item each, which a client can read.
fn shown(message: &[u8]) {
    let summary = Summary::of(message);
    let mut out = Vec::new();
    message_data::envelope(&mut out, &summary.envelope);
    assert!(replies::imap_item(&out, 0).is_empty());
    for extended in [false, true] {
        out.clear();
        message_data::structure(&mut out, &summary.structure, extended);
        assert!(replies::imap_item(&out, 0).is_empty());
    }
    out.clear();
    writer::utf8_string(&mut out, &summary.preview);
    assert!(replies::imap_item(&out, 0).is_empty());
}

/// Single words: names, strings, dates.
fn words(octets: &[u8]) {
    name(octets);
    for write in [writer::string, writer::astring] {
        let mut out = Vec::new();
        write(&mut out, octets);
        let without_nul: Vec<u8> = octets.iter().copied().filter(|octet| *octet != 0).collect();
        let mut cursor = Cursor::new(&out);
        assert_eq!(cursor.astring().expect("own string").as_ref(), without_nul);
        assert!(cursor.is_at_end());
    }
    let mut out = Vec::new();
    writer::human(&mut out, &String::from_utf8_lossy(octets));
    assert!(out.iter().all(|octet| (b' '..=b'~').contains(octet)));
    if let Ok(instant) = Cursor::new(octets).date_time() {
        let mut out = Vec::new();
        date::write_date_time(&mut out, instant);
        let again = Cursor::new(&out).date_time().expect("own text");
        // What does not fit four digits is clamped.
        assert!(again == instant || !(1..9_999).contains(&(1970 + instant.as_secs() / 31_556_952)));
    }
    let _ = Cursor::new(octets).date();
}
