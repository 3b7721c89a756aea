//! Runs the transcripts of `tests/transcripts/imap` against real connections over a real mail store.
//!
//! A transcript's lines: `#` a comment; `C:` what the client sends, with Rust's escapes and a CR LF behind it
//! (`C+:` without); `S:` exactly what the server sends, where `<*>` stands for anything. `C2:` and `S2:` are a
//! second connection, `C3:` and `S3:` a third. `S: <close>` the end. `S: <TLS>` the client's handshake.
//!
//! Before the first line each connection is greeted and logged in, unless `@raw` is said; `@untrusted`: not from a
//! trusted network. `@rev2` enables IMAP4rev2 as well. `@message MAILBOX FLAGS` files the `M:` lines that
//! follow as one message, internal date 2026-01-02 03:04:05 UTC; `@quota` sets the account's in octets;
//! `@limit` the APPEND limit; `@notice` the seconds after which an idle client is told that the server is there.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use sterna_gateway::login::{Authenticator, LoginConfig};
use sterna_gateway::message::Summary;
use sterna_gateway::net::{ByteBudget, Connection, Drain, Tls, crypto_provider};
use sterna_node::imap::session::recent::RecentMarks;
use sterna_node::imap::{self, ImapConfig, ImapContext};
use sterna_node::limits;
use sterna_storage::bodies::{Bodies, BodiesConfig};
use sterna_storage::directory::{Account, Directory, NewAccount, NewDomain};
use sterna_storage::kv::Database;
use sterna_storage::kv::local::{Local, LocalConfig};
use sterna_storage::limits::BODY_READ_AHEAD_OCTETS;
use sterna_storage::mailstore::{Body, Limits, MailStore, MailStoreConfig, MailboxName, NewMessage};
use sterna_storage::types::{Flags, Secret, SystemFlag, Timestamp};
use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader,
};
use tokio::net::{TcpListener, TcpStream};

/// Longer than any answer takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

const PASSWORD: &str = "correct horse";

/// 2026-01-02T03:04:05Z.
const INTERNAL_DATE: Timestamp = Timestamp::from_secs(1_767_323_045);

/// A node's IMAP role over stores of its own.
struct Node {
    context: Arc<ImapContext>,
    account: Arc<Account>,
    address: SocketAddr,
    root: CertificateDer<'static>,
    _folder: tempfile::TempDir,
}

/// What a transcript's directives change.
#[derive(Default)]
struct Setting {
    untrusted: bool,
    quota_octets: Option<u64>,
    append_limit_octets: Option<u64>,
    idle_notice_s: Option<u64>,
    budget_octets: Option<usize>,
}

impl Node {
    async fn start(setting: &Setting) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let engine =
            LocalConfig { path: folder.path().join("kv"), log_segment_octets: 1 << 20, ..Default::default() };
        let db = Database::new(Local::open(engine).await.expect("opened"));
        let objects = Bodies::local_folder(folder.path().join("bodies")).await.expect("a folder");
        let key = Secret::new([7; 32]);
        let bodies = Bodies::open(db.clone(), objects, key, BodiesConfig::default()).await.expect("bodies");
        let config = MailStoreConfig { sole_node: true, ..Default::default() };
        let store = MailStore::new(db.clone(), bodies.clone(), config);
        let directory = Directory::open(db).await.expect("a directory");
        let authenticator = Authenticator::new(directory.clone(), &LoginConfig::default()).expect("a pool");
        let account = make_account(&directory, &authenticator, &store, setting.quota_octets).await;
        let made =
            rcgen::generate_simple_self_signed(vec!["mail.example".to_owned()]).expect("a certificate");
        let (chain, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let tls = Tls::from_pem(chain.as_bytes(), key.as_bytes()).expect("a certificate");
        let defaults = ImapConfig::default();
        let trusted = "127.0.0.0/8".parse().expect("a network");
        let config = ImapConfig {
            trusted_networks: if setting.untrusted { Vec::new() } else { vec![trusted] },
            append_limit_octets: setting.append_limit_octets.unwrap_or(defaults.append_limit_octets),
            idle_notice_s: setting.idle_notice_s.unwrap_or(defaults.idle_notice_s),
            ..defaults
        };
        let budget = ByteBudget::new(setting.budget_octets.unwrap_or(64 << 20));
        let (drain, recent) = (Drain::new(), RecentMarks::default());
        let tls = Some(tls);
        let context =
            ImapContext { store, bodies, directory, authenticator, tls, budget, drain, config, recent };
        let context = Arc::new(context);
        let address = listen(Arc::clone(&context)).await;
        let root = CertificateDer::from_pem_slice(chain.as_bytes()).expect("PEM");
        Self { context, account, address, root, _folder: folder }
    }

    /// Files a message as a delivery would.
    async fn file(&self, mailbox: &str, flags: Flags, message: Vec<u8>) {
        let (store, account) = (&self.context.store, self.account.id);
        let name: MailboxName = mailbox.parse().expect("a name");
        let mailbox = match store.mailbox(account, &name).await {
            Ok(mailbox) => mailbox.id,
            Err(_) => store.create_mailbox(account, &name, None).await.expect("created").id,
        };
        let staged = self.context.bodies.write(self.account.domain, &message).await.expect("written");
        let new = NewMessage {
            body: Body::Staged(staged),
            prefix: Bytes::new(),
            summary: Summary::of(&message).encode().unwrap_or_default(),
            flags,
            internal_date: INTERNAL_DATE,
        };
        store.append(account, mailbox, vec![new], Limits::default()).await.expect("filed");
    }

    async fn connect(&self) -> Client {
        let socket = TcpStream::connect(self.address).await.expect("listening");
        Client { stream: BufReader::new(Box::new(socket)) }
    }
}

async fn make_account(
    directory: &Directory,
    authenticator: &Authenticator,
    store: &MailStore,
    quota_octets: Option<u64>,
) -> Arc<Account> {
    directory
        .create_domain(NewDomain::named("example.org".parse().expect("a name")))
        .await
        .expect("a domain");
    let hash = authenticator.passwords().hash(PASSWORD).await.expect("hashed");
    let new = NewAccount {
        password_hash: Some(hash),
        quota_octets,
        ..NewAccount::at("ann@example.org".parse().expect("an address"))
    };
    directory.create_account(new, |id, domain| store.add_account(id, domain)).await.expect("an account")
}

async fn listen(context: Arc<ImapContext>) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        while let Ok((socket, peer)) = listener.accept().await {
            let connection = Connection::new(socket, peer, None).expect("connected");
            context.drain.spawn(imap::serve(connection, Arc::clone(&context)));
        }
    });
    address
}

trait Socket: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Socket for S {}

/// The client's side of a connection.
struct Client {
    stream: BufReader<Box<dyn Socket>>,
}

impl Client {
    async fn send(&mut self, octets: &[u8]) {
        self.stream.write_all(octets).await.expect("the server reads");
        self.stream.flush().await.expect("the server reads");
    }

    /// The next line without its end; `None` at the end of the connection.
    async fn line(&mut self) -> Option<String> {
        let mut line = Vec::new();
        let read = self.stream.read_until(b'\n', &mut line);
        let read = tokio::time::timeout(PATIENCE, read).await.expect("the server answers");
        if read.is_err() || line.is_empty() {
            return None;
        }
        let line = line.strip_suffix(b"\r\n").unwrap_or(&line);
        Some(line.escape_ascii().to_string().replace("\\\"", "\"").replace("\\'", "'").replace("\\\\", "\\"))
    }

    async fn log_in(&mut self, rev2: bool) {
        self.line().await.expect("a greeting");
        self.send(format!("login LOGIN ann@example.org \"{PASSWORD}\"\r\n").as_bytes()).await;
        let answer = self.line().await.expect("an answer");
        assert!(answer.starts_with("login OK"), "{answer}");
        if rev2 {
            self.send(b"enable ENABLE IMAP4rev2\r\n").await;
            assert_eq!(self.line().await.as_deref(), Some("* ENABLED IMAP4rev2"));
            assert_eq!(self.line().await.as_deref(), Some("enable OK ENABLE completed"));
        }
    }

    async fn start_tls(self, root: &CertificateDer<'static>) -> Self {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(root.clone()).expect("a root");
        let config = rustls::ClientConfig::builder_with_provider(crypto_provider())
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("mail.example").expect("a name");
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        let stream = connector.connect(name, self.stream.into_inner()).await.expect("a handshake");
        Self { stream: BufReader::new(Box::new(stream)) }
    }
}

fn unescaped(text: &str) -> Vec<u8> {
    let mut octets = Vec::new();
    let mut rest = text.bytes().peekable();
    while let Some(octet) = rest.next() {
        match (octet, rest.peek()) {
            (b'\\', Some(b'r')) => octets.push(b'\r'),
            (b'\\', Some(b'n')) => octets.push(b'\n'),
            (b'\\', Some(b'0')) => octets.push(0),
            (octet, _) => {
                octets.push(octet);
                continue;
            }
        }
        rest.next();
    }
    octets
}

/// Whether the line is what was expected, `<*>` standing for anything.
fn is_expected(expected: &str, line: &str) -> bool {
    let mut pieces = expected.split("<*>");
    let Some(mut rest) = line.strip_prefix(pieces.next().unwrap_or_default()) else { return false };
    let pieces: Vec<&str> = pieces.collect();
    let Some((last, middle)) = pieces.split_last() else { return rest.is_empty() };
    for piece in middle {
        match rest.split_once(piece) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// A transcript being played.
struct Player<'t> {
    name: &'t str,
    node: Node,
    raw: bool,
    rev2: bool,
    clients: BTreeMap<u32, Client>,
    closed: bool,
    failures: Vec<String>,
}

impl Player<'_> {
    async fn client(&mut self, number: u32) -> &mut Client {
        if !self.clients.contains_key(&number) {
            let mut client = self.node.connect().await;
            if !self.raw {
                client.log_in(self.rev2).await;
            }
            self.clients.insert(number, client);
        }
        self.clients.get_mut(&number).expect("just made")
    }

    async fn expect(&mut self, at: usize, number: u32, expected: &str) {
        if expected == "<TLS>" {
            let client = self.clients.remove(&number).expect("connected");
            let client = client.start_tls(&self.node.root).await;
            self.clients.insert(number, client);
            return;
        }
        let line = self.client(number).await.line().await;
        self.closed |= line.is_none();
        let line = line.unwrap_or_else(|| "<close>".to_owned());
        if !is_expected(expected, &line) {
            self.failures.push(format!("{}:{at}\n expected {expected}\n   but was {line}", self.name));
        }
    }

    /// Nothing more may have come than was expected.
    async fn end(mut self) -> Vec<String> {
        if self.raw || self.closed || !self.failures.is_empty() {
            return self.failures;
        }
        for client in self.clients.values_mut() {
            client.send(b"end CAPABILITY\r\n").await;
            let line = client.line().await.unwrap_or_default();
            if !line.starts_with("* CAPABILITY ") {
                self.failures.push(format!("{}: more came than expected: {line}", self.name));
            }
        }
        self.failures
    }
}

/// A message being collected from `M:` lines.
struct Draft {
    mailbox: String,
    flags: Flags,
    text: Vec<u8>,
}

fn draft(arguments: &str) -> Draft {
    let (mailbox, words) = arguments.split_once(' ').unwrap_or((arguments, ""));
    let mut flags = Flags::default();
    for word in words.split_whitespace() {
        match word {
            "\\Seen" => flags.system = flags.system.with(SystemFlag::Seen),
            "\\Flagged" => flags.system = flags.system.with(SystemFlag::Flagged),
            "\\Deleted" => flags.system = flags.system.with(SystemFlag::Deleted),
            "\\Answered" => flags.system = flags.system.with(SystemFlag::Answered),
            keyword => {
                flags.keywords.insert(keyword.parse().expect("a keyword"));
            }
        }
    }
    Draft { mailbox: mailbox.to_owned(), flags, text: Vec::new() }
}

async fn play(name: &str, text: &str) -> Vec<String> {
    let directive = |wanted: &str| {
        text.lines().find_map(|line| line.strip_prefix(wanted)).map(|rest| rest.trim().to_owned())
    };
    let number = |wanted: &str| directive(wanted).map(|value| value.parse().expect("a number"));
    let setting = Setting {
        untrusted: directive("@untrusted").is_some(),
        quota_octets: number("@quota"),
        append_limit_octets: number("@limit"),
        idle_notice_s: number("@notice"),
        budget_octets: None,
    };
    let node = Node::start(&setting).await;
    let raw = directive("@raw").is_some();
    let rev2 = directive("@rev2").is_some();
    let mut player =
        Player { name, node, raw, rev2, clients: BTreeMap::new(), closed: false, failures: Vec::new() };
    let mut open: Option<Draft> = None;
    for (at, line) in (1..).zip(text.lines()) {
        if let Some(text) = line.strip_prefix("M:") {
            let draft = open.as_mut().expect("@message comes first");
            draft.text.extend(unescaped(text.strip_prefix(' ').unwrap_or(text)));
            draft.text.extend_from_slice(b"\r\n");
            continue;
        }
        // After a few, what follows is only a consequence.
        if player.failures.len() > 3 {
            break;
        }
        if let Some(draft) = open.take() {
            player.node.file(&draft.mailbox, draft.flags, draft.text).await;
        }
        if let Some(arguments) = line.strip_prefix("@message ") {
            open = Some(draft(arguments));
        } else if let Some((side, text)) = line.split_once(':').filter(|_| line.starts_with(['C', 'S'])) {
            let text = text.strip_prefix(' ').unwrap_or(text);
            let digits = side[1..].trim_end_matches('+');
            let number = if digits.is_empty() { 1 } else { digits.parse().expect("a connection's number") };
            if side.starts_with('S') {
                player.expect(at, number, text).await;
                continue;
            }
            let mut octets = unescaped(text);
            if !side.ends_with('+') {
                octets.extend_from_slice(b"\r\n");
            }
            player.client(number).await.send(&octets).await;
        } else {
            assert!(line.is_empty() || line.starts_with(['#', '@']), "{name}:{at}: {line}");
        }
    }
    player.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transcripts() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts/imap");
    let mut names: Vec<_> =
        fs::read_dir(folder).expect("transcripts").map(|entry| entry.expect("readable").path()).collect();
    names.sort();
    assert!(!names.is_empty());
    let mut failures = Vec::new();
    for path in names {
        let name = path.file_name().expect("a file").to_string_lossy().into_owned();
        failures.extend(play(&name, &fs::read_to_string(&path).expect("UTF-8")).await);
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Text of that many octets that compresses badly and has lines.
fn large_message(octets: usize) -> Vec<u8> {
    let mut message = b"Subject: large\r\n\r\n".to_vec();
    let mut state = 1u32;
    while message.len() < octets {
        for _ in 0..76 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            message.push(b'A' + (state >> 27) as u8 % 26);
        }
        message.extend_from_slice(b"\r\n");
    }
    message
}

/// A client for whom INBOX is open.
async fn selected(node: &Node) -> Client {
    let mut client = node.connect().await;
    client.log_in(false).await;
    client.send(b"s SELECT INBOX\r\n").await;
    while !client.line().await.expect("an answer").starts_with("s OK") {}
    client
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_message_comes_back_and_a_client_that_does_not_read_stalls_itself_alone() {
    let node = Node::start(&Setting::default()).await;
    let message = large_message(12 << 20);
    let mut client = selected(&node).await;
    // The message goes through the node's budget and leaves nothing in it.
    let free = node.context.budget.available_octets();
    appended_into_open(&mut client, &message).await;
    assert_eq!(node.context.budget.available_octets(), free);

    let mut stalled = selected(&node).await;
    stalled.send(b"b FETCH 1 BODY.PEEK[]\r\n").await;
    assert_eq!(stalled.line().await, Some(format!("* 1 FETCH (BODY[] {{{}}}", message.len())));

    client.send(b"c FETCH 1 BODY.PEEK[]\r\n").await;
    assert_eq!(client.line().await, Some(format!("* 1 FETCH (BODY[] {{{}}}", message.len())));
    let mut read = vec![0; message.len()];
    client.stream.read_exact(&mut read).await.expect("all of it");
    assert!(read == message);
    assert_eq!(client.line().await.as_deref(), Some(")"));
    assert_eq!(client.line().await.as_deref(), Some("c OK FETCH completed"));

    client.send(b"d FETCH 1 BODY.PEEK[TEXT]<7000000.9>\r\n").await;
    assert_eq!(client.line().await.as_deref(), Some("* 1 FETCH (BODY[TEXT]<7000000> {9}"));
    let text = &message[b"Subject: large\r\n\r\n".len()..];
    let mut read = vec![0; 9];
    client.stream.read_exact(&mut read).await.expect("nine octets");
    assert_eq!(read, text[7_000_000..7_000_009]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_messages_come_in_order_and_who_does_not_read_them_stops_the_reading_ahead() {
    let node = Node::start(&Setting::default()).await;
    let text = large_message(1 << 20);
    let mut messages = Vec::new();
    for number in 1..=160usize {
        // One in forty is too long to be read ahead; one in thirty has the word, in one case or the other.
        let octets = if number % 40 == 7 { 300_000 } else { 70_000 - number * 400 };
        let word = if number % 30 == 0 { ["needle", "NeEdle"][number / 30 % 2] } else { "haystack" };
        let head = format!("Subject: number {number}\r\n\r\n").into_bytes();
        let message = [&head[..], &text[18 + number..octets], word.as_bytes(), b"\r\n"].concat();
        node.file("INBOX", Flags::default(), message.clone()).await;
        messages.push(message);
    }
    let mut client = selected(&node).await;
    let free = node.context.budget.available_octets();
    let mut stalled = selected(&node).await;
    stalled.send(b"a FETCH 1:* BODY.PEEK[]\r\n").await;
    assert_eq!(stalled.line().await, Some(format!("* 1 FETCH (BODY[] {{{}}}", messages[0].len())));
    // And what it holds of a long one, if that is where it stands.
    let held = free - node.context.budget.available_octets();
    let of_long = BODY_READ_AHEAD_OCTETS as usize;
    assert!([0, of_long].contains(&(held - limits::IMAP_READ_AHEAD_OCTETS)), "{held}");

    client.send(b"b FETCH 1:* BODY.PEEK[]\r\n").await;
    for (number, message) in (1..).zip(&messages) {
        assert_eq!(client.line().await, Some(format!("* {number} FETCH (BODY[] {{{}}}", message.len())));
        let mut read = vec![0; message.len()];
        client.stream.read_exact(&mut read).await.expect("all of it");
        assert!(read == *message, "message {number}");
        assert_eq!(client.line().await.as_deref(), Some(")"));
    }
    assert_eq!(client.line().await.as_deref(), Some("b OK FETCH completed"));
    for (key, found) in [("TEXT NEEDLE", " 30 60 90 120 150"), ("BODY \"needle\" SUBJECT 9", " 90")] {
        client.send(format!("c SEARCH {key}\r\n").as_bytes()).await;
        assert_eq!(client.line().await, Some(format!("* SEARCH{found}")));
        assert_eq!(client.line().await.as_deref(), Some("c OK SEARCH completed"));
    }
    drop(stalled);
    let given_back = async {
        while node.context.budget.available_octets() < free {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, given_back).await.expect("a client that is gone holds nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_slow_readers_than_the_budget_has_room_for_leave_half_of_it_to_others() {
    let ahead = BODY_READ_AHEAD_OCTETS as usize;
    let node = Node::start(&Setting { budget_octets: Some(16 * ahead), ..Setting::default() }).await;
    let message = large_message(16 << 20);
    node.file("INBOX", Flags::default(), message.clone()).await;
    let head = Some(format!("* 1 FETCH (BODY[] {{{}}}", message.len()));
    let free = || node.context.budget.available_octets();
    let mut slow = Vec::new();
    for number in 1..=20 {
        let mut client = selected(&node).await;
        client.send(b"a FETCH 1 BODY.PEEK[]\r\n").await;
        assert_eq!(client.line().await, head);
        slow.push(client);
        assert_eq!(free(), (16 - number.min(8)) * ahead, "with {number}");
    }
    let mut client = selected(&node).await;
    let mut last = slow.pop().expect("one of twenty");
    // One of those for whom nothing could be spared, and one who comes later, get all of it all the same.
    client.send(b"a FETCH 1 BODY.PEEK[]\r\n").await;
    assert_eq!(client.line().await, head);
    for reader in [&mut last, &mut client] {
        let mut read = vec![0; message.len()];
        reader.stream.read_exact(&mut read).await.expect("all of it");
        assert!(read == message);
        assert_eq!(reader.line().await.as_deref(), Some(")"));
        assert_eq!(reader.line().await.as_deref(), Some("a OK FETCH completed"));
    }
    client.send(format!("b APPEND Archive {{{}}}\r\n", 2 << 20).as_bytes()).await;
    assert_eq!(client.line().await.as_deref(), Some("+ Ready for the message"));
    client.send(&[&message[..(2 << 20) - 2], b"\r\n\r\n"].concat()).await;
    let answer = client.line().await.expect("an answer");
    assert!(answer.starts_with("b OK [APPENDUID "), "{answer}");
    drop(slow);
    let given_back = async {
        while free() < 16 * ahead {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, given_back).await.expect("who is gone holds nothing");
}

async fn appended_into_open(client: &mut Client, message: &[u8]) {
    client.send(format!("a APPEND INBOX {{{}}}\r\n", message.len()).as_bytes()).await;
    assert_eq!(client.line().await.as_deref(), Some("+ Ready for the message"));
    client.send(message).await;
    client.send(b"\r\n").await;
    assert_eq!(client.line().await.as_deref(), Some("* 1 EXISTS"));
    assert_eq!(client.line().await.as_deref(), Some("* 1 RECENT"));
    let answer = client.line().await.expect("an answer");
    assert!(answer.starts_with("a OK [APPENDUID "), "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_sessions_end_with_their_account_and_with_the_node() {
    let node = Node::start(&Setting::default()).await;
    let mut first = selected(&node).await;
    first.send(b"i IDLE\r\n").await;
    assert_eq!(first.line().await.as_deref(), Some("+ idling"));
    let hash = node.context.authenticator.passwords().hash("another").await.expect("hashed");
    let change = |account: &mut Account| {
        account.password_hash = Some(hash.clone());
        Ok(())
    };
    node.context.directory.update_account(node.account.id, change).await.expect("changed");
    assert_eq!(first.line().await.as_deref(), Some("* BYE The account has changed; log in again"));
    assert_eq!(first.line().await, None);

    let mut second = node.connect().await;
    second.line().await.expect("a greeting");
    assert!(node.context.drain.run(PATIENCE).await, "every session left by itself");
    assert_eq!(second.line().await.as_deref(), Some("* BYE The server is going down; connect again"));
    assert_eq!(second.line().await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_vanish_at_any_point_leave_nothing_behind() {
    let node = Node::start(&Setting::default()).await;
    let dialogue = b"a SELECT INBOX\r\nb APPEND INBOX (\\Seen) {28+}\r\nSubject: half\r\n\r\nnever\r\nb\r\n\r\nc IDLE\r\nDONE\r\n";
    for cut in (0..dialogue.len() - 25).step_by(3) {
        let mut client = node.connect().await;
        client.log_in(false).await;
        client.send(&dialogue[..cut]).await;
    }
    let mut client = node.connect().await;
    client.log_in(false).await;
    client.send(b"s STATUS INBOX (MESSAGES SIZE)\r\n").await;
    assert_eq!(client.line().await.as_deref(), Some("* STATUS \"INBOX\" (MESSAGES 0 SIZE 0)"));
}
