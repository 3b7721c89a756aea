//! The two large mailboxes of one user: 10 k different messages of 4 kB in INBOX, one of which holds a word that no
//! other has, and ten copies of them all in another mailbox.

use anyhow::{Result, bail};

use super::Stage;
use super::stage::{BIG_MAILBOX, HOARDER};
use crate::client::crew::crew;
use crate::client::text::{Kind, Order, RARE_WORD, random};
use crate::server::address;

/// Connections that append.
const CONNECTIONS: usize = 16;
/// Messages in one command, where the server takes several (RFC 3502).
const TOGETHER: usize = 25;
const OCTETS: usize = 4_096;

pub(super) fn measure(stage: &mut Stage<'_>) -> Result<()> {
    let (small, big) = (stage.options.sizes.small, stage.options.sizes.big);
    let mut session = stage.imap(HOARDER)?;
    let together = if session.can("MULTIAPPEND")? { TOGETHER } else { 1 };
    let sessions = (0..CONNECTIONS).map(|_| stage.imap(HOARDER)).collect::<Result<Vec<_>>>()?;
    let library = stage.library;
    let meter = stage.meter();
    let shift = crew(sessions, |number, mut session| {
        let (mut random, to, mut octets) = (random(number as u64), address(HOARDER), 0);
        let mut numbers = (number..small).step_by(CONNECTIONS).peekable();
        while numbers.peek().is_some() {
            let write = |number| {
                let mut message = Vec::new();
                let order = Order { kind: Kind::Text, octets: OCTETS, to: &to, number: number as u64 };
                library.write(&order, &mut random, &mut message);
                if number == small / 2 {
                    message.extend_from_slice(format!("{RARE_WORD}\r\n").as_bytes());
                }
                message
            };
            let messages: Vec<Vec<u8>> = numbers.by_ref().take(together).map(write).collect();
            session.append("INBOX", &messages)?;
            octets += messages.iter().map(|message| message.len() as u64).sum::<u64>();
        }
        Ok(octets)
    })?;
    stage.record("fill", small as f64 / shift.took.as_secs_f64(), meter.read());
    stage.small_octets = shift.told.iter().sum();
    session.command(&format!("CREATE {BIG_MAILBOX}"))?;
    let found = session.select("INBOX")?;
    if found != small as u64 {
        bail!("INBOX has {found} messages instead of {small}");
    }
    for _ in 0..big / small {
        session.command(&format!("COPY 1:* {BIG_MAILBOX}"))?;
    }
    let found = session.select(BIG_MAILBOX)?;
    if found != big as u64 {
        bail!("{BIG_MAILBOX} has {found} messages instead of {big}");
    }
    Ok(())
}
