//! A real name server on loopback whose records a test writes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::proto::rr::rdata::{A, AAAA, CNAME, MX, SOA};
use hickory_resolver::proto::rr::{LowerName, Name, RData, Record};
use hickory_server::Server;
use hickory_server::store::in_memory::InMemoryZoneHandler;
use hickory_server::zone_handler::{AxfrPolicy, Catalog, ZoneHandler, ZoneType};
use tokio::net::{TcpListener, UdpSocket};

/// Answers for `test.` until it is dropped.
pub(crate) struct TestZone {
    /// Where it listens, UDP and TCP.
    pub(crate) address: SocketAddr,
    _server: Server<Catalog>,
}

impl TestZone {
    /// Starts with these records: `name MX 10 host`, `name A 127.0.0.1`, `name AAAA ::1`, `name CNAME other`;
    /// names are relative to `test.`, `.` is the root.
    pub(crate) async fn start(records: &[&str]) -> Self {
        let origin = Name::from_ascii("test.").expect("a name");
        let mut zone: InMemoryZoneHandler =
            InMemoryZoneHandler::empty(origin.clone(), ZoneType::Primary, AxfrPolicy::Deny);
        let soa = SOA::new(origin.clone(), origin.clone(), 1, 60, 60, 60, 60);
        zone.upsert_mut(Record::from_rdata(origin.clone(), 60, RData::SOA(soa)), 0);
        for line in records {
            zone.upsert_mut(record(line), 0);
        }
        let mut catalog = Catalog::new();
        catalog.upsert(LowerName::new(&origin), vec![Arc::new(zone) as Arc<dyn ZoneHandler>]);
        let mut server = Server::new(catalog);
        let udp = UdpSocket::bind("127.0.0.1:0").await.expect("loopback");
        let address = udp.local_addr().expect("bound");
        server.register_socket(udp);
        // The port is free for UDP; where it is taken for TCP, answers that need TCP are not tested.
        if let Ok(tcp) = TcpListener::bind(address).await {
            server.register_listener(tcp, Duration::from_secs(5), 4096);
        }
        Self { address, _server: server }
    }
}

fn name(text: &str) -> Name {
    match text {
        "." => Name::root(),
        text => Name::from_ascii(format!("{text}.test.")).expect("a name"),
    }
}

fn record(line: &str) -> Record {
    let words: Vec<_> = line.split_whitespace().collect();
    let data = match words[1..] {
        ["MX", preference, host] => RData::MX(MX::new(preference.parse().expect("a number"), name(host))),
        ["A", address] => RData::A(A(address.parse().expect("an address"))),
        ["AAAA", address] => RData::AAAA(AAAA(address.parse().expect("an address"))),
        ["CNAME", other] => RData::CNAME(CNAME(name(other))),
        _ => panic!("record {line:?}"),
    };
    Record::from_rdata(name(words[0]), 60, data)
}
