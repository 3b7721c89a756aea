//! Dialogues as files below `transcripts/smtp`, run against the session alone.
//!
//! `C:` is a line of the client, `c:` octets of the client with `\r`, `\n`, `\0`, `\\` and `\xNN` written out and no
//! line end added, `S:` a line of the server. `S: 250*` stands for a whole reply of that code. `M:` is a line of
//! the message that the policy was handed last, `M=` the envelope and protocol it came with. `!` sets up the session:
//! `! role mx|submission|lmtp`, `! tls`, `! trusted` (the client's network), `! memory octets`. `!closed` says that the session has ended.
//! `#` starts a comment.
//!
//! The test's policy knows: recipients whose local part begins with `unknown`, `full` or `relay` are refused,
//! the sender `forged@` is refused, and the login `tim` has the password `tanstaaftanstaaf`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use bytes::BytesMut;
use sterna_gateway::smtp::Session;
use sterna_gateway::smtp::codec::{EnhancedCode, ForwardPath, Reply};
use sterna_gateway::smtp::session::{Candidate, Channel, Config, Incoming, Role, Step, Transaction};

struct Player {
    session: Session<()>,
    input: BytesMut,
    output: Vec<u8>,
    message: Option<(String, Vec<u8>)>,
    memory_octets: usize,
    closed: bool,
}

impl Player {
    fn new(role: Role, channel: Channel, memory_octets: usize) -> Self {
        let config = Config {
            role,
            host_name: "foo.com".into(),
            message_octets: 1000,
            recipients: 3,
            starttls: true,
            trusted_networks: Vec::new(),
            command_wait: sterna_gateway::limits::COMMAND_WAIT,
            reply_wait: sterna_gateway::limits::COMMAND_WAIT,
        };
        Self {
            session: Session::open(Arc::new(config), channel, Instant::now()),
            input: BytesMut::new(),
            output: Vec::new(),
            message: None,
            memory_octets,
            closed: false,
        }
    }

    fn feed(&mut self, octets: &[u8]) {
        self.input.extend_from_slice(octets);
        loop {
            let step = self.session.handle(&mut self.input, Instant::now());
            match step {
                Step::NeedMore => break,
                Step::Close => {
                    self.closed = true;
                    break;
                }
                Step::StartTls => {
                    // The connection drops what it had read before the handshake.
                    self.input.clear();
                    self.session.tls_started(Instant::now());
                }
                Step::Memory(octets) => {
                    self.session.memory_granted((octets <= self.memory_octets).then_some(octets));
                }
                Step::Authenticate(given) => {
                    let right = given.login == "tim" && given.password.expose() == "tanstaaftanstaaf";
                    let wrong = Reply::new(535, EnhancedCode(5, 7, 8), "Wrong login or password");
                    self.session.authenticated(if right { Ok(()) } else { Err(wrong) });
                }
                Step::CheckSender(transaction) => {
                    let verdict = sender(&transaction);
                    self.session.sender_checked(transaction, verdict);
                }
                Step::CheckRecipient(candidate) => {
                    let verdict = recipient(&candidate);
                    self.session.recipient_checked(candidate, verdict);
                }
                Step::Message(incoming) => {
                    let count = incoming.transaction.recipients.len();
                    self.message = Some((envelope(&incoming), incoming.message));
                    let reply = |n| Reply::composed(250, EnhancedCode(2, 0, 0), format!("Taken {n}"));
                    self.session.message_answered(&(1..=count).map(reply).collect::<Vec<_>>());
                }
            }
        }
        self.output.extend(self.session.take_output());
    }
}

fn sender(transaction: &Transaction<()>) -> Result<(), Reply> {
    match &transaction.sender {
        Some(sender) if sender.local_part() == "forged" => {
            Err(Reply::new(550, EnhancedCode(5, 7, 1), "Not your address"))
        }
        _ => Ok(()),
    }
}

fn recipient(candidate: &Candidate) -> Result<(), Reply> {
    let ForwardPath::Mailbox(mailbox) = &candidate.path else { return Ok(()) };
    match mailbox.local_part() {
        local if local.starts_with("unknown") => Err(Reply::new(550, EnhancedCode(5, 1, 1), "No such user")),
        local if local.starts_with("full") => Err(Reply::new(452, EnhancedCode(4, 2, 2), "Mailbox full")),
        local if local.starts_with("relay") => Err(Reply::new(550, EnhancedCode(5, 7, 1), "Relaying denied")),
        _ => Ok(()),
    }
}

fn envelope(incoming: &Incoming<()>) -> String {
    let transaction = &incoming.transaction;
    let mut text = match &transaction.sender {
        Some(sender) => format!("<{sender}>"),
        None => "<>".to_owned(),
    };
    if let Some(id) = &transaction.parameters.envelope_id {
        text.push_str(&format!(" ENVID={id}"));
    }
    for recipient in &transaction.recipients {
        match &recipient.path {
            ForwardPath::Postmaster => text.push_str(" <postmaster>"),
            ForwardPath::Mailbox(mailbox) => text.push_str(&format!(" <{mailbox}>")),
        }
        if let Some(original) = &recipient.parameters.original_recipient {
            text.push_str(&format!(" ORCPT={original}"));
        }
    }
    format!("{text} {} {}", incoming.hello.name, incoming.protocol)
}

fn unescaped(text: &str) -> Vec<u8> {
    let (mut octets, mut rest) = (Vec::new(), text.chars());
    while let Some(character) = rest.next() {
        match (character, character == '\\') {
            (_, true) => match rest.next() {
                Some('r') => octets.push(b'\r'),
                Some('n') => octets.push(b'\n'),
                Some('0') => octets.push(0),
                Some('x') => {
                    let hex: String = rest.by_ref().take(2).collect();
                    octets.push(u8::from_str_radix(&hex, 16).expect("two hex digits"));
                }
                other => octets.extend(other.map(|c| c.to_string()).unwrap_or_default().bytes()),
            },
            (plain, false) => octets.extend(plain.to_string().bytes()),
        }
    }
    octets
}

/// Plays a transcript, giving the session at most `piece` octets at once.
fn play(path: &Path, piece: usize) {
    let text = std::fs::read_to_string(path).expect("a readable transcript");
    let (mut role, mut channel, mut memory) = (Role::Mx, Channel::Plain, usize::MAX);
    let mut player: Option<Player> = None;
    let mut pending = Vec::new();
    let mut message: Option<std::vec::IntoIter<String>> = None;
    for (number, line) in text.lines().enumerate() {
        let at = format!("{}:{} in pieces of {piece}", path.display(), number + 1);
        match line {
            "" => continue,
            _ if line.starts_with('#') => continue,
            "! role mx" => role = Role::Mx,
            "! role submission" => role = Role::Submission,
            "! role lmtp" => role = Role::Lmtp,
            "! tls" => channel = Channel::Tls,
            "! trusted" => channel = Channel::Trusted,
            _ if line.starts_with("! memory ") => memory = line[9..].parse().expect("a number"),
            _ => {
                let player = player.get_or_insert_with(|| {
                    let mut player = Player::new(role, channel, memory);
                    player.feed(b"");
                    player
                });
                if let Some(client) = line.strip_prefix("C: ").or((line == "C:").then_some("")) {
                    pending.extend(format!("{client}\r\n").into_bytes());
                    continue;
                }
                if let Some(client) = line.strip_prefix("c: ") {
                    pending.extend(unescaped(client));
                    continue;
                }
                for part in std::mem::take(&mut pending).chunks(piece) {
                    player.feed(part);
                }
                check(player, &mut message, line, &at);
            }
        }
    }
    let player = player.expect("a dialogue");
    let rest = String::from_utf8_lossy(&player.output).into_owned();
    assert_eq!((rest.as_str(), pending.len()), ("", 0), "{}: left over at the end", path.display());
    assert!(message.is_none_or(|mut message| message.next().is_none()), "{}: message", path.display());
}

fn check(player: &mut Player, message: &mut Option<std::vec::IntoIter<String>>, line: &str, at: &str) {
    match line.split_at(3.min(line.len())) {
        ("S: ", expected) => match expected.strip_suffix('*') {
            Some(code) => loop {
                let line = server_line(player, at);
                assert!(line.starts_with(code), "{at}: {line}");
                if line.as_bytes().get(code.len()) == Some(&b' ') {
                    break;
                }
            },
            None => assert_eq!(server_line(player, at), expected, "{at}"),
        },
        ("M= ", expected) => {
            let (envelope, octets) = player.message.take().unwrap_or_else(|| panic!("{at}: no message"));
            assert_eq!(envelope, expected, "{at}");
            let text = String::from_utf8(octets).expect("text");
            let lines: Vec<String> = text.split_terminator("\r\n").map(str::to_owned).collect();
            *message = Some(lines.into_iter());
        }
        ("M: " | "M:", expected) => {
            let line = message.as_mut().and_then(Iterator::next);
            assert_eq!(line.as_deref(), Some(expected), "{at}");
        }
        _ if line == "!closed" => assert!(player.closed, "{at}: not closed"),
        _ => panic!("{at}: what is {line:?}?"),
    }
}

fn server_line(player: &mut Player, at: &str) -> String {
    let end = player.output.windows(2).position(|pair| pair == b"\r\n");
    let end = end.unwrap_or_else(|| panic!("{at}: the server says nothing more"));
    let line: Vec<u8> = player.output.drain(..end + 2).collect();
    String::from_utf8_lossy(&line[..end]).into_owned()
}

fn transcripts() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts/smtp");
    let entries = std::fs::read_dir(folder).expect("the transcripts");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    assert!(paths.len() >= 10, "transcripts are missing");
    paths
}

#[test]
fn transcripts_hold_however_the_octets_arrive() {
    for path in transcripts() {
        for piece in [usize::MAX, 1, 7] {
            play(&path, piece);
        }
    }
}
