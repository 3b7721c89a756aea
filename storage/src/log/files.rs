//! What the log needs of a file system, and the real one. Tests put another one beneath that drops and
//! reorders unsynced writes, is full, or fails to sync.

use std::fs;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use crate::folder;

/// A folder tree.
pub trait FileSystem: Send + Sync + 'static {
    /// Opens a file for reading and writing, made anew (it must not exist) or as it is.
    fn open(&self, path: &Path, create_new: bool) -> io::Result<Arc<dyn File>>;
    /// The names in a folder, in no order.
    fn list(&self, folder: &Path) -> io::Result<Vec<String>>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes a folder and those above it, durably.
    fn create_folder(&self, path: &Path) -> io::Result<()>;
    /// Makes the folder's list of names durable.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;
}

/// An open file.
pub trait File: Send + Sync + 'static {
    /// Reads up to the buffer's length; fewer octets only at the file's end.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes all octets.
    fn write_at(&self, octets: &[u8], offset: u64) -> io::Result<()>;
    /// Cuts the file, or lengthens it with zeros.
    fn set_len(&self, octets: u64) -> io::Result<()>;
    /// Reserves space up to a length that the file then has; fails where the disk is full.
    fn allocate(&self, octets: u64) -> io::Result<()>;
    /// Its length.
    fn length(&self) -> io::Result<u64>;
    /// Makes what was written durable, and of the metadata what is needed to read it back.
    fn sync_data(&self) -> io::Result<()>;
}

/// The operating system's.
#[derive(Debug, Default)]
pub struct RealFiles;

/// Makes all that follows `end` zeros, up to `length` and durably, so that nothing of it is ever taken for an entry. Room
/// for them is reserved if there is any.
pub(super) fn clear_behind(file: &dyn File, end: u64, length: u64) -> io::Result<()> {
    file.set_len(end)?;
    if let Err(error) = file.allocate(length) {
        tracing::warn!(%error, "no room to preallocate a log file");
        file.set_len(length)?;
    }
    file.sync_data()
}

impl FileSystem for RealFiles {
    fn open(&self, path: &Path, create_new: bool) -> io::Result<Arc<dyn File>> {
        let file = fs::OpenOptions::new().read(true).write(true).create_new(create_new).open(path)?;
        Ok(Arc::new(file))
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let names = fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
        names.collect()
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        folder::make(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        folder::sync(path)
    }
}

impl File for fs::File {
    fn read_at(&self, mut buffer: &mut [u8], mut offset: u64) -> io::Result<usize> {
        let wanted = buffer.len();
        while !buffer.is_empty() {
            match FileExt::read_at(self, buffer, offset) {
                Ok(0) => break,
                Ok(count) => {
                    buffer = &mut buffer[count..];
                    offset += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(wanted - buffer.len())
    }

    fn write_at(&self, octets: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(octets, offset)
    }

    fn set_len(&self, octets: u64) -> io::Result<()> {
        fs::File::set_len(self, octets)
    }

    fn allocate(&self, octets: u64) -> io::Result<()> {
        match rustix::fs::fallocate(self, rustix::fs::FallocateFlags::empty(), 0, octets) {
            Err(rustix::io::Errno::OPNOTSUPP) => fs::File::set_len(self, octets),
            result => Ok(result?),
        }
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn sync_data(&self) -> io::Result<()> {
        fs::File::sync_data(self)
    }
}
