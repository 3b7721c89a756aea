//! A buffered connection, in the clear or under TLS.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};

/// Octets that one read takes at most.
const BUFFER_OCTETS: usize = 64 * 1024;
/// Longest wait for octets.
const PATIENCE: Duration = Duration::from_secs(180);

/// Trusts one authority.
pub(crate) fn trusting(authority: &Path) -> Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority)?)?;
    Ok(Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()))
}

/// What carries the octets. Kept without its [`Wire`], a connection stays open and costs the client little.
pub(crate) enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

/// The connection.
pub(crate) struct Wire {
    stream: Stream,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl Wire {
    /// Connects to a port of this machine.
    pub(crate) fn connect(port: u16, tls: Option<&Arc<ClientConfig>>) -> Result<Self> {
        let mut socket = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_write_timeout(Some(PATIENCE))?;
        let stream = match tls {
            None => Stream::Plain(socket),
            Some(config) => {
                let mut session = ClientConnection::new(config.clone(), ServerName::try_from("localhost")?)?;
                session.complete_io(&mut socket).context("TLS handshake")?;
                Stream::Tls(Box::new(StreamOwned::new(session, socket)))
            }
        };
        Ok(Self { stream, buffer: vec![0; BUFFER_OCTETS], start: 0, end: 0 })
    }

    /// Sends octets.
    pub(crate) fn send(&mut self, octets: &[u8]) -> Result<()> {
        match &mut self.stream {
            Stream::Plain(stream) => stream.write_all(octets)?,
            Stream::Tls(stream) => stream.write_all(octets).and_then(|()| stream.flush())?,
        }
        Ok(())
    }

    /// Reads the next line into `line`, without its end.
    pub(crate) fn line(&mut self, line: &mut Vec<u8>) -> Result<()> {
        line.clear();
        loop {
            let waiting = &self.buffer[self.start..self.end];
            if let Some(end) = waiting.iter().position(|octet| *octet == b'\n') {
                line.extend_from_slice(&waiting[..end]);
                self.start += end + 1;
                line.pop_if(|last| *last == b'\r');
                return Ok(());
            }
            line.extend_from_slice(waiting);
            self.fill()?;
        }
    }

    /// Reads so many octets and forgets them.
    pub(crate) fn skip(&mut self, mut octets: usize) -> Result<()> {
        while octets > 0 {
            if self.start == self.end {
                self.fill()?;
            }
            let step = octets.min(self.end - self.start);
            self.start += step;
            octets -= step;
        }
        Ok(())
    }

    /// Gives the buffer back and keeps the connection.
    pub(crate) fn into_stream(self) -> Stream {
        self.stream
    }

    fn fill(&mut self) -> Result<()> {
        let read = match &mut self.stream {
            Stream::Plain(stream) => stream.read(&mut self.buffer)?,
            Stream::Tls(stream) => stream.read(&mut self.buffer)?,
        };
        if read == 0 {
            bail!("the server closed");
        }
        (self.start, self.end) = (0, read);
        Ok(())
    }
}
