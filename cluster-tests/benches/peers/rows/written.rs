//! Octets written to disk for each octet of mail: messages of 20 kB, counted until the server has put nothing off.
//!
//! The server's figure is the kernel's count of what its processes caused to be written; the disk's own count holds
//! everybody's writes and the file system's journal. What a run leaves for later is in the next one's figure; the
//! last run ends when nothing is left.

use anyhow::Result;

use super::Stage;
use super::deliver::{Parcel, deliver};
use super::stage::SPREAD;
use crate::client::text::Kind;
use crate::host::disk;
use crate::host::process::written_octets;

const OCTETS: usize = 20_000;

pub(super) fn measure(stage: &mut Stage<'_>) -> Result<()> {
    for (kind, key) in [(Kind::Text, "compress-text"), (Kind::Attachment, "compress-attachment")] {
        let times = stage.library.compressibility(kind, OCTETS)?;
        stage.book.record(key, stage.server.name(), times, None);
    }
    measure_kind(stage, Kind::Text, ["written-text", "written-text-disk"])?;
    measure_kind(stage, Kind::Attachment, ["written-attachment", "written-attachment-disk"])
}

fn measure_kind(stage: &mut Stage<'_>, kind: Kind, keys: [&'static str; 2]) -> Result<()> {
    let users: Vec<usize> = (SPREAD..SPREAD + stage.options.sizes.spread).collect();
    let roots = stage.server.roots();
    stage.settle_fully();
    rustix::fs::sync();
    let mut left = stage.options.runs;
    stage.runs(|stage| {
        let before = (written_octets(&roots), disk::written_octets(&stage.options.folder)?);
        let meter = stage.meter();
        let delivered = deliver(stage, &users, Parcel { kind, octets: OCTETS, connections: 64 })?;
        left -= 1;
        if left == 0 {
            stage.settle_fully();
        } else {
            stage.settle();
        }
        rustix::fs::sync();
        let written = written_octets(&roots) - before.0;
        let by_disk = disk::written_octets(&stage.options.folder)? - before.1;
        let load = meter.read();
        stage.record(keys[0], written as f64 / delivered.octets as f64, load);
        stage.record(keys[1], by_disk as f64 / delivered.octets as f64, load);
        Ok(())
    })
}
