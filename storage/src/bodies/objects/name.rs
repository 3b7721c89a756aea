//! The names of objects, and the keys under which those are known that are not settled. A name is unique, and is
//! written once: nothing rests on an order of writes.

use bytes::Bytes;
use object_store::path::Path;

use crate::bodies::record::SegmentId;
use crate::kv::key::subspace;
use crate::kv::{KeyRange, KeyReader, KeyWriter};
use crate::types::{BodyId, DomainId};
use crate::{Error, Result};

/// What an object holds, and so its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::bodies) enum ObjectName {
    /// One long body.
    Body(BodyId),
    /// Many bodies.
    Segment(SegmentId),
    /// A domain's key, wrapped by the cluster's.
    DomainKey(DomainId),
}

impl ObjectName {
    /// The folders of the three kinds.
    pub(in crate::bodies) const FOLDERS: [&'static str; 3] = ["bodies", "segments", "keys"];

    /// Its path in the object store.
    pub(in crate::bodies) fn path(self) -> Path {
        let (folder, name) = match self {
            Self::Body(id) => (0, id.to_string()),
            Self::Segment(id) => (1, BodyId(id.0).to_string()),
            Self::DomainKey(id) => (2, format!("{:016x}", id.0)),
        };
        Path::from_iter([Self::FOLDERS[folder], name.as_str()])
    }

    /// The name of a listed path; `None` for what the body store did not write.
    pub(in crate::bodies) fn of(path: &Path) -> Option<Self> {
        let (folder, name) = path.as_ref().split_once('/')?;
        let id = u128::from_str_radix(name, 16).ok()?;
        let found = match Self::FOLDERS.iter().position(|known| *known == folder)? {
            0 => Self::Body(BodyId(id.to_be_bytes())),
            1 => Self::Segment(SegmentId(id.to_be_bytes())),
            _ => Self::DomainKey(DomainId(u64::try_from(id).ok()?)),
        };
        (found.path() == *path).then_some(found)
    }

    /// `U upload`: how it stands while it is not settled.
    pub(in crate::bodies) fn key(self) -> Bytes {
        self.behind(KeyWriter::new(subspace::UPLOAD)).finish()
    }

    /// The key with this name as its next parts.
    pub(in crate::bodies) fn behind(self, key: KeyWriter) -> KeyWriter {
        match self {
            Self::Body(id) => key.u8(0).fixed(&id.0),
            Self::Segment(id) => key.u8(1).fixed(&id.0),
            Self::DomainKey(id) => key.u8(2).u64(id.0),
        }
    }

    /// All objects that are not settled.
    pub(in crate::bodies) fn keys() -> KeyRange {
        KeyRange::prefix(&[subspace::UPLOAD])
    }

    /// The name of a `U` key.
    pub(in crate::bodies) fn of_key(key: &[u8]) -> Result<Self> {
        Self::read(KeyReader::new(key, subspace::UPLOAD)?)
    }

    /// The name of a key in which a move notes what became of an object.
    pub(in crate::bodies) fn noted(key: &[u8]) -> Result<Self> {
        let mut reader = KeyReader::new(key, subspace::MOVE)?;
        reader.u8()?;
        Self::read(reader)
    }

    fn read(mut reader: KeyReader<'_>) -> Result<Self> {
        match reader.u8()? {
            0 => Ok(Self::Body(BodyId(reader.fixed()?))),
            1 => Ok(Self::Segment(SegmentId(reader.fixed()?))),
            2 => Ok(Self::DomainKey(DomainId(reader.u64()?))),
            _ => Err(Error::Corrupt("upload of an unknown kind".into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back_from_paths_and_keys() {
        for name in [
            ObjectName::Body(BodyId([0xab; 16])),
            ObjectName::Segment(SegmentId([0; 16])),
            ObjectName::DomainKey(DomainId(77)),
        ] {
            assert_eq!(ObjectName::of(&name.path()), Some(name));
            assert_eq!(ObjectName::of_key(&name.key()).expect("own key"), name);
        }
        for foreign in ["bodies/x", "bodies/1", "segments/0/1", "elsewhere/00000000000000000000000000000000"]
        {
            assert_eq!(ObjectName::of(&Path::from(foreign)), None);
        }
    }
}
