//! A body's octets in frames of 64 KiB: each compressed where that helps, then sealed. A range of a
//! body is read and verified by the frames that it touches alone.
//!
//! What is sealed: one octet that names the codec, then the frame's octets in that codec.

use std::cell::RefCell;

use bytes::Bytes;
use zstd::bulk::{Compressor, Decompressor};

use super::crypt::{BodyKey, FrameNumber, TAG_OCTETS};
use crate::{Error, Result};

/// Plaintext of every frame but the last, in octets.
pub(super) const FRAME_OCTETS: usize = 64 * 1024;
/// What a frame takes beyond its octets in their codec.
pub(super) const FRAME_OVERHEAD_OCTETS: usize = 1 + TAG_OCTETS;
/// Longest sealed frame.
pub(super) const SEALED_FRAME_OCTETS: usize = FRAME_OCTETS + FRAME_OVERHEAD_OCTETS;

const RAW: u8 = 0;
const ZSTD: u8 = 1;
/// Mail is mostly text: the fastest level takes most of what there is to gain.
const ZSTD_LEVEL: i32 = 1;
/// Below this many octets zstd's own header eats what it saves.
const COMPRESS_FROM_OCTETS: usize = 64;
/// After a frame that did not shrink, this many are stored as they are before it is tried again.
const TRIAL_PAUSE: u32 = 7;

thread_local! {
    static COMPRESSOR: RefCell<Compressor<'static>> =
        RefCell::new(Compressor::new(ZSTD_LEVEL).expect("level 1 is valid"));
    static DECOMPRESSOR: RefCell<Decompressor<'static>> =
        RefCell::new(Decompressor::new().expect("no dictionary to refuse"));
    // Where frames are opened before they are decompressed; as long as the longest yet.
    static OPENED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// How many frames a body of `size` octets has: at least one, so that emptiness is authenticated too.
pub(super) fn frame_count(size: u64) -> usize {
    usize::try_from(size.div_ceil(FRAME_OCTETS as u64).max(1)).unwrap_or(usize::MAX)
}

/// Plaintext octets of frame `number` of a body of `size` octets.
pub(super) fn plain_octets(size: u64, number: u32) -> usize {
    let start = u64::from(number) * FRAME_OCTETS as u64;
    size.saturating_sub(start).min(FRAME_OCTETS as u64) as usize
}

/// Seals the frames of one body, in order.
pub(super) struct Sealer {
    key: BodyKey,
    next: u32,
    // Frames still to be stored as they are before compression is tried again.
    pause: u32,
}

impl Sealer {
    pub(super) fn new(key: BodyKey) -> Self {
        Self { key, next: 0, pause: 0 }
    }

    /// Appends the next frame to `out` and gives its sealed length. Every frame but the last holds
    /// [`FRAME_OCTETS`].
    pub(super) fn seal(&mut self, plain: &[u8], last: bool, out: &mut Vec<u8>) -> u32 {
        debug_assert!(last || plain.len() == FRAME_OCTETS, "only the last frame may be short");
        let start = out.len();
        self.encode(plain, out);
        self.key.seal(FrameNumber { number: self.next, last }, out, start);
        self.next += 1;
        (out.len() - start) as u32
    }

    fn encode(&mut self, plain: &[u8], out: &mut Vec<u8>) {
        out.reserve(plain.len() + FRAME_OVERHEAD_OCTETS);
        if self.pause > 0 {
            self.pause -= 1;
        } else if compress(plain, out) {
            return;
        } else if plain.len() == FRAME_OCTETS {
            self.pause = TRIAL_PAUSE;
        }
        out.push(RAW);
        out.extend_from_slice(plain);
    }
}

/// Appends `plain` compressed, if that saves at least a sixteenth; else leaves `out` alone.
fn compress(plain: &[u8], out: &mut Vec<u8>) -> bool {
    if plain.len() < COMPRESS_FROM_OCTETS {
        return false;
    }
    let start = out.len();
    out.push(ZSTD);
    out.resize(start + 1 + plain.len() - plain.len() / 16, 0);
    let length = COMPRESSOR.with_borrow_mut(|zstd| zstd.compress_to_buffer(plain, &mut out[start + 1..]));
    match length {
        Ok(length) => {
            out.truncate(start + 1 + length);
            true
        }
        Err(_) => {
            out.truncate(start);
            false
        }
    }
}

/// Opens one sealed frame whose plaintext is `plain_octets` long. Allocates no more than that, whatever the frame
/// claims.
pub(super) fn open(key: &BodyKey, frame: FrameNumber, sealed: &[u8], plain_octets: usize) -> Result<Bytes> {
    let wrong_length = || Error::Corrupt(format!("frame {} has a wrong length", frame.number).into());
    let length = sealed.len().checked_sub(TAG_OCTETS).ok_or_else(wrong_length)?;
    OPENED.with_borrow_mut(|opened| {
        if opened.len() < length {
            opened.resize(length, 0);
        }
        let opened = &mut opened[..length];
        key.open(frame, sealed, opened)?;
        match opened.split_first() {
            Some((&RAW, rest)) if rest.len() == plain_octets => Ok(Bytes::copy_from_slice(rest)),
            Some((&ZSTD, rest)) => {
                let mut plain = Vec::with_capacity(plain_octets);
                let written =
                    DECOMPRESSOR.with_borrow_mut(|zstd| zstd.decompress_to_buffer(rest, &mut plain));
                if written.is_ok() && plain.len() == plain_octets {
                    Ok(plain.into())
                } else {
                    Err(wrong_length())
                }
            }
            Some((&RAW, _)) => Err(wrong_length()),
            _ => Err(Error::Corrupt(format!("frame {} is of an unknown codec", frame.number).into())),
        }
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::bodies::crypt::DomainKey;
    use crate::types::BodyId;

    const BODY: BodyId = BodyId([9; 16]);

    fn seal_all(plain: &[u8]) -> (BodyKey, Vec<u8>, Vec<u32>) {
        let domain = DomainKey::random();
        let (key, wrapped) = domain.new_body_key(BODY);
        let mut sealer = Sealer::new(key);
        let (mut out, mut lengths) = (Vec::new(), Vec::new());
        let count = frame_count(plain.len() as u64);
        for number in 0..count {
            let start = number * FRAME_OCTETS;
            let chunk = &plain[start..plain.len().min(start + FRAME_OCTETS)];
            lengths.push(sealer.seal(chunk, number + 1 == count, &mut out));
        }
        (domain.open_body_key(BODY, &wrapped).expect("own key"), out, lengths)
    }

    fn open_all(key: &BodyKey, sealed: &[u8], lengths: &[u32], size: u64) -> Result<Vec<u8>> {
        let (mut plain, mut at) = (Vec::new(), 0);
        for (number, length) in lengths.iter().enumerate() {
            let frame = FrameNumber { number: number as u32, last: number + 1 == lengths.len() };
            let end = at + *length as usize;
            plain.extend_from_slice(&open(key, frame, &sealed[at..end], plain_octets(size, frame.number))?);
            at = end;
        }
        Ok(plain)
    }

    fn octets() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..2000),
            (proptest::collection::vec(any::<u8>(), 1..300), 0..1000usize)
                .prop_map(|(pattern, times)| pattern.repeat(times)),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn what_was_sealed_opens(plain in octets()) {
            let (key, sealed, lengths) = seal_all(&plain);
            prop_assert_eq!(open_all(&key, &sealed, &lengths, plain.len() as u64).expect("opens"), plain);
        }

        #[test]
        fn a_flipped_bit_is_corrupt(plain in octets(), at in any::<prop::sample::Index>(), bit in 0..8u8) {
            let (key, mut sealed, lengths) = seal_all(&plain);
            let at = at.index(sealed.len());
            sealed[at] ^= 1 << bit;
            let opened = open_all(&key, &sealed, &lengths, plain.len() as u64);
            prop_assert!(matches!(opened, Err(Error::Corrupt(_))));
        }
    }

    #[test]
    fn text_shrinks_and_noise_grows_by_the_overhead_alone() {
        let (_, sealed, _) = seal_all(&b"Received: from here by there\r\n".repeat(100));
        assert!(sealed.len() < 300);
        let noise: Vec<u8> = (0..FRAME_OCTETS * 3).map(|_| rand::random()).collect();
        let (_, sealed, lengths) = seal_all(&noise);
        assert_eq!(sealed.len(), noise.len() + lengths.len() * FRAME_OVERHEAD_OCTETS);
    }

    #[test]
    fn a_frame_that_claims_another_length_is_corrupt() {
        let (key, sealed, _) = seal_all(&b"ab".repeat(500));
        let frame = FrameNumber { number: 0, last: true };
        for claimed in [999, 1001, 0] {
            assert!(matches!(open(&key, frame, &sealed, claimed), Err(Error::Corrupt(_))));
        }
    }
}
