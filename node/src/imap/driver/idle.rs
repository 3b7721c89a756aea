//! IDLE (RFC 9051 §6.3.13): what happens in the mailbox is told as it happens. An idle connection
//! holds no buffer, and no place in the mailbox but its position. Where nothing happens, a word now and then shows
//! both sides, and the routers between them, that the other is there.

use std::time::Duration;

use sterna_storage::types::MailboxId;
use tokio::sync::watch;
use tokio::time::Instant;

use super::connection::{End, Link, bye};
use crate::imap::session::selected::Expunges;
use crate::imap::status::{CommandError, Status};

impl Link {
    pub(super) async fn idle(&mut self, tag: &str) -> Result<(), End> {
        self.output.extend_from_slice(b"+ idling\r\n");
        let deadline = Instant::now() + Duration::from_secs(self.context.config.idle_timeout_s);
        let interval = Duration::from_secs(self.context.config.idle_notice_s);
        let mut notice = Instant::now() + interval;
        let mut mailbox = self.open_mailbox();
        let mut changes = self.changes();
        let mut account = self.context.directory.subscribe_to(self.session.account().id);
        loop {
            self.check_account().await?;
            if let Some(line) = self.line_at_hand()? {
                let done = line.eq_ignore_ascii_case(b"DONE");
                let status = if done { Status::ok("IDLE completed") } else { Status::bad("DONE expected") };
                return self.conclude(tag, Ok(status));
            }
            self.tell_changes(tag).await?;
            if mailbox != self.open_mailbox() {
                // INBOX was renamed, and goes on as another one.
                (mailbox, changes) = (self.open_mailbox(), self.changes());
            }
            if !self.output.is_empty() {
                notice = Instant::now() + interval;
            }
            self.flush().await?;
            // Between two pushes nothing is in hand: the input is empty unless half a line has come.
            let between = self.input.is_empty();
            tokio::select! {
                filled = self.fill(deadline, between) => filled?,
                () = changed(&mut changes) => {}
                _ = account.changed() => {}
                () = tokio::time::sleep_until(notice) => self.output.extend_from_slice(b"* OK Still here\r\n"),
            }
        }
    }

    fn open_mailbox(&self) -> Option<MailboxId> {
        self.session.selected.as_ref().map(|selected| selected.mailbox)
    }

    fn changes(&self) -> Option<watch::Receiver<u64>> {
        self.session.selected.as_ref().map(|selected| selected.view.subscribe())
    }

    async fn tell_changes(&mut self, tag: &str) -> Result<(), End> {
        let told = Box::pin(async { self.call(tag).refresh(Expunges::Told).await }).await;
        match told {
            Ok(()) => Ok(()),
            Err(CommandError::Connection(error)) => Err(End::Gone(error)),
            Err(CommandError::Bye(text)) => Err(bye(text)),
            // The store is away for a moment: the next change, or the next command, will tell.
            Err(CommandError::Refused(_)) => Ok(()),
        }
    }
}

/// Waits until the view may have changed; for ever where there is none.
async fn changed(changes: &mut Option<watch::Receiver<u64>>) {
    match changes {
        Some(receiver) => {
            if receiver.changed().await.is_err() {
                // The view has ended: nothing more comes from it.
                *changes = None;
            }
        }
        None => std::future::pending().await,
    }
}
