//! What must hold of whatever the mail store reads back.

use bytes::Bytes;

use super::chunk::Columns;
use super::flag_table::{FlagTable, KeywordTable};
use super::keys::{self, Work};
use super::outline::{self, OutlineHead};
use super::stored::{
    self, AccountRecord, CountersRecord, ExpungedMessage, MailboxRecord, Reservation, StoredMessage,
};
use super::{Counters, change_log};
use crate::Result;
use crate::fuzzing::{Check, record, stable};

pub(crate) const CHECKS: &[Check] = &[
    record::<AccountRecord>,
    record::<MailboxRecord>,
    record::<Reservation>,
    record::<CountersRecord>,
    record::<Counters>,
    message,
    expunged,
    summary,
    changes,
    keywords,
    work,
    names,
    record::<OutlineHead>,
    outline,
];

fn message(octets: &Bytes) -> Result<()> {
    let message = StoredMessage::decode(octets)?;
    let head = StoredMessage::decode_head(octets).expect("its head can be read if all of it can");
    assert_eq!(head, (message.flags.clone(), message.modseq));
    stable(octets, |octets| Ok(StoredMessage::decode(octets)?.encode()))
}

fn expunged(octets: &Bytes) -> Result<()> {
    stable(octets, |octets| Ok(ExpungedMessage::decode(octets)?.encode()))
}

fn summary(octets: &Bytes) -> Result<()> {
    stable(octets, |octets| {
        let (prefix, summary) = stored::decode_summary(octets)?;
        Ok(stored::encode_summary(&prefix, &summary))
    })
}

fn changes(octets: &Bytes) -> Result<()> {
    let changes = change_log::decode(octets)?;
    assert!(changes.iter().all(|run| 0 < run.first && run.first <= run.last));
    assert!(changes.windows(2).all(|pair| pair[0].last < pair[1].first));
    let again = change_log::encode(&changes);
    let read: Vec<_> = again.iter().flat_map(|part| change_log::decode(part).expect("own form")).collect();
    assert_eq!(read, changes);
    Ok(())
}

fn keywords(octets: &Bytes) -> Result<()> {
    stable(octets, |octets| Ok(KeywordTable::decode(octets)?.encode().into()))
}

fn work(octets: &Bytes) -> Result<()> {
    stable(octets, |octets| Ok(Work::decode(octets)?.key()))
}

fn names(octets: &Bytes) -> Result<()> {
    let account = crate::types::AccountId(7);
    stable(octets, |octets| Ok(keys::subscription(account, &keys::subscription_name(octets)?)))
}

/// A part of low number, and its value.
fn outline(octets: &Bytes) -> Result<()> {
    let Some((part, value)) = octets.split_first() else { return Ok(()) };
    let (part, keywords) = (u32::from(*part), KeywordTable::default());
    let (mut table, mut columns) = (FlagTable::new(1), Columns::default());
    if !outline::decode(value, part, (&mut table, &keywords), &mut columns)? {
        return Ok(());
    }
    let uids = outline::uids_of(part);
    assert!(columns.uids.is_sorted_by(|one, next| one < next));
    assert!(columns.uids.iter().all(|uid| uids.contains(uid)));
    assert_eq!((columns.modseqs.len(), columns.flags.len()), (columns.uids.len(), columns.uids.len()));
    let (again, mut read) = (outline::encode(&columns, part, &table), Columns::default());
    let told = outline::decode(&again, part, (&mut table, &keywords), &mut read).expect("own form");
    assert!(
        told && read.uids == columns.uids && read.modseqs == columns.modseqs && read.flags == columns.flags
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzzing::check;
    use crate::kv::KeyWriter;
    use crate::kv::key::subspace;
    use crate::limits::KEYWORDS_PER_MAILBOX;

    #[test]
    fn a_name_or_keyword_table_that_nobody_stored_is_corrupt() {
        let name = KeyWriter::new(subspace::MAILBOX_NAME).u64(7).u8(1).text("a//b").finish();
        check(names, &name);
        let too_many: String = (0..=KEYWORDS_PER_MAILBOX).map(|number| format!("k{number} ")).collect();
        check(keywords, &[&[1], too_many.as_bytes()].concat().into());
    }
}
