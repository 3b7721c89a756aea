//! What no transcript can show: that the session answers the same however octets arrive, that nothing a
//! client sends makes it panic or hold more than its bounds, and that time ends what does not end itself.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use proptest::prelude::*;

use super::super::codec::{EnhancedCode, Reply};
use super::*;
use crate::limits::{COMMAND_WAIT, LOGIN_LINE_OCTETS, SKIPPED_FACTOR, SURPLUS_RECIPIENTS};

const MESSAGE_OCTETS: usize = 2000;

fn session(role: Role, tls: bool, now: Instant) -> Session<()> {
    let config = Config {
        role,
        host_name: "mx.example".into(),
        message_octets: MESSAGE_OCTETS,
        recipients: 2,
        starttls: false,
        trusted_networks: Vec::new(),
        command_wait: COMMAND_WAIT,
        reply_wait: COMMAND_WAIT,
    };
    Session::open(Arc::new(config), if tls { Channel::Tls } else { Channel::Plain }, now)
}

/// Feeds one piece; every question is answered with yes. Messages are written to the output as well.
fn feed(session: &mut Session<()>, input: &mut BytesMut, output: &mut Vec<u8>, now: Instant) -> bool {
    loop {
        match session.handle(input, now) {
            Step::NeedMore => break,
            Step::Close => {
                output.extend(session.take_output());
                return false;
            }
            Step::StartTls => session.tls_started(now),
            Step::Memory(octets) => session.memory_granted(Some(octets)),
            Step::Authenticate(_) => session.authenticated(Ok(())),
            Step::CheckSender(transaction) => session.sender_checked(transaction, Ok(())),
            Step::CheckRecipient(candidate) => session.recipient_checked(candidate, Ok(())),
            Step::Message(incoming) => {
                assert!(incoming.message.len() <= MESSAGE_OCTETS);
                output.extend(session.take_output());
                output.extend_from_slice(&incoming.message);
                session.message_answered(&[Reply::new(250, EnhancedCode(2, 0, 0), "taken")]);
            }
        }
    }
    assert!(input.len() <= LOGIN_LINE_OCTETS, "what is kept is bounded");
    output.extend(session.take_output());
    true
}

fn answers(role: Role, wire: &[u8], pieces: &[usize]) -> Vec<u8> {
    let now = Instant::now();
    let (mut session, mut input, mut output) = (session(role, true, now), BytesMut::new(), Vec::new());
    let (mut at, mut sizes) = (0, pieces.iter().cycle());
    while at < wire.len() {
        let size = sizes.next().copied().unwrap_or(wire.len()).clamp(1, wire.len() - at);
        input.extend_from_slice(&wire[at..at + size]);
        at += size;
        if !feed(&mut session, &mut input, &mut output, now) {
            break;
        }
    }
    output
}

fn fragment() -> impl Strategy<Value = Vec<u8>> {
    let known = prop::sample::select(vec![
        "EHLO a.example\r\n",
        "HELO a\r\n",
        "LHLO a\r\n",
        "MAIL FROM:<a@b.example>\r\n",
        "MAIL FROM:<> SIZE=10\r\n",
        "RCPT TO:<c@d.example>\r\n",
        "RCPT TO:<postmaster>\r\n",
        "DATA\r\n",
        "BDAT 0\r\n",
        "BDAT 5\r\n",
        "BDAT 7 LAST\r\n",
        "BDAT 3000 LAST\r\n",
        "RSET\r\n",
        "NOOP\r\n",
        "AUTH PLAIN AGEAYg==\r\n",
        "AUTH LOGIN\r\n",
        "YQ==\r\n",
        "*\r\n",
        "\r\n.\r\n",
        ".\r\n",
        "text\r\n",
        "..dot\r\n",
        "\r",
        "\n",
        ".",
        "\0",
        "QUIT\r\n",
    ]);
    prop_oneof![
        12 => known.prop_map(|text| text.as_bytes().to_vec()),
        1 => proptest::collection::vec(any::<u8>(), 0..40),
        1 => (0..3usize).prop_map(|length| vec![b'x'; length * 6000]),
    ]
}

fn role() -> impl Strategy<Value = Role> {
    prop::sample::select(vec![Role::Mx, Role::Submission, Role::Lmtp])
}

proptest! {
    #[test]
    fn splits_do_not_matter(
        role in role(), fragments in proptest::collection::vec(fragment(), 0..40),
        pieces in proptest::collection::vec(1..60usize, 1..5),
    ) {
        let wire = fragments.concat();
        let (whole, split) = (answers(role, &wire, &[]), answers(role, &wire, &pieces));
        prop_assert_eq!(String::from_utf8_lossy(&split), String::from_utf8_lossy(&whole));
    }
}

#[test]
fn an_octet_a_minute_does_not_put_off_the_end() {
    let start = Instant::now();
    let mut session = session(Role::Mx, false, start);
    let (mut input, mut output, mut now) = (BytesMut::new(), Vec::new(), start);
    while now < session.deadline() {
        input.extend_from_slice(b"E");
        assert!(feed(&mut session, &mut input, &mut output, now));
        now += Duration::from_secs(60);
    }
    assert!(now <= start + COMMAND_WAIT + Duration::from_secs(60));
    session.timed_out();
    assert!(!feed(&mut session, &mut input, &mut output, now));
    assert!(String::from_utf8_lossy(&output).contains("421 4.4.2"));
}

#[test]
fn endless_commands_without_mail_end_the_session() {
    for command in ["NOOP\r\n", "RSET\r\n", "VRFY x\r\n", "EHLO a.example\r\n", "DATA\r\n", "BDAT 0\r\n"] {
        let output = answers(Role::Mx, command.repeat(1000).as_bytes(), &[]);
        assert!(String::from_utf8_lossy(&output).ends_with("closing the connection\r\n"), "{command}");
    }
}

#[test]
fn recipients_past_the_limit_are_told_so_and_end_the_session_when_they_do_not() {
    let now = Instant::now();
    let mut session = session(Role::Mx, false, now);
    let (mut input, mut output) = (BytesMut::from(&b"EHLO a\r\nMAIL FROM:<>\r\n"[..]), Vec::new());
    assert!(feed(&mut session, &mut input, &mut output, now));
    let most = session.config.recipients;
    input.extend_from_slice(b"RCPT TO:<x@y.example>\r\n".repeat(most).as_slice());
    assert!(feed(&mut session, &mut input, &mut output, now));
    output.clear();
    let mut surplus = 0;
    loop {
        input.extend_from_slice(b"RCPT TO:<x@y.example>\r\n");
        let goes_on = feed(&mut session, &mut input, &mut output, now);
        surplus += 1;
        if !goes_on {
            break;
        }
        assert!(output.starts_with(b"452 4.5.3"));
        output.clear();
    }
    assert_eq!(surplus, SURPLUS_RECIPIENTS);
    assert!(String::from_utf8_lossy(&output).contains("421"));
}

#[test]
fn a_message_without_end_ends_the_session() {
    let now = Instant::now();
    let mut session = session(Role::Mx, false, now);
    let begin = &b"EHLO a\r\nMAIL FROM:<>\r\nRCPT TO:<x@y.example>\r\nDATA\r\n"[..];
    let (mut input, mut output) = (BytesMut::from(begin), Vec::new());
    assert!(feed(&mut session, &mut input, &mut output, now));
    let (line, mut sent) = (b"and so on, and so on, and so on\r\n".repeat(100), 0);
    loop {
        input.extend_from_slice(&line);
        sent += line.len() as u64;
        if !feed(&mut session, &mut input, &mut output, now) {
            break;
        }
    }
    let most = session.config.message_octets as u64 * SKIPPED_FACTOR;
    assert!((most..=most + line.len() as u64).contains(&sent), "{sent} of {most}");
    assert!(String::from_utf8_lossy(&output).ends_with("552 5.3.4 Message too large\r\n"));
}

#[test]
fn guessing_recipients_ends_the_session() {
    let now = Instant::now();
    let (mut session, mut input) =
        (session(Role::Mx, false, now), BytesMut::from(&b"EHLO a\r\nMAIL FROM:<>\r\n"[..]));
    let mut output = Vec::new();
    assert!(feed(&mut session, &mut input, &mut output, now));
    let mut refused = 0;
    loop {
        input.extend_from_slice(b"RCPT TO:<x@y.example>\r\n");
        match session.handle(&mut input, now) {
            Step::CheckRecipient(candidate) => {
                refused += 1;
                let unknown = Reply::new(550, EnhancedCode(5, 1, 1), "No such user");
                session.recipient_checked(candidate, Err(unknown));
            }
            Step::Close => break,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(refused, crate::limits::REFUSED_RECIPIENTS);
}

#[test]
fn a_channel_is_as_good_as_its_tls_or_its_network() {
    let config = Config {
        trusted_networks: vec!["192.0.2.0/24".parse().expect("a network")],
        ..Config::clone(&session(Role::Submission, false, Instant::now()).config)
    };
    let channel = |tls, peer: &str| config.channel(tls, peer.parse().expect("an address"));
    assert_eq!(channel(false, "192.0.2.7"), Channel::Trusted);
    assert_eq!(channel(false, "::ffff:192.0.2.7"), Channel::Trusted);
    assert_eq!(channel(true, "192.0.2.7"), Channel::Tls);
    assert_eq!(channel(false, "198.51.100.7"), Channel::Plain);
}
