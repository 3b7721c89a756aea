//! As much of SMTP (RFC 5321) and LMTP (RFC 2033) as the load needs, pipelined (RFC 2920).

use anyhow::{Context as _, Result, bail};

use super::wire::Wire;

/// A session that has said its name.
pub(crate) struct Smtp {
    wire: Wire,
    line: Vec<u8>,
    is_lmtp: bool,
}

impl Smtp {
    /// Connects and says EHLO.
    pub(crate) fn connect(port: u16) -> Result<Self> {
        Self::greet(port, false)
    }

    /// Connects and says LHLO.
    pub(crate) fn connect_lmtp(port: u16) -> Result<Self> {
        Self::greet(port, true)
    }

    fn greet(port: u16, is_lmtp: bool) -> Result<Self> {
        let mut smtp = Self { wire: Wire::connect(port, None)?, line: Vec::new(), is_lmtp };
        smtp.expect(b"220")?;
        let hello = if is_lmtp { "LHLO client.example.org\r\n" } else { "EHLO client.example.org\r\n" };
        smtp.wire.send(hello.as_bytes())?;
        smtp.expect(b"250")?;
        Ok(smtp)
    }

    /// Sends one message; when this returns, the server has taken responsibility for it to every recipient.
    pub(crate) fn send(&mut self, recipients: &[String], message: &[u8]) -> Result<()> {
        // Dovecot's LMTP does not know the parameter.
        let size = if self.is_lmtp { String::new() } else { format!(" SIZE={}", message.len()) };
        let mut head = format!("MAIL FROM:<sender@example.org>{size}\r\n");
        for recipient in recipients {
            head += &format!("RCPT TO:<{recipient}>\r\n");
        }
        head += "DATA\r\n";
        self.wire.send(head.as_bytes())?;
        self.expect(b"250").context("MAIL")?;
        for recipient in recipients {
            self.expect(b"25").with_context(|| format!("RCPT {recipient}"))?;
        }
        self.expect(b"354").context("DATA")?;
        let mut content = Vec::with_capacity(message.len() + 3);
        content.extend_from_slice(message);
        content.extend_from_slice(b".\r\n");
        self.wire.send(&content)?;
        let answers = if self.is_lmtp { recipients.len() } else { 1 };
        (0..answers).try_for_each(|_| self.expect(b"250").context("the message"))
    }

    /// Begins an envelope.
    pub(crate) fn begin(&mut self) -> Result<()> {
        self.wire.send(b"MAIL FROM:<sender@example.org>\r\n")?;
        self.expect(b"250").context("MAIL")
    }

    /// Adds a recipient. Tells whether there is such an address.
    pub(crate) fn recipient(&mut self, recipient: &str) -> Result<bool> {
        self.wire.send(format!("RCPT TO:<{recipient}>\r\n").as_bytes())?;
        let told = self.expect(b"25");
        if self.line.starts_with(b"550 5.1.1") {
            return Ok(false);
        }
        told.with_context(|| format!("RCPT {recipient}")).map(|()| true)
    }

    /// Gives the envelope up.
    pub(crate) fn reset(&mut self) -> Result<()> {
        self.wire.send(b"RSET\r\n")?;
        self.expect(b"250").context("RSET")
    }

    /// Takes leave.
    pub(crate) fn quit(mut self) -> Result<()> {
        self.wire.send(b"QUIT\r\n")?;
        self.expect(b"221")
    }

    /// Reads a whole reply, whose code must begin so.
    fn expect(&mut self, code: &[u8]) -> Result<()> {
        loop {
            self.wire.line(&mut self.line)?;
            if !self.line.starts_with(code) {
                bail!("{}", self.line.escape_ascii());
            }
            if self.line.get(3) != Some(&b'-') {
                return Ok(());
            }
        }
    }
}
