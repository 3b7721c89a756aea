//! The domains' keys: kept wrapped in the metadata, with a copy in the object store, so that bodies can
//! be recovered from there. Erasing one destroys both.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;

use super::crypt::{ClusterKey, DomainKey, WRAPPED_DOMAIN_KEY_OCTETS, WrappedDomainKey};
use super::keys;
use super::objects::{ObjectName, Objects};
use super::record::{Upload, corrupt};
use crate::kv::{Database, Transaction};
use crate::limits::DOMAIN_KEYS_CACHED;
use crate::types::{DomainId, Secret, Timestamp};
use crate::{Error, Result};

/// How long an opened key is used before it is looked up again: so long does an erased one live on in the
/// memory of other nodes.
const KEPT: Duration = Duration::from_secs(60);
/// What the copy in the object store starts with.
const MARK: &[u8; 8] = b"sternaK1";
/// Length of that copy: mark, domain, wrapped key, CRC-32C.
pub(super) const DOMAIN_KEY_COPY_OCTETS: u64 = (MARK.len() + 8 + WRAPPED_DOMAIN_KEY_OCTETS + 4) as u64;
const VERSION: u8 = 1;

/// Opens and makes domains' keys.
pub(super) struct DomainKeys {
    db: Database,
    cluster: ClusterKey,
    opened: moka::sync::Cache<DomainId, Arc<DomainKey>>,
    copied: Mutex<HashSet<DomainId>>,
}

impl DomainKeys {
    /// `Invalid` if the store was made with another cluster key.
    pub(super) async fn open(db: Database, cluster_key: &Secret<[u8; 32]>) -> Result<Self> {
        let cluster = ClusterKey::new(cluster_key);
        check(&db, &cluster).await?;
        let opened = moka::sync::Cache::builder().max_capacity(DOMAIN_KEYS_CACHED).time_to_live(KEPT).build();
        Ok(Self { db, cluster, opened, copied: Mutex::default() })
    }

    /// The domain's key, made if it has none. `NotFound` if it was erased.
    pub(super) async fn sealing(&self, domain: DomainId) -> Result<Arc<DomainKey>> {
        if let Some(key) = self.opened.get(&domain) {
            return Ok(key);
        }
        let wrapped = self.db.run_repeatable(async |tx| self.load_or_make(tx, domain).await).await?;
        self.keep(domain, &wrapped)
    }

    async fn load_or_make(&self, tx: &mut Transaction, domain: DomainId) -> Result<WrappedDomainKey> {
        if let Some(value) = tx.get(&keys::domain_key(domain)).await? {
            return decode(domain, &value);
        }
        let wrapped = self.cluster.wrap(domain, &DomainKey::random());
        tx.set(keys::domain_key(domain), encode(Some(&wrapped)));
        Ok(wrapped)
    }

    /// The domain's key. `NotFound` if it was erased or never made.
    pub(super) async fn opening(&self, domain: DomainId) -> Result<Arc<DomainKey>> {
        if let Some(key) = self.opened.get(&domain) {
            return Ok(key);
        }
        let wrapped = self.load(domain).await?;
        self.keep(domain, &wrapped)
    }

    async fn load(&self, domain: DomainId) -> Result<WrappedDomainKey> {
        match self.db.begin().get_snapshot(&keys::domain_key(domain)).await? {
            Some(value) => decode(domain, &value),
            None => Err(erased(domain)),
        }
    }

    fn keep(&self, domain: DomainId, wrapped: &WrappedDomainKey) -> Result<Arc<DomainKey>> {
        let key = Arc::new(self.cluster.unwrap(domain, wrapped)?);
        self.opened.insert(domain, key.clone());
        Ok(key)
    }

    /// Sees to it that the object store has a copy: once per domain and process. Before a body of the domain
    /// goes there.
    pub(super) async fn copy_to(&self, objects: &Objects, domain: DomainId) -> Result<()> {
        if self.copied.lock().contains(&domain) {
            return Ok(());
        }
        let wrapped = self.load(domain).await?;
        let mut octets = MARK.to_vec();
        octets.extend_from_slice(&domain.0.to_be_bytes());
        octets.extend_from_slice(&wrapped.0);
        let crc = crc32c::crc32c(&octets);
        octets.extend_from_slice(&crc.to_be_bytes());
        objects.put(ObjectName::DomainKey(domain), octets.into()).await?;
        self.copied.lock().insert(domain);
        Ok(())
    }

    /// Destroys the domain's key, here and in the object store: no body of the domain can be read again.
    /// Another node may still do so for a minute.
    pub(super) async fn erase(&self, objects: &Objects, domain: DomainId, until: Timestamp) -> Result<()> {
        let name = ObjectName::DomainKey(domain);
        self.db
            .run(async |tx| {
                tx.set(keys::domain_key(domain), encode(None));
                // Another node may be writing the copy now: deleted again and again for a while.
                tx.set(name.key(), Upload::Abandoned(until.as_millis()).encode());
                Ok(())
            })
            .await?;
        self.opened.invalidate(&domain);
        self.copied.lock().remove(&domain);
        objects.delete(name).await
    }
}

/// Reads the copy of a domain's key in the object store.
pub(super) fn decode_copy(mut octets: &[u8]) -> Result<(DomainId, WrappedDomainKey)> {
    const OCTETS: usize = DOMAIN_KEY_COPY_OCTETS as usize - 4;
    let wrong = || corrupt("copy of a domain's key");
    if octets.len() != OCTETS + 4 || !octets.starts_with(MARK) {
        return Err(wrong());
    }
    if crc32c::crc32c(&octets[..OCTETS]).to_be_bytes() != octets[OCTETS..] {
        return Err(wrong());
    }
    octets = &octets[MARK.len()..];
    let domain = DomainId(u64::from_be_bytes(super::record::take(&mut octets)?));
    Ok((domain, WrappedDomainKey(super::record::take(&mut octets)?)))
}

/// The key of no domain: it tells the right cluster key from a wrong one.
const NO_DOMAIN: DomainId = DomainId(u64::MAX);

async fn check(db: &Database, cluster: &ClusterKey) -> Result<()> {
    db.run_repeatable(async |tx| {
        let Some(value) = tx.get(&keys::cluster_check()).await? else {
            let wrapped = cluster.wrap(NO_DOMAIN, &DomainKey::random());
            tx.set(keys::cluster_check(), encode(Some(&wrapped)));
            return Ok(());
        };
        let opened = cluster.unwrap(NO_DOMAIN, &decode(NO_DOMAIN, &value)?);
        opened
            .map(|_| ())
            .map_err(|_| Error::Invalid("the cluster key is not the one this store was made with".into()))
    })
    .await
}

fn encode(wrapped: Option<&WrappedDomainKey>) -> Bytes {
    let mut out = vec![VERSION];
    if let Some(wrapped) = wrapped {
        out.extend_from_slice(&wrapped.0);
    }
    out.into()
}

fn decode(domain: DomainId, value: &[u8]) -> Result<WrappedDomainKey> {
    match value {
        [VERSION] => Err(erased(domain)),
        [VERSION, wrapped @ ..] if wrapped.len() == WRAPPED_DOMAIN_KEY_OCTETS => {
            let wrapped = wrapped.try_into().map_err(|_| corrupt("key of a domain"))?;
            Ok(WrappedDomainKey(wrapped))
        }
        _ => Err(corrupt("key of a domain")),
    }
}

fn erased(domain: DomainId) -> Error {
    Error::NotFound(format!("key of domain {domain}").into())
}
