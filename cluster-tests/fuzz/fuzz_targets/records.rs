//! Everything that is stored and read back: any octets are an error or a value, a value comes back from its own
//! stored form, and reading takes no more memory than the octets justify.
//!
//! Input: one octet that names the decoder, then what it reads.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use sterna_fuzz::{memory, wire};
use sterna_gateway::deliver::envelope::Envelope;
use sterna_gateway::message::Summary;
use sterna_storage::Result;
use sterna_storage::fuzzing::{self, Check};
use sterna_storage::kv::record::Record;

/// Those above the storage floor; the places of those below follow.
const ABOVE: [Check; 2] = [envelope, summary];

fuzz_target!(|input: &[u8]| {
    let Some(([which], octets)) = wire::settings::<1>(input) else { return };
    let octets = Bytes::copy_from_slice(octets);
    let checks = [&ABOVE[..], &fuzzing::checks()].concat();
    let check = checks[usize::from(which) % checks.len()];
    // The widest of decoded values is some hundred octets for one on the disk; a frame is as long as it says.
    let bound = 512 * octets.len() + (512 << 10);
    memory::bounded(bound, || fuzzing::check(check, &octets));
});

fn envelope(octets: &Bytes) -> Result<()> {
    let envelope = Envelope::decode(octets)?;
    assert_eq!(Envelope::decode(&envelope.encode()).expect("own form"), envelope);
    Ok(())
}

fn summary(octets: &Bytes) -> Result<()> {
    let summary = Summary::decode(octets)?;
    if let Some(again) = summary.encode() {
        assert_eq!(Summary::decode(&again).expect("own form"), summary);
    }
    Ok(())
}
