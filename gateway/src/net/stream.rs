//! A connection as a protocol's driver sees it: in the clear or under TLS, with lazily allocated
//! buffers, so that an idle one costs next to nothing.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::{Permit, Tls};
use crate::limits::{READ_CHUNK_OCTETS, TLS_HANDSHAKE};

/// The octets of one connection.
#[derive(Debug)]
pub struct Stream(Inner);

#[derive(Debug)]
enum Inner {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    /// Only while a handshake has the socket, and after one that failed.
    Closed,
}

/// What a trace header says of the TLS in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFacts {
    /// As in `TLS1.3`.
    pub version: &'static str,
    /// As in `TLS13_AES_256_GCM_SHA384`.
    pub cipher: &'static str,
}

/// A connection that was let in. Its permit is given back when it is dropped.
#[derive(Debug)]
pub struct Connection {
    /// What is read and written.
    pub stream: Stream,
    /// The other side.
    pub peer: SocketAddr,
    /// This side.
    pub local: SocketAddr,
    permit: Option<Permit>,
}

impl Connection {
    /// From a connected socket. `None` for a permit where nothing is counted (tests, outbound).
    pub fn new(socket: TcpStream, peer: SocketAddr, permit: Option<Permit>) -> io::Result<Self> {
        let local = socket.local_addr()?;
        let canonical = |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
        let stream = Stream(Inner::Plain(socket));
        Ok(Self { stream, peer: canonical(peer), local: canonical(local), permit })
    }

    /// Reads what is there, at least one octet, behind what `input` holds; 0 at the end of the
    /// stream. No buffer is held while it waits, and an empty `input` gives its memory back.
    /// Cancel safe.
    pub async fn read(&mut self, input: &mut BytesMut) -> io::Result<usize> {
        poll_fn(|context| self.stream.poll_read_lazily(context, input)).await
    }

    /// Writes all of it and flushes; fails with `TimedOut` if the peer takes nothing for `patience`.
    pub async fn write(&mut self, output: &[u8], patience: Duration) -> io::Result<()> {
        let writing = async {
            let mut rest = output;
            while !rest.is_empty() {
                let written = within(patience, self.stream.write(rest)).await?;
                if written == 0 {
                    return Err(io::ErrorKind::WriteZero.into());
                }
                rest = &rest[written..];
            }
            within(patience, self.stream.flush()).await
        };
        writing.await
    }

    /// Upgrades to TLS as the server (STARTTLS). What the client sent before the handshake, in the
    /// clear, is dropped with `input`: it could come from anyone (RFC 3207 §4.2, CVE-2011-0411).
    /// On failure the connection is closed.
    pub async fn start_tls(&mut self, tls: &Tls, input: &mut BytesMut) -> io::Result<()> {
        *input = BytesMut::new();
        self.stream.start_tls(tls).await
    }

    /// Whether a permit is held.
    pub fn is_counted(&self) -> bool {
        self.permit.is_some()
    }
}

async fn within<T>(patience: Duration, io: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::time::timeout(patience, io).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

impl Stream {
    /// Whether it is under TLS.
    pub fn is_tls(&self) -> bool {
        matches!(self.0, Inner::Tls(_))
    }

    /// What a trace header says of the TLS in use; `None` in the clear.
    pub fn tls_facts(&self) -> Option<TlsFacts> {
        let Inner::Tls(stream) = &self.0 else { return None };
        let (_, session) = stream.get_ref();
        let version = match session.protocol_version()? {
            rustls::ProtocolVersion::TLSv1_3 => "TLS1.3",
            _ => "TLS1.2",
        };
        let cipher = session.negotiated_cipher_suite()?.suite().as_str()?;
        Some(TlsFacts { version, cipher })
    }

    /// The server's side of a handshake, within its time-out. On failure the stream is closed.
    pub(super) async fn start_tls(&mut self, tls: &Tls) -> io::Result<()> {
        let socket = match std::mem::replace(&mut self.0, Inner::Closed) {
            Inner::Plain(socket) => socket,
            Inner::Tls(_) => return Err(io::Error::other("TLS within TLS")),
            Inner::Closed => return Err(io::ErrorKind::NotConnected.into()),
        };
        let accepting = TlsAcceptor::from(tls.current()).accept(socket);
        let stream = Box::pin(within(TLS_HANDSHAKE, accepting)).await?;
        self.0 = Inner::Tls(Box::new(stream));
        Ok(())
    }

    fn poll_read_lazily(
        &mut self,
        context: &mut Context<'_>,
        input: &mut BytesMut,
    ) -> Poll<io::Result<usize>> {
        let mut scratch = [const { MaybeUninit::uninit() }; READ_CHUNK_OCTETS];
        let mut buffer = ReadBuf::uninit(&mut scratch);
        match Pin::new(self).poll_read(context, &mut buffer) {
            Poll::Ready(Ok(())) => {
                input.extend_from_slice(buffer.filled());
                Poll::Ready(Ok(buffer.filled().len()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => {
                if input.is_empty() && input.capacity() > 0 {
                    *input = BytesMut::new();
                }
                Poll::Pending
            }
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.get_mut().0 {
            Inner::Plain(socket) => Pin::new(socket).poll_read(context, buffer),
            Inner::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
            Inner::Closed => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().0 {
            Inner::Plain(socket) => Pin::new(socket).poll_write(context, data),
            Inner::Tls(stream) => Pin::new(stream).poll_write(context, data),
            Inner::Closed => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().0 {
            Inner::Plain(socket) => Pin::new(socket).poll_flush(context),
            Inner::Tls(stream) => Pin::new(stream).poll_flush(context),
            Inner::Closed => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().0 {
            Inner::Plain(socket) => Pin::new(socket).poll_shutdown(context),
            Inner::Tls(stream) => Pin::new(stream).poll_shutdown(context),
            Inner::Closed => Poll::Ready(Ok(())),
        }
    }
}
