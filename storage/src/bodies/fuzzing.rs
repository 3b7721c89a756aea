//! What must hold of whatever the body store reads back, from the store and from the bucket.

use bytes::Bytes;

use super::crypt::{DomainKey, FrameNumber};
use super::frame::{self, FRAME_OCTETS};
use super::objects::ObjectName;
use super::record::{self, BodyRecord, SegmentRecord, Upload};
use super::segment::{self, TRAILER_OCTETS, Trailer};
use super::{domains, keys};
use crate::Result;
use crate::fuzzing::{Check, stable};
use crate::migrate::{copied_object, upload_of};
use crate::types::BodyId;

pub(crate) const CHECKS: &[Check] = &[body, segment, upload, reference, footer, domain_key, frame];

fn body(octets: &Bytes) -> Result<()> {
    let header = BodyRecord::decode(octets)?.header;
    assert_eq!(header.frames.len(), frame::frame_count(header.size));
    stable(octets, |octets| Ok(BodyRecord::decode(octets)?.encode()))
}

fn segment(octets: &Bytes) -> Result<()> {
    stable(octets, |octets| Ok(SegmentRecord::decode(octets)?.encode()))
}

fn upload(octets: &Bytes) -> Result<()> {
    stable(octets, |octets| Ok(Upload::decode(octets)?.encode()))
}

fn reference(octets: &Bytes) -> Result<()> {
    stable(octets, |octets| keys::reference_of(octets).map(|(body, owner)| keys::reference(body, owner)))
}

/// The key of an object that a move has copied, or copies: one of [`crate::migrate`]'s checks.
pub(crate) fn noted(octets: &Bytes) -> Result<()> {
    stable(octets, |octets| {
        let name = ObjectName::noted(octets)?;
        let upload = upload_of(|key| name.behind(key));
        assert_eq!(ObjectName::noted(&upload).expect("own key"), name);
        Ok(copied_object(|key| name.behind(key)))
    })
}

/// The octets as a footer, with a trailer that vouches for them, as all octets in an object whose trailer is
/// right; and as footer and trailer both.
fn footer(octets: &Bytes) -> Result<()> {
    let whole = |object: &[u8]| {
        let at = object.len().checked_sub(TRAILER_OCTETS).ok_or_else(|| record::corrupt("short object"))?;
        let trailer = Trailer::decode(&object[at..])?;
        let start = at.checked_sub(trailer.footer_octets).ok_or_else(|| record::corrupt("short object"))?;
        trailer.decode_footer(&object[start..at])
    };
    let Some((count, footer)) = octets.split_last() else { return Ok(()) };
    let trailer = Trailer::for_footer(footer, usize::from(*count));
    let entries = trailer.decode_footer(footer).or_else(|_| whole(octets))?;
    let again = segment::encode_footer(entries.iter());
    assert_eq!(whole(&again).expect("own form"), entries);
    Ok(())
}

fn domain_key(octets: &Bytes) -> Result<()> {
    domains::decode_copy(octets).map(|_| ())
}

/// The octets as what was sealed: the codec, then as many octets of plaintext as are expected.
fn frame(octets: &Bytes) -> Result<()> {
    let Some((expected, encoded)) = octets.split_first_chunk::<2>() else { return Ok(()) };
    let expected = usize::from(u16::from_be_bytes(*expected));
    let encoded = &encoded[..encoded.len().min(FRAME_OCTETS)];
    let (key, _) = DomainKey::random().new_body_key(BodyId([9; 16]));
    let (place, mut sealed) = (FrameNumber { number: 3, last: true }, encoded.to_vec());
    key.seal(place, &mut sealed, 0);
    let plain = frame::open(&key, place, &sealed, expected)?;
    assert_eq!(plain.len(), expected);
    Ok(())
}
