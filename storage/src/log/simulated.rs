//! A file system in memory that loses and reorders what was not synced, is full, or fails to sync.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::files::{File, FileSystem};

/// What a disk tears a write into.
const SECTOR_OCTETS: usize = 512;

/// The disk; clones are the same one.
#[derive(Clone, Default)]
pub struct Disk(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    files: BTreeMap<PathBuf, Content>,
    /// Octets that can still be allocated; `None` without bound.
    room: Option<u64>,
    fails_to_sync: bool,
    is_dead: bool,
}

#[derive(Default, Clone)]
struct Content {
    now: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<Change>,
    is_name_durable: bool,
}

#[derive(Clone)]
enum Change {
    Write(usize, Vec<u8>),
    Length(usize),
}

impl Change {
    fn apply(&self, octets: &mut Vec<u8>) {
        match self {
            Self::Write(offset, written) => {
                let end = offset + written.len();
                octets.resize(octets.len().max(end), 0);
                octets[*offset..end].copy_from_slice(written);
            }
            Self::Length(length) => octets.resize(*length, 0),
        }
    }
}

impl Disk {
    /// What a power loss leaves: of what was not synced any part. The old disk fails from now on.
    pub fn lose_power(&self, seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let mut state = self.0.lock();
        state.is_dead = true;
        let mut files = BTreeMap::new();
        for (path, content) in &state.files {
            if !content.is_name_durable && random.random_bool(0.5) {
                continue;
            }
            let mut octets = content.durable.clone();
            for change in &content.unsynced {
                match change {
                    Change::Write(offset, written) => {
                        for (at, sector) in written.chunks(SECTOR_OCTETS).enumerate() {
                            if random.random_bool(0.5) {
                                Change::Write(offset + at * SECTOR_OCTETS, sector.to_vec())
                                    .apply(&mut octets);
                            }
                        }
                    }
                    // Lengths are metadata, which journals keep in order.
                    Change::Length(_) => change.apply(&mut octets),
                }
            }
            let durable = octets.clone();
            files.insert(
                path.clone(),
                Content { now: octets, durable, unsynced: Vec::new(), is_name_durable: true },
            );
        }
        Self(Arc::new(Mutex::new(State { files, ..State::default() })))
    }

    /// What a kill of the process leaves: all that was written.
    pub fn kill_process(&self) -> Self {
        let mut state = self.0.lock();
        state.is_dead = true;
        Self(Arc::new(Mutex::new(State { files: state.files.clone(), ..State::default() })))
    }

    /// So many octets can still be allocated; any number if `None`.
    pub fn set_room(&self, room: Option<u64>) {
        self.0.lock().room = room;
    }

    /// From now on each sync fails.
    pub fn set_fails_to_sync(&self) {
        self.0.lock().fails_to_sync = true;
    }

    /// Changes a file behind the log's back.
    pub fn damage(&self, change: impl FnOnce(&mut Vec<Vec<u8>>)) {
        let mut state = self.0.lock();
        let mut contents: Vec<Vec<u8>> = state.files.values().map(|content| content.now.clone()).collect();
        change(&mut contents);
        for (content, octets) in state.files.values_mut().zip(contents) {
            content.durable.clone_from(&octets);
            content.now = octets;
        }
    }

    fn with<T>(&self, body: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.0.lock();
        if state.is_dead { Err(io::Error::other("no power")) } else { body(&mut state) }
    }
}

struct Handle {
    disk: Disk,
    path: PathBuf,
}

impl Handle {
    fn with<T>(&self, body: impl FnOnce(&mut Content, &mut Option<u64>) -> io::Result<T>) -> io::Result<T> {
        self.disk.with(|state| {
            let content = state.files.get_mut(&self.path).ok_or(io::ErrorKind::NotFound)?;
            body(content, &mut state.room)
        })
    }

    fn change(&self, change: Change) -> io::Result<()> {
        self.with(|content, room| {
            let mut after = content.now.clone();
            change.apply(&mut after);
            let more = after.len().saturating_sub(content.now.len()) as u64;
            if let Some(room) = room {
                *room = room.checked_sub(more).ok_or(io::ErrorKind::StorageFull)?;
            }
            content.now = after;
            content.unsynced.push(change);
            Ok(())
        })
    }
}

impl FileSystem for Disk {
    fn open(&self, path: &Path, create_new: bool) -> io::Result<Arc<dyn File>> {
        self.with(|state| {
            if state.files.contains_key(path) == create_new {
                let kind = if create_new { io::ErrorKind::AlreadyExists } else { io::ErrorKind::NotFound };
                return Err(kind.into());
            }
            state.files.entry(path.to_path_buf()).or_default();
            Ok(())
        })?;
        Ok(Arc::new(Handle { disk: self.clone(), path: path.to_path_buf() }))
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        self.with(|state| {
            let inside = state.files.keys().filter(|path| path.parent() == Some(folder));
            Ok(inside.filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned())).collect())
        })
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.with(|state| state.files.remove(path).map(|_| ()).ok_or_else(|| io::ErrorKind::NotFound.into()))
    }

    fn create_folder(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.with(|state| {
            let inside = state.files.iter_mut().filter(|(path, _)| path.parent() == Some(folder));
            inside.for_each(|(_, content)| content.is_name_durable = true);
            Ok(())
        })
    }
}

impl File for Handle {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.with(|content, _| {
            let rest = content.now.get(offset as usize..).unwrap_or_default();
            let count = rest.len().min(buffer.len());
            buffer[..count].copy_from_slice(&rest[..count]);
            Ok(count)
        })
    }

    fn write_at(&self, octets: &[u8], offset: u64) -> io::Result<()> {
        self.change(Change::Write(offset as usize, octets.to_vec()))
    }

    fn set_len(&self, octets: u64) -> io::Result<()> {
        self.change(Change::Length(octets as usize))
    }

    fn allocate(&self, octets: u64) -> io::Result<()> {
        let length = self.length()?;
        self.change(Change::Length(octets.max(length) as usize))
    }

    fn length(&self) -> io::Result<u64> {
        self.with(|content, _| Ok(content.now.len() as u64))
    }

    fn sync_data(&self) -> io::Result<()> {
        if self.disk.with(|state| Ok(state.fails_to_sync))? {
            return Err(io::Error::other("medium error"));
        }
        self.with(|content, _| {
            content.durable.clone_from(&content.now);
            content.unsynced.clear();
            Ok(())
        })
    }
}
