//! Takes connections: permits first, then TLS, then the protocol's handler, each in its own task.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::{Connection, Drain, Permit, Permits, Tls};
use crate::limits::{ACCEPT_PAUSE, KEEPALIVE_IDLE, KEEPALIVE_INTERVAL, LISTEN_BACKLOG};

/// How connections of a listener begin.
#[derive(Debug, Clone)]
pub enum Mode {
    /// In the clear; a handler may upgrade later.
    Plain,
    /// With a TLS handshake.
    ImplicitTls(Tls),
}

/// A bound port.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    permits: Permits,
    mode: Mode,
    busy: &'static [u8],
}

impl Listener {
    /// Binds. `busy` is what a client in the clear is told when there is no permit for it
    /// (`421 …`, `* BYE …`), with its line end.
    pub fn bind(address: SocketAddr, mode: Mode, permits: Permits, busy: &'static [u8]) -> io::Result<Self> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        Ok(Self { socket: socket.listen(LISTEN_BACKLOG)?, permits, mode, busy })
    }

    /// Where it listens: the port that was chosen if 0 was asked for.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Serves until the drain starts, then closes the port. Each connection's handler runs as a task
    /// of the drain.
    pub async fn serve<H, F>(self, drain: Drain, handler: H)
    where
        H: Fn(Connection) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let handler = Arc::new(handler);
        loop {
            let accepted = tokio::select! {
                biased;
                () = drain.started() => return,
                accepted = self.socket.accept() => accepted,
            };
            match accepted {
                Ok((socket, peer)) => match self.permits.acquire(peer.ip()) {
                    Some(permit) => self.admit((socket, peer), permit, &drain, &handler),
                    None => self.refuse(&socket, peer),
                },
                Err(error) if is_of_the_connection(&error) => {}
                Err(error) => {
                    // Out of descriptors or memory: others will end, so wait a little and go on.
                    tracing::warn!(%error, "cannot accept connections");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn admit<H, F>(&self, accepted: (TcpStream, SocketAddr), permit: Permit, drain: &Drain, handler: &Arc<H>)
    where
        H: Fn(Connection) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let (socket, peer) = accepted;
        let Ok(mut connection) = tune(&socket).and_then(|()| Connection::new(socket, peer, Some(permit)))
        else {
            return; // it ended between accept and here
        };
        let (mode, handler) = (self.mode.clone(), Arc::clone(handler));
        drain.spawn(async move {
            if let Mode::ImplicitTls(tls) = mode
                && let Err(error) = connection.stream.start_tls(&tls).await
            {
                tracing::debug!(peer = %connection.peer, %error, "TLS handshake failed");
                return;
            }
            handler(connection).await;
        });
    }

    fn refuse(&self, socket: &TcpStream, peer: SocketAddr) {
        tracing::debug!(%peer, "no permit for another connection");
        if matches!(self.mode, Mode::Plain) {
            // Best effort: a fresh socket takes this much, and nobody waits for one that does not.
            let _ = socket.try_write(self.busy);
        }
    }
}

/// Errors that accept reports of the connection it would have returned.
fn is_of_the_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// Small answers go at once; a peer that vanished is noticed.
fn tune(socket: &TcpStream) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_IDLE).with_interval(KEEPALIVE_INTERVAL);
    SockRef::from(socket).set_tcp_keepalive(&keepalive)
}
