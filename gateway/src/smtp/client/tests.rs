//! Dialogues of the client, as transcripts: what the server says, and what must be said in answer.

use bytes::BytesMut;
use proptest::prelude::*;

use super::*;

fn config(tls: TlsUse, lmtp: bool) -> ClientConfig {
    ClientConfig { hello: "us.example".into(), lmtp, tls }
}

fn request(recipients: &[&str]) -> Request {
    let recipient = |address: &&str| RecipientRequest {
        address: address.parse().expect("valid"),
        notify: Some(super::super::codec::parameter::Notify::NEVER),
        original: Some("rfc822;x".into()),
    };
    Request {
        sender: Some("a@us.example".parse().expect("valid")),
        size_octets: 12,
        envelope_id: Some("id".into()),
        recipients: recipients.iter().map(recipient).collect(),
        ..Request::default()
    }
}

/// Plays the server's lines one by one; gives what the client sent, and the outcomes.
fn play(
    mut client: Client,
    mut requests: Vec<Request>,
    server: &[&str],
) -> (String, Vec<Vec<u16>>, Option<ClientError>) {
    let (mut sent, mut outcomes, mut input) = (Vec::new(), Vec::new(), BytesMut::new());
    let mut lines = server.iter();
    loop {
        let step = client.handle(&mut input);
        sent.extend(client.take_output());
        match step {
            Ok(Step::NeedMore) => match lines.next() {
                Some(line) => input.extend_from_slice(format!("{line}\r\n").as_bytes()),
                None => return (String::from_utf8(sent).expect("text"), outcomes, None),
            },
            Ok(Step::StartTls) => {
                sent.extend(b"[TLS]\r\n");
                client.tls_started();
            }
            Ok(Step::Ready) if requests.is_empty() => client.quit(),
            Ok(Step::Ready) => client.begin(requests.remove(0)),
            Ok(Step::SendBody) => {
                client.encode_body(b".a\r\n", &mut sent);
                client.end_body(&mut sent);
            }
            Ok(Step::Done(outcome)) => outcomes.push(outcome.recipients.iter().map(code).collect()),
            Ok(Step::Closed) => return (String::from_utf8(sent).expect("text"), outcomes, None),
            Err(error) => return (String::from_utf8(sent).expect("text"), outcomes, Some(error)),
        }
    }
}

fn code(outcome: &RecipientOutcome) -> u16 {
    match outcome {
        RecipientOutcome::Accepted(reply) | RecipientOutcome::Refused(reply) => reply.code,
    }
}

#[test]
fn one_command_after_the_other_without_pipelining() {
    let client = Client::open(config(TlsUse::IfOffered, false), false);
    let server = [
        "220 hi",
        "502 what?",
        "250 hi",
        "250 ok",
        "250 ok",
        "550 5.1.1 no",
        "354 go",
        "250 taken",
        "250 reset",
        "451 later",
        "221 bye",
    ];
    let requests = vec![request(&["b@x.org", "c@x.org"]), request(&["b@x.org"])];
    let (sent, outcomes, error) = play(client, requests, &server);
    assert_eq!(
        sent,
        "EHLO us.example\r\nHELO us.example\r\nMAIL FROM:<a@us.example>\r\nRCPT TO:<b@x.org>\r\n\
         RCPT TO:<c@x.org>\r\nDATA\r\n..a\r\n.\r\nRSET\r\nMAIL FROM:<a@us.example>\r\nQUIT\r\n"
    );
    assert_eq!((outcomes, error), (vec![vec![250, 550], vec![451]], None));
}

#[test]
fn all_at_once_with_pipelining_under_tls_and_with_dsn() {
    let client = Client::open(config(TlsUse::Required, false), false);
    let server = [
        "220 hi",
        "250-x",
        "250 STARTTLS",
        "220 go",
        "250-x",
        "250-PIPELINING",
        "250-SIZE 100",
        "250 DSN",
        "250 ok",
        "250 ok",
        "354 go",
        "250 taken",
        "250 reset",
        "550 no",
        "503 no",
        "503 no",
        "221 bye",
    ];
    let (sent, outcomes, error) = play(client, vec![request(&["b@x.org"]), request(&["b@x.org"])], &server);
    let transaction = "MAIL FROM:<a@us.example> SIZE=12 ENVID=id\r\nRCPT TO:<b@x.org> NOTIFY=NEVER ORCPT=rfc822;x\r\nDATA\r\n";
    assert_eq!(
        sent,
        format!(
            "EHLO us.example\r\nSTARTTLS\r\n[TLS]\r\nEHLO us.example\r\n{transaction}..a\r\n.\r\n\
             RSET\r\n{transaction}QUIT\r\n"
        )
    );
    assert_eq!((outcomes, error), (vec![vec![250], vec![550]], None));
}

#[test]
fn text_for_nobody_is_a_dot() {
    let client = Client::open(config(TlsUse::Never, false), false);
    let server =
        ["220 hi", "250-x", "250 PIPELINING", "250 ok", "450 later", "354 go", "554 nobody", "221 bye"];
    let (sent, outcomes, _) = play(client, vec![request(&["b@x.org"])], &server);
    assert!(sent.ends_with("DATA\r\n.\r\nQUIT\r\n"), "{sent}");
    assert_eq!(outcomes, [[450]]);
}

#[test]
fn lmtp_answers_for_each_recipient() {
    let client = Client::open(config(TlsUse::Never, true), false);
    let server = [
        "220 hi",
        "250-x",
        "250 PIPELINING",
        "250 ok",
        "250 ok",
        "550 no",
        "250 ok",
        "354 go",
        "250 one",
        "452 three",
        "221 bye",
    ];
    let (sent, outcomes, _) = play(client, vec![request(&["b@x.org", "c@x.org", "d@x.org"])], &server);
    assert!(sent.starts_with("LHLO us.example\r\n"));
    assert_eq!(outcomes, [[250, 550, 452]]);
}

#[test]
fn what_ends_a_connection() {
    let open = |tls| Client::open(config(tls, false), false);
    let (_, _, error) = play(open(TlsUse::Required), vec![], &["220 hi", "250 x"]);
    assert_eq!(error, Some(ClientError::NoTls));
    let (_, _, error) = play(open(TlsUse::Never), vec![], &["554 go away"]);
    assert!(matches!(error, Some(ClientError::Refused(_))));
    let (_, _, error) =
        play(open(TlsUse::Never), vec![request(&["b@x.org"])], &["220 hi", "250 x", "421 busy"]);
    assert!(matches!(error, Some(ClientError::Closing(_))));
    let (sent, _, error) =
        play(open(TlsUse::IfOffered), vec![], &["220 hi", "250-x", "250 STARTTLS", "454 no", "221 bye"]);
    assert_eq!((sent.as_str(), error), ("EHLO us.example\r\nSTARTTLS\r\nQUIT\r\n", None));
}

proptest! {
    #[test]
    fn whatever_a_server_says_nothing_panics(
        codes in proptest::collection::vec((200u16..600, "[ -]x?"), 0..30), pipelining: bool, lmtp: bool,
    ) {
        let mut server = vec!["220 x".to_owned(), "250-x".to_owned()];
        server.push(if pipelining { "250 PIPELINING".into() } else { "250 HELP".into() });
        server.extend(codes.iter().map(|(code, rest)| format!("{code}{rest}")));
        let lines: Vec<&str> = server.iter().map(String::as_str).collect();
        let client = Client::open(config(TlsUse::IfOffered, lmtp), false);
        play(client, vec![request(&["b@x.org", "c@x.org"]), request(&["b@x.org"])], &lines);
    }
}
