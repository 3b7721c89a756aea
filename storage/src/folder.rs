//! Folders that are still there after a power loss. Whoever makes a file makes its own name durable; who makes
//! a folder uses this.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use crate::{Error, Result};

/// Makes a folder and those above it that are missing. When this returns its name is on the disk, also if it was
/// there before: whoever made it may have been killed before its name was.
pub fn make(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return sync(above(path));
    }
    match above(path) {
        parent if parent == Path::new(".") => {}
        parent => make(parent)?,
    }
    match fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    sync(above(path))
}

/// Makes the names in a folder durable.
pub fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// The folder that holds the path's last name.
pub fn above(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Keeps other processes out for as long as the file is open. `Unavailable` if one has it.
pub fn lock(path: &Path) -> Result<File> {
    let lock = fs::OpenOptions::new().create(true).truncate(false).write(true).open(path.join("lock"))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(fs::TryLockError::WouldBlock) => {
            Err(Error::Unavailable(format!("{} is open in another process", path.display()).into()))
        }
        Err(fs::TryLockError::Error(error)) => Err(error.into()),
    }
}
