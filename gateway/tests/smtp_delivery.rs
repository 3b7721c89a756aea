//! The inbound roles over real sockets, down to mailboxes and the queue.

use sterna_gateway::deliver::Envelope;
use sterna_gateway::deliver::envelope::{State, Target};
use sterna_storage::directory::Account;
use sterna_storage::kv::record::Record;

use crate::house::House;

const MESSAGE: &str = "From: Ann <ann@a.example>\r\nTo: x\r\nSubject: hi\r\n\r\n..a line\r\nlast";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_for_one_is_filed_before_its_reply() {
    let house = House::new().await;
    let mut client = house.connect(house.mx).await;
    client.hello("EHLO").await;
    let reply = client.mail("s@far.example", &["BOB@a.example"], MESSAGE).await;
    let id = reply.strip_prefix("250 2.0.0 OK, queued as ").expect("the queue id");
    assert_eq!(id.len(), 16);

    let inbox = house.inbox("bob@a.example").await;
    let [message] = inbox.as_slice() else { panic!("one message, not {}", inbox.len()) };
    let head = "Return-Path: <s@far.example>\r\nDelivered-To: BOB@a.example\r\n\
                Received: from client.example ([127.0.0.1])\r\n\tby mail.a.example with ESMTP id ";
    assert!(message.starts_with(&format!("{head}{id}\r\n\tfor <BOB@a.example>;")), "{message}");
    assert!(message.ends_with("Subject: hi\r\n\r\n.a line\r\nlast\r\n"), "{message}");
    assert_eq!(house.queue.counts().await.expect("readable").entries, 0);

    client.ask("QUIT", "221").await;
    assert_eq!(client.reply().await, "");
    house.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_for_many_is_filed_once_each() {
    let house = House::new().await;
    let mut client = house.connect(house.mx).await;
    client.hello("EHLO").await;
    let reply = client.mail("", &["all@a.example", "ann@a.example", "Postmaster"], MESSAGE).await;
    assert!(reply.starts_with("250 2.0.0"), "{reply}");
    client.ask("QUIT", "221").await;
    house.settle().await;
    for account in ["ann@a.example", "bob@a.example", "eve@b.example"] {
        let inbox = house.inbox(account).await;
        assert_eq!(inbox.len(), 1, "{account}");
        assert!(inbox[0].starts_with("Return-Path: <>\r\nDelivered-To: all@a.example\r\n"), "{}", inbox[0]);
    }
    assert_eq!(house.queue.counts().await.expect("readable").entries, 0, "nothing is left to be done");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn port_25_relays_for_nobody_and_tells_who_exists() {
    let house = House::new().await;
    let mut client = house.connect(house.mx).await;
    client.hello("EHLO").await;
    client.ask("AUTH PLAIN AGFubgBh", "502").await;
    for sender in ["", "ann@a.example", "postmaster@a.example", "x@away.example"] {
        client.ask(&format!("MAIL FROM:<{sender}>"), "250").await;
        for denied in [
            "x@away.example",
            "x@[127.0.0.1]",
            "@a.example:x@away.example",
            "\"x@a.example\"@away.example",
            "x%away.example@away.example",
            "a.example!x@away.example",
            "x@mail.a.example",
        ] {
            client.ask(&format!("RCPT TO:<{denied}>"), "550 5.7.1").await;
        }
        for unknown in ["nobody@a.example", "x%away.example@a.example", "\"x@away.example\"@a.example"] {
            client.ask(&format!("RCPT TO:<{unknown}>"), "550 5.1.1").await;
        }
        client.ask("RCPT TO:<full@a.example>", "250").await;
        client.ask("RSET", "250").await;
    }
    client.ask("MAIL FROM:<> SIZE=11", "250").await;
    client.ask("RCPT TO:<full@a.example>", "452 4.2.2").await;
    for role in ["abuse@b.example", "postmaster@mail.a.example", "MAILER-DAEMON@MAIL.a.example"] {
        client.ask(&format!("RCPT TO:<{role}>"), "250").await;
    }
    client.ask("QUIT", "221").await;
    house.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_goes_in_circles_is_refused() {
    let house = House::new().await;
    let mut client = house.connect(house.mx).await;
    client.hello("EHLO").await;
    let circles = format!("{}\r\ntext", "Received: from x\r\n".repeat(101));
    let reply = client.mail("s@far.example", &["ann@a.example"], &circles).await;
    assert!(reply.starts_with("554 5.4.6"), "{reply}");
    assert!(house.inbox("ann@a.example").await.is_empty());
    client.ask("QUIT", "221").await;
    house.settle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn submission_is_for_ones_own_addresses() {
    let house = House::new().await;
    let mut client = house.connect(house.submission).await;
    client.hello("EHLO").await;
    client.ask("MAIL FROM:<ann@a.example>", "530 5.7.0 STARTTLS").await;
    let mut client = house.start_tls(client).await;
    client.ask("MAIL FROM:<ann@a.example>", "503 5.5.1").await;
    client.ask("EHLO client.example", "250").await;
    client.log_in("bob@a.example").await;
    client.ask("MAIL FROM:<bob@a.example>", "250").await;
    client.ask("QUIT", "221").await;
    let mut client = house.connect(house.submissions).await;
    client.hello("EHLO").await;
    client.ask("MAIL FROM:<ann@a.example>", "530 5.7.0 Auth").await;
    client.log_in("ann@a.example").await;
    for wrong in ["bob@a.example", "ann@b.example", "ann@away.example", "ann@[127.0.0.1]"] {
        client.ask(&format!("MAIL FROM:<{wrong}>"), "550 5.7.1").await;
    }
    let forged = MESSAGE.replace("ann@a.example", "bob@a.example");
    let reply = client.mail("ann@a.example", &["bob@a.example"], &forged).await;
    assert!(reply.starts_with("550 5.7.1"), "{reply}");
    let without = MESSAGE.replace("From:", "X-From:");
    let reply = client.mail("", &["bob@a.example"], &without).await;
    assert!(reply.starts_with("554 5.6.0"), "{reply}");
    let reply = client.mail("", &["bob@a.example"], MESSAGE).await;
    assert!(reply.starts_with("250"), "{reply}");
    client.ask("MAIL FROM:<ann@a.example>", "250").await;
    client.ask("RCPT TO:<nobody@a.example>", "550 5.1.1").await;
    client.ask("QUIT", "221").await;
    house.settle().await;
    assert_eq!(house.inbox("bob@a.example").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_account_submits_nothing_more() {
    let house = House::new().await;
    let ann = house.account("ann@a.example").await.id;
    let change = async |apply: fn(&mut Account)| {
        let apply = |account: &mut Account| {
            apply(account);
            Ok(())
        };
        house.directory.update_account(ann, apply).await.expect("changed");
    };
    let revocations: [fn(&mut Account); 2] = [|ann| ann.enabled = false, |ann| ann.password_hash = None];
    for revoke in revocations {
        change(|ann| ann.enabled = true).await;
        let mut client = house.connect(house.submissions).await;
        client.hello("EHLO").await;
        client.log_in("ann@a.example").await;
        change(|ann| ann.name.push_str(" what concerns no login ends nothing")).await;
        let reply = client.mail("ann@a.example", &["bob@a.example"], MESSAGE).await;
        assert!(reply.starts_with("250 2.0.0"), "{reply}");
        change(revoke).await;
        client.ask("MAIL FROM:<ann@a.example>", "421 4.7.0").await;
        assert_eq!(client.reply().await, "", "the connection is closed");
    }
    house.settle().await;
    assert_eq!(house.inbox("bob@a.example").await.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_submitted_is_mended_signed_and_queued_for_elsewhere() {
    let house = House::new().await;
    let mut client = house.connect(house.submissions).await;
    client.hello("EHLO").await;
    client.log_in("ann").await;
    let message = "From: ann@a.example\nBcc: secret@a.example\nSubject: bare LF\n\ntext";
    let to = ["bob@a.example", "x@away.example", "out@a.example"];
    let reply = client.mail("ann@a.example", &to, message).await;
    assert!(reply.starts_with("250 2.0.0"), "{reply}");
    client.ask("QUIT", "221").await;
    house.settle().await;

    let inbox = house.inbox("bob@a.example").await;
    let message = &inbox[0];
    for expected in
        ["\r\nMessage-ID: <", "\r\nDate: ", "\r\nDKIM-Signature: ", "with ESMTPSA id", "\r\n\r\ntext\r\n"]
    {
        assert!(message.contains(expected), "{expected:?} in {message}");
    }
    assert!(!message.contains("secret") && !message.contains("127.0.0.1"), "{message}");
    assert_eq!(message.matches('\n').count(), message.matches("\r\n").count());

    let listed = house.queue.list(None, 10).await.expect("readable");
    let [entry] = listed.as_slice() else { panic!("one entry, not {}", listed.len()) };
    assert!(!entry.claimed, "the queue's worker may have it");
    let envelope = Envelope::decode(&entry.entry.payload).expect("an envelope");
    let states: Vec<(String, bool)> = envelope
        .recipients
        .iter()
        .map(|one| (one.address.to_string(), one.state == State::Delivered))
        .collect();
    let expected = [("bob@a.example", true), ("x@away.example", false), ("far@away.example", false)];
    assert_eq!(states, expected.map(|(address, done)| (address.to_owned(), done)));
    assert!(matches!(envelope.recipients[1].target, Target::Remote));
    let body = house.bodies.open_body(entry.entry.body).await.expect("a body");
    let body = body.read_all(0..body.len()).await.expect("readable");
    assert!(!body.starts_with(b"Received") && envelope.trace.starts_with("Received: by mail.a.example"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lmtp_answers_for_each_recipient() {
    let house = House::new().await;
    let mut client = house.connect(house.lmtp).await;
    client.hello("LHLO").await;
    let first = client.mail("s@far.example", &["ann@a.example", "eve@b.example"], MESSAGE).await;
    assert!(first.starts_with("250 2.1.5 <ann@a.example> OK"), "{first}");
    let second = client.reply().await;
    assert!(second.starts_with("250 2.1.5 <eve@b.example> OK"), "{second}");
    client.ask("QUIT", "221").await;
    house.settle().await;
    assert_eq!(house.inbox("eve@b.example").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_breaks_off_leaves_nothing() {
    let house = House::new().await;
    let script = [
        "EHLO x\r\n",
        "MAIL FROM:<s@far.example>\r\n",
        "RCPT TO:<ann@a.example>\r\n",
        "DATA\r\n",
        "Subject: x\r\n\r\nhalf a mess",
        "age\r\n.",
        "\r",
    ];
    for cut in 0..=script.len() {
        let mut client = house.connect(house.mx).await;
        client.send(&script[..cut].concat()).await;
    }
    house.settle().await;
    assert!(house.inbox("ann@a.example").await.is_empty());
    assert_eq!(house.queue.counts().await.expect("readable").entries, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_lets_a_message_in_hand_finish() {
    let house = House::new().await;
    let mut idle = house.connect(house.mx).await;
    idle.hello("EHLO").await;
    let mut busy = house.connect(house.mx).await;
    busy.hello("EHLO").await;
    busy.ask("MAIL FROM:<s@far.example>", "250").await;
    busy.ask("RCPT TO:<ann@a.example>", "250").await;
    let drain = house.drain.clone();
    let ending = tokio::spawn(async move { drain.run(crate::house::PATIENCE).await });
    assert!(idle.reply().await.starts_with("421 4.3.2"));
    assert_eq!(idle.reply().await, "");
    busy.ask("DATA", "354").await;
    busy.send(&format!("{MESSAGE}\r\n.\r\n")).await;
    assert!(busy.reply().await.starts_with("250 2.0.0"));
    assert!(busy.reply().await.starts_with("421 4.3.2"));
    assert!(ending.await.expect("no panic"), "everything ended by itself");
    assert_eq!(house.inbox("ann@a.example").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_beyond_the_nodes_memory_is_told_to_come_again() {
    let house = House::with_budget(256 * 1024).await;
    let mut client = house.connect(house.mx).await;
    client.hello("EHLO").await;
    let large = format!("Subject: x\r\n\r\n{}", "0123456789\r\n".repeat(100_000));
    let reply = client.mail("s@far.example", &["ann@a.example"], &large).await;
    assert!(reply.starts_with("452 4.3.1"), "{reply}");
    let reply = client.mail("s@far.example", &["ann@a.example"], MESSAGE).await;
    assert!(reply.starts_with("250"), "{reply}");
    client.ask("MAIL FROM:<> SIZE=99999999", "552 5.3.4").await;
    client.ask("QUIT", "221").await;
    house.settle().await;
}
