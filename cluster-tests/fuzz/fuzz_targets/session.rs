//! Whole IMAP sessions over a mail store in memory, one account for each: every command is answered, everything that
//! is said can be read by a client, and the client's picture of the mailbox holds together.
//!
//! Input: an octet of settings (what is said first), then what the client sends.

#![no_main]

use std::cell::RefCell;
use std::net::Ipv4Addr;
use std::sync::Arc;

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use sterna_fuzz::replies::ImapClient;
use sterna_fuzz::wire;
use sterna_gateway::login::{Authenticator, LoginConfig};
use sterna_gateway::message::Summary;
use sterna_gateway::net::{ByteBudget, Connection, Drain};
use sterna_node::imap::session::recent::RecentMarks;
use sterna_node::imap::{self, ImapConfig, ImapContext};
use sterna_storage::bodies::{Bodies, BodiesConfig};
use sterna_storage::directory::{Account, Directory, NewAccount, NewDomain};
use sterna_storage::kv::{Database, Memory};
use sterna_storage::mailstore::{Body, Limits, MailStore, MailStoreConfig, MailboxName, NewMessage};
use sterna_storage::types::{Flags, Secret, SystemFlag, Timestamp};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

/// Sessions after which a new world is made: its store keeps all that was ever written.
const SESSIONS: u32 = 500;

/// What is in every INBOX.
const MESSAGES: [&[u8]; 3] = [
    include_bytes!("../seeds/plain.eml"),
    include_bytes!("../seeds/mixed.eml"),
    include_bytes!("../seeds/odd.eml"),
];

thread_local! {
    static WORLD: RefCell<Option<World>> = const { RefCell::new(None) };
}

fuzz_target!(|input: &[u8]| {
    let Some(([settings], wire)) = wire::settings::<1>(input) else { return };
    WORLD.with_borrow_mut(|world| {
        world.take_if(|world| world.sessions >= SESSIONS);
        let world = world.get_or_insert_with(World::new);
        world.sessions += 1;
        let said = world.runtime.block_on(world.node.session(world.sessions, settings, wire));
        ImapClient::default().hears(&said);
    });
});

struct World {
    runtime: Runtime,
    node: Node,
    sessions: u32,
}

struct Node {
    context: Arc<ImapContext>,
    listener: TcpListener,
    password: Secret<String>,
}

impl World {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let node = runtime.block_on(Node::start());
        Self { runtime, node, sessions: 0 }
    }
}

impl Node {
    async fn start() -> Self {
        let db = Database::new(Memory::new());
        let folder = std::env::temp_dir().join(format!("sterna-fuzz-{}", std::process::id()));
        let objects = Bodies::local_folder(folder).await.expect("a folder");
        let (key, config) = (Secret::new([7; 32]), BodiesConfig::default());
        let bodies = Bodies::open(db.clone(), objects, key, config).await.expect("bodies");
        let store = MailStore::new(db.clone(), bodies.clone(), MailStoreConfig::default());
        let directory = Directory::open(db).await.expect("a directory");
        let domain = NewDomain::named("example.org".parse().expect("a name"));
        directory.create_domain(domain).await.expect("a domain");
        let logins =
            LoginConfig { hash_memory_kib: 8, hash_passes: 1, hash_threads: 1, ..LoginConfig::default() };
        let authenticator = Authenticator::new(directory.clone(), &logins).expect("valid costs");
        let password = authenticator.passwords().hash("secret").await.expect("hashed");
        let trusted = "127.0.0.0/8".parse().expect("a network");
        let config = ImapConfig { trusted_networks: vec![trusted], ..ImapConfig::default() };
        let (budget, drain, recent) = (ByteBudget::new(64 << 20), Drain::new(), RecentMarks::default());
        let context =
            ImapContext { store, bodies, directory, authenticator, tls: None, budget, drain, config, recent };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        Self { context: Arc::new(context), listener, password }
    }

    async fn account(&self, number: u32) -> Arc<Account> {
        let mut new = NewAccount::at(format!("user{number}@example.org").parse().expect("an address"));
        new.password_hash = Some(self.password.clone());
        let mailboxes = |id, domain| self.context.store.add_account(id, domain);
        let account = self.context.directory.create_account(new, mailboxes).await.expect("new");
        let inbox = self.context.store.mailbox(account.id, &MailboxName::inbox()).await.expect("INBOX");
        let mut messages = Vec::new();
        for (message, flags) in
            MESSAGES.into_iter().zip([&[][..], &[SystemFlag::Seen], &[SystemFlag::Deleted]])
        {
            messages.push(NewMessage {
                body: Body::Staged(
                    self.context.bodies.write(account.domain, message).await.expect("written"),
                ),
                prefix: Bytes::from_static(b"Return-Path: <>\r\n"),
                summary: Summary::of(message).encode().unwrap_or_default(),
                flags: Flags::system(flags),
                internal_date: Timestamp::from_secs(1_767_323_045),
            });
        }
        let filed = self.context.store.append(account.id, inbox.id, messages, Limits::default()).await;
        filed.expect("filed");
        account
    }

    /// All that the server says to a client that sends this and no more.
    async fn session(&self, number: u32, settings: u8, wire: &[u8]) -> Vec<u8> {
        let account = self.account(number).await;
        let mut all = Vec::new();
        if settings & 0x80 == 0 {
            all.extend_from_slice(format!("l LOGIN {} secret\r\n", account.address).as_bytes());
        }
        if settings & 1 != 0 {
            all.extend_from_slice(b"e ENABLE IMAP4rev2\r\n");
        }
        if settings & 2 != 0 {
            all.extend_from_slice(b"c ENABLE CONDSTORE\r\n");
        }
        if settings & 4 == 0 {
            all.extend_from_slice(if settings & 8 == 0 {
                b"s SELECT INBOX\r\n"
            } else {
                b"x EXAMINE INBOX\r\n"
            });
        }
        all.extend_from_slice(wire);
        let address = self.listener.local_addr().expect("bound");
        let (client, accepted) = tokio::join!(TcpStream::connect(address), self.listener.accept());
        let (client, (socket, peer)) = (client.expect("connected"), accepted.expect("connected"));
        socket.set_nodelay(true).and_then(|()| client.set_nodelay(true)).expect("a socket of TCP");
        let connection = Connection::new(socket, peer, None).expect("connected");
        let (mut reader, mut writer) = client.into_split();
        let mut said = Vec::new();
        let talks = async {
            // The server may end before all is sent.
            let _ = writer.write_all(&all).await;
            let _ = writer.shutdown().await;
        };
        let listens = async {
            let _ = reader.read_to_end(&mut said).await;
        };
        tokio::join!(imap::serve(connection, Arc::clone(&self.context)), talks, listens);
        said
    }
}
