//! What a member keeps, told as it stands here: nobody is asked, so it may be old, and only who says so reads it.

use async_trait::async_trait;
use bytes::Bytes;

use super::group::Group;
use crate::kv::engine::{Chunk, ChunkLimit, OwnCopy, Version};
use crate::kv::range::KeyRange;
use crate::kv::store::tree::Store;
use crate::{Error, Result};

impl Group {
    /// Whether what is kept here is the group's.
    pub(super) fn may_be_told(&self) -> Result<()> {
        self.check_open()?;
        match self.is_serving() {
            true => Ok(()),
            false => Err(Error::Unavailable(format!("this node's copy of the group {}", self.name()).into())),
        }
    }

    /// Reads at the newest version here; at the next one where that went out of life under the reader.
    fn read_newest<T>(&self, read: impl Fn(&Store, Version) -> Result<T>) -> Result<T> {
        self.may_be_told()?;
        loop {
            let store = self.state.store();
            match read(&store, Version(store.visible())) {
                Err(Error::TooOld) => {}
                outcome => return outcome,
            }
        }
    }
}

#[async_trait]
impl OwnCopy for Group {
    async fn get(&self, key: &[u8]) -> Result<Option<Bytes>> {
        self.read_newest(|store, at| store.get(at, key))
    }

    async fn range(&self, range: KeyRange, limit: ChunkLimit) -> Result<Chunk> {
        self.read_newest(|store, at| store.range(at, &range, limit))
    }
}
