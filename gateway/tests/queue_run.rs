//! Queue runs over real stores, a real name server and Postfix's smtp-sink.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use sterna_gateway::deliver::envelope::{BodyKind, Envelope, Origin, Recipient, Target};
use sterna_gateway::deliver::{Arrival, Deliverer};
use sterna_gateway::dns::{DnsConfig, Resolver};
use sterna_gateway::net::{ByteBudget, Drain};
use sterna_gateway::outbound::{Outbound, OutboundConfig};
use sterna_gateway::queue::{Worker, WorkerConfig, WorkerParts};
use sterna_storage::bodies::{Bodies, BodiesConfig, Owner, Staged};
use sterna_storage::directory::{Account, Directory, NewAccount, NewDomain};
use sterna_storage::kv::record::Record;
use sterna_storage::kv::{Database, Memory};
use sterna_storage::mailstore::{MailStore, MailStoreConfig, MailboxName};
use sterna_storage::queue::{Entry, Queue, QueueConfig};
use sterna_storage::types::{QueueId, Secret, Timestamp};

use crate::house::PATIENCE;
use crate::test_zone::TestZone;

struct House {
    database: Database,
    bodies: Bodies,
    mail: MailStore,
    queue: Queue,
    deliverer: Deliverer,
    budget: ByteBudget,
    drain: Drain,
    ann: std::sync::Arc<Account>,
    _zone: TestZone,
    folder: tempfile::TempDir,
}

impl House {
    /// With the domain `us.test`, the account `ann`, and a worker that sends to `port`.
    async fn new(port: u16, records: &[&str]) -> Self {
        let zone = TestZone::start(records).await;
        let database = Database::new(Memory::new());
        let folder = tempfile::tempdir().expect("a temporary folder");
        let objects = Bodies::local_folder(folder.path().join("bodies")).await.expect("a folder");
        let key = Secret::new([1; 32]);
        let bodies =
            Bodies::open(database.clone(), objects, key, BodiesConfig::default()).await.expect("opens");
        let queue =
            Queue::open(database.clone(), bodies.clone(), QueueConfig::default()).await.expect("opens");
        let mail = MailStore::new(database.clone(), bodies.clone(), MailStoreConfig::default());
        let directory = Directory::open(database.clone()).await.expect("opens");
        directory.create_domain(NewDomain::named("us.test".parse().expect("a name"))).await.expect("made");
        let new = NewAccount::at("ann@us.test".parse().expect("an address"));
        let mailboxes = |id, domain| mail.add_account(id, domain);
        let ann = directory.create_account(new, mailboxes).await.expect("made");
        let drain = Drain::new();
        let deliverer =
            Deliverer::new(database.clone(), bodies.clone(), mail.clone(), queue.clone(), drain.clone());
        let dns = DnsConfig { servers: vec![zone.address], loopback: true, ..DnsConfig::default() };
        let config = OutboundConfig { host: "mx.us.test".into(), port, ..OutboundConfig::default() };
        let outbound = Outbound::new(Resolver::new(&dns).expect("a resolver"), config).expect("cryptography");
        let budget = ByteBudget::new(1 << 20);
        let parts = WorkerParts {
            database: database.clone(),
            bodies: bodies.clone(),
            queue: queue.clone(),
            directory,
            deliverer: deliverer.clone(),
            outbound,
            budget: budget.clone(),
        };
        let worker = Worker::new(parts, &WorkerConfig::default());
        let running = drain.clone();
        drain.spawn(async move { worker.run(running).await });
        Self { database, bodies, mail, queue, deliverer, budget, drain, ann, _zone: zone, folder }
    }

    /// Accepts a message of Ann's.
    async fn send(&self, to: &str, text: &str) {
        let now = Timestamp::now();
        let envelope = self.envelope(Recipient::new(to.parse().expect("an address"), Target::Remote, now));
        let message = Bytes::from(format!("From: ann@us.test\r\nSubject: {text}\r\n\r\n{text}\r\n"));
        self.deliverer
            .accept(Arrival { id: QueueId::new(now), envelope, message, memory: None })
            .await
            .expect("accepted");
    }

    /// Puts into the queue what is to be filed in Ann's INBOX, as if an earlier try had failed.
    async fn put_local(&self, octets: &[u8]) {
        let now = Timestamp::now();
        let target = Target::Local { account: self.ann.id, domain: self.ann.domain };
        let envelope = self.envelope(Recipient::new("ann@us.test".parse().expect("an address"), target, now));
        let staged = self.bodies.write(self.ann.domain, octets).await.expect("staged");
        self.put(envelope, &staged).await;
    }

    async fn put(&self, envelope: Envelope, staged: &Staged) {
        let entry = Self::entry(&envelope, staged);
        let put = self.database.run(async |tx| {
            staged.commit_into(tx, Owner::Queue(entry.id)).await?;
            self.queue.put(tx, &entry)
        });
        put.await.expect("put");
    }

    /// Due now.
    fn entry(envelope: &Envelope, staged: &Staged) -> Entry {
        let now = Timestamp::now();
        Entry {
            id: QueueId::new(now),
            created: now,
            due: now,
            body: staged.id,
            body_size: staged.size,
            payload: envelope.encode(),
            held: false,
        }
    }

    fn envelope(&self, recipient: Recipient) -> Envelope {
        Envelope {
            sender: Some("ann@us.test".parse().expect("an address")),
            body: BodyKind::SevenBit,
            smtp_utf8: false,
            return_content: None,
            envelope_id: None,
            trace: "Received: by mx.us.test\r\n".into(),
            body_domain: self.ann.domain,
            origin: Origin {
                received: Timestamp::now(),
                account: Some(self.ann.id),
                peer: None,
                hello: "client".into(),
                protocol: "ESMTPSA".into(),
                tls: None,
            },
            recipients: vec![recipient],
        }
    }

    async fn queued(&self) -> usize {
        self.queue.list(None, 10).await.expect("read").len()
    }

    async fn in_inbox(&self) -> u64 {
        let name = MailboxName::inbox();
        let inbox = self.mail.mailbox(self.ann.id, &name).await.expect("exists");
        self.mail.status(self.ann.id, inbox.id).await.expect("read").messages.into()
    }
}

/// Waits until it holds, for at most a minute.
async fn until(mut holds: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("in time");
}

/// Postfix's sink: takes all mail and writes it into files.
struct Sink(Child);

impl Sink {
    fn start(address: &str, folder: &Path) -> Option<Self> {
        let program = Path::new("/usr/sbin/smtp-sink");
        if !program.exists() {
            return None;
        }
        std::fs::create_dir_all(folder).expect("a folder");
        let mut command = Command::new(program);
        command.args(["-u", "root", "-d", "mail."]).arg(address).arg("10");
        let child = command.current_dir(folder).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        Some(Self(child.expect("smtp-sink starts")))
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn files(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    entries.filter_map(|entry| std::fs::read_to_string(entry.ok()?.path()).ok()).collect()
}

async fn free_port() -> u16 {
    let probe = tokio::net::TcpListener::bind("127.0.2.3:0").await.expect("loopback");
    probe.local_addr().expect("bound").port()
}

#[tokio::test]
async fn mail_arrives_at_the_second_exchange() {
    let port = free_port().await;
    let house =
        House::new(port, &["away MX 10 one", "away MX 20 two", "one A 127.0.2.2", "two A 127.0.2.3"]).await;
    let folder = house.folder.path().join("sink");
    let Some(_sink) = Sink::start(&format!("127.0.2.3:{port}"), &folder) else {
        panic!("smtp-sink (Debian: postfix) is needed by this test");
    };
    until(async || tokio::net::TcpStream::connect(format!("127.0.2.3:{port}")).await.is_ok()).await;
    house.send("bob@away.test", "hello").await;
    until(async || house.queued().await == 0).await;
    until(async || files(&folder).iter().any(|text| text.contains("Subject: hello"))).await;
    let text = files(&folder).concat();
    assert!(text.contains("Received: by mx.us.test") && text.contains("bob@away.test"), "{text}");
    assert!(house.drain.run(PATIENCE).await);
}

#[tokio::test]
async fn what_cannot_be_delivered_comes_back_readable() {
    let house = House::new(1, &["null MX 0 ."]).await;
    house.send("bob@null.test", "lost").await;
    until(async || house.queued().await == 0 && house.in_inbox().await == 1).await;
    let name = MailboxName::inbox();
    let inbox = house.mail.mailbox(house.ann.id, &name).await.expect("exists");
    let uid = sterna_storage::types::Uid::MIN;
    let record = house.mail.record(house.ann.id, inbox.id, uid).await.expect("filed");
    let reader = house.mail.read(&record).await.expect("read");
    let text = String::from_utf8(reader.read_all(0..u64::MAX).await.expect("read").to_vec()).expect("text");
    assert!(text.starts_with("Return-Path: <>\r\n"), "{text}");
    for part in ["bob@null.test", "Status: 5.1.10", "Action: failed", "Subject: lost", "accepts no mail"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(house.drain.run(PATIENCE).await);
}

#[tokio::test]
async fn what_fails_for_now_stays() {
    let house = House::new(1, &["down A 127.0.2.9"]).await;
    house.send("bob@down.test", "later").await;
    let tried = async || {
        let listed = house.queue.list(None, 10).await.expect("read");
        let entry = &listed[0].entry;
        let envelope = Envelope::decode(&entry.payload).expect("ours");
        envelope.recipients[0].attempts == 1 && entry.due > Timestamp::now() && !listed[0].claimed
    };
    until(tried).await;
    assert_eq!(house.in_inbox().await, 0);
    assert!(house.drain.run(PATIENCE).await);
}

#[tokio::test]
async fn a_message_that_is_filed_later_waits_for_memory() {
    let house = House::new(1, &[]).await;
    let all = house.budget.largest_octets();
    let held = house.budget.reserve(all, Duration::ZERO).await.expect("nobody has any");
    house.put_local(b"Subject: later\r\n\r\nlater\r\n").await;
    until(async || house.queue.list(None, 1).await.expect("read").iter().any(|listed| listed.claimed)).await;
    assert_eq!(house.in_inbox().await, 0);
    drop(held);
    until(async || house.in_inbox().await == 1 && house.queued().await == 0).await;
    assert_eq!(house.budget.available_octets(), all);
    // More than the whole budget must not wait for ever.
    let large = b"a line of forty octets, so many of them.\r\n".repeat(all / 40);
    house.put_local(&[b"Subject: large\r\n\r\n".as_slice(), &large].concat()).await;
    until(async || house.in_inbox().await == 2).await;
    assert!(house.drain.run(Duration::from_secs(5)).await);
}

#[tokio::test]
async fn what_became_of_recipients_is_written_down_while_nobody_can_be_told() {
    let house = House::new(1, &["null MX 0 ."]).await;
    let to = Recipient::new("bob@null.test".parse().expect("an address"), Target::Remote, Timestamp::now());
    let (objects, away) = (house.folder.path().join("bodies"), house.folder.path().join("away"));
    let long = b"a line of forty octets, so many of them.\r\n".repeat(10_000);
    let staged = house.bodies.write(house.ann.domain, &long).await.expect("staged");
    std::fs::rename(&objects, &away).expect("moved");
    house.put(house.envelope(to), &staged).await;
    let is_written = async || {
        let listed = house.queue.list(None, 10).await.expect("read");
        let envelope = Envelope::decode(&listed[0].entry.payload).expect("ours");
        let recipient = &envelope.recipients[0];
        listed[0].claimed && recipient.is_final() && !recipient.reported
    };
    until(is_written).await;
    assert_eq!(house.in_inbox().await, 0);
    let _ = std::fs::remove_dir_all(&objects);
    std::fs::rename(&away, &objects).expect("moved back");
    until(async || house.queued().await == 0 && house.in_inbox().await == 1).await;
    assert!(house.drain.run(PATIENCE).await);
}

#[tokio::test]
async fn an_entry_of_which_nobody_can_ever_be_told_ends() {
    let house = House::new(1, &[]).await;
    let to = Recipient::new("bob@away.test".parse().expect("an address"), Target::Remote, Timestamp::now());
    let envelope = house.envelope(to);
    let staged = house.bodies.write(house.ann.domain, b"Subject: lost\r\n\r\n").await.expect("staged");
    let entry = Entry { created: Timestamp::from_secs(0), ..House::entry(&envelope, &staged) };
    // Its body is never committed.
    house.database.run(async |tx| house.queue.put(tx, &entry)).await.expect("put");
    until(async || house.queued().await == 0).await;
    assert_eq!(house.in_inbox().await, 0);
    assert!(house.drain.run(PATIENCE).await);
}
