//! A line-wise client over TLS that shows what is said. It shares nothing with the server's own parsers.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use sterna_gateway::net::crypto_provider;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufStream};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::screen::Screen;

/// One dialogue.
pub(super) struct Client {
    stream: BufStream<TlsStream<TcpStream>>,
    screen: Option<Screen>,
}

impl Client {
    /// Connects to a port of 127.0.0.1, trusting `authority` alone. Without a screen nothing is shown.
    pub(super) async fn connect(port: u16, authority: &Path, screen: Option<Screen>) -> anyhow::Result<Self> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(&fs::read(authority)?)?)?;
        let config = rustls::ClientConfig::builder_with_provider(crypto_provider())
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let socket =
            TcpStream::connect(("127.0.0.1", port)).await.context("the demo's server does not listen")?;
        socket.set_nodelay(true)?;
        let connector = TlsConnector::from(Arc::new(config));
        let stream = connector.connect(ServerName::try_from("localhost")?, socket).await?;
        Ok(Self { stream: BufStream::new(stream), screen })
    }

    /// Sends a line.
    pub(super) async fn say(&mut self, line: &str) -> anyhow::Result<()> {
        self.say_as(line, line).await
    }

    /// Sends a line, and shows another: passwords are not for the screen.
    pub(super) async fn say_as(&mut self, line: &str, shown: &str) -> anyhow::Result<()> {
        if let Some(screen) = self.screen {
            screen.client_says(shown)?;
        }
        self.stream.write_all(format!("{line}\r\n").as_bytes()).await?;
        Ok(self.stream.flush().await?)
    }

    /// The next line.
    pub(super) async fn hear(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line).await? == 0 {
            bail!("the server closed the connection");
        }
        let line = line.trim_end_matches(['\r', '\n']).to_owned();
        if let Some(screen) = self.screen {
            screen.server_says(&line)?;
        }
        Ok(line)
    }

    /// So many octets, shown line by line.
    pub(super) async fn hear_octets(&mut self, count: usize) -> anyhow::Result<String> {
        let mut octets = vec![0; count];
        self.stream.read_exact(&mut octets).await?;
        let text = String::from_utf8_lossy(&octets).into_owned();
        if let Some(screen) = self.screen {
            text.lines().try_for_each(|line| screen.server_says(line))?;
        }
        Ok(text)
    }
}
