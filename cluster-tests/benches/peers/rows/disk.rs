//! The disk's own limit, in the folder in which the servers write and in the same run.

use std::time::Duration;

use anyhow::Result;

use super::Stage;
use crate::book::OWN;
use crate::host::disk::durable_writes;

pub(super) fn measure(stage: &mut Stage<'_>) -> Result<()> {
    stage.settle();
    let time = if stage.options.is_quick { Duration::from_millis(100) } else { Duration::from_secs(1) };
    for (key, threads) in [("disk-1", 1), ("disk-16", 16), ("disk-64", 64)] {
        let meter = stage.meter();
        let rate = durable_writes(&stage.options.folder, threads, time)?;
        let load = meter.read();
        // It is no server's figure: that of each server's turn is one run.
        stage.book.record(key, OWN, rate, Some(load));
    }
    Ok(())
}
