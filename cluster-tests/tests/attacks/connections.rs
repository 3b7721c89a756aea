//! Many connections that do next to nothing.

use std::time::Duration;

use sterna_cluster_tests::crowd::Crowd;
use sterna_cluster_tests::host::wait_for;
use sterna_cluster_tests::sterna::Service;
use sterna_cluster_tests::wire::Wire;

use super::scene::{IN_THE_CLEAR, Scene};
use crate::mail;

/// The head of a record that says it is a ClientHello of 512 octets, and a few of them.
const HALF_A_HELLO: &[u8] = &[0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03];

/// Each octet comes long before any time without input would be over.
#[test]
fn five_thousand_slow_ones_and_a_thousand_half_open_handshakes() {
    let settings = "[limits]\ncommand_timeout_seconds = 15\nlogin_timeout_seconds = 15\n";
    let scene = Scene::begin("slow clients", settings);
    let (port, sources) = (|service| scene.server.port(service), 0..50);
    let mut slow = Crowd::default();
    for (service, count) in
        [(Service::Mx, 1_500), (Service::Submission, 500), (Service::Imap, 2_000), (Service::Pop3, 1_000)]
    {
        slow.join(port(service), (count, sources.clone()), true, &[b"N"]);
    }
    let mut half_open = Crowd::default();
    for (service, count) in [(Service::Imaps, 400), (Service::Submissions, 200), (Service::Pop3s, 100)] {
        half_open.join(port(service), (count, sources.clone()), false, &[HALF_A_HELLO]);
    }
    let start_tls: &[&[u8]] = &[b"EHLO client.example\r\n", b"STARTTLS\r\n", HALF_A_HELLO];
    half_open.join(port(Service::Submission), (100, sources.clone()), true, start_tls);
    half_open.join(port(Service::Imap), (100, sources.clone()), true, &[b"a STARTTLS\r\n", HALF_A_HELLO]);
    half_open.join(port(Service::Pop3), (100, sources), true, &[b"STLS\r\n", HALF_A_HELLO]);
    assert_eq!((slow.len(), half_open.len()), (5_000, 1_000));
    scene.tell(&format!("resident with all of them: {} MiB", scene.process.resident_octets() >> 20));
    // The slow ones after 15 seconds, the handshakes after `TLS_HANDSHAKE`.
    slow.until_sent_away(b"N", Duration::from_secs(90));
    half_open.until_sent_away(b"", Duration::from_secs(90));
    scene.end();
}

#[test]
fn one_source_has_its_share_and_descriptors_come_back() {
    let scene = Scene::begin("one source", "");
    let before = scene.process.descriptors();
    let mut crowd = Crowd::default();
    crowd.join(scene.server.port(Service::Imap), (4_000, 0..1), true, &[]);
    crowd.join(scene.server.port(Service::Mx), (700, 0..1), true, &[]);
    crowd.join(scene.server.port(Service::Pop3), (300, 0..1), true, &[]);
    assert_eq!((crowd.greeted_with("* OK"), crowd.greeted_with("* BYE [UNAVAILABLE]")), (500, 3_500));
    assert_eq!((crowd.greeted_with("220 "), crowd.greeted_with("421 4.3.2")), (100, 600));
    assert_eq!((crowd.greeted_with("+OK"), crowd.greeted_with("-ERR [SYS/TEMP]")), (100, 200));
    drop(crowd);
    // Connections that come and go.
    for service in [Service::Mx, Service::Submissions, Service::Imap, Service::Imaps, Service::Pop3s] {
        let mut crowd = Crowd::default();
        crowd.join(scene.server.port(service), (400, 0..40), false, &[]);
    }
    // The neighbour and the store have a few of their own.
    wait_for("descriptors to come back", || (scene.process.descriptors() <= before + 16).then_some(()));
    let source = sterna_cluster_tests::crowd::source(0);
    Wire::connect_from(source, scene.server.port(Service::Imap)).expect("* OK");
    Wire::connect_from(source, scene.server.port(Service::Mx)).expect("220");
    scene.end();
}

#[test]
fn thousands_that_idle() {
    let scene = Scene::begin("idle", IN_THE_CLEAR);
    let mut crowd = Crowd::default();
    let words: &[&[u8]] =
        &[b"a LOGIN ann@example.test \"correct horse battery\"\r\n", b"b SELECT INBOX\r\n", b"c IDLE\r\n"];
    let without = scene.process.resident_octets();
    crowd.join(scene.server.port(Service::Imap), (2_000, 0..40), true, words);
    let each = scene.process.resident_octets().saturating_sub(without) / 2_000;
    scene.tell(&format!("{each} octets resident for each"));
    mail::deliver(&scene.server, "ann", "to all of them");
    crowd.until_told("* 1 EXISTS");
    mail::deliver(&scene.server, "ann", "and again");
    crowd.until_told("* 2 EXISTS");
    scene.end();
}
