//! What must hold of whatever the queue reads back.

use bytes::Bytes;

use super::entry::{self, Head};
use crate::Result;
use crate::fuzzing::{Check, record, stable};

pub(crate) const CHECKS: &[Check] = &[record::<Head>, id];

fn id(octets: &Bytes) -> Result<()> {
    stable(octets, |octets| {
        let (id, _) = entry::entry_of(octets)?;
        assert_eq!(id.to_string().parse().ok(), Some(id));
        Ok(entry::head_key(id))
    })
}
