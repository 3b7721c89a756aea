//! Reading bodies from the object store alone, with the cluster key: for when the metadata is lost. It knows who
//! owned a body when it was packed; not what happened to the messages since.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt;

use super::crypt::{BodyKey, ClusterKey, DomainKey, FrameNumber};
use super::domains::{DOMAIN_KEY_COPY_OCTETS, decode_copy};
use super::frame::{self, plain_octets};
use super::objects::{Bucket, ObjectName, Objects};
use super::record::Owner;
use super::segment::{Entry, TRAILER_OCTETS, Trailer};
use crate::types::{BodyId, DomainId, Secret};
use crate::{Error, Result};

/// An object store, opened without its metadata.
pub struct Recovery {
    objects: Arc<Objects>,
    domains: HashMap<DomainId, DomainKey>,
}

/// A body that can be recovered.
pub struct Recovered {
    name: ObjectName,
    entry: Entry,
}

impl Recovered {
    /// Which.
    pub fn id(&self) -> BodyId {
        self.entry.id
    }

    /// Of which domain.
    pub fn domain(&self) -> DomainId {
        self.entry.header.domain
    }

    /// Its octets.
    pub fn size(&self) -> u64 {
        self.entry.header.size
    }

    /// Who referred to it when it was packed. None for a long body, which is written before its record.
    pub fn owners(&self) -> &[Owner] {
        &self.entry.owners
    }
}

impl Recovery {
    /// Reads the domains' keys. `Corrupt` if the cluster key is not theirs.
    pub async fn open(bucket: impl Into<Bucket>, cluster_key: &Secret<[u8; 32]>) -> Result<Self> {
        let objects = Objects::new(bucket.into(), Duration::from_secs(10), None);
        let cluster = ClusterKey::new(cluster_key);
        let mut domains = HashMap::new();
        let mut listed = objects.list(ObjectName::FOLDERS[2]);
        while let Some((path, size)) = listed.try_next().await? {
            let Some(name) = ObjectName::of(&path) else { continue };
            if size != DOMAIN_KEY_COPY_OCTETS {
                return Err(Error::Corrupt(format!("object {path} has a wrong length").into()));
            }
            let (domain, wrapped) = decode_copy(&objects.get(name, 0..size).await?)?;
            domains.insert(domain, cluster.unwrap(domain, &wrapped)?);
        }
        drop(listed);
        Ok(Self { objects, domains })
    }

    /// Calls `each` for every body of every object, in no order. An object whose footer is damaged is an error in its
    /// place, and the others follow.
    pub async fn bodies(&self, mut each: impl FnMut(Result<Recovered>)) -> Result<()> {
        for folder in &ObjectName::FOLDERS[..2] {
            let mut listed = self.objects.list(folder);
            while let Some((path, size)) = listed.try_next().await? {
                let Some(name) = ObjectName::of(&path) else { continue };
                match footer(&self.objects, name, size).await {
                    Ok(entries) => entries.into_iter().for_each(|entry| each(Ok(Recovered { name, entry }))),
                    Err(error) => each(Err(error)),
                }
            }
        }
        Ok(())
    }

    /// Reads a body frame by frame. `NotFound` if its domain's key was erased.
    pub async fn read(&self, body: &Recovered, mut each: impl FnMut(Bytes)) -> Result<()> {
        let Entry { id, offset, header, .. } = &body.entry;
        let no_key = || Error::NotFound(format!("key of domain {}", header.domain).into());
        let domain = self.domains.get(&header.domain).ok_or_else(no_key)?;
        let key: BodyKey = domain.open_body_key(*id, &header.key)?;
        let mut at = *offset;
        for (number, length) in (0..).zip(&header.frames) {
            let end = at + u64::from(*length);
            let sealed = self.objects.get(body.name, at..end).await?;
            let frame = FrameNumber { number, last: number as usize + 1 == header.frames.len() };
            each(frame::open(&key, frame, &sealed, plain_octets(header.size, number))?);
            at = end;
        }
        Ok(())
    }
}

/// What an object says is in it.
pub(super) async fn footer(objects: &Objects, name: ObjectName, size: u64) -> Result<Vec<Entry>> {
    let short = || Error::Corrupt(format!("object {} is too short", name.path()).into());
    let at = size.checked_sub(TRAILER_OCTETS as u64).ok_or_else(short)?;
    let trailer = Trailer::decode(&objects.get(name, at..size).await?)?;
    let start = at.checked_sub(trailer.footer_octets as u64).ok_or_else(short)?;
    trailer.decode_footer(&objects.get(name, start..at).await?)
}
