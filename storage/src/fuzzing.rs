//! What fuzzing reaches into: every decoder of stored octets, with what must hold of whatever it reads. Only built
//! for tests and fuzzing; the decoders themselves stay where they are, and private.

use bytes::Bytes;

use crate::kv::record::Record;
use crate::{Error, Result, bodies, cluster, directory, kv, mailstore, migrate, queue, raft};

/// Decodes octets that may be anything: an error, or a value of which it asserts what must hold.
pub type Check = fn(&Bytes) -> Result<()>;

/// All of them, in an order that only grows: a corpus names them by their place.
pub fn checks() -> Vec<Check> {
    [
        kv::store::fuzzing::CHECKS,
        mailstore::fuzzing::CHECKS,
        bodies::fuzzing::CHECKS,
        queue::fuzzing::CHECKS,
        directory::fuzzing::CHECKS,
        raft::fuzzing::CHECKS,
        cluster::fuzzing::CHECKS,
        migrate::fuzzing::CHECKS,
    ]
    .concat()
}

/// Runs one of them: what is stored wrongly is `Corrupt`, and nothing else.
pub fn check(check: Check, octets: &Bytes) {
    let outcome = check(octets);
    assert!(matches!(outcome, Ok(()) | Err(Error::Corrupt(_))), "{outcome:?}");
}

/// `again` decodes and encodes: what was decoded once must come back from its own stored form.
pub(crate) fn stable(octets: &Bytes, again: impl Fn(&Bytes) -> Result<Bytes>) -> Result<()> {
    let stored = again(octets)?;
    assert_eq!(again(&stored).expect("own stored form"), stored);
    Ok(())
}

/// The same for a record.
pub(crate) fn record<R: Record>(octets: &Bytes) -> Result<()> {
    stable(octets, |octets| Ok(R::decode(octets)?.encode()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_octets_are_a_record_or_corrupt(
            mut octets in proptest::collection::vec(any::<u8>(), 0..200), versioned: bool,
        ) {
            if let (true, Some(first)) = (versioned, octets.first_mut()) {
                *first = 1;
            }
            let octets = Bytes::from(octets);
            checks().into_iter().for_each(|one| check(one, &octets));
        }
    }
}
