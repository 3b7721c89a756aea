//! SMTP as the server and as the client: the same octets in any pieces give the same dialogue, nothing but
//! CRLF.CRLF ends a message, and neither side takes more than its bounds.
//!
//! Input: three octets of settings (role, policy, cut), then what the peer sends.

#![no_main]

use std::sync::{Arc, LazyLock};
use std::time::Instant;

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use sterna_fuzz::wire::{self, Cut};
use sterna_fuzz::{memory, replies};
use sterna_gateway::limits;
use sterna_gateway::smtp::client::{self, Client, ClientConfig, RecipientRequest, Request, TlsUse};
use sterna_gateway::smtp::codec::{EnhancedCode, Reply};
use sterna_gateway::smtp::session::{Channel, Config, Role, Session, Step};

/// The session reads no clock; all that happens, happens now.
static NOW: LazyLock<Instant> = LazyLock::new(Instant::now);

fuzz_target!(|input: &[u8]| {
    let Some(([role, policy, seed], wire)) = wire::settings::<3>(input) else { return };
    LazyLock::force(&NOW);
    match role % 4 {
        0 => server(Role::Mx, policy, seed, wire),
        1 => server(Role::Submission, policy, seed, wire),
        2 => server(Role::Lmtp, policy, seed, wire),
        _ => client_side(policy, seed, wire),
    }
});

fn server(role: Role, policy: u8, seed: u8, wire: &[u8]) {
    let bound = 64 * wire.len() + 4 * message_octets(policy) + (256 << 10);
    let run = |cut| memory::bounded(bound, || Dialogue::new(role, policy).run(wire, cut));
    let slowly = run(Cut::Octets);
    assert_eq!(run(Cut::Whole), slowly);
    assert_eq!(run(Cut::Pieces(seed)), slowly);
}

/// What the other side and the policy see, in order.
#[derive(Debug, PartialEq)]
enum Event {
    Said(String),
    Message { envelope: String, octets: Vec<u8> },
    Tls,
    Login(String),
    Closed,
}

fn message_octets(policy: u8) -> usize {
    [64, 3_000, 40_000, 1 << 20][usize::from(policy & 3)]
}

struct Dialogue {
    role: Role,
    policy: u8,
    session: Session<()>,
    input: BytesMut,
    /// Octets that came so far.
    received: usize,
    events: Vec<Event>,
    /// Where the text of the message under way began, if it came by DATA.
    text: Option<usize>,
    /// How often the policy was asked.
    asked: u8,
}

impl Dialogue {
    fn new(role: Role, policy: u8) -> Self {
        let config = Config {
            role,
            host_name: "mx.example".into(),
            message_octets: message_octets(policy),
            recipients: 3,
            starttls: policy & 4 != 0,
            trusted_networks: Vec::new(),
            command_wait: limits::COMMAND_WAIT,
            reply_wait: limits::COMMAND_WAIT,
        };
        let channel = match (policy & 8 != 0, policy & 16 != 0) {
            (true, _) => Channel::Tls,
            (false, true) => Channel::Trusted,
            (false, false) => Channel::Plain,
        };
        let session = Session::open(Arc::new(config), channel, *NOW);
        let (input, events) = (BytesMut::new(), Vec::new());
        Self { role, policy, session, input, received: 0, events, text: None, asked: 0 }
    }

    /// Everything that happens, up to the end of the wire or of the dialogue.
    fn run(mut self, wire: &[u8], cut: Cut) -> Vec<Event> {
        let octets = matches!(cut, Cut::Octets);
        self.heard();
        for piece in cut.pieces(wire) {
            self.input.extend_from_slice(piece);
            self.received += piece.len();
            let goes_on = self.take_all(wire, octets);
            assert!(self.input.len() <= limits::LOGIN_LINE_OCTETS, "what is kept is bounded");
            assert!(self.session.granted_octets() <= message_octets(self.policy) + (32 << 10));
            if !goes_on {
                self.events.push(Event::Closed);
                break;
            }
        }
        if let (true, Some(text)) = (octets, self.text) {
            assert_eq!(end_of_text(&wire[text..self.received]), None, "an end that was passed over");
        }
        self.check_bounds();
        self.events
    }

    fn consumed(&self) -> usize {
        self.received - self.input.len()
    }

    /// Takes the session to where it wants more; whether it goes on.
    fn take_all(&mut self, wire: &[u8], octets: bool) -> bool {
        loop {
            let step = self.session.handle(&mut self.input, *NOW);
            let said = self.heard();
            let mut text = None;
            if octets && (said || matches!(step, Step::Message(_))) {
                // Octet by octet, whatever is said after a text is said to its end.
                text = self.text.take().map(|begin| &wire[begin..self.consumed()]);
                // A text far past the limit ends with the dialogue.
                if let (Some(text), false) = (text, matches!(step, Step::Close)) {
                    assert_eq!(end_of_text(text), Some(text.len()), "a text that ends somewhere else");
                }
            }
            match step {
                Step::NeedMore => return true,
                Step::Close => return false,
                Step::StartTls => {
                    self.events.push(Event::Tls);
                    self.session.tls_started(*NOW);
                }
                Step::Memory(octets) => self.memory(octets),
                Step::Authenticate(credentials) => {
                    self.events.push(Event::Login(credentials.login));
                    let verdict = self.verdict(535);
                    self.session.authenticated(verdict);
                }
                Step::CheckSender(transaction) => {
                    let verdict = self.verdict(571);
                    self.session.sender_checked(transaction, verdict);
                }
                Step::CheckRecipient(candidate) => {
                    let verdict = self.verdict(551);
                    self.session.recipient_checked(candidate, verdict);
                }
                Step::Message(incoming) => {
                    self.check_message(&incoming.message, text);
                    let envelope =
                        format!("{:?} {:?} {}", incoming.transaction, incoming.hello, incoming.protocol);
                    self.events.push(Event::Message { envelope, octets: incoming.message });
                    let taken = Reply::new(250, EnhancedCode(2, 0, 0), "taken");
                    let answer = self.verdict(556).err().unwrap_or(taken);
                    self.session.message_answered(&[answer]);
                }
            }
            self.heard();
        }
    }

    /// Memory is refused to a message from its begin on, or not at all: when more is asked for depends on the
    /// pieces.
    fn memory(&mut self, octets: usize) {
        let limit = message_octets(self.policy);
        assert!(octets <= limit + limits::MESSAGE_MEMORY_SLACK_OCTETS, "{octets} octets asked for");
        let first = self.session.granted_octets() == 0;
        let granted = !first || self.verdict(400).is_ok();
        self.session.memory_granted(granted.then_some(octets));
        let said = self.session.take_output();
        if said.starts_with(b"354") {
            self.text = Some(self.consumed());
        }
        self.said(&said);
    }

    /// The policy: mostly yes, and where the settings say so sometimes no.
    fn verdict(&mut self, code: u16) -> Result<(), Reply> {
        self.asked = self.asked.wrapping_add(1);
        let refused = self.policy & 0x80 != 0 && self.asked.wrapping_mul(self.policy | 1) & 0x30 == 0;
        if refused { Err(Reply::new(code, EnhancedCode(5, 7, 1), "not so")) } else { Ok(()) }
    }

    fn heard(&mut self) -> bool {
        let output = self.session.take_output();
        self.said(&output);
        !output.is_empty()
    }

    fn said(&mut self, output: &[u8]) {
        replies::smtp(output);
        let text = String::from_utf8(output.to_vec()).expect("replies are text");
        match self.events.last_mut() {
            _ if text.is_empty() => {}
            Some(Event::Said(before)) => before.push_str(&text),
            _ => self.events.push(Event::Said(text)),
        }
    }

    /// Clean line ends, no NUL, within the limit; and what came by DATA is just what its text stands for.
    fn check_message(&self, message: &[u8], text: Option<&[u8]>) {
        assert!(message.len() <= message_octets(self.policy));
        assert!(!message.contains(&0));
        for (at, octet) in message.iter().enumerate() {
            match octet {
                b'\n' => assert_eq!(at.checked_sub(1).map(|before| message[before]), Some(b'\r')),
                b'\r' => assert_eq!(message.get(at + 1), Some(&b'\n')),
                _ => {}
            }
        }
        if let Some(text) = text {
            assert_eq!(message, plain(text, self.role));
        }
    }

    /// A client that only makes mistakes is sent away.
    fn check_bounds(&self) {
        let said = self.events.iter().filter_map(|event| match event {
            Event::Said(text) => Some(text.as_bytes()),
            _ => None,
        });
        let codes: Vec<u16> = said.flat_map(replies::smtp).collect();
        let count = |wanted: &[u16]| codes.iter().filter(|code| wanted.contains(code)).count();
        assert!(count(&[500, 501, 504, 538, 555]) <= limits::CLIENT_ERRORS as usize);
        assert!(count(&[551]) <= limits::REFUSED_RECIPIENTS as usize);
        assert!(count(&[535]) <= limits::CONNECTION_LOGIN_FAILURES as usize);
        let last = self.events.iter().rev().find(|event| !matches!(event, Event::Closed));
        if self.events.last() == Some(&Event::Closed) {
            let Some(Event::Said(_)) = last else { panic!("closed without a word") };
        }
    }
}

/// Where a text ends, with its final dot: at the first CRLF.CRLF, the CRLF of DATA counting as the first.
fn end_of_text(text: &[u8]) -> Option<usize> {
    if text.starts_with(b".\r\n") {
        return Some(3);
    }
    text.windows(5).position(|window| window == b"\r\n.\r\n").map(|at| at + 5)
}

/// What a text stands for: without its final dot and without the dots of transparency; for submissions with
/// whole line ends.
fn plain(text: &[u8], role: Role) -> Vec<u8> {
    let text = &text[..text.len() - 3];
    let (mut plain, mut line_start) = (Vec::new(), true);
    for (at, octet) in text.iter().enumerate() {
        let after_cr = at > 0 && text[at - 1] == b'\r';
        match octet {
            b'.' if line_start => {}
            b'\n' if !after_cr && role == Role::Submission => plain.extend_from_slice(b"\r\n"),
            octet => plain.push(*octet),
        }
        line_start = *octet == b'\n' && after_cr;
    }
    plain
}

/// What a server of ours hears, and what became of the recipients.
#[derive(Debug, PartialEq)]
struct Talk {
    sent: String,
    outcomes: Vec<String>,
    end: String,
}

fn client_side(policy: u8, seed: u8, wire: &[u8]) {
    let bound = 64 * wire.len() + (256 << 10);
    let run = |cut| memory::bounded(bound, || talk(policy, wire, cut));
    let whole = run(Cut::Whole);
    assert_eq!(run(Cut::Octets), whole);
    assert_eq!(run(Cut::Pieces(seed)), whole);
    let clean = |line: &[u8]| line.iter().all(|octet| !octet.is_ascii_control());
    assert!(replies::lines(whole.sent.as_bytes()).all(clean), "{:?}", whole.sent);
}

fn talk(policy: u8, wire: &[u8], cut: Cut) -> Talk {
    let tls = [TlsUse::Never, TlsUse::IfOffered, TlsUse::Required][usize::from(policy % 3)];
    let config = ClientConfig { hello: "us.example".into(), lmtp: policy & 4 != 0, tls };
    let mut client = Client::open(config, false);
    let (mut input, mut left) = (BytesMut::new(), policy >> 3 & 3);
    let mut talk = Talk { sent: String::new(), outcomes: Vec::new(), end: "open".into() };
    for piece in cut.pieces(wire) {
        input.extend_from_slice(piece);
        loop {
            let step = client.handle(&mut input);
            let output = client.take_output();
            talk.sent.push_str(std::str::from_utf8(&output).expect("commands are text"));
            match step {
                Ok(client::Step::NeedMore) => break,
                Ok(client::Step::StartTls) => client.tls_started(),
                Ok(client::Step::Ready) if left > 0 => {
                    left -= 1;
                    client.begin(request(policy));
                }
                Ok(client::Step::Ready) => client.quit(),
                Ok(client::Step::SendBody) => {
                    let mut body = Vec::new();
                    client.encode_body(b"Subject: x\r\n\r\n.text\r\n", &mut body);
                    client.end_body(&mut body);
                    talk.sent.push_str(std::str::from_utf8(&body).expect("the body is text"));
                }
                Ok(client::Step::Done(outcome)) => {
                    assert!(outcome.recipients.len() <= request(policy).recipients.len());
                    talk.outcomes.push(format!("{outcome:?}"));
                }
                Ok(client::Step::Closed) => {
                    talk.end = "closed".into();
                    return talk;
                }
                Err(error) => {
                    talk.end = error.to_string();
                    return talk;
                }
            }
        }
        assert!(input.len() <= limits::PEER_REPLY_LINE_OCTETS);
    }
    talk
}

fn request(policy: u8) -> Request {
    let recipient = |address: &str| RecipientRequest {
        address: address.parse().expect("an address"),
        notify: None,
        original: Some("rfc822;b@x.example".into()),
    };
    let all = [recipient("b@x.example"), recipient("\"c d\"@x.example"), recipient("e@[192.0.2.1]")];
    let count = 1 + usize::from(policy >> 5 & 1) * 2;
    Request { sender: None, size_octets: 20, recipients: all[..count].to_vec(), ..Request::default() }
}
