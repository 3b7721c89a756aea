//! The authority's key at rest, sealed by the cluster key: who finds a copy of the store alone can sign nothing.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use zeroize::Zeroizing;

use super::words::ClusterId;
use crate::types::Secret;
use crate::{Error, Result};

/// Bound into what is sealed, with the cluster's id.
const CONTEXT: &[u8; 8] = b"sternaA1";

fn key(cluster_key: &Secret<[u8; 32]>) -> RandomizedNonceKey {
    RandomizedNonceKey::new(&AES_256_GCM, cluster_key.expose()).expect("32 octets are an AES-256 key")
}

fn context(id: ClusterId) -> Aad<[u8; 24]> {
    let mut context = [0; 24];
    context[..8].copy_from_slice(CONTEXT);
    context[8..].copy_from_slice(&id.0);
    Aad::from(context)
}

/// A random nonce, then what is sealed with its tag.
pub(super) fn seal(cluster_key: &Secret<[u8; 32]>, id: ClusterId, secret: &Secret<Vec<u8>>) -> Vec<u8> {
    let mut octets = secret.expose().clone();
    let nonce = key(cluster_key).seal_in_place_append_tag(context(id), &mut octets);
    let nonce = nonce.expect("a key is within AES-GCM's bound");
    [&nonce.as_ref()[..], &octets].concat()
}

/// `Corrupt` where it was sealed by another cluster key, for another cluster, or has been altered.
pub(super) fn open(cluster_key: &Secret<[u8; 32]>, id: ClusterId, sealed: &[u8]) -> Result<Secret<Vec<u8>>> {
    let corrupt =
        || Error::Corrupt("key of the cluster's authority: altered, or of another cluster key".into());
    let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LEN>().ok_or_else(corrupt)?;
    let mut octets = Zeroizing::new(sealed.to_vec());
    let nonce = Nonce::from(nonce);
    let opened = key(cluster_key).open_in_place(nonce, context(id), &mut octets).map_err(|_| corrupt())?;
    Ok(Secret::new(opened.to_vec()))
}
