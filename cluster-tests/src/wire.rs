//! A client that knows nothing but lines, in the clear or under TLS. It can stop anywhere.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddrV4, TcpStream};
use std::path::Path;
use std::sync::Arc;

use rustix::net::{AddressFamily, SocketType};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};

use crate::host::PATIENCE;

/// A connection to the server.
#[derive(Debug)]
pub struct Wire {
    stream: Stream,
    received: Vec<u8>,
    // What is waited for, to be told if it does not come.
    awaited: String,
}

#[derive(Debug)]
enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Wire {
    /// Connects in the clear.
    #[track_caller]
    pub fn connect(port: u16) -> Self {
        Self::try_connect(port).expect("a listening server")
    }

    /// Connects in the clear, to a server that may be down.
    pub fn try_connect(port: u16) -> io::Result<Self> {
        Self::over(TcpStream::connect((Ipv4Addr::LOCALHOST, port))?)
    }

    /// Connects in the clear from another address of loopback.
    #[track_caller]
    pub fn connect_from(source: Ipv4Addr, port: u16) -> Self {
        let connect = || -> io::Result<Self> {
            let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None)?;
            rustix::net::bind(&socket, &SocketAddrV4::new(source, 0))?;
            rustix::net::connect(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, port))?;
            Self::over(socket.into())
        };
        connect().expect("a listening server")
    }

    fn over(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        let wire = Self { stream: Stream::Plain(stream), received: Vec::new(), awaited: String::new() };
        wire.set_patience(PATIENCE)?;
        Ok(wire)
    }

    /// How long anything is waited for from now on, instead of [`PATIENCE`].
    pub fn set_patience(&self, patience: std::time::Duration) -> io::Result<()> {
        self.socket().set_read_timeout(Some(patience))?;
        self.socket().set_write_timeout(Some(patience))
    }

    /// Connects under TLS, trusting `authority` alone.
    #[track_caller]
    pub fn connect_tls(port: u16, authority: &Path) -> Self {
        Self::connect(port).start_tls(authority)
    }

    /// Does the handshake on a connection that was in the clear.
    #[track_caller]
    pub fn start_tls(self, authority: &Path) -> Self {
        self.try_start_tls(authority).expect("a handshake")
    }

    /// Does the handshake with a server that may end meanwhile.
    pub fn try_start_tls(self, authority: &Path) -> io::Result<Self> {
        let Stream::Plain(stream) = self.stream else { panic!("TLS is on already") };
        assert!(self.received.is_empty(), "the server spoke before TLS: {}", self.received.escape_ascii());
        let mut roots = RootCertStore::empty();
        let pem = fs::read(authority).expect("the authority's certificate");
        roots.add(CertificateDer::from_pem_slice(&pem).expect("PEM")).expect("a certificate");
        let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let name = ServerName::try_from("localhost").expect("a name");
        let connection = ClientConnection::new(Arc::new(config), name).expect("a configuration");
        let mut tls = StreamOwned::new(connection, stream);
        tls.conn.complete_io(&mut tls.sock)?;
        Ok(Self { stream: Stream::Tls(Box::new(tls)), received: Vec::new(), awaited: String::new() })
    }

    /// Sends octets as they are.
    #[track_caller]
    pub fn send(&mut self, octets: &[u8]) {
        self.try_send(octets).expect("a server that reads");
    }

    /// Sends octets as they are, to a server that may have closed.
    pub fn try_send(&mut self, octets: &[u8]) -> io::Result<()> {
        match &mut self.stream {
            Stream::Plain(stream) => stream.write_all(octets),
            Stream::Tls(stream) => stream.write_all(octets).and_then(|()| stream.flush()),
        }
    }

    /// Sends a line.
    #[track_caller]
    pub fn send_line(&mut self, line: &str) {
        self.send(format!("{line}\r\n").as_bytes());
    }

    /// The next line without its line end; `None` if the server closed.
    #[track_caller]
    pub fn line(&mut self) -> Option<String> {
        loop {
            if let Some(line) = self.take_line() {
                return Some(line);
            }
            if !self.receive() {
                assert!(self.received.is_empty(), "half a line: {}", self.received.escape_ascii());
                return None;
            }
        }
    }

    /// The next line without its line end, from a server that may end at any octet.
    pub fn try_line(&mut self) -> io::Result<String> {
        loop {
            if let Some(line) = self.take_line() {
                return Ok(line);
            }
            if self.try_receive()? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    fn take_line(&mut self) -> Option<String> {
        let end = self.received.windows(2).position(|pair| pair == b"\r\n")?;
        let line = self.received.drain(..end + 2).collect::<Vec<_>>();
        Some(String::from_utf8_lossy(&line[..end]).into_owned())
    }

    /// The next line, which must begin with `start`.
    #[track_caller]
    pub fn expect(&mut self, start: &str) -> String {
        let line = self.line().unwrap_or_else(|| panic!("closed instead of {start:?}"));
        assert!(line.starts_with(start), "{line:?} instead of {start:?}");
        line
    }

    /// Lines up to and with the one that begins with `start`.
    #[track_caller]
    pub fn expect_after(&mut self, start: &str) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let line = self.line().unwrap_or_else(|| panic!("closed instead of {start:?} after {lines:?}"));
            lines.push(line);
            if lines.last().is_some_and(|line| line.starts_with(start)) {
                return lines;
            }
        }
    }

    /// A whole SMTP reply, whose code must be `code`; its lines.
    #[track_caller]
    pub fn expect_reply(&mut self, code: &str) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let line = self.expect(code);
            let is_last = line.as_bytes().get(3) != Some(&b'-');
            lines.push(line);
            if is_last {
                return lines;
            }
        }
    }

    /// Sends a line and reads the reply.
    #[track_caller]
    pub fn ask(&mut self, line: &str, code: &str) -> Vec<String> {
        self.send_line(line);
        self.expect_reply(code)
    }

    /// So many octets.
    #[track_caller]
    pub fn octets(&mut self, count: usize) -> Vec<u8> {
        while self.received.len() < count {
            assert!(self.receive(), "closed after {} of {count} octets", self.received.len());
        }
        self.received.drain(..count).collect()
    }

    /// So many octets, from a server that may end at any of them.
    pub fn try_octets(&mut self, count: usize) -> io::Result<Vec<u8>> {
        while self.received.len() < count {
            if self.try_receive()? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(self.received.drain(..count).collect())
    }

    /// Whether the server closes, whatever it says before; what it said.
    #[track_caller]
    pub fn until_closed(&mut self) -> String {
        while self.receive() {}
        String::from_utf8_lossy(&std::mem::take(&mut self.received)).into_owned()
    }

    /// Sends no more, but reads on.
    pub fn finish_sending(&mut self) {
        let socket = self.socket();
        // A server that closed first is what the next read shows.
        let _ = socket.shutdown(Shutdown::Write);
    }

    /// Names what is waited for, in case that it does not come.
    pub fn await_now(&mut self, what: String) {
        self.awaited = what;
    }

    fn socket(&self) -> &TcpStream {
        match &self.stream {
            Stream::Plain(stream) => stream,
            Stream::Tls(stream) => &stream.sock,
        }
    }

    /// Whether something came; not if the server closed, in whichever way.
    #[track_caller]
    fn receive(&mut self) -> bool {
        match self.try_receive() {
            Ok(octets) => octets > 0,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                panic!("the server says nothing {}", self.awaited)
            }
            Err(_) => false,
        }
    }

    /// How many octets came; none if the server closed in order.
    fn try_receive(&mut self) -> io::Result<usize> {
        let mut chunk = [0; 16 * 1024];
        let octets = match &mut self.stream {
            Stream::Plain(stream) => stream.read(&mut chunk),
            Stream::Tls(stream) => stream.read(&mut chunk),
        }?;
        self.received.extend_from_slice(&chunk[..octets]);
        Ok(octets)
    }
}
