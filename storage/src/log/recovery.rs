//! Opening a log: what its files hold, up to where it is whole. A torn tail is cut; where something synced is lost it is
//! not opened.

use std::path::Path;
use std::sync::Arc;

use super::files::{self, File, FileSystem};
use super::segment::{self, Recovered, SEGMENT_HEADER_OCTETS};
use super::writer::{Current, Segment, Segments};
use crate::{Error, Result};

/// Reads all files, those wholly before `first_needed` excepted.
pub(super) fn recover_all(files: &dyn FileSystem, folder: &Path, first_needed: u64) -> Result<Segments> {
    let names = files.list(folder)?;
    let mut firsts: Vec<u64> = names.iter().filter_map(|name| segment::first_index_of(name)).collect();
    firsts.sort_unstable();
    if firsts.is_empty() && first_needed > 1 {
        return Err(Error::Corrupt(format!("log is empty, needed from {first_needed}").into()));
    }
    let live_from = firsts.partition_point(|first| *first <= first_needed).saturating_sub(1);
    let mut segments = Segments {
        list: Vec::with_capacity(firsts.len()),
        first_index: first_needed,
        last_index: first_needed.saturating_sub(1),
        last_term: 0,
    };
    for (at, first_index) in firsts.iter().copied().enumerate() {
        let file = files.open(&segment::path(folder, first_index), false)?;
        if at < live_from {
            let (offsets, end) = (Vec::new(), file.length()?);
            segments.list.push(Segment { first_index, file, offsets, end, is_retained: true });
            continue;
        }
        let is_first = at == live_from;
        if !is_first && first_index != segments.last_index + 1 {
            let gap = format!("log: entry {first_index} follows {}", segments.last_index);
            return Err(Error::Corrupt(gap.into()));
        }
        let Recovered { offsets, end, last_term, .. } = recover(&file, first_index, at + 1 == firsts.len())?;
        if is_first {
            segments.first_index = first_index;
        }
        segments.last_index = (first_index + offsets.len() as u64).saturating_sub(1);
        segments.last_term = segments.last_term.max(last_term);
        segments.list.push(Segment { first_index, file, offsets, end, is_retained: false });
    }
    if segments.first_index > first_needed || segments.last_index + 1 < first_needed {
        let text =
            format!("log has {}..={}, needed from {first_needed}", segments.first_index, segments.last_index);
        return Err(Error::Corrupt(text.into()));
    }
    Ok(segments)
}

/// Reads one file. What the last one holds and may not have been synced is written again: after a sync that failed the
/// system takes it for written, and would write nothing. [`reopen_last`] makes it durable.
fn recover(file: &Arc<dyn File>, first_index: u64, is_last: bool) -> Result<Recovered> {
    let mut octets = vec![0; file.length()? as usize];
    file.read_at(&mut octets, 0)?;
    let recovered = segment::recover(&octets, first_index, is_last)?;
    if is_last {
        file.write_at(&octets[recovered.synced as usize..recovered.end as usize], recovered.synced)?;
    }
    Ok(recovered)
}

/// Cuts the last file's tail, durably, before anything is appended: what lies there must never be taken
/// for an entry later.
pub(super) fn reopen_last(
    system: &dyn FileSystem,
    folder: &Path,
    segment_octets: u64,
    segments: &mut Segments,
) -> Result<Option<Current>> {
    let Some(last) = segments.list.last().filter(|last| !last.is_retained).cloned() else { return Ok(None) };
    if last.end < SEGMENT_HEADER_OCTETS as u64 {
        segments.list.pop();
        system.remove(&segment::path(folder, last.first_index))?;
        system.sync_folder(folder)?;
        return reopen_last(system, folder, segment_octets, segments);
    }
    let allocated = segment_octets.max(last.end);
    files::clear_behind(&*last.file, last.end, allocated)?;
    let Segment { first_index, file, end, .. } = last;
    Ok(Some(Current { first_index, file, end, synced: end, allocated, is_unmarked: true }))
}
