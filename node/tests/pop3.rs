//! Runs the transcripts of `tests/transcripts/pop3` against the session alone.
//!
//! A transcript's lines: `#` a comment; `@connection plain|tls|trusted|no-tls`; `@maildrop` a UIDVALIDITY;
//! `@message` a UID, its text in the `M:` lines that follow; `@login ok|wrong|throttled|in-use|unavailable` what becomes of
//! the next logins; `@removal ok|fails`; `@fill` appends so many `x` to the next line. `C:` is what the client
//! sends, with Rust's escapes; `S:` exactly what the server sends. `S: <TLS>` the handshake, `S: <close>` the end.

use std::collections::VecDeque;
use std::fs;
use std::path::Path;

use bytes::BytesMut;
use sterna_node::pop3::codec::{LineDecoder, Stuffer, TopCutter};
use sterna_node::pop3::maildrop::Maildrop;
use sterna_node::pop3::session::{Facts, LoginRefusal, Retrieval, Session, Step};
use sterna_storage::Error;
use sterna_storage::types::{Uid, UidSet};

/// The server's side of a transcript: the session, and a maildrop in memory for its driver.
struct Player {
    session: Session,
    decoder: LineDecoder,
    input: BytesMut,
    output: BytesMut,
    uid_validity: u32,
    messages: Vec<(Uid, Vec<u8>)>,
    refusal: Option<LoginRefusal>,
    removal: Result<(), Error>,
    seen: VecDeque<String>,
}

impl Player {
    fn new(connection: &str) -> Self {
        let facts = Facts {
            host_name: "dewey".into(),
            is_secure: connection == "tls",
            offers_tls: connection != "no-tls",
            is_trusted: connection == "trusted",
        };
        let mut output = BytesMut::new();
        let session = Session::new(facts, &mut output);
        Self {
            session,
            decoder: LineDecoder::default(),
            input: BytesMut::new(),
            output,
            uid_validity: 1,
            messages: Vec::new(),
            refusal: None,
            removal: Ok(()),
            seen: VecDeque::new(),
        }
    }

    fn send(&mut self, line: &[u8]) {
        self.input.extend_from_slice(line);
        while let Some(line) = self.decoder.decode(&mut self.input) {
            let step = self.session.handle(&line, &mut self.output);
            self.take(step);
        }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Continue => {}
            Step::StartTls => {
                self.flush();
                self.seen.push_back("<TLS>".into());
                self.session.secured();
            }
            Step::LogIn(_) => match self.refusal {
                None => {
                    let messages = self.messages.iter().map(|(uid, text)| (*uid, text.len() as u64));
                    self.session.opened(Maildrop::new(self.uid_validity, messages), &mut self.output);
                }
                Some(refusal) => {
                    let step = self.session.refused(refusal, &mut self.output);
                    self.take(step);
                }
            },
            Step::List(mut listing) => while self.session.list(&mut listing, &mut self.output) {},
            Step::Retrieve(retrieval) => self.retrieve(&retrieval),
            Step::Update(deleted) => self.update(&deleted),
            Step::Close => self.close(),
        }
    }

    fn retrieve(&mut self, retrieval: &Retrieval) {
        let Some((_, text)) = self.messages.iter().find(|(uid, _)| *uid == retrieval.uid) else {
            let gone = Error::NotFound("message".into());
            return self.session.retrieval_failed(&gone, &mut self.output);
        };
        self.session.message_follows(retrieval, &mut self.output);
        let length = retrieval.body_lines.map_or(text.len(), |lines| TopCutter::new(lines).take(text));
        let mut stuffer = Stuffer::default();
        stuffer.push(&text[..length], &mut self.output);
        stuffer.finish(&mut self.output);
    }

    fn update(&mut self, deleted: &UidSet) {
        if self.removal.is_ok() {
            self.messages.retain(|(uid, _)| !deleted.contains(*uid));
        }
        self.session.updated(&self.removal, &mut self.output);
        self.close();
    }

    fn close(&mut self) {
        self.flush();
        self.seen.push_back("<close>".into());
    }

    fn flush(&mut self) {
        let output = self.output.split();
        let text = String::from_utf8(output.to_vec()).expect("transcripts are UTF-8");
        assert!(text.is_empty() || text.ends_with("\r\n"), "a reply ends with a line end: {text:?}");
        self.seen.extend(text.split_terminator("\r\n").map(str::to_owned));
    }
}

fn unescaped(text: &str) -> Vec<u8> {
    let mut octets = Vec::new();
    let mut rest = text.bytes();
    while let Some(octet) = rest.next() {
        if octet != b'\\' {
            octets.push(octet);
            continue;
        }
        match rest.next().expect("an escape is complete") {
            b'r' => octets.push(b'\r'),
            b'n' => octets.push(b'\n'),
            b'\\' => octets.push(b'\\'),
            b'x' => {
                let digits = [rest.next().expect("a digit"), rest.next().expect("a digit")];
                let digits = std::str::from_utf8(&digits).expect("ASCII");
                octets.push(u8::from_str_radix(digits, 16).expect("hexadecimal"));
            }
            other => panic!("unknown escape \\{}", char::from(other)),
        }
    }
    octets
}

fn instruct(player: &mut Player, instruction: &str) {
    let (name, value) = instruction.split_once(' ').unwrap_or((instruction, ""));
    match name {
        "connection" => *player = Player::new(value),
        "maildrop" => player.uid_validity = value.parse().expect("a UIDVALIDITY"),
        "message" => {
            let uid = value.parse().ok().and_then(Uid::new).expect("a UID");
            player.messages.push((uid, Vec::new()));
        }
        "gone" => player.messages.retain(|(uid, _)| uid.to_string() != value),
        "login" => {
            player.refusal = match value {
                "ok" => None,
                "wrong" => Some(LoginRefusal::Invalid),
                "throttled" => Some(LoginRefusal::Throttled),
                "in-use" => Some(LoginRefusal::InUse),
                "unavailable" => Some(LoginRefusal::Unavailable),
                other => panic!("unknown login {other}"),
            }
        }
        "removal" => {
            player.removal = match value {
                "ok" => Ok(()),
                "fails" => Err(Error::Unavailable("disk".into())),
                other => panic!("unknown removal {other}"),
            }
        }
        other => panic!("unknown instruction {other}"),
    }
}

fn play(path: &Path) {
    let script = fs::read_to_string(path).expect("a readable transcript");
    let mut player = Player::new("tls");
    let mut fill = 0;
    for (number, line) in script.lines().enumerate() {
        let place = format!("{}:{}", path.display(), number + 1);
        if let Some(expected) = line.strip_prefix("S:") {
            player.flush();
            let seen = player.seen.pop_front();
            assert_eq!(seen.as_deref(), Some(expected.strip_prefix(' ').unwrap_or(expected)), "{place}");
        } else if let Some(count) = line.strip_prefix("@fill ") {
            fill = count.parse().expect("a count");
        } else if let Some(text) = line.strip_prefix("C:") {
            player.flush();
            assert_eq!(player.seen.front(), None, "{place}: the server said more");
            let mut octets = unescaped(text.strip_prefix(' ').unwrap_or(text));
            octets.extend(std::iter::repeat_n(b'x', std::mem::take(&mut fill)));
            octets.extend_from_slice(b"\r\n");
            player.send(&octets);
        } else if let Some(text) = line.strip_prefix("M:") {
            let (_, message) = player.messages.last_mut().expect("@message comes first");
            message.extend_from_slice(&unescaped(text.strip_prefix(' ').unwrap_or(text)));
            message.extend_from_slice(b"\r\n");
        } else if let Some(instruction) = line.strip_prefix('@') {
            instruct(&mut player, instruction);
        } else {
            assert!(line.is_empty() || line.starts_with('#'), "{place}: not a transcript's line");
        }
    }
    player.flush();
    assert_eq!(player.seen.front(), None, "{}: the server said more", path.display());
}

#[test]
fn transcripts() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts/pop3");
    let mut played = 0;
    for file in fs::read_dir(&folder).expect("the folder of transcripts") {
        play(&file.expect("a readable folder").path());
        played += 1;
    }
    assert!(played > 0, "no transcript in {}", folder.display());
}
