//! The marks that a move leaves in both installations, so that at every moment at most one of them serves.
//!
//! | key | value |
//! | --- | --- |
//! | `w s` | of one that was left: where to |
//! | `w t` | of one that is being filled, or was: by which move, and how far it is |
//! | `w o name`, `w u name` | of one that is being filled: an object that was copied and read back; an upload in parts under way |

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::kv::key::subspace;
use crate::kv::record::Record;
use crate::kv::{Database, KeyRange, KeyWriter, Transaction};
use crate::{Error, Result};

const SOURCE: u8 = b's';
const TARGET: u8 = b't';
const OBJECT: u8 = b'o';
const UPLOAD: u8 = b'u';

/// What an installation is, as far as moves go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It may serve.
    Home,
    /// It was left: the mail is where these words say.
    Left(String),
    /// It is being filled, and not whole.
    BeingFilled,
}

/// Written to the installation that is left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Left {
    /// The move.
    pub(super) filling: [u8; 16],
    /// Where to, for people.
    pub(super) to: String,
}

impl Record for Left {
    const VERSION: u8 = 1;
}

/// Written to the installation that is filled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Filling {
    /// The move: from the first run to the last.
    pub(super) id: [u8; 16],
    /// The present run: an earlier one writes nothing any more.
    pub(super) run: [u8; 16],
    /// Whose mail it is, once that is known.
    pub(super) source: Option<[u8; 16]>,
    /// Where the next run goes on. Empty: at the begin.
    pub(super) next: Vec<u8>,
    /// Whether it is whole.
    pub(super) is_whole: bool,
}

impl Record for Filling {
    const VERSION: u8 = 1;
}

/// What the installation is. To be asked before a server serves, of what keeps its mailboxes; and again after the server has
/// made itself known there, so that it never serves beside a move.
pub async fn standing(db: &Database) -> Result<Standing> {
    db.run(async |tx| {
        if let Some(left) = left(tx).await? {
            return Ok(Standing::Left(left.to));
        }
        let is_partial = filling(tx).await?.is_some_and(|filling| !filling.is_whole);
        Ok(if is_partial { Standing::BeingFilled } else { Standing::Home })
    })
    .await
}

/// Lets an installation serve again that was left. `Invalid` if it was not. Whoever calls this knows that the other one
/// has not served since, or gives up what came in there.
pub async fn take_mark_back(db: &Database) -> Result<()> {
    db.run_repeatable(async |tx| {
        if left(tx).await?.is_none() {
            return Err(Error::Invalid("this installation was not left by a move".into()));
        }
        tx.clear(key(SOURCE).finish());
        Ok(())
    })
    .await
}

pub(super) async fn left(tx: &mut Transaction) -> Result<Option<Left>> {
    tx.get(&key(SOURCE).finish()).await?.map(|value| Left::decode(&value)).transpose()
}

pub(super) fn set_left(tx: &mut Transaction, left: &Left) {
    tx.set(key(SOURCE).finish(), left.encode());
}

pub(super) async fn filling(tx: &mut Transaction) -> Result<Option<Filling>> {
    tx.get(&key(TARGET).finish()).await?.map(|value| Filling::decode(&value)).transpose()
}

pub(super) fn set_filling(tx: &mut Transaction, filling: &Filling) {
    tx.set(key(TARGET).finish(), filling.encode());
}

fn key(kind: u8) -> KeyWriter {
    KeyWriter::new(subspace::MOVE).u8(kind)
}

/// That an object was copied and read back; `name` ends the key.
pub(crate) fn copied_object(name: impl FnOnce(KeyWriter) -> KeyWriter) -> Bytes {
    name(key(OBJECT)).finish()
}

/// All of them.
pub(crate) fn copied_objects() -> KeyRange {
    KeyRange::prefix(&key(OBJECT).finish())
}

/// The store's id of an upload in parts that is under way.
pub(crate) fn upload_of(name: impl FnOnce(KeyWriter) -> KeyWriter) -> Bytes {
    name(key(UPLOAD)).finish()
}

/// All of them.
pub(crate) fn uploads() -> KeyRange {
    KeyRange::prefix(&key(UPLOAD).finish())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn marks_read_back(
            id: [u8; 16],
            run: [u8; 16],
            source: Option<[u8; 16]>,
            to in ".*",
            next in proptest::collection::vec(any::<u8>(), 0..200),
            is_whole: bool,
        ) {
            let left = Left { filling: id, to };
            prop_assert_eq!(Left::decode(&left.encode())?, left);
            let filling = Filling { id, run, source, next, is_whole };
            prop_assert_eq!(Filling::decode(&filling.encode())?, filling);
        }
    }
}
