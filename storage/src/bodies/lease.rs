//! Which node packs and collects: one of them, as far as they can tell. Two at a time would do the same work twice and
//! harm nothing, since each step looks again in the transaction that decides.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::keys;
use crate::Result;
use crate::kv::{Database, Transaction};

/// How often the holder moves its lease on.
pub(super) const RENEWED_EVERY: Duration = Duration::from_secs(10);
/// How long a lease must stand still, on the monotonic clock of who looks, before another takes it.
const TAKEN_AFTER: Duration = Duration::from_secs(30);

/// A wish to be the one.
pub(super) struct Lease {
    db: Database,
    holder: [u8; 16],
    /// Whether nobody else can hold it: this node is the only one.
    exclusive: bool,
    // What another holder's lease was, and since when.
    seen: Option<(Bytes, Instant)>,
}

impl Lease {
    pub(super) fn new(db: Database, exclusive: bool) -> Self {
        Self { db, holder: rand::random(), exclusive, seen: None }
    }

    /// Takes or renews the lease; tells whether it is held. `clock` is monotonic.
    pub(super) async fn hold(&mut self, clock: impl Fn() -> Instant) -> Result<bool> {
        // Looking takes time, and says how it was at any moment of it: since after it, until before it.
        let begun = clock();
        let taken = match &self.seen {
            _ if self.exclusive => None,
            Some((value, since)) if begun.saturating_duration_since(*since) >= TAKEN_AFTER => {
                Some(value.clone())
            }
            _ => None,
        };
        let (holder, exclusive) = (self.holder, self.exclusive);
        let other = self.db.run(async |tx| renew(tx, holder, exclusive, taken.as_ref()).await).await?;
        let now = clock();
        self.seen = other.map(|value| match self.seen.take() {
            Some((before, since)) if before == value => (value, since),
            _ => (value, now),
        });
        Ok(self.seen.is_none())
    }

    /// Gives the lease up, if it is held.
    pub(super) async fn release(&mut self) -> Result<()> {
        let holder = self.holder;
        let run = self.db.run(async |tx| {
            if tx.get(&keys::lease()).await?.is_some_and(|value| value.starts_with(&holder)) {
                tx.clear(keys::lease());
            }
            Ok(())
        });
        run.await
    }
}

/// Writes the lease anew, unless another holds it whose lease is not `taken`: then gives that.
async fn renew(
    tx: &mut Transaction,
    holder: [u8; 16],
    exclusive: bool,
    taken: Option<&Bytes>,
) -> Result<Option<Bytes>> {
    if let Some(value) = tx.get(&keys::lease()).await?
        && !value.starts_with(&holder)
        && !exclusive
        && taken != Some(&value)
    {
        return Ok(Some(value));
    }
    // The holder, and a number that is another each time.
    let mut value = holder.to_vec();
    value.extend_from_slice(&rand::random::<u64>().to_be_bytes());
    tx.set(keys::lease(), value);
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kv::Memory;

    #[tokio::test]
    async fn a_lease_is_held_by_one_until_it_stands_still() {
        let db = Database::new(Memory::new());
        let (mut one, mut two) = (Lease::new(db.clone(), false), Lease::new(db.clone(), false));
        let start = Instant::now();
        let after = |secs| start + Duration::from_secs(secs);
        assert!(one.hold(|| start).await.expect("commits"));
        assert!(!two.hold(|| start).await.expect("commits"));
        assert!(one.hold(|| after(20)).await.expect("commits"));
        assert!(!two.hold(|| after(31)).await.expect("commits"), "it has moved");
        assert!(!two.hold(|| after(60)).await.expect("commits"));
        assert!(two.hold(|| after(61)).await.expect("commits"));
        assert!(!one.hold(|| after(62)).await.expect("commits"));
        two.release().await.expect("commits");
        assert!(one.hold(|| after(63)).await.expect("commits"));
        assert!(Lease::new(db, true).hold(|| after(63)).await.expect("commits"), "nobody else is there");
    }
}
