//! Runs against servers on loopback: each is a socket that answers from a table.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use parking_lot::Mutex;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::dns::test_zone::TestZone;
use crate::dns::{DnsConfig, Resolver};
use crate::net::{Drain, Tls};
use crate::smtp::client::{RecipientRequest, Request};
use crate::smtp::codec::MailDomain;

/// How a server answers; what is not named here is accepted.
#[derive(Clone, Default)]
struct Answers {
    greeting: Option<&'static str>,
    offers: &'static [&'static str],
    /// The answer to RCPT for addresses that begin so.
    recipients: &'static [(&'static str, &'static str)],
    end: Option<&'static str>,
    /// Hangs up after so many messages.
    messages: Option<usize>,
    /// Offers STARTTLS, with this certificate or, with none, breaking the handshake off.
    tls: Option<Option<Tls>>,
}

/// What a server has seen: commands in capitals, and the text of messages.
type Seen = Arc<Mutex<Vec<String>>>;

async fn server(address: SocketAddr, answers: Answers) -> Seen {
    let listener = TcpListener::bind(address).await.expect("a free port");
    let seen = Seen::default();
    let log = seen.clone();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            log.lock().push("(connection)".into());
            tokio::spawn(serve(socket, answers.clone(), log.clone()));
        }
    });
    seen
}

async fn serve(socket: TcpStream, answers: Answers, seen: Seen) {
    let mut stream = BufReader::new(socket);
    let greeting = answers.greeting.unwrap_or("220 hello");
    let _ = stream.write_all(format!("{greeting}\r\n").as_bytes()).await;
    let wants_tls = talk(&mut stream, &answers, &seen, answers.tls.is_some()).await;
    if let (true, Some(Some(tls))) = (wants_tls, &answers.tls) {
        let acceptor = tokio_rustls::TlsAcceptor::from(tls.current());
        if let Ok(stream) = acceptor.accept(stream.into_inner()).await {
            seen.lock().push("(TLS)".into());
            talk(&mut BufReader::new(stream), &answers, &seen, false).await;
        }
    }
}

/// `true` once STARTTLS was asked for.
async fn talk<S>(stream: &mut BufReader<S>, answers: &Answers, seen: &Seen, tls: bool) -> bool
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let (mut line, mut messages) = (String::new(), 0);
    loop {
        line.clear();
        if stream.read_line(&mut line).await.unwrap_or(0) == 0 || answers.messages == Some(messages) {
            return false;
        }
        let command = line.trim_end().to_owned();
        seen.lock().push(command.clone());
        let verb = command.split([' ', ':']).next().unwrap_or_default();
        let reply = match verb {
            "EHLO" => {
                let extra = if tls { &["STARTTLS"][..] } else { &[] };
                let offers = answers
                    .offers
                    .iter()
                    .chain(extra)
                    .fold(String::new(), |all, offer| all + "250-" + offer + "\r\n");
                format!("250-x\r\n{offers}250 HELP")
            }
            "STARTTLS" => "220 go".into(),
            "RCPT" => {
                let refused =
                    answers.recipients.iter().find(|(start, _)| command.contains(&format!("<{start}")));
                refused.map_or("250 ok", |(_, reply)| reply).to_owned()
            }
            "DATA" => "354 go".into(),
            "QUIT" => "221 bye".into(),
            _ => "250 ok".into(),
        };
        let _ = stream.write_all(format!("{reply}\r\n").as_bytes()).await;
        match verb {
            "STARTTLS" => return true,
            "DATA" => {
                while {
                    line.clear();
                    stream.read_line(&mut line).await.unwrap_or(0) > 0
                } && line != ".\r\n"
                {
                    seen.lock().push(format!("> {}", line.trim_end()));
                }
                messages += 1;
                let _ = stream
                    .write_all(format!("{}\r\n", answers.end.unwrap_or("250 2.0.0 taken")).as_bytes())
                    .await;
            }
            _ => {}
        }
    }
}

fn at(host: u8, port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 1, host], port))
}

/// A port that is free on the addresses of this file.
async fn free_port() -> u16 {
    let probe = TcpListener::bind("127.0.1.1:0").await.expect("loopback");
    probe.local_addr().expect("bound").port()
}

async fn outbound(port: u16, records: &[&str]) -> (Outbound, TestZone) {
    let zone = TestZone::start(records).await;
    (Outbound::new(resolver(&zone), config(port)).expect("cryptography"), zone)
}

fn resolver(zone: &TestZone) -> Resolver {
    let dns = DnsConfig { servers: vec![zone.address], loopback: true, ..DnsConfig::default() };
    Resolver::new(&dns).expect("a resolver")
}

fn config(port: u16) -> OutboundConfig {
    OutboundConfig { host: "us.test".into(), port, ..OutboundConfig::default() }
}

fn job(outbound: &Outbound, recipients: &[&str]) -> Job {
    let domain =
        MailDomain::Name(recipients[0].rsplit('@').next().expect("a domain").parse().expect("a domain"));
    let recipients = recipients.iter().map(|address| RecipientRequest {
        address: address.parse().expect("an address"),
        notify: None,
        original: None,
    });
    Job {
        destination: outbound.router().destination(&domain),
        request: Request {
            sender: Some("a@us.test".parse().expect("an address")),
            recipients: recipients.collect(),
            ..Request::default()
        },
        content: Content::loaded("Subject: x\r\n\r\n.body\r\n"),
        still_ours: Arc::new(|| async { true }.boxed()),
    }
}

/// `2.0.0`-like statuses, or the host that took it.
async fn run(outbound: &Outbound, recipients: &[&str]) -> Vec<String> {
    let Delivery::Tried(outcomes) = outbound.deliver(&job(outbound, recipients)).await else {
        panic!("not tried");
    };
    outcomes
        .into_iter()
        .map(|outcome| match outcome {
            Outcome::Relayed { host, .. } => host.split(' ').next().unwrap_or_default().to_owned(),
            Outcome::Refused(refusal) => {
                assert_eq!(refusal.is_temporary, refusal.status.starts_with('4'));
                refusal.status
            }
        })
        .collect()
}

fn count(seen: &Seen, what: &str) -> usize {
    seen.lock().iter().filter(|line| line.contains(what)).count()
}

#[tokio::test]
async fn the_next_exchange_takes_what_the_first_refuses() {
    let port = free_port().await;
    let (outbound, _zone) =
        outbound(port, &["x MX 10 first", "x MX 20 second", "first A 127.0.1.2", "second A 127.0.1.3"]).await;
    let second = server(at(3, port), Answers::default()).await;
    // Nothing listens at the first.
    assert_eq!(run(&outbound, &["b@x.test"]).await, ["second.test"]);
    assert_eq!(count(&second, "> ..body"), 1);
    // The first is known to be down; the connection to the second is used again.
    assert_eq!(run(&outbound, &["c@x.test"]).await, ["second.test"]);
    assert_eq!((count(&second, "(connection)"), count(&second, "> ..body")), (1, 2));
}

#[tokio::test]
async fn each_recipient_has_its_own_fate() {
    let port = free_port().await;
    let (outbound, _zone) =
        outbound(port, &["x MX 10 first", "x MX 20 second", "first A 127.0.1.2", "second A 127.0.1.3"]).await;
    let busy: &[_] = &[("later", "451 4.7.1 greylisted"), ("never", "550 5.1.1 no such user")];
    let first =
        server(at(2, port), Answers { recipients: busy, offers: &["PIPELINING"], ..Answers::default() })
            .await;
    let second = server(at(3, port), Answers::default()).await;
    let fates = run(&outbound, &["good@x.test", "later@x.test", "never@x.test"]).await;
    assert_eq!(fates, ["first.test", "second.test", "5.1.1"]);
    assert_eq!((count(&first, "> ..body"), count(&second, "> ..body")), (1, 1));
    assert_eq!(count(&second, "good@") + count(&second, "never@"), 0);
}

#[tokio::test]
async fn servers_that_do_not_want_to_talk_are_passed_over() {
    let port = free_port().await;
    let (outbound, _zone) =
        outbound(port, &["x MX 10 first", "x MX 20 second", "first A 127.0.1.2", "second A 127.0.1.3"]).await;
    server(at(2, port), Answers { greeting: Some("554 no"), ..Answers::default() }).await;
    server(at(3, port), Answers { end: Some("452 4.3.1 full"), ..Answers::default() }).await;
    assert_eq!(run(&outbound, &["b@x.test"]).await, ["4.3.1"]);
}

#[tokio::test]
async fn no_service_here_is_final_when_every_server_says_so() {
    let port = free_port().await;
    let records =
        ["x MX 10 first", "x MX 20 second", "first A 127.0.1.2", "second A 127.0.1.3", "y A 127.0.1.2"];
    let (outbound, _zone) = outbound(port, &records).await;
    server(at(2, port), Answers { greeting: Some("554 no SMTP service here"), ..Answers::default() }).await;
    assert_eq!(run(&outbound, &["b@y.test", "c@y.test"]).await, ["5.3.2", "5.3.2"]);
    // Nobody listens at the second just now, or it is busy: it may take the mail another time.
    assert!(run(&outbound, &["b@x.test"]).await[0].starts_with('4'));
    assert!(run(&outbound, &["b@x.test"]).await[0].starts_with('4'), "known to be down");
    let (outbound, _zone) = self::outbound(port, &records).await;
    server(at(3, port), Answers { greeting: Some("421 busy"), ..Answers::default() }).await;
    assert_eq!(run(&outbound, &["b@x.test"]).await, ["4.3.2"]);
}

#[tokio::test]
async fn what_a_server_lacks_is_final() {
    let port = free_port().await;
    let (outbound, _zone) = outbound(port, &["x A 127.0.1.2"]).await;
    let seen = server(at(2, port), Answers { offers: &["SIZE 10"], ..Answers::default() }).await;
    assert_eq!(run(&outbound, &["b@x.test"]).await, ["5.3.4"]);
    assert_eq!(count(&seen, "MAIL"), 0);
    let port = free_port().await;
    let (plain, _zone) = self::outbound(port, &["x A 127.0.1.2"]).await;
    server(at(2, port), Answers::default()).await;
    assert_eq!(run(&plain, &["bü@x.test", "b@x.test"]).await, ["5.6.7", "x.test"]);
    let mut eight_bit = job(&plain, &["b@x.test"]);
    eight_bit.request.body = crate::smtp::codec::parameter::BodyKind::EightBitMime;
    let Delivery::Tried(outcome) = plain.deliver(&eight_bit).await else { panic!("not tried") };
    assert!(matches!(&outcome[..], [Outcome::Refused(refusal)] if refusal.status == "5.6.3"));
}

#[tokio::test]
async fn a_stale_connection_costs_nothing() {
    let port = free_port().await;
    let (outbound, _zone) = outbound(port, &["x A 127.0.1.2"]).await;
    let seen = server(at(2, port), Answers { messages: Some(1), ..Answers::default() }).await;
    assert_eq!(run(&outbound, &["b@x.test"]).await, ["x.test"]);
    assert_eq!(run(&outbound, &["b@x.test"]).await, ["x.test"]);
    assert_eq!((count(&seen, "(connection)"), count(&seen, "> ..body")), (2, 2));
}

#[tokio::test]
async fn a_kept_connection_is_closed_after_its_time_and_when_the_server_ends() {
    const IDLE: Duration = Duration::from_millis(300);
    let port = free_port().await;
    let zone = TestZone::start(&["x A 127.0.1.2"]).await;
    let outbound = Outbound::keeping(resolver(&zone), config(port), IDLE).expect("cryptography");
    let seen = server(at(2, port), Answers::default()).await;
    let goodbyes = async |number: usize| {
        let said = async {
            while count(&seen, "QUIT") < number {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), said).await.expect("in time");
    };
    let drain = Drain::new();
    drain.spawn(outbound.clone().sweep(drain.clone()));
    let begin = tokio::time::Instant::now();
    assert_eq!(run(&outbound, &["b@x.test"]).await, ["x.test"]);
    goodbyes(1).await;
    assert!(begin.elapsed() >= IDLE);
    assert_eq!(run(&outbound, &["b@x.test"]).await, ["x.test"]);
    assert!(drain.run(Duration::from_secs(60)).await);
    // What is delivered while the server ends keeps nothing open.
    assert_eq!(run(&outbound, &["b@x.test"]).await, ["x.test"]);
    goodbyes(3).await;
    assert_eq!(count(&seen, "(connection)"), 3);
}

#[tokio::test]
async fn tls_is_used_where_it_works() {
    let key = rcgen::generate_simple_self_signed(vec!["other.example".into()]).expect("a certificate");
    let tls =
        Tls::from_pem(key.cert.pem().as_bytes(), key.signing_key.serialize_pem().as_bytes()).expect("TLS");
    let port = free_port().await;
    let (outbound, _zone) = outbound(port, &["x A 127.0.1.2", "y A 127.0.1.3"]).await;
    let good = server(at(2, port), Answers { tls: Some(Some(tls)), ..Answers::default() }).await;
    let broken = server(at(3, port), Answers { tls: Some(None), ..Answers::default() }).await;
    assert_eq!(run(&outbound, &["b@x.test"]).await, ["x.test"]);
    assert_eq!((count(&good, "(TLS)"), count(&good, "> ..body")), (1, 1));
    assert_eq!(run(&outbound, &["b@y.test"]).await, ["y.test"]);
    assert_eq!((count(&broken, "(connection)"), count(&broken, "> ..body")), (2, 1));
}

#[tokio::test]
async fn a_lost_claim_sends_no_dot() {
    let port = free_port().await;
    let (outbound, _zone) = outbound(port, &["x A 127.0.1.2"]).await;
    let seen = server(at(2, port), Answers::default()).await;
    let job = Job { still_ours: Arc::new(|| async { false }.boxed()), ..job(&outbound, &["b@x.test"]) };
    assert_eq!(outbound.deliver(&job).await, Delivery::Abandoned);
    assert_eq!(count(&seen, "DATA"), 1);
}

#[tokio::test]
async fn a_smarthost_takes_everything() {
    let port = free_port().await;
    let seen = server(at(2, port), Answers::default()).await;
    let zone = TestZone::start(&[]).await;
    let smarthost = Some(Smarthost { host: "127.0.1.2".into(), port });
    let config = OutboundConfig { smarthost, ..OutboundConfig::default() };
    let outbound = Outbound::new(resolver(&zone), config).expect("cryptography");
    assert_eq!(run(&outbound, &["b@nowhere.example"]).await, ["127.0.1.2"]);
    assert_eq!(count(&seen, "> ..body"), 1);
}

#[test]
fn runs_can_be_spawned() {
    fn assert_send<T: Send>(_: T) {}
    let check = |outbound: &Outbound, job: &Job| assert_send(outbound.deliver(job));
    let _ = check;
}
