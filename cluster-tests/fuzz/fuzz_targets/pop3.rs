//! POP3: the same octets in any pieces give the same dialogue; each command gets one reply, messages come back as
//! they are stored, what was deleted and nothing else goes at QUIT, and a client that makes mistakes is sent away.
//!
//! Input: two octets of settings (connection and logins, cut), then what the client sends.

#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use sterna_fuzz::wire::{self, Cut};
use sterna_fuzz::{memory, replies};
use sterna_node::limits;
use sterna_node::pop3::codec::{LineDecoder, Stuffer, TopCutter};
use sterna_node::pop3::maildrop::Maildrop;
use sterna_node::pop3::session::{Facts, LoginRefusal, Retrieval, Session, Step};
use sterna_storage::types::Uid;

const MESSAGES: [&[u8]; 5] = [
    b"Subject: dots\r\n\r\n.\r\n..two\r\nthree.\r\n.",
    b"Subject: bare\n\n.line feeds\n.\nand\r.\rreturns",
    b"",
    b"\r\n.\r\n",
    b"Subject: no body\r\n",
];

fuzz_target!(|input: &[u8]| {
    let Some(([settings, seed], wire)) = wire::settings::<2>(input) else { return };
    // A listing of all five, or a message, for the shortest command.
    let bound = 64 * wire.len() + (128 << 10);
    let run = |cut| memory::bounded(bound, || Dialogue::new(settings).run(wire, cut));
    let whole = run(Cut::Whole);
    assert_eq!(run(Cut::Octets), whole);
    assert_eq!(run(Cut::Pieces(seed)), whole);
});

struct Dialogue {
    settings: u8,
    session: Session,
    decoder: LineDecoder,
    input: BytesMut,
    output: BytesMut,
    all: Vec<u8>,
    logins: u8,
    errors: usize,
}

impl Dialogue {
    fn new(settings: u8) -> Self {
        let facts = Facts {
            host_name: "dewey".into(),
            is_secure: settings & 1 != 0,
            offers_tls: settings & 2 != 0,
            is_trusted: settings & 4 != 0,
        };
        let mut output = BytesMut::new();
        let session = Session::new(facts, &mut output);
        let (decoder, input) = (LineDecoder::default(), BytesMut::new());
        Self { settings, session, decoder, input, output, all: Vec::new(), logins: 0, errors: 0 }
    }

    /// All that is said; at the end, whether the session was closed.
    fn run(mut self, wire: &[u8], cut: Cut) -> (Vec<u8>, bool) {
        let mut open = true;
        self.said();
        'all: for piece in cut.pieces(wire) {
            self.input.extend_from_slice(piece);
            while let Some(line) = self.decoder.decode(&mut self.input) {
                let step = self.session.handle(&line, &mut self.output);
                open = self.take(step);
                self.reply_is_sound();
                if !open {
                    break 'all;
                }
            }
            assert!(self.input.len() <= limits::POP3_LINE_OCTETS, "what is kept is bounded");
        }
        (self.all, open)
    }

    fn said(&mut self) -> BytesMut {
        let said = self.output.split();
        self.all.extend_from_slice(&said);
        said
    }

    /// Exactly one reply per line: `+OK`, `-ERR` or a challenge, and behind `+OK` a listing or nothing.
    fn reply_is_sound(&mut self) {
        let said = self.said();
        let mut lines = replies::lines(&said);
        let first = lines.next().expect("a line is answered");
        assert!(first.len() <= 510, "RFC 1939 §3");
        assert!(!first.iter().any(u8::is_ascii_control));
        self.errors += usize::from(first.starts_with(b"-ERR"));
        let positive = first.starts_with(b"+OK");
        assert!(positive || first.starts_with(b"-ERR ") || first.starts_with(b"+ "));
        let rest: Vec<&[u8]> = lines.collect();
        if let Some((last, listing)) = rest.split_last() {
            assert!(positive && *last == b".", "{}", said.escape_ascii());
            assert!(listing.iter().all(|line| *line != b"."), "{}", said.escape_ascii());
        }
    }

    fn take(&mut self, step: Step) -> bool {
        match step {
            Step::Continue => {}
            Step::Close => return false,
            Step::StartTls => self.session.secured(),
            Step::LogIn(_) => return self.log_in(),
            Step::List(mut listing) => while self.session.list(&mut listing, &mut self.output) {},
            Step::Retrieve(retrieval) => self.retrieve(&retrieval),
            Step::Update(deleted) => {
                assert!(deleted.iter().all(|uid| (10..15).contains(&uid.get())));
                self.session.updated(&Ok(()), &mut self.output);
                return false;
            }
        }
        true
    }

    fn log_in(&mut self) -> bool {
        self.logins += 1;
        assert!(u32::from(self.logins) <= limits::POP3_FAILED_LOGINS, "who guesses is sent away");
        let refusals =
            [LoginRefusal::Invalid, LoginRefusal::Throttled, LoginRefusal::InUse, LoginRefusal::Unavailable];
        if self.logins <= self.settings >> 5 & 7 && self.logins < limits::POP3_FAILED_LOGINS as u8 {
            let refusal = refusals[usize::from(self.settings >> 3 & 3)];
            return !matches!(self.session.refused(refusal, &mut self.output), Step::Close);
        }
        let messages = (10..).filter_map(Uid::new).zip(MESSAGES.iter().map(|text| text.len() as u64));
        self.session.opened(Maildrop::new(7, messages), &mut self.output);
        true
    }

    /// Sends a message in pieces, and reads it back as a client does.
    fn retrieve(&mut self, retrieval: &Retrieval) {
        let message = MESSAGES[retrieval.uid.get() as usize - 10];
        self.session.message_follows(retrieval, &mut self.output);
        let reply = self.output.len();
        let mut cutter = retrieval.body_lines.map(TopCutter::new);
        let (mut stuffer, mut sent) = (Stuffer::default(), Vec::new());
        for chunk in Cut::Pieces(self.logins ^ self.settings).pieces(message) {
            let taken = cutter.as_mut().map_or(chunk.len(), |cutter| cutter.take(chunk));
            stuffer.push(&chunk[..taken], &mut self.output);
            sent.extend_from_slice(&chunk[..taken]);
            if cutter.as_ref().is_some_and(TopCutter::is_done) {
                break;
            }
        }
        stuffer.finish(&mut self.output);
        let mut read = Vec::new();
        let mut lines: Vec<&[u8]> = replies::lines(&self.output[reply..]).collect();
        assert_eq!(lines.pop(), Some(&b"."[..]));
        for line in lines {
            read.extend_from_slice(line.strip_prefix(b".").unwrap_or(line));
            read.extend_from_slice(b"\r\n");
        }
        if !sent.is_empty() && !sent.ends_with(b"\r\n") {
            sent.extend_from_slice(b"\r\n");
        }
        assert_eq!(read, sent);
        if let Some(lines) = retrieval.body_lines {
            assert_eq!(sent, top(message, lines));
        } else {
            assert!(sent.starts_with(message));
        }
    }
}

/// The header, the empty line and so many lines of the body; whole lines end in CRLF.
fn top(message: &[u8], lines: u64) -> Vec<u8> {
    let (mut top, mut body) = (Vec::new(), None);
    for line in message.split_inclusive(|octet| *octet == b'\n') {
        match &mut body {
            Some(0) => break,
            Some(left) => *left -= 1,
            None if matches!(line, b"\n" | b"\r\n") => body = Some(lines),
            None => {}
        }
        top.extend_from_slice(line);
    }
    if !top.is_empty() && !top.ends_with(b"\r\n") {
        top.extend_from_slice(b"\r\n");
    }
    top
}
