//! Values: a version octet, then the record in postcard encoding. An older version stays readable
//! for one release.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Error, Result};

/// A value with a version.
pub trait Record: Serialize + DeserializeOwned {
    /// Written as the first octet.
    const VERSION: u8;

    /// The stored form.
    fn encode(&self) -> Bytes {
        let mut out = Vec::with_capacity(64);
        out.push(Self::VERSION);
        let out = postcard::to_extend(self, out).expect("a record in memory always encodes");
        out.into()
    }

    /// From the stored form; `Corrupt` where it is not that of a known version.
    fn decode(value: &[u8]) -> Result<Self> {
        match value.split_first() {
            Some((version, rest)) if *version == Self::VERSION => {
                postcard::from_bytes(rest).map_err(|error| Error::Corrupt(format!("record: {error}").into()))
            }
            Some((version, _)) => Err(Error::Corrupt(format!("record version {version}").into())),
            None => Err(Error::Corrupt("empty record".into())),
        }
    }
}
