//! What a client that waits costs the server, in resident memory of the real binary, and that it comes back.

use std::fs;
use std::net::Ipv4Addr;

use sterna_cluster_tests::host::wait_for;
use sterna_cluster_tests::sterna::{Options, PASSWORD, Service, Sterna, address};
use sterna_cluster_tests::wire::Wire;

use crate::mail;

/// Connections of one kind: so many that little of what they cost is the server's threads, which come and go.
const CLIENTS: usize = 400;
/// Where those of SMTP and POP3 come from, which let one source have 100.
const SOURCES: usize = 5;

/// Octets for a client in the clear, and under TLS. Promised are 12 KiB and 30 KiB; measured were 5 and 13.
const PLAIN_OCTETS: usize = 8 << 10;
const TLS_OCTETS: usize = 18 << 10;

fn server() -> Sterna {
    // What is freed goes back at once, so that what is resident is what is in use.
    server_with(vec![("_RJEM_MALLOC_CONF", "dirty_decay_ms:0,muzzy_decay_ms:0")])
}

fn server_with(environment: Vec<(&'static str, &'static str)>) -> Sterna {
    let options = Options {
        environment,
        settings: "[login]\ntrusted_networks = [\"127.0.0.0/8\"]\n".to_owned(),
        ..Options::default()
    };
    Sterna::start_with(&["ann"], &options)
}

/// The server's memory that no file stands behind, in octets.
fn memory(server: &Sterna) -> usize {
    let path = format!("/proc/{}/smaps_rollup", server.pid());
    let text = fs::read_to_string(path).expect("the kernel tells");
    let line = text.lines().find_map(|line| line.strip_prefix("Anonymous:")).expect("a line");
    let kib: usize = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kib << 10
}

/// Connects numbered clients, of which each may cost `most` octets, and lets them go.
#[track_caller]
fn each_costs_at_most(server: &Sterna, most: usize, connect: impl Fn(usize) -> Wire) {
    // Whatever is made once is made before.
    let first: Vec<Wire> = (0..4).map(&connect).collect();
    let before = memory(server);
    let clients: Vec<Wire> = (0..CLIENTS).map(&connect).collect();
    let cost = memory(server).saturating_sub(before) / CLIENTS;
    assert!(cost <= most, "{cost} octets each");
    drop((clients, first));
    wait_for("the memory to come back", || (memory(server) <= before + CLIENTS * most / 4).then_some(()));
}

fn connect_from_several(port: u16, number: usize) -> Wire {
    Wire::connect_from(Ipv4Addr::new(127, 0, 0, 2 + (number % SOURCES) as u8), port)
}

fn log_in(mut wire: Wire) -> Wire {
    wire.expect("* OK");
    mail::command(&mut wire, &format!("LOGIN {} \"{PASSWORD}\"", address("ann")));
    mail::command(&mut wire, "SELECT INBOX");
    wire
}

fn idle(mut wire: Wire) -> Wire {
    wire.send_line("i IDLE");
    wire.expect("+ ");
    wire
}

#[test]
fn imap_clients_that_wait() {
    let server = server();
    let plain = || log_in(Wire::connect(server.port(Service::Imap)));
    let tls = || log_in(Wire::connect_tls(server.port(Service::Imaps), server.authority()));
    each_costs_at_most(&server, PLAIN_OCTETS, |_| plain());
    each_costs_at_most(&server, PLAIN_OCTETS, |_| idle(plain()));
    each_costs_at_most(&server, TLS_OCTETS, |_| idle(tls()));
}

#[test]
fn smtp_and_pop3_clients_that_wait() {
    let server = server();
    each_costs_at_most(&server, PLAIN_OCTETS, |number| {
        mail::greet_over(connect_from_several(server.port(Service::Mx), number))
    });
    each_costs_at_most(&server, PLAIN_OCTETS, |number| {
        let mut wire = connect_from_several(server.port(Service::Pop3), number);
        wire.expect("+OK");
        wire
    });
}

/// Without a thread for it, the allocator would keep what it has until somebody asks it for more.
#[test]
fn the_memory_of_a_rush_is_given_back_by_an_idle_server() {
    let server = server_with(Vec::new());
    let idle = || idle(log_in(Wire::connect_tls(server.port(Service::Imaps), server.authority())));
    drop(idle());
    let before = memory(&server);
    let clients: Vec<Wire> = (0..CLIENTS).map(|_| idle()).collect();
    let grown = memory(&server).saturating_sub(before);
    drop(clients);
    wait_for("the memory to come back", || (memory(&server) <= before + grown / 2).then_some(()));
}
