//! The POP3 driver over real sockets and a real store: what the transcripts, which have neither, cannot show.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sterna_gateway::login::{Authenticator, LoginConfig};
use sterna_gateway::net::{ByteBudget, Drain, Listener, Mode, Permits};
use sterna_node::limits;
use sterna_node::pop3::{self, lock::MaildropLocks};
use sterna_storage::bodies::{Bodies, BodiesConfig};
use sterna_storage::directory::{Account, Directory, NewAccount, NewDomain};
use sterna_storage::kv::{Database, Memory};
use sterna_storage::limits::BODY_READ_AHEAD_OCTETS;
use sterna_storage::mailstore::{Body, Limits, MailStore, MailStoreConfig, MailboxName, NewMessage};
use sterna_storage::types::{Flags, Secret, Timestamp};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufStream};
use tokio::net::TcpStream;

/// A server with one account, `ann@example.test`, password `secret`, in a trusted network.
struct Server {
    address: SocketAddr,
    budget: ByteBudget,
    drain: Drain,
    directory: Directory,
    store: MailStore,
    bodies: Bodies,
    account: Arc<Account>,
    _folder: tempfile::TempDir,
}

impl Server {
    async fn start(idle_timeout: Duration) -> Self {
        Self::start_with(idle_timeout, Duration::from_secs(60)).await
    }

    async fn start_with(idle_timeout: Duration, login_timeout: Duration) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let db = Database::new(Memory::new());
        let objects = Bodies::local_folder(folder.path()).await.expect("a folder");
        let config = BodiesConfig::default();
        let bodies = Bodies::open(db.clone(), objects, Secret::new([7; 32]), config).await.expect("bodies");
        let store = MailStore::new(db.clone(), bodies.clone(), MailStoreConfig::default());
        let directory = Directory::open(db).await.expect("a directory");
        let logins = LoginConfig { hash_memory_kib: 8, hash_passes: 1, ..LoginConfig::default() };
        let authenticator = Authenticator::new(directory.clone(), &logins).expect("valid costs");
        let hash = authenticator.passwords().hash("secret").await.expect("a hash");
        directory
            .create_domain(NewDomain::named("example.test".parse().expect("a name")))
            .await
            .expect("new");
        let mut new = NewAccount::at("ann@example.test".parse().expect("an address"));
        new.password_hash = Some(hash);
        let mailboxes = |id, domain| store.add_account(id, domain);
        let account = directory.create_account(new, mailboxes).await.expect("new");
        let (budget, drain) = (ByteBudget::new(2 << 20), Drain::new());
        let runtime = pop3::Runtime {
            host_name: "dewey".into(),
            login_timeout,
            idle_timeout,
            trusted_networks: vec!["127.0.0.0/8".parse().expect("a network")],
            tls: None,
            write_timeout: Duration::from_secs(60),
            authenticator,
            directory: directory.clone(),
            store: store.clone(),
            locks: MaildropLocks::default(),
            budget: budget.clone(),
            drain: drain.clone(),
        };
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let listener = Listener::bind(any, Mode::Plain, Permits::new(9, 9), b"").expect("a port");
        let address = listener.local_address().expect("bound");
        let runtime = Arc::new(runtime);
        tokio::spawn(
            listener.serve(drain.clone(), move |connection| pop3::serve(connection, runtime.clone())),
        );
        Self { address, budget, drain, directory, store, bodies, account, _folder: folder }
    }

    async fn deliver(&self, message: &[u8]) {
        let inbox = self.store.mailbox(self.account.id, &MailboxName::inbox()).await.expect("INBOX");
        let new = NewMessage {
            body: Body::Staged(self.bodies.write(self.account.domain, message).await.expect("a body")),
            prefix: Bytes::from_static(b"Return-Path: <>\r\n"),
            summary: Bytes::new(),
            flags: Flags::default(),
            internal_date: Timestamp::now(),
        };
        self.store.append(self.account.id, inbox.id, vec![new], Limits::default()).await.expect("filed");
    }

    async fn connect(&self) -> Client {
        let stream = TcpStream::connect(self.address).await.expect("a listening server");
        let mut client = Client { stream: BufStream::new(stream) };
        client.expect("+OK dewey").await;
        client
    }

    async fn log_in(&self) -> Client {
        let mut client = self.connect().await;
        client.send("USER ann@example.test\r\nPASS secret\r\n").await;
        client.expect("+OK").await;
        client.expect("+OK maildrop has").await;
        client
    }
}

struct Client {
    stream: BufStream<TcpStream>,
}

impl Client {
    async fn send(&mut self, octets: &str) {
        self.stream.write_all(octets.as_bytes()).await.expect("sent");
        self.stream.flush().await.expect("sent");
    }

    /// The next line; empty at the end.
    async fn line(&mut self) -> Vec<u8> {
        let mut line = Vec::new();
        self.stream.read_until(b'\n', &mut line).await.expect("a readable socket");
        line
    }

    async fn expect(&mut self, start: &str) {
        let line = self.line().await;
        assert!(line.starts_with(start.as_bytes()), "{} instead of {start}", line.escape_ascii());
    }

    /// A multi-line reply after its first line, dots removed.
    async fn message(&mut self) -> Vec<u8> {
        let mut message = Vec::new();
        loop {
            let line = self.line().await;
            match line.as_slice() {
                b".\r\n" => return message,
                b"" => panic!("closed within a message"),
                line => message.extend_from_slice(line.strip_prefix(b".").unwrap_or(line)),
            }
        }
    }
}

#[tokio::test]
async fn messages_are_the_same_octet_by_octet_and_go_at_quit() {
    let server = Server::start(Duration::from_secs(600)).await;
    // Larger than a body's frame and than what is staged; lines of dots at every place of a chunk's edge.
    let large: Vec<u8> = (0..40_000).flat_map(|line| format!("..{line}\r\n.\r\n").into_bytes()).collect();
    let large = [b"Subject: large\r\n\r\n", large.as_slice()].concat();
    server.deliver(&large).await;
    server.deliver(b"Subject: small\r\n\r\none\r\ntwo\r\n").await;
    let mut client = server.log_in().await;
    client.send("RETR 1\r\nTOP 2 1\r\nDELE 1\r\nQUIT\r\n").await;
    client.expect("+OK").await;
    assert!(client.message().await == [b"Return-Path: <>\r\n", large.as_slice()].concat());
    client.expect("+OK").await;
    assert_eq!(client.message().await, b"Return-Path: <>\r\nSubject: small\r\n\r\none\r\n");
    client.expect("+OK message 1 deleted").await;
    client.expect("+OK dewey POP3 server signing off (1 message left)").await;
    assert_eq!(client.line().await, b"");
    let mut client = server.log_in().await;
    client.send("LIST\r\n").await;
    client.expect("+OK 1 message").await;
    assert_eq!(client.message().await, b"1 45\r\n");
}

#[tokio::test]
async fn one_session_has_the_maildrop_and_letting_go_removes_nothing() {
    let server = Server::start(Duration::from_secs(600)).await;
    server.deliver(b"Subject: a\r\n\r\n").await;
    let mut first = server.log_in().await;
    first.send("DELE 1\r\n").await;
    first.expect("+OK message 1 deleted").await;
    let mut second = server.connect().await;
    second.send("USER ann@example.test\r\nPASS secret\r\n").await;
    second.expect("+OK").await;
    second.expect("-ERR [IN-USE]").await;
    drop(first);
    // The server notices that the first has gone a moment later.
    loop {
        second.send("USER ann@example.test\r\nPASS secret\r\n").await;
        second.expect("+OK").await;
        let line = second.line().await;
        if line.starts_with(b"+OK maildrop has 1 message") {
            break;
        }
        assert!(line.starts_with(b"-ERR [IN-USE]"), "{}", line.escape_ascii());
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_silent_session_ends_without_a_word_and_a_drain_says_so() {
    let server = Server::start(Duration::from_secs(3)).await;
    server.deliver(b"Subject: a\r\n\r\n").await;
    let mut client = server.log_in().await;
    client.send("DELE 1\r\n").await;
    client.expect("+OK message 1 deleted").await;
    assert_eq!(client.line().await, b"");
    let mut client = server.log_in().await;
    client.send("STAT\r\n").await;
    client.expect("+OK 1 ").await;
    let draining = server.drain.clone();
    let drained = tokio::spawn(async move { draining.run(Duration::from_secs(60)).await });
    client.expect("-ERR [SYS/TEMP]").await;
    assert_eq!(client.line().await, b"");
    assert!(drained.await.expect("no panic"), "all sessions end in time");
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_back_nobody() {
    let server = Server::start(Duration::from_secs(600)).await;
    let line = b"a line of forty octets, so many of them.\r\n";
    let large = [b"Subject: large\r\n\r\n".as_slice(), &line.repeat(400_000)].concat();
    server.deliver(&large).await;
    let mut stalled = server.log_in().await;
    stalled.send("RETR 1\r\n").await;
    stalled.expect("+OK").await;
    let held = (2 << 20) - server.budget.available_octets();
    assert_eq!(held, limits::POP3_RETRIEVAL_OCTETS + BODY_READ_AHEAD_OCTETS as usize);
    // The others' logins and commands go on; the lock tells them apart.
    let mut other = server.connect().await;
    other.send("USER ann@example.test\r\nPASS secret\r\n").await;
    other.expect("+OK").await;
    other.expect("-ERR [IN-USE]").await;
    assert_eq!(stalled.message().await.len(), large.len() + b"Return-Path: <>\r\n".len());
    stalled.send("NOOP\r\n").await;
    stalled.expect("+OK").await;
    assert_eq!(server.budget.available_octets(), 2 << 20);
}

#[tokio::test]
async fn an_account_that_is_disabled_or_gets_another_password_ends_its_session() {
    let server = Server::start(Duration::from_secs(600)).await;
    server.deliver(b"Subject: a\r\n\r\n").await;
    let mut client = server.log_in().await;
    client.send("DELE 1\r\n").await;
    client.expect("+OK message 1 deleted").await;
    // What concerns others, or nothing of its standing, does not.
    let rename = |account: &mut Account| {
        account.name = "Ann".into();
        Ok(())
    };
    server.directory.update_account(server.account.id, rename).await.expect("updated");
    client.send("STAT\r\n").await;
    client.expect("+OK 0 ").await;
    let disable = |account: &mut Account| {
        account.enabled = false;
        Ok(())
    };
    server.directory.update_account(server.account.id, disable).await.expect("updated");
    client.expect("-ERR [AUTH]").await;
    assert_eq!(client.line().await, b"", "without a command of its own");
    let enable = |account: &mut Account| {
        account.enabled = true;
        Ok(())
    };
    server.directory.update_account(server.account.id, enable).await.expect("updated");
    let mut client = server.log_in().await;
    client.send("STAT\r\n").await;
    client.expect("+OK 1 ").await;
    let forget = |account: &mut Account| {
        account.password_hash = None;
        Ok(())
    };
    server.directory.update_account(server.account.id, forget).await.expect("updated");
    client.expect("-ERR [AUTH]").await;
    assert_eq!(client.line().await, b"");
}

#[tokio::test]
async fn who_never_pauses_has_no_more_time_to_log_in_than_others() {
    let server = Server::start_with(Duration::from_secs(600), Duration::from_millis(500)).await;
    let client = server.connect().await;
    let (reader, mut writer) = client.stream.into_inner().into_split();
    let mut reader = tokio::io::BufReader::new(reader);
    let commands = "CAPA\r\n".repeat(2_000);
    // Its next commands are always there before the server asks for them.
    let talking = async move { while writer.write_all(commands.as_bytes()).await.is_ok() {} };
    let talking = tokio::spawn(talking);
    let mut line = Vec::new();
    let closed = async {
        while reader.read_until(b'\n', &mut line).await.is_ok_and(|octets| octets > 0) {
            line.clear();
        }
    };
    tokio::time::timeout(Duration::from_secs(60), closed).await.expect("sent away");
    talking.abort();
}
