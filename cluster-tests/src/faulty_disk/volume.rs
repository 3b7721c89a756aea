//! Files and folders in memory. Of each it is known what has been made durable, and what was done since: see
//! `power_loss`. Knows nothing of the kernel, of time, or of what shall fail.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};

use fuser::Errno;
use sterna_storage::volatile_file::VolatileFile;

/// Names a file or folder; never used twice.
pub(super) type Number = u64;

/// The folder that holds all others.
pub(super) const ROOT: Number = 1;

/// What a name stands for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    File,
    Folder,
}

/// A folder.
#[derive(Default)]
pub(super) struct Folder {
    /// As readers see it.
    pub(super) now: BTreeMap<OsString, Number>,
    /// Without the changes of names that are not durable.
    pub(super) durable: BTreeMap<OsString, Number>,
}

/// A change of names.
pub(super) enum NameChange {
    Link(Place, Number),
    Unlink(Place),
    /// One step, also after a power loss.
    Rename(Place, Place, Number),
}

/// A name in a folder.
pub(super) type Place = (Number, OsString);

/// The whole.
pub(super) struct Volume {
    pub(super) files: BTreeMap<Number, VolatileFile>,
    pub(super) folders: BTreeMap<Number, Folder>,
    /// In every folder, oldest first.
    pub(super) unsynced_names: Vec<NameChange>,
    /// Octets that all files together may have; `None` without bound.
    pub(super) capacity: Option<u64>,
    next: Number,
}

impl NameChange {
    /// What a name was given to.
    pub(super) fn number(&self) -> Option<Number> {
        match self {
            Self::Link(_, number) | Self::Rename(_, _, number) => Some(*number),
            Self::Unlink(_) => None,
        }
    }

    fn folders(&self) -> (Number, Number) {
        match self {
            Self::Link((folder, _), _) | Self::Unlink((folder, _)) => (*folder, *folder),
            Self::Rename((from, _), (to, _), _) => (*from, *to),
        }
    }
}

impl Volume {
    pub(super) fn new() -> Self {
        let folders = BTreeMap::from([(ROOT, Folder::default())]);
        let (files, unsynced_names) = (BTreeMap::new(), Vec::new());
        Self { files, folders, unsynced_names, capacity: None, next: ROOT + 1 }
    }

    /// Empties it; numbers go on, so that the kernel takes nothing new for something old.
    pub(super) fn format(&mut self) {
        *self = Self { next: self.next, ..Self::new() };
    }

    pub(super) fn folder(&self, number: Number) -> Result<&Folder, Errno> {
        self.folders.get(&number).ok_or(Errno::ENOENT)
    }

    fn folder_mut(&mut self, number: Number) -> Result<&mut Folder, Errno> {
        self.folders.get_mut(&number).ok_or(Errno::ENOENT)
    }

    pub(super) fn file(&self, number: Number) -> Result<&VolatileFile, Errno> {
        self.files.get(&number).ok_or(Errno::ENOENT)
    }

    fn file_mut(&mut self, number: Number) -> Result<&mut VolatileFile, Errno> {
        self.files.get_mut(&number).ok_or(Errno::ENOENT)
    }

    pub(super) fn lookup(&self, folder: Number, name: &OsStr) -> Result<Number, Errno> {
        self.folder(folder)?.now.get(name).copied().ok_or(Errno::ENOENT)
    }

    /// Makes a file or a folder.
    pub(super) fn create(&mut self, folder: Number, name: &OsStr, kind: Kind) -> Result<Number, Errno> {
        let number = self.next;
        let names = &mut self.folder_mut(folder)?.now;
        if names.contains_key(name) {
            return Err(Errno::EEXIST);
        }
        names.insert(name.to_owned(), number);
        self.next += 1;
        match kind {
            Kind::File => drop(self.files.insert(number, VolatileFile::default())),
            Kind::Folder => drop(self.folders.insert(number, Folder::default())),
        }
        self.unsynced_names.push(NameChange::Link((folder, name.to_owned()), number));
        Ok(number)
    }

    /// Removes a name; what it stood for stays for as long as a power loss can bring the name back.
    pub(super) fn unlink(&mut self, folder: Number, name: &OsStr) -> Result<(), Errno> {
        let number = self.lookup(folder, name)?;
        if self.folders.get(&number).is_some_and(|inner| !inner.now.is_empty()) {
            return Err(Errno::ENOTEMPTY);
        }
        self.folder_mut(folder)?.now.remove(name);
        self.unsynced_names.push(NameChange::Unlink((folder, name.to_owned())));
        Ok(())
    }

    /// Moves a name, over another if that is taken.
    pub(super) fn rename(&mut self, from: (Number, &OsStr), to: (Number, &OsStr)) -> Result<(), Errno> {
        let number = self.lookup(from.0, from.1)?;
        self.folder(to.0)?;
        self.folder_mut(from.0)?.now.remove(from.1);
        self.folder_mut(to.0)?.now.insert(to.1.to_owned(), number);
        let (from, to) = ((from.0, from.1.to_owned()), (to.0, to.1.to_owned()));
        self.unsynced_names.push(NameChange::Rename(from, to, number));
        Ok(())
    }

    /// `ENOSPC` if there is no room, and nothing is written then.
    pub(super) fn write(&mut self, number: Number, offset: usize, octets: &[u8]) -> Result<(), Errno> {
        self.check_room(number, offset + octets.len())?;
        self.file_mut(number)?.write(offset, octets);
        Ok(())
    }

    /// Cuts a file, or lengthens it with zeros.
    pub(super) fn set_length(&mut self, number: Number, octets: usize) -> Result<(), Errno> {
        self.file_mut(number)?.set_length(octets);
        Ok(())
    }

    /// Lengthens a file to what is reserved for it.
    pub(super) fn allocate(&mut self, number: Number, end: usize) -> Result<(), Errno> {
        if self.file(number)?.octets().len() >= end {
            return Ok(());
        }
        self.check_room(number, end)?;
        self.set_length(number, end)
    }

    fn check_room(&self, number: Number, end: usize) -> Result<(), Errno> {
        let more = end.saturating_sub(self.file(number)?.octets().len()) as u64;
        match self.capacity {
            Some(capacity) if more > 0 && self.used() + more > capacity => Err(Errno::ENOSPC),
            _ => Ok(()),
        }
    }

    /// Octets of all files that have a name.
    pub(super) fn used(&self) -> u64 {
        let numbers: BTreeSet<Number> =
            self.folders.values().flat_map(|folder| folder.now.values()).copied().collect();
        let octets = |number: &Number| self.file(*number).map_or(0, |file| file.octets().len() as u64);
        numbers.iter().map(octets).sum()
    }

    /// What was written to the file is durable from now on.
    pub(super) fn sync_file(&mut self, number: Number) -> Result<(), Errno> {
        self.file_mut(number)?.sync();
        Ok(())
    }

    /// A sync failed.
    pub(super) fn fail_to_sync(&mut self, number: Number) {
        if let Ok(file) = self.file_mut(number) {
            file.fail_to_sync();
        }
    }

    /// The folder's names are durable from now on, and of folders that share a rename with it theirs.
    pub(super) fn sync_folder(&mut self, folder: Number) -> Result<(), Errno> {
        self.folder(folder)?;
        let mut folders = BTreeSet::from([folder]);
        for change in &self.unsynced_names {
            let (from, to) = change.folders();
            if folders.contains(&from) || folders.contains(&to) {
                folders.extend([from, to]);
            }
        }
        let all = std::mem::take(&mut self.unsynced_names);
        for change in all {
            if folders.contains(&change.folders().0) {
                self.make_durable(&change);
            } else {
                self.unsynced_names.push(change);
            }
        }
        Ok(())
    }

    pub(super) fn make_durable(&mut self, change: &NameChange) {
        let mut names =
            |folder: Number, apply: &dyn Fn(&mut BTreeMap<OsString, Number>) -> Option<Number>| {
                if let Ok(folder) = self.folder_mut(folder) {
                    apply(&mut folder.durable);
                }
            };
        match change {
            NameChange::Link((folder, name), number) => {
                names(*folder, &|names| names.insert(name.clone(), *number));
            }
            NameChange::Unlink((folder, name)) => names(*folder, &|names| names.remove(name)),
            NameChange::Rename((from, old), (to, new), number) => {
                names(*from, &|names| names.remove(old));
                names(*to, &|names| names.insert(new.clone(), *number));
            }
        }
    }
}
