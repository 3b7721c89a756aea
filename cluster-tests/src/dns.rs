//! A real name server on loopback, authoritative for everything: what a test does not put in does not exist.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use hickory_server::Server;
use hickory_server::proto::rr::rdata::{A, MX, SOA, TXT};
use hickory_server::proto::rr::{LowerName, Name, RData, Record};
use hickory_server::store::in_memory::InMemoryZoneHandler;
use hickory_server::zone_handler::{AxfrPolicy, Catalog, ZoneType};
use tokio::net::{TcpListener, UdpSocket};
use tokio::runtime::Runtime;

/// Time to live of all records: resolvers ask again after a second.
const TTL_SECONDS: u32 = 1;

/// The name server; it stops when dropped.
pub struct NameServer {
    address: SocketAddr,
    zone: Arc<InMemoryZoneHandler>,
    runtime: Runtime,
}

impl NameServer {
    /// Starts on a free port.
    pub fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let zone: InMemoryZoneHandler =
            InMemoryZoneHandler::empty(Name::root(), ZoneType::Primary, AxfrPolicy::Deny);
        let zone = Arc::new(zone);
        let (bound, address) = mpsc::channel();
        let served = Arc::clone(&zone);
        runtime.spawn(async move {
            let (socket, listener) = bound_for_both().await;
            let address = socket.local_addr().expect("a bound socket");
            let mut catalog = Catalog::new();
            catalog.upsert(LowerName::new(&Name::root()), vec![served]);
            let mut server = Server::new(catalog);
            server.register_socket(socket);
            server.register_listener(listener, Duration::from_secs(5), 4096);
            bound.send(address).expect("the starter waits");
            // Ends with the runtime.
            let _ = server.block_until_done().await;
        });
        let server = Self { address: address.recv().expect("a bound socket"), zone, runtime };
        let soa = SOA::new(name("ns.test"), name("admin.test"), 1, 3600, 600, 86_400, TTL_SECONDS);
        server.add(Name::root(), RData::SOA(soa));
        server
    }

    /// Where it listens, over UDP and TCP.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `owner` has this address.
    pub fn add_address(&self, owner: &str, address: Ipv4Addr) {
        self.add(name(owner), RData::A(A(address)));
    }

    /// `owner` takes mail at `exchange`; `.` refuses all (RFC 7505).
    pub fn add_mx(&self, owner: &str, preference: u16, exchange: &str) {
        self.add(name(owner), RData::MX(MX::new(preference, name(exchange))));
    }

    /// `owner` has this text.
    pub fn add_text(&self, owner: &str, text: &str) {
        self.add(name(owner), RData::TXT(TXT::new(vec![text.to_owned()])));
    }

    fn add(&self, owner: Name, data: RData) {
        let record = Record::from_rdata(owner, TTL_SECONDS, data);
        self.runtime.block_on(self.zone.upsert(record, 1));
    }
}

/// One port over UDP and TCP: where the kernel gives one that is taken over TCP, another.
async fn bound_for_both() -> (UdpSocket, TcpListener) {
    for _ in 0..100 {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a socket");
        let address = socket.local_addr().expect("a bound socket");
        if let Ok(listener) = TcpListener::bind(address).await {
            return (socket, listener);
        }
    }
    panic!("no port is free over both UDP and TCP");
}

fn name(text: &str) -> Name {
    let mut name = Name::from_ascii(text).expect("a valid name");
    name.set_fqdn(true);
    name
}
