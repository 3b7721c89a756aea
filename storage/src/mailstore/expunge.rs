//! EXPUNGE: messages with `\Deleted` go, in batches; their records and bodies are kept for restore.

use super::edit::{Gone, MailboxEdit, note_purge};
use super::pick::Pick;
use super::snapshot::Snapshot;
use super::stored::StoredMessage;
use super::{MailStore, load};
use crate::Result;
use crate::kv::Transaction;
use crate::limits::{BATCH_MESSAGES, BATCH_OCTETS};
use crate::types::{AccountId, MailboxId, SystemFlag, Uid, UidSet};

impl MailStore {
    /// Removes the messages with `\Deleted`, only those of `uids` if given (UID EXPUNGE, RFC 9051 §6.4.9),
    /// and tells which went. Very many go in several commits. `NotFound`.
    pub async fn expunge(
        &self,
        account: AccountId,
        mailbox: MailboxId,
        uids: Option<&UidSet>,
    ) -> Result<UidSet> {
        let counters = load::read_counters(&mut self.inner.db.begin(), account, mailbox).await?;
        if counters.deleted == 0 {
            return Ok(UidSet::new());
        }
        let (all, last) = (UidSet::all(), counters.uid_next - 1);
        let wanted = uids.unwrap_or(&all);
        // Where the mailbox is open, its view knows which ones to look at.
        let known = match self.inner.views.find(account, mailbox) {
            Some(view) => Some(marked(&*view.refresh().await?, wanted)),
            None => None,
        };
        let mut pick = Some(Pick::new(account, mailbox, known.as_ref().unwrap_or(wanted), last));
        let mut expunged = UidSet::new();
        while let Some(next) = pick {
            let _turn = self.inner.locks.turn(account, mailbox).await;
            let expunge = async |tx: &mut Transaction| self.expunge_some(tx, (account, mailbox), next).await;
            let (gone, rest) = self.commit_once(&[(account, mailbox)], expunge).await?;
            expunged.extend(gone);
            pick = rest;
        }
        Ok(expunged)
    }

    async fn expunge_some<'a>(
        &self,
        tx: &mut Transaction,
        (account, mailbox): (AccountId, MailboxId),
        pick: Pick<'a>,
    ) -> Result<((Vec<Uid>, Option<Pick<'a>>), super::edit::Pushes)> {
        let domain = self.domain(tx, account).await?;
        let mut edit = MailboxEdit::begin(tx, account, mailbox).await?;
        let (messages, mut rest) = pick.read(tx, BATCH_MESSAGES, true).await?;
        let (mut expunged, gone) = (Vec::new(), Gone { at: tx.now().await?, moved: false });
        for (uid, value) in messages {
            if edit.counters.deleted == 0 {
                rest = None;
                break;
            }
            let message = StoredMessage::decode(&value)?;
            if !message.flags.system.contains(SystemFlag::Deleted) {
                continue;
            }
            edit.expunge(tx, self, (uid, message), gone);
            expunged.push(uid);
            if tx.written_octets() >= BATCH_OCTETS {
                rest = Some(pick.after(uid));
                break;
            }
        }
        if !expunged.is_empty() {
            note_purge(tx, account, mailbox, gone.at);
        }
        Ok(((expunged, rest), edit.finish(tx, domain).into_iter().collect()))
    }
}

fn marked(snapshot: &Snapshot, wanted: &UidSet) -> UidSet {
    let marked = snapshot.messages().filter(|message| message.flags.contains(SystemFlag::Deleted));
    marked.map(|message| message.uid).filter(|uid| wanted.contains(*uid)).collect()
}
