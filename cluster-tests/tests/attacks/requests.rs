//! Requests that are small to send and large to answer, and messages made to be expensive.

use std::time::Instant;

use sterna_cluster_tests::sterna::address;
use sterna_cluster_tests::wire::Wire;

use super::scene::{IN_THE_CLEAR, Scene};
use crate::mail;

/// Messages that are as bad as their form allows, each with a word to be found by.
fn bombs() -> Vec<(&'static str, String)> {
    let mut deep = String::from("MIME-Version: 1.0\r\n");
    for depth in 0..20_000 {
        deep += &format!("Content-Type: multipart/mixed; boundary=b{depth}\r\n\r\n--b{depth}\r\n");
    }
    let parts = "\r\n--b\r\nContent-Type: text/plain\r\n\r\nx".repeat(100_000);
    let start = "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n";
    let parameters: String = (0..20_000).map(|number| format!(";\r\n p{number}*0=\"a\"")).collect();
    let addresses: String = (0..50_000).map(|number| format!("a{number}@x.test,\r\n ")).collect();
    let folded = "x\r\n ".repeat(270_000);
    let words = "=?utf-8?b?YQ==?= ".repeat(50) + "\r\n ";
    vec![
        ("deep", format!("{deep}Content-Type: text/plain\r\n\r\nat the bottom\r\n")),
        ("attached", "Content-Type: message/rfc822\r\n\r\n".repeat(20_000)),
        ("parts", format!("{start}{parts}\r\n--b--\r\n")),
        ("parameters", format!("Content-Type: text/plain{parameters}\r\n\r\nx\r\n")),
        ("addresses", format!("To: {addresses}last@x.test\r\n\r\nx\r\n")),
        ("folded", format!("X-Folded: {folded}end\r\n\r\nx\r\n")),
        ("words", format!("Comments: {}end\r\n\r\nx\r\n", words.repeat(1_000))),
        ("fields", format!("{}\r\nx\r\n", "X: y\r\n".repeat(175_000))),
        ("zeros", format!("\r\n{}", ("0".repeat(900) + "\r\n").repeat(20_000))),
    ]
}

#[test]
fn messages_made_to_be_expensive() {
    let scene = Scene::begin("bombs", IN_THE_CLEAR);
    let bombs = bombs();
    for (subject, rest) in &bombs {
        let begin = Instant::now();
        let mut wire = mail::greet(&scene.server);
        wire.ask("MAIL FROM:<a@elsewhere.test>", "250");
        wire.ask(&format!("RCPT TO:<{}>", address("ann")), "250");
        wire.ask("DATA", "354");
        wire.send(format!("Subject: {subject}\r\n{rest}").as_bytes());
        wire.ask(".", "250");
        scene.tell(&format!("{subject}, {} octets, taken in {:?}", rest.len(), begin.elapsed()));
    }
    let mut wire = mail::log_in(&scene.server, "ann");
    mail::command(&mut wire, "SELECT INBOX");
    for command in [
        "FETCH 1:* (ENVELOPE BODY RFC822.SIZE)",
        "FETCH 1:* (BODYSTRUCTURE)",
        "FETCH 1:* (BODY.PEEK[HEADER.FIELDS (Subject)])",
        "SEARCH TEXT nowhere",
        "SEARCH HEADER X nowhere",
    ] {
        let begin = Instant::now();
        let lines = mail::command(&mut wire, command);
        scene.tell(&format!("{command}: {} lines in {:?}", lines.len(), begin.elapsed()));
    }
    for (subject, _) in &bombs {
        let found = mail::command(&mut wire, &format!("SEARCH SUBJECT {subject}"));
        assert!(found[0].starts_with("* SEARCH ") && found[0].len() > 9, "{subject}: {found:?}");
    }
    scene.end();
}

#[test]
fn many_texts_in_large_messages() {
    let scene = Scene::begin("search", IN_THE_CLEAR);
    let line = "The quick brown fox jumps over the lazy dog, again and again and again.\r\n";
    for number in 0..2 {
        let message = format!("Subject: {number}\r\n\r\n{}", line.repeat(20_000));
        mail::submit(&scene.server, "bob", &[&address("ann")], &message);
    }
    let keys =
        |count: usize| -> String { (0..count).map(|number| format!(" NOT BODY nothing{number}")).collect() };
    let mut wire = mail::log_in(&scene.server, "ann");
    mail::command(&mut wire, "SELECT INBOX");
    let begin = Instant::now();
    let found = mail::command(&mut wire, &format!("SEARCH{}", keys(64)));
    assert_eq!(found, ["* SEARCH 1 2"]);
    scene.tell(&format!("64 texts in 3 MB: {:?}", begin.elapsed()));
    wire.send_line(&format!("t SEARCH{}", keys(65)));
    wire.expect("t NO [LIMIT]");
    scene.end();
}

/// Makes mailboxes, each with 31 superiors, until there may be no more.
fn make_mailboxes(wire: &mut Wire) {
    const NAMES: usize = 200;
    for number in 0..NAMES {
        let name = (0..31).fold(format!("a{number}"), |name, level| format!("{name}/aaaaaaaa{level}"));
        wire.send_line(&format!("t CREATE {name}"));
    }
    let answers: Vec<String> = (0..NAMES).map(|_| wire.expect("t ")).collect();
    let refused = answers.iter().filter(|answer| answer.starts_with("t NO [LIMIT]")).count();
    assert!(refused > 0 && answers[0].starts_with("t OK"), "{answers:?}");
}

#[test]
fn wildcards_over_five_thousand_mailboxes() {
    let scene = Scene::begin("wildcards", IN_THE_CLEAR);
    let mut wire = mail::log_in(&scene.server, "ann");
    make_mailboxes(&mut wire);
    let all = mail::command(&mut wire, "LIST \"\" *").len();
    assert!((4_969..=5_000).contains(&all), "{all} mailboxes");
    let begin = Instant::now();
    let listed = mail::command(&mut wire, "LIST \"\" \"*%*%*%*%*%*%*%*\"").len();
    assert_eq!(listed, all);
    scene.tell(&format!("*%*%*%*: {:?}", begin.elapsed()));
    // Patterns that nearly match for as long as they can.
    let pattern = "*a".repeat(40) + "b";
    let begin = Instant::now();
    assert_eq!(mail::command(&mut wire, &format!("LIST \"\" \"{pattern}\"")).len(), 0);
    scene.tell(&format!("40 wildcards: {:?}", begin.elapsed()));
    let begin = Instant::now();
    mail::command(&mut wire, "LIST (SUBSCRIBED RECURSIVEMATCH) \"\" (\"*%*%*\" \"%\") RETURN (CHILDREN)");
    scene.tell(&format!("RECURSIVEMATCH: {:?}", begin.elapsed()));
    scene.end();
}
