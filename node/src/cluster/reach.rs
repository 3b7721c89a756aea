//! A TCP connection to wherever a name leads: its addresses are tried a little after each other, and the first that
//! connects is taken (RFC 8305 §5). One that drops packets keeps nobody from the next.

use std::collections::VecDeque;
use std::net::SocketAddr;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use sterna_storage::cluster::NodeAddress;
use tokio::net::TcpStream;

use crate::limits;

/// Connects, within whatever time the caller gives; or why it could not.
pub(super) async fn reach(address: &NodeAddress) -> Result<TcpStream, String> {
    let found = tokio::net::lookup_host(address.as_str()).await;
    let found = found.map_err(|error| format!("looking up its address: {error}"))?;
    first(found.take(limits::ADDRESSES_TRIED).collect()).await
}

async fn first(mut addresses: VecDeque<SocketAddr>) -> Result<TcpStream, String> {
    let mut attempts = FuturesUnordered::new();
    let mut trouble = "its name has no address".to_owned();
    loop {
        match addresses.pop_front() {
            Some(address) => attempts.push(TcpStream::connect(address)),
            None if attempts.is_empty() => return Err(trouble),
            None => {}
        }
        let pause = if addresses.is_empty() { limits::DIAL_WAIT } else { limits::ADDRESS_STAGGER };
        match tokio::time::timeout(pause, attempts.next()).await {
            Ok(Some(Ok(socket))) => return Ok(socket),
            Ok(Some(Err(error))) => trouble = error.to_string(),
            // The next one's turn.
            Ok(None) | Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::net::{TcpListener, TcpSocket};

    use super::*;

    /// A port that takes no further connection and refuses none, as long as these are held.
    async fn deaf() -> (SocketAddr, TcpListener, Vec<TcpStream>) {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
        let listener = socket.listen(1).expect("listens");
        let address = listener.local_addr().expect("bound");
        let mut held = Vec::new();
        while let Ok(connected) =
            tokio::time::timeout(Duration::from_millis(200), TcpStream::connect(address)).await
        {
            held.push(connected.expect("connects"));
        }
        (address, listener, held)
    }

    #[tokio::test]
    async fn an_address_that_drops_packets_is_passed_over() {
        let (deaf, _listener, _held) = deaf().await;
        let open = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let open = open.local_addr().map(|address| (address, open)).expect("bound");
        let closed = TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("bound");
        let reached = tokio::time::timeout(limits::DIAL_WAIT, first([deaf, closed, open.0].into())).await;
        let reached = reached.expect("in time").expect("reached");
        assert_eq!(reached.peer_addr().expect("connected"), open.0);
        let refused = first([closed].into()).await.expect_err("nobody there");
        assert!(refused.contains("refused"), "{refused}");
        assert!(first(VecDeque::new()).await.is_err());
    }
}
