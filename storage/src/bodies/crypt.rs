//! Keys: a random key per body, wrapped by its domain's key, which is wrapped by the cluster's.
//! Whoever destroys a domain's key has destroyed every body of the domain.
//!
//! Body keys are wrapped by AES-KW (RFC 3394): it takes no nonce, so the number of bodies that one
//! domain key may wrap is not bounded by chance collisions of nonces. The few domain keys are wrapped by
//! AES-256-GCM with a random nonce, which binds them to their domain. Frames are sealed by AES-256-GCM
//! under the body's own key; the nonce is the frame's number and whether it is the last (the STREAM
//! construction), so frames cannot be swapped, repeated or cut off unnoticed.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::key_wrap::{AES_256, AesKek, KeyWrap};
use aws_lc_rs::rand;
use zeroize::Zeroizing;

use crate::types::{BodyId, DomainId, Secret};
use crate::{Error, Result};

/// What AES-256-GCM adds to each frame, in octets.
pub(super) const TAG_OCTETS: usize = 16;
const KEY_OCTETS: usize = 32;
/// A body's key as stored: the key and AES-KW's check, in octets.
pub(super) const WRAPPED_KEY_OCTETS: usize = KEY_OCTETS + 8;
/// A domain's key as stored: nonce, key, tag, in octets.
pub(super) const WRAPPED_DOMAIN_KEY_OCTETS: usize = NONCE_LEN + KEY_OCTETS + TAG_OCTETS;

/// Bound into every frame, with the body's id.
const FRAME_CONTEXT: &[u8; 8] = b"sternaB1";
/// Bound into every wrapped domain key, with the domain's id.
const DOMAIN_CONTEXT: &[u8; 8] = b"sternaD1";

/// A body's key, wrapped by its domain's.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct WrappedKey(pub(super) [u8; WRAPPED_KEY_OCTETS]);

impl fmt::Debug for WrappedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WrappedKey(…)")
    }
}

/// A domain's key, wrapped by the cluster's.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct WrappedDomainKey(pub(super) [u8; WRAPPED_DOMAIN_KEY_OCTETS]);

/// The key that every domain's key is wrapped by; given by the operator.
pub(super) struct ClusterKey(LessSafeKey);

impl ClusterKey {
    pub(super) fn new(key: &Secret<[u8; KEY_OCTETS]>) -> Self {
        Self(gcm(key.expose()))
    }

    pub(super) fn wrap(&self, domain: DomainId, key: &DomainKey) -> WrappedDomainKey {
        let mut wrapped = [0; WRAPPED_DOMAIN_KEY_OCTETS];
        fill(&mut wrapped[..NONCE_LEN]);
        let (nonce, rest) = wrapped.split_at_mut(NONCE_LEN);
        let (octets, tag) = rest.split_at_mut(KEY_OCTETS);
        octets.copy_from_slice(key.0.expose());
        let nonce = Nonce::try_assume_unique_for_key(nonce).expect("twelve octets");
        let sealed = self.0.seal_in_place_separate_tag(nonce, domain_context(domain), octets);
        tag.copy_from_slice(sealed.expect("32 octets are within AES-GCM's bound").as_ref());
        WrappedDomainKey(wrapped)
    }

    /// `Corrupt` where it was wrapped by another cluster key, for another domain, or has been altered.
    pub(super) fn unwrap(&self, domain: DomainId, wrapped: &WrappedDomainKey) -> Result<DomainKey> {
        let mut octets = wrapped.0;
        let (nonce, rest) = octets.split_at_mut(NONCE_LEN);
        let nonce = Nonce::try_assume_unique_for_key(nonce).expect("twelve octets");
        let opened = self.0.open_in_place(nonce, domain_context(domain), rest);
        let opened = opened.map_err(|_| {
            Error::Corrupt(format!("key of domain {domain}: altered, or of another cluster key").into())
        })?;
        let mut key = [0; KEY_OCTETS];
        key.copy_from_slice(opened);
        Ok(DomainKey(Secret::new(key)))
    }
}

/// A domain's key.
pub(super) struct DomainKey(Secret<[u8; KEY_OCTETS]>);

impl DomainKey {
    pub(super) fn random() -> Self {
        Self(random_key())
    }

    /// A new key for the body, and its wrapped form.
    pub(super) fn new_body_key(&self, body: BodyId) -> (BodyKey, WrappedKey) {
        let key = random_key();
        let mut wrapped = [0; WRAPPED_KEY_OCTETS];
        self.kek().wrap(key.expose(), &mut wrapped).expect("32 octets fit AES-KW");
        (BodyKey::new(body, key.expose()), WrappedKey(wrapped))
    }

    /// `Corrupt` where it was wrapped by another key or has been altered.
    pub(super) fn open_body_key(&self, body: BodyId, wrapped: &WrappedKey) -> Result<BodyKey> {
        let mut key = Zeroizing::new([0; KEY_OCTETS]);
        self.kek().unwrap(&wrapped.0, &mut key[..]).map_err(|_| {
            Error::Corrupt(format!("key of body {body}: altered, or of another domain").into())
        })?;
        Ok(BodyKey::new(body, &key))
    }

    fn kek(&self) -> AesKek {
        AesKek::new(&AES_256, self.0.expose()).expect("32 octets are an AES-256 key")
    }
}

/// A body's key, ready to seal or open its frames.
pub(super) struct BodyKey {
    key: LessSafeKey,
    context: [u8; 24],
}

impl BodyKey {
    fn new(body: BodyId, key: &[u8; KEY_OCTETS]) -> Self {
        let mut context = [0; 24];
        context[..8].copy_from_slice(FRAME_CONTEXT);
        context[8..].copy_from_slice(&body.0);
        Self { key: gcm(key), context }
    }

    /// Seals what stands in `out` from `start` on, and appends the tag. Each frame number is sealed
    /// once under a body's key: the caller counts.
    pub(super) fn seal(&self, frame: FrameNumber, out: &mut Vec<u8>, start: usize) {
        let tag =
            self.key.seal_in_place_separate_tag(frame.nonce(), Aad::from(self.context), &mut out[start..]);
        out.extend_from_slice(tag.expect("a frame is within AES-GCM's bound").as_ref());
    }

    /// Opens a sealed frame into `out`, which is as long as what was sealed.
    pub(super) fn open(&self, frame: FrameNumber, sealed: &[u8], out: &mut [u8]) -> Result<()> {
        let corrupt = || Error::Corrupt(format!("frame {} does not open", frame.number).into());
        let (sealed, tag) = sealed.split_last_chunk::<TAG_OCTETS>().ok_or_else(corrupt)?;
        let opened = self.key.open_separate_gather(frame.nonce(), Aad::from(self.context), sealed, tag, out);
        opened.map_err(|_| corrupt())
    }
}

/// A frame's place in its body.
#[derive(Debug, Clone, Copy)]
pub(super) struct FrameNumber {
    pub(super) number: u32,
    pub(super) last: bool,
}

impl FrameNumber {
    fn nonce(self) -> Nonce {
        let mut nonce = [0; NONCE_LEN];
        nonce[7..11].copy_from_slice(&self.number.to_be_bytes());
        nonce[11] = u8::from(self.last);
        Nonce::assume_unique_for_key(nonce)
    }
}

fn domain_context(domain: DomainId) -> Aad<[u8; 16]> {
    let mut context = [0; 16];
    context[..8].copy_from_slice(DOMAIN_CONTEXT);
    context[8..].copy_from_slice(&domain.0.to_be_bytes());
    Aad::from(context)
}

fn gcm(key: &[u8; KEY_OCTETS]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).expect("32 octets are an AES-256 key"))
}

fn random_key() -> Secret<[u8; KEY_OCTETS]> {
    let mut key = [0; KEY_OCTETS];
    fill(&mut key);
    Secret::new(key)
}

fn fill(octets: &mut [u8]) {
    rand::fill(octets).expect("the system gives randomness");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domain_keys_open_only_under_their_cluster_key_and_domain() {
        let cluster = ClusterKey::new(&Secret::new([1; 32]));
        let key = DomainKey::random();
        let wrapped = cluster.wrap(DomainId(7), &key);
        let opened = cluster.unwrap(DomainId(7), &wrapped).expect("own key");
        assert_eq!(opened.0.expose(), key.0.expose());
        assert!(matches!(cluster.unwrap(DomainId(8), &wrapped), Err(Error::Corrupt(_))));
        let other = ClusterKey::new(&Secret::new([2; 32]));
        assert!(matches!(other.unwrap(DomainId(7), &wrapped), Err(Error::Corrupt(_))));
    }

    #[test]
    fn body_keys_open_only_under_their_domain_key() {
        let (domain, other) = (DomainKey::random(), DomainKey::random());
        let (_, wrapped) = domain.new_body_key(BodyId([3; 16]));
        assert!(domain.open_body_key(BodyId([3; 16]), &wrapped).is_ok());
        assert!(matches!(other.open_body_key(BodyId([3; 16]), &wrapped), Err(Error::Corrupt(_))));
    }

    #[test]
    fn frames_open_only_in_their_place() {
        let (key, _) = DomainKey::random().new_body_key(BodyId([3; 16]));
        let mut sealed = b"octets".to_vec();
        let frame = FrameNumber { number: 4, last: false };
        key.seal(frame, &mut sealed, 0);
        for wrong in [FrameNumber { number: 5, ..frame }, FrameNumber { last: true, ..frame }] {
            assert!(key.open(wrong, &sealed, &mut [0; 6]).is_err());
        }
        let mut opened = [0; 6];
        key.open(frame, &sealed, &mut opened).expect("its place");
        assert_eq!(&opened, b"octets");
    }
}
