//! Steps that several tests take: submit, deliver, read, look into the queue.

use sterna_cluster_tests::host::wait_for;
use sterna_cluster_tests::sterna::{PASSWORD, Service, Sterna, address};
use sterna_cluster_tests::wire::Wire;

/// Logs `account` in to submission under TLS.
pub(crate) fn log_in_to_submit(server: &Sterna, account: &str) -> Wire {
    use base64::Engine as _;
    let credentials = format!("\0{}\0{PASSWORD}", address(account));
    let credentials = base64::engine::general_purpose::STANDARD.encode(credentials);
    let mut wire = Wire::connect_tls(server.port(Service::Submissions), server.authority());
    wire.expect_reply("220");
    wire.ask("EHLO client.example", "250");
    wire.ask(&format!("AUTH PLAIN {credentials}"), "235");
    wire
}

/// Submits one message; all recipients must be taken.
pub(crate) fn submit(server: &Sterna, account: &str, recipients: &[&str], message: &str) {
    let mut wire = log_in_to_submit(server, account);
    wire.ask(&format!("MAIL FROM:<{}>", address(account)), "250");
    for recipient in recipients {
        wire.ask(&format!("RCPT TO:<{recipient}>"), "250");
    }
    wire.ask("DATA", "354");
    let header = format!("From: {}\r\n{message}", address(account));
    wire.send(header.as_bytes());
    wire.ask(".", "250");
    wire.ask("QUIT", "221");
}

/// Greets the MX.
pub(crate) fn greet(server: &Sterna) -> Wire {
    greet_over(Wire::connect(server.port(Service::Mx)))
}

pub(crate) fn greet_over(mut wire: Wire) -> Wire {
    wire.expect_reply("220");
    wire.ask("EHLO client.example", "250");
    wire
}

/// Delivers one message to `account` from outside, as any other client does: what proves that the server serves.
pub(crate) fn deliver(server: &Sterna, account: &str, subject: &str) {
    let mut wire = greet(server);
    wire.ask("MAIL FROM:<someone@elsewhere.test>", "250");
    wire.ask(&format!("RCPT TO:<{}>", address(account)), "250");
    wire.ask("DATA", "354");
    wire.ask(&format!("Subject: {subject}\r\n\r\nHello.\r\n."), "250");
    wire.ask("QUIT", "221");
}

/// Logs in to IMAP.
pub(crate) fn log_in(server: &Sterna, account: &str) -> Wire {
    let mut wire = Wire::connect_tls(server.port(Service::Imaps), server.authority());
    wire.expect("* OK");
    command(&mut wire, &format!("LOGIN {} \"{PASSWORD}\"", address(account)));
    wire
}

/// An IMAP command that must succeed; the lines before its OK.
#[track_caller]
pub(crate) fn command(wire: &mut Wire, command: &str) -> Vec<String> {
    attempt(wire, command).expect("it answers")
}

/// The same; `None` where the server says that it cannot answer now.
#[track_caller]
fn attempt(wire: &mut Wire, command: &str) -> Option<Vec<String>> {
    wire.send_line(&format!("t {command}"));
    let mut lines = wire.expect_after("t ");
    let last = lines.pop().expect("a tagged line");
    let is_away = last.starts_with("t NO [UNAVAILABLE]");
    assert!(is_away || last.starts_with("t OK"), "{command}: {last}");
    (!is_away).then_some(lines)
}

/// How many messages INBOX has.
pub(crate) fn count(server: &Sterna, account: &str) -> usize {
    let mut wire = log_in(server, account);
    let status = command(&mut wire, "STATUS INBOX (MESSAGES)");
    let count = status[0].rsplit_once(" (MESSAGES ").and_then(|(_, count)| count.strip_suffix(')'));
    count.and_then(|count| count.parse().ok()).unwrap_or_else(|| panic!("{status:?}"))
}

/// All messages of INBOX, whole.
pub(crate) fn messages(server: &Sterna, account: &str) -> Vec<String> {
    messages_now(server, account).expect("it answers")
}

/// The same; `None` where the server says that it cannot answer now, as a node may while its cluster elects a leader.
pub(crate) fn messages_now(server: &Sterna, account: &str) -> Option<Vec<String>> {
    let mut wire = Wire::connect_tls(server.port(Service::Imaps), server.authority());
    wire.expect("* OK");
    attempt(&mut wire, &format!("LOGIN {} \"{PASSWORD}\"", address(account)))?;
    if attempt(&mut wire, "EXAMINE INBOX")?.contains(&"* 0 EXISTS".to_owned()) {
        return Some(Vec::new());
    }
    wire.send_line("t FETCH 1:* BODY[]");
    let mut messages = Vec::new();
    loop {
        let line = wire.line().expect("an answer");
        if line.starts_with("t OK") {
            return Some(messages);
        }
        if line.starts_with("t NO [UNAVAILABLE]") {
            return None;
        }
        let Some((_, octets)) = line.rsplit_once('{') else { continue };
        let octets = octets.trim_end_matches('}').parse().expect("a literal's length");
        messages.push(String::from_utf8_lossy(&wire.octets(octets)).into_owned());
    }
}

/// Waits for so many messages in INBOX.
pub(crate) fn wait_for_messages(server: &Sterna, account: &str, count: usize) -> Vec<String> {
    wait_for("messages in INBOX", || messages_now(server, account).filter(|messages| messages.len() >= count))
}

/// The ids of all queue entries.
pub(crate) fn queue(server: &Sterna) -> Vec<String> {
    let listed = server.cli(&["queue", "list", "--json"]);
    let entries: serde_json::Value = serde_json::from_str(&listed.stdout).expect("JSON");
    let entries = entries.as_array().or_else(|| entries["entries"].as_array()).expect("a list").clone();
    entries.iter().map(|entry| entry["id"].as_str().expect("an id").to_owned()).collect()
}
