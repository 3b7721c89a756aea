//! One command being carried out: the session, the node, the way to the client.

use std::sync::Arc;

use sterna_storage::Error;
use sterna_storage::mailstore::{Limits, MailboxName, Snapshot};
use sterna_storage::types::{AccountId, MailboxId};

use crate::imap::codec::mailbox_name;
use crate::imap::codec::writer;
use crate::imap::context::ImapContext;
use crate::imap::driver::Output;
use crate::imap::session::Session;
use crate::imap::session::selected::{Expunges, Telling};
use crate::imap::status::{CommandError, Outcome, Status};

/// What every command gets.
pub(crate) struct Call<'c> {
    /// Whose command it is.
    pub session: &'c mut Session,
    /// The node.
    pub context: &'c ImapContext,
    /// Where responses go.
    pub out: Output<'c>,
    /// The command's tag, for ESEARCH.
    pub tag: &'c str,
}

impl Call<'_> {
    /// The account's id.
    pub(crate) fn account(&self) -> AccountId {
        self.session.account().id
    }

    /// The open mailbox's id.
    pub(crate) fn mailbox(&mut self) -> MailboxId {
        self.session.selected().mailbox
    }

    /// Reads a mailbox name. A trailing separator is dropped: clients that announce a mailbox for
    /// inferiors write it (RFC 9051 §6.3.4).
    pub(crate) fn name(&self, raw: &[u8]) -> Outcome<MailboxName> {
        let invalid = |why: String| Status::no("CANNOT", why);
        let text = mailbox_name::decode(raw, self.session.enabled.names())
            .map_err(|error| invalid(error.to_string()))?;
        let text = text.strip_suffix('/').unwrap_or(&text);
        Ok(text.parse().map_err(|error: Error| invalid(error.to_string()))?)
    }

    /// Reads the name of a mailbox that should exist: what cannot be a name does not.
    pub(crate) fn existing_name(&self, raw: &[u8]) -> Outcome<MailboxName> {
        self.name(raw).map_err(|_| Status::no("NONEXISTENT", "No such mailbox").into())
    }

    /// Tells the client what its view of the open mailbox lacks, as far as the node knows.
    pub(crate) fn advance(&mut self, expunges: Expunges) {
        let enabled = self.session.enabled;
        if let Some(selected) = &mut self.session.selected {
            let newer = selected.view.snapshot();
            selected.advance(&newer, Telling { expunges, enabled }, self.out.buffer);
            self.claim_recent();
        }
    }

    /// As [`Self::advance`], with everything that was acknowledged before this call, here or on
    /// another node.
    pub(crate) async fn refresh(&mut self, expunges: Expunges) -> Outcome<()> {
        let Some(selected) = &self.session.selected else { return Ok(()) };
        let newer = match Arc::clone(&selected.view).refresh().await {
            Ok(newer) => newer,
            Err(Error::NotFound(_)) => self.reopened().await?,
            Err(error) => return Err(error.into()),
        };
        self.advance_to(&newer, expunges);
        Ok(())
    }

    /// What has taken the place of a mailbox that is gone. INBOX goes on when RENAME has taken its
    /// messages away (RFC 9051 §6.3.6), with its UIDVALIDITY: to the client they are expunged.
    async fn reopened(&mut self) -> Outcome<Arc<Snapshot>> {
        // RFC 2180 §3.3: nothing that the client knows of the mailbox holds any more.
        let gone = || CommandError::Bye("The open mailbox was deleted");
        let (account, store) = (self.account(), &self.context.store);
        let selected = self.session.selected();
        if !selected.name.is_inbox() {
            return Err(gone());
        }
        let inbox = store.mailbox(account, &selected.name).await?.id;
        let view = store.open(account, inbox).await?;
        let newer = view.refresh().await?;
        if newer.uid_validity != selected.known.uid_validity {
            return Err(gone());
        }
        (selected.mailbox, selected.view) = (inbox, view);
        Ok(newer)
    }

    /// Makes `newer` what the client knows.
    pub(crate) fn advance_to(&mut self, newer: &Arc<Snapshot>, expunges: Expunges) {
        let enabled = self.session.enabled;
        let telling = Telling { expunges, enabled };
        self.session.selected().advance(newer, telling, self.out.buffer);
        self.claim_recent();
    }

    /// What this client was just told of is recent for no other.
    fn claim_recent(&mut self) {
        let account = self.account();
        let selected = self.session.selected();
        if !selected.read_only {
            self.context.recent.claim((account, selected.mailbox), selected.known.uid_next);
        }
    }

    /// A CONDSTORE enabling command was given (RFC 7162 §3.1): the first one makes the server tell
    /// the open mailbox's HIGHESTMODSEQ.
    pub(crate) fn enable_condstore(&mut self) {
        if std::mem::replace(&mut self.session.enabled.condstore, true) {
            return;
        }
        if let Some(selected) = &self.session.selected {
            let highest = selected.known.highest_modseq.0.max(1);
            writer::text(self.out.buffer, format_args!("* OK [HIGHESTMODSEQ {highest}] Highest\r\n"));
        }
    }

    /// The account's and its domain's quota.
    pub(crate) async fn quota(&self) -> Outcome<Limits> {
        let account = self.session.account();
        let domain = self.context.directory.domain(account.address.domain()).await?;
        Ok(Limits {
            account_octets: account.quota_octets,
            domain_octets: domain.and_then(|domain| domain.quota_octets),
        })
    }

    /// Refuses commands that change the open mailbox if it was opened by EXAMINE.
    pub(crate) fn writable(&mut self) -> Outcome<()> {
        if self.session.selected().read_only {
            return Err(Status::no("READ-ONLY", "The mailbox was opened read-only").into());
        }
        Ok(())
    }
}
