//! A whole mail edge in a temporary folder: the durable engine, bodies in a folder, two domains and
//! their accounts, and the three inbound roles on free ports of loopback. And a client that shares no
//! parser with the server.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use sterna_gateway::deliver::Deliverer;
use sterna_gateway::deliver::admission::Recipients;
use sterna_gateway::login::{Authenticator, LoginConfig};
use sterna_gateway::message::dkim;
use sterna_gateway::mx::{self, Mx};
use sterna_gateway::net::{ByteBudget, Drain, Listener, Mode, Permits, Tls, crypto_provider};
use sterna_gateway::smtp::driver::Service;
use sterna_gateway::smtp::session::{Config, Role};
use sterna_gateway::submission::{self, Submission};
use sterna_storage::bodies::{Bodies, BodiesConfig};
use sterna_storage::directory::{Account, Alias, Directory, DkimAlgorithm, NewAccount, NewDomain};
use sterna_storage::kv::Database;
use sterna_storage::kv::local::{Local, LocalConfig};
use sterna_storage::mailstore::{MailStore, MailStoreConfig};
use sterna_storage::queue::{Queue, QueueConfig};
use sterna_storage::types::{Address, Secret, Timestamp};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Nothing in these tests takes as long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
pub(crate) const PASSWORD: &str = "correct horse";

pub(crate) struct House {
    pub(crate) directory: Directory,
    pub(crate) mail: MailStore,
    pub(crate) queue: Queue,
    pub(crate) bodies: Bodies,
    pub(crate) drain: Drain,
    pub(crate) mx: SocketAddr,
    pub(crate) lmtp: SocketAddr,
    pub(crate) submissions: SocketAddr,
    pub(crate) submission: SocketAddr,
    pub(crate) connector: TlsConnector,
    _folder: tempfile::TempDir,
}

pub(crate) fn address(text: &str) -> Address {
    text.parse().expect("an address")
}

impl House {
    pub(crate) async fn new() -> Self {
        Self::with_budget(64 << 20).await
    }

    pub(crate) async fn with_budget(budget_octets: usize) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let config = LocalConfig {
            path: folder.path().join("kv"),
            log_segment_octets: 4 << 20,
            ..LocalConfig::default()
        };
        let database = Database::new(Local::open(config).await.expect("opens"));
        let objects = Bodies::local_folder(folder.path().join("bodies")).await.expect("a folder");
        let key = Secret::new([7; 32]);
        let bodies =
            Bodies::open(database.clone(), objects, key, BodiesConfig::default()).await.expect("opens");
        let mail = MailStore::new(
            database.clone(),
            bodies.clone(),
            MailStoreConfig { sole_node: true, ..MailStoreConfig::default() },
        );
        let queue_config = QueueConfig { exclusive: true, ..QueueConfig::default() };
        let queue = Queue::open(database.clone(), bodies.clone(), queue_config).await.expect("opens");
        let directory = Directory::open(database.clone()).await.expect("opens");
        let login = LoginConfig { hash_memory_kib: 64, hash_passes: 1, ..LoginConfig::default() };
        let authenticator = Authenticator::new(directory.clone(), &login).expect("valid costs");
        people(&directory, &mail, &authenticator).await;

        let drain = Drain::new();
        let deliverer = Deliverer::new(database, bodies.clone(), mail.clone(), queue.clone(), drain.clone());
        let recipients =
            Recipients::new(directory.clone(), mail.clone(), "mail.a.example".parse().expect("a name"));
        let mx = Arc::new(Mx { recipients: recipients.clone(), deliverer: deliverer.clone() });
        let signers = Arc::new(dkim::Signers::default());
        let submission = Arc::new(Submission { authenticator, recipients, deliverer, signers });

        let (tls, connector) = certificate();
        let budget = ByteBudget::new(budget_octets);
        let service = |role| Service {
            config: Arc::new(Config {
                role,
                host_name: "mail.a.example".into(),
                message_octets: 10 << 20,
                recipients: 100,
                starttls: true,
                trusted_networks: Vec::new(),
                command_wait: sterna_gateway::limits::COMMAND_WAIT,
                reply_wait: sterna_gateway::limits::COMMAND_WAIT,
            }),
            tls: Some(tls.clone()),
            budget: budget.clone(),
            drain: drain.clone(),
        };
        let mx_port = |role| {
            let (service, mx) = (service(role), mx.clone());
            listen(Mode::Plain, &drain, move |connection| mx::serve(service.clone(), mx.clone(), connection))
        };
        let submission_port = |mode| {
            let (service, shared) = (service(Role::Submission), submission.clone());
            listen(mode, &drain, move |connection| {
                submission::serve(service.clone(), shared.clone(), connection)
            })
        };
        Self {
            mx: mx_port(Role::Mx),
            lmtp: mx_port(Role::Lmtp),
            submission: submission_port(Mode::Plain),
            submissions: submission_port(Mode::ImplicitTls(tls.clone())),
            directory,
            mail,
            queue,
            bodies,
            drain,
            connector,
            _folder: folder,
        }
    }

    pub(crate) async fn account(&self, text: &str) -> Arc<Account> {
        self.directory.account_by_login(text).await.expect("readable").expect("an account")
    }

    /// The messages in an account's INBOX, oldest first.
    pub(crate) async fn inbox(&self, account: &str) -> Vec<String> {
        let account = self.account(account).await.id;
        let inbox = self.mail.mailbox(account, &"INBOX".parse().expect("a name")).await.expect("an inbox");
        let view = self.mail.open(account, inbox.id).await.expect("opens");
        let snapshot = view.refresh().await.expect("current");
        let mut messages = Vec::new();
        for sequence in 1..=snapshot.len() {
            let uid = snapshot.get(sequence).expect("there").uid;
            let record = self.mail.record(account, inbox.id, uid).await.expect("a record");
            let reader = self.mail.read(&record).await.expect("a body");
            let octets = reader.read_all(0..reader.len()).await.expect("readable");
            messages.push(String::from_utf8(octets.to_vec()).expect("text"));
        }
        messages
    }

    pub(crate) async fn connect(&self, to: SocketAddr) -> Client {
        let stream = TcpStream::connect(to).await.expect("listening");
        if to == self.submissions {
            return Client::new(Box::new(self.handshake(stream).await));
        }
        Client::new(Box::new(stream))
    }

    /// STARTTLS, with a command pipelined behind it that the server must not take.
    pub(crate) async fn start_tls(&self, mut client: Client) -> Client {
        client.send("STARTTLS\r\nEHLO injected.example\r\n").await;
        let reply = client.reply().await;
        assert!(reply.starts_with("220 2.0.0"), "{reply}");
        Client::new(Box::new(self.handshake(client.stream.into_inner()).await))
    }

    async fn handshake<S: Duplex + 'static>(&self, stream: S) -> TlsStream<S> {
        let name = ServerName::try_from("mail.a.example").expect("a name");
        self.connector.connect(name, stream).await.expect("a handshake")
    }

    /// Ends everything, so that what goes on beside replies is done.
    pub(crate) async fn settle(&self) {
        assert!(self.drain.run(PATIENCE).await, "everything ends by itself");
    }
}

async fn people(directory: &Directory, mail: &MailStore, authenticator: &Authenticator) {
    let key = dkim::generate("s1", DkimAlgorithm::Ed25519Sha256, Timestamp::now()).expect("a key");
    for name in ["a.example", "b.example"] {
        let new = NewDomain { dkim: vec![key.clone()], ..NewDomain::named(name.parse().expect("a name")) };
        directory.create_domain(new).await.expect("a domain");
    }
    let hash = authenticator.passwords().hash(PASSWORD).await.expect("a hash");
    for (text, quota_octets) in [
        ("ann@a.example", None),
        ("bob@a.example", None),
        ("eve@b.example", None),
        ("full@a.example", Some(10)),
    ] {
        let new =
            NewAccount { password_hash: Some(hash.clone()), quota_octets, ..NewAccount::at(address(text)) };
        let made = directory.create_account(new, |id, domain| mail.add_account(id, domain)).await;
        made.expect("an account");
    }
    let alias = |from, to: &[&str]| Alias {
        address: address(from),
        targets: to.iter().map(|to| address(to)).collect(),
    };
    let all = ["ann@a.example", "bob@a.example", "eve@b.example"];
    directory.create_alias(&alias("all@a.example", &all)).await.expect("an alias");
    directory.create_alias(&alias("out@a.example", &["far@away.example"])).await.expect("an alias");
    directory
        .update_settings(|settings| settings.postmaster = Some(address("ann@a.example")))
        .await
        .expect("settings");
}

fn certificate() -> (Tls, TlsConnector) {
    let made = rcgen::generate_simple_self_signed(vec!["mail.a.example".to_owned()]).expect("self-signed");
    let (chain, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(chain.as_bytes()).expect("PEM")).expect("a root");
    let config = rustls::ClientConfig::builder_with_provider(crypto_provider())
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let tls = Tls::from_pem(chain.as_bytes(), key.as_bytes()).expect("valid");
    (tls, TlsConnector::from(Arc::new(config)))
}

fn listen<H, F>(mode: Mode, drain: &Drain, handler: H) -> SocketAddr
where
    H: Fn(sterna_gateway::net::Connection) -> F + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let any = "127.0.0.1:0".parse().expect("an address");
    let listener = Listener::bind(any, mode, Permits::new(100, 100), b"421 busy\r\n").expect("a free port");
    let address = listener.local_address().expect("bound");
    tokio::spawn(listener.serve(drain.clone(), handler));
    address
}

pub(crate) trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Duplex for T {}

/// Sends lines and reads replies.
pub(crate) struct Client {
    stream: BufReader<Box<dyn Duplex>>,
}

impl Client {
    pub(crate) fn new(stream: Box<dyn Duplex>) -> Self {
        Self { stream: BufReader::new(stream) }
    }

    pub(crate) async fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.expect("writable");
        self.stream.flush().await.expect("writable");
    }

    /// The last line of the next reply; empty at the end of the stream.
    pub(crate) async fn reply(&mut self) -> String {
        loop {
            let mut line = String::new();
            let read = tokio::time::timeout(PATIENCE, self.stream.read_line(&mut line)).await;
            if read.expect("in time").expect("readable") == 0 {
                return String::new();
            }
            if line.as_bytes().get(3) != Some(&b'-') {
                return line.trim_end().to_owned();
            }
        }
    }

    /// Sends a line; its reply must begin as expected.
    pub(crate) async fn ask(&mut self, line: &str, expected: &str) -> String {
        self.send(&format!("{line}\r\n")).await;
        let reply = self.reply().await;
        assert!(reply.starts_with(expected), "{line}: {reply}, expected {expected}");
        reply
    }

    /// Reads the greeting and introduces itself.
    pub(crate) async fn hello(&mut self, verb: &str) {
        let greeting = self.reply().await;
        assert!(greeting.starts_with("220 mail.a.example"), "{greeting}");
        self.ask(&format!("{verb} client.example"), "250").await;
    }

    pub(crate) async fn log_in(&mut self, login: &str) {
        use base64::Engine as _;
        let plain = format!("\0{login}\0{PASSWORD}");
        let encoded = base64::engine::general_purpose::STANDARD.encode(plain);
        self.ask(&format!("AUTH PLAIN {encoded}"), "235").await;
    }

    /// A whole transaction; the reply to its end.
    pub(crate) async fn mail(&mut self, from: &str, to: &[&str], message: &str) -> String {
        self.ask(&format!("MAIL FROM:<{from}>"), "250 2.1.0").await;
        for to in to {
            self.ask(&format!("RCPT TO:<{to}>"), "250 2.1.5").await;
        }
        self.ask("DATA", "354").await;
        self.send(&format!("{message}\r\n.\r\n")).await;
        self.reply().await
    }
}
