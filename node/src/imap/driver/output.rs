//! What a command writes: collected, and handed to the connection in large pieces. A client that
//! does not read stalls its own command here, and nobody else's, until it is given up.

use std::io;
use std::time::Duration;

use sterna_gateway::net::Connection;

use crate::limits;

/// The way to the client.
pub(crate) struct Output<'c> {
    connection: &'c mut Connection,
    patience: Duration,
    /// What has not been sent.
    pub buffer: &'c mut Vec<u8>,
}

impl<'c> Output<'c> {
    /// Writes to `connection` what is collected in `buffer`; a client that takes nothing for
    /// `patience` is given up.
    pub(crate) fn new(connection: &'c mut Connection, buffer: &'c mut Vec<u8>, patience: Duration) -> Self {
        Self { connection, patience, buffer }
    }

    /// Sends if enough has come together. To be called between responses, or between the pieces of
    /// a large one.
    pub(crate) async fn drain(&mut self) -> io::Result<()> {
        if self.buffer.len() >= limits::IMAP_OUTPUT_OCTETS { self.flush().await } else { Ok(()) }
    }

    /// Sends all there is.
    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let sent = self.connection.write(self.buffer, self.patience).await;
        self.buffer.clear();
        // One large literal must not leave a large buffer behind.
        self.buffer.shrink_to(limits::IMAP_OUTPUT_OCTETS * 2);
        sent
    }

    /// Appends a large piece without a copy of more than is collected anyway.
    pub(crate) async fn send(&mut self, octets: &[u8]) -> io::Result<()> {
        if self.buffer.len() + octets.len() < limits::IMAP_OUTPUT_OCTETS {
            self.buffer.extend_from_slice(octets);
            return Ok(());
        }
        self.flush().await?;
        self.connection.write(octets, self.patience).await
    }
}
