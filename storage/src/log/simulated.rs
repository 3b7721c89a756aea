//! A file system in memory that loses and reorders what was not synced, is full, or fails to sync.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::files::{File, FileSystem};
use crate::volatile_file::{Loss, VolatileFile};

/// The disk; clones are the same one.
#[derive(Clone, Default)]
pub struct Disk(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// Made, durably.
    folders: BTreeSet<PathBuf>,
    files: BTreeMap<PathBuf, Named>,
    /// Files removed since their folder was synced.
    removed: BTreeMap<PathBuf, Named>,
    /// Octets that can still be allocated; `None` without bound.
    room: Option<u64>,
    fails_to_sync: bool,
    /// The next longer write takes so many octets, and fails.
    cuts_write_at: Option<usize>,
    /// It fails for good after so many steps more.
    steps_left: Option<usize>,
    is_dead: bool,
}

#[derive(Default, Clone)]
struct Named {
    file: VolatileFile,
    is_name_durable: bool,
}

impl Disk {
    /// What a power loss leaves: of what was not synced any part. The old disk fails from now on.
    pub fn lose_power(&self, seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let loss = Loss::random(&mut random);
        let mut state = self.0.lock();
        state.is_dead = true;
        let mut files = BTreeMap::new();
        let removed = state.removed.iter().filter(|(path, _)| !state.files.contains_key(*path));
        for (path, named) in state.files.iter().chain(removed) {
            let may_be_gone = !named.is_name_durable || !state.files.contains_key(path);
            if may_be_gone && random.random_bool(0.5) {
                continue;
            }
            let mut file = named.file.clone();
            file.lose(&loss, &mut random);
            files.insert(path.clone(), Named { file, is_name_durable: true });
        }
        let folders = state.folders.clone();
        Self(Arc::new(Mutex::new(State { folders, files, ..State::default() })))
    }

    /// What a kill of the process leaves: all that was written.
    pub fn kill_process(&self) -> Self {
        let mut state = self.0.lock();
        state.is_dead = true;
        let (folders, files, removed) = (state.folders.clone(), state.files.clone(), state.removed.clone());
        Self(Arc::new(Mutex::new(State { folders, files, removed, ..State::default() })))
    }

    /// Whatever is asked of it waits until this is dropped.
    pub fn hold(&self) -> impl Sized + '_ {
        self.0.lock()
    }

    /// So many octets can still be allocated; any number if `None`.
    pub fn set_room(&self, room: Option<u64>) {
        self.0.lock().room = room;
    }

    /// From now on each sync fails.
    pub fn set_fails_to_sync(&self) {
        self.0.lock().fails_to_sync = true;
    }

    /// The next write of more than so many octets takes only these, and fails; none does if `None`.
    pub fn cut_next_write(&self, octets: Option<usize>) {
        self.0.lock().cuts_write_at = octets;
    }

    /// Whatever is asked of it fails after so many steps more, as if the power went.
    pub fn die_after(&self, steps: usize) {
        self.0.lock().steps_left = Some(steps);
    }

    /// Removes a file behind the log's back.
    pub fn lose_file(&self, path: &Path) {
        self.0.lock().files.remove(path);
    }

    /// Changes a file behind the log's back.
    pub fn damage(&self, change: impl FnOnce(&mut Vec<Vec<u8>>)) {
        let mut state = self.0.lock();
        let mut contents: Vec<Vec<u8>> =
            state.files.values().map(|named| named.file.octets().to_vec()).collect();
        change(&mut contents);
        for (named, octets) in state.files.values_mut().zip(contents) {
            named.file = VolatileFile::durable(octets);
        }
    }

    fn with<T>(&self, body: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.0.lock();
        if let Some(left) = &mut state.steps_left {
            match left.checked_sub(1) {
                Some(fewer) => *left = fewer,
                None => state.is_dead = true,
            }
        }
        if state.is_dead { Err(io::Error::other("no power")) } else { body(&mut state) }
    }
}

struct Handle {
    disk: Disk,
    path: PathBuf,
}

impl Handle {
    fn with<T>(&self, body: impl FnOnce(&mut VolatileFile) -> T) -> io::Result<T> {
        self.disk.with(|state| {
            let named = state.files.get_mut(&self.path).ok_or(io::ErrorKind::NotFound)?;
            Ok(body(&mut named.file))
        })
    }

    /// A full disk writes nothing of what needs room.
    fn take_room(&self, end: u64) -> io::Result<()> {
        let more = end.saturating_sub(self.length()?);
        self.disk.with(|state| {
            if let Some(room) = &mut state.room {
                *room = room.checked_sub(more).ok_or(io::ErrorKind::StorageFull)?;
            }
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
            if create_new {
                state.files.insert(path.to_path_buf(), Named::default());
            }
            Ok(())
        })?;
        Ok(Arc::new(Handle { disk: self.clone(), path: path.to_path_buf() }))
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        self.with(|state| {
            if !state.folders.contains(folder) {
                return Err(io::ErrorKind::NotFound.into());
            }
            let inside = state.files.keys().filter(|path| path.parent() == Some(folder));
            Ok(inside.filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned())).collect())
        })
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.with(|state| {
            let named = state.files.remove(path).ok_or(io::ErrorKind::NotFound)?;
            state.removed.insert(path.to_path_buf(), named);
            Ok(())
        })
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        self.with(|state| {
            state.folders.insert(path.to_path_buf());
            Ok(())
        })
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.with(|state| {
            let inside = state.files.iter_mut().filter(|(path, _)| path.parent() == Some(folder));
            inside.for_each(|(_, named)| named.is_name_durable = true);
            state.removed.retain(|path, _| path.parent() != Some(folder));
            Ok(())
        })
    }
}

impl File for Handle {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.with(|file| {
            let rest = file.octets().get(offset as usize..).unwrap_or_default();
            let count = rest.len().min(buffer.len());
            buffer[..count].copy_from_slice(&rest[..count]);
            count
        })
    }

    fn write_at(&self, octets: &[u8], offset: u64) -> io::Result<()> {
        let cut = self.disk.with(|state| Ok(state.cuts_write_at.take_if(|cut| *cut < octets.len())))?;
        let taken = &octets[..cut.unwrap_or(octets.len())];
        self.take_room(offset + taken.len() as u64)?;
        self.with(|file| file.write(offset as usize, taken))?;
        cut.map_or(Ok(()), |_| Err(io::Error::other("medium error")))
    }

    fn set_len(&self, octets: u64) -> io::Result<()> {
        self.with(|file| file.set_length(octets as usize))
    }

    fn allocate(&self, octets: u64) -> io::Result<()> {
        self.take_room(octets)?;
        self.with(|file| file.set_length(file.octets().len().max(octets as usize)))
    }

    fn length(&self) -> io::Result<u64> {
        self.with(|file| file.octets().len() as u64)
    }

    fn sync_data(&self) -> io::Result<()> {
        if self.disk.with(|state| Ok(state.fails_to_sync))? {
            self.with(VolatileFile::fail_to_sync)?;
            return Err(io::Error::other("medium error"));
        }
        self.with(VolatileFile::sync)
    }
}
