//! The kernel's requests, answered from a volume. Nothing is cached in the kernel: each read and write comes here.

use std::ffi::OsStr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use fuser::{
    BsdFileFlags, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo,
    KernelConfig, LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory,
    ReplyEmpty, ReplyEntry, ReplyOpen, ReplyStatfs, ReplyWrite, Request, TimeOrNow, WriteFlags,
};
use parking_lot::Mutex;

use super::disk::State;
use super::plan::{Action, Failure};
use super::volume::{Kind, Number, Volume};

/// How long the kernel may rely on an answer.
const LIFE: Duration = Duration::ZERO;
/// Most octets of one write request.
const WRITE_OCTETS: u32 = 1 << 20;
/// What statfs tells where there is no bound.
const BOUNDLESS_OCTETS: u64 = 1 << 40;
/// The unit in which statfs tells.
const BLOCK_OCTETS: u32 = 4096;

/// What serves one mount.
pub(super) struct Server(pub(super) Arc<Mutex<State>>);

impl Server {
    /// Reads: not counted, but there is no power without power.
    fn look<T>(&self, body: impl FnOnce(&Volume) -> Result<T, Errno>) -> Result<T, Errno> {
        let state = self.0.lock();
        state.check_power()?;
        body(state.volume())
    }

    fn act<T>(&self, action: Action, body: impl FnOnce(&mut Volume) -> Result<T, Errno>) -> Result<T, Errno> {
        self.0.lock().act(action, |volume, failure| match failure {
            None => body(volume),
            Some(Failure::Error(error) | Failure::Short(error)) => Err(error),
        })
    }

    fn create(&self, folder: INodeNo, name: &OsStr, action: Action, kind: Kind) -> Result<FileAttr, Errno> {
        let made = self.act(action, |volume| {
            let number = volume.create(folder.0, name, kind)?;
            attributes(volume, number)
        })?;
        self.0.lock().note_made(folder.0, name, &made);
        Ok(made)
    }

    fn remove(&self, folder: INodeNo, name: &OsStr) -> Result<(), Errno> {
        self.act(Action::Remove, |volume| volume.unlink(folder.0, name))?;
        self.0.lock().note_removed(folder.0);
        Ok(())
    }

    fn write_some(&self, number: Number, offset: u64, octets: &[u8]) -> Result<u32, Errno> {
        self.0.lock().act(Action::Write, |volume, failure| {
            let octets = match failure {
                None => octets,
                Some(Failure::Short(_)) if octets.len() > 1 => &octets[..octets.len() / 2],
                Some(Failure::Short(error) | Failure::Error(error)) => return Err(error),
            };
            volume.write(number, offset as usize, octets)?;
            Ok(octets.len() as u32)
        })
    }

    fn sync(&self, number: Number) -> Result<(), Errno> {
        self.0.lock().act(Action::Sync, |volume, failure| match failure {
            None => volume.sync_file(number),
            Some(Failure::Error(error) | Failure::Short(error)) => {
                volume.fail_to_sync(number);
                Err(error)
            }
        })
    }
}

fn attributes(volume: &Volume, number: Number) -> Result<FileAttr, Errno> {
    let (kind, size, perm) = match volume.file(number) {
        Ok(file) => (FileType::RegularFile, file.octets().len() as u64, 0o644),
        Err(_) => volume.folder(number).map(|_| (FileType::Directory, 0, 0o755))?,
    };
    let time = SystemTime::UNIX_EPOCH;
    Ok(FileAttr {
        ino: INodeNo(number),
        size,
        blocks: size.div_ceil(512),
        atime: time,
        mtime: time,
        ctime: time,
        crtime: time,
        kind,
        perm,
        nlink: 1,
        uid: rustix::process::geteuid().as_raw(),
        gid: rustix::process::getegid().as_raw(),
        rdev: 0,
        blksize: BLOCK_OCTETS,
        flags: 0,
    })
}

fn tell_empty(reply: ReplyEmpty, outcome: Result<(), Errno>) {
    match outcome {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(error),
    }
}

fn tell_entry(reply: ReplyEntry, outcome: Result<FileAttr, Errno>) {
    match outcome {
        Ok(found) => reply.entry(&LIFE, &found, Generation(0)),
        Err(error) => reply.error(error),
    }
}

fn tell_attributes(reply: ReplyAttr, outcome: Result<FileAttr, Errno>) {
    match outcome {
        Ok(found) => reply.attr(&LIFE, &found),
        Err(error) => reply.error(error),
    }
}

impl Filesystem for Server {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> std::io::Result<()> {
        // It may grant less; then there are more requests.
        let _ = config.set_max_write(WRITE_OCTETS);
        Ok(())
    }

    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        tell_entry(reply, self.look(|volume| attributes(volume, volume.lookup(parent.0, name)?)));
    }

    fn getattr(&self, _: &Request, number: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        tell_attributes(reply, self.look(|volume| attributes(volume, number.0)));
    }

    fn setattr(
        &self,
        _: &Request,
        number: INodeNo,
        _: Option<u32>,
        _: Option<u32>,
        _: Option<u32>,
        size: Option<u64>,
        _: Option<TimeOrNow>,
        _: Option<TimeOrNow>,
        _: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let outcome = match size {
            None => self.look(|volume| attributes(volume, number.0)),
            Some(octets) => self.act(Action::SetLength, |volume| {
                volume.set_length(number.0, octets as usize)?;
                attributes(volume, number.0)
            }),
        };
        tell_attributes(reply, outcome);
    }

    fn mkdir(&self, _: &Request, parent: INodeNo, name: &OsStr, _: u32, _: u32, reply: ReplyEntry) {
        tell_entry(reply, self.create(parent, name, Action::CreateFolder, Kind::Folder));
    }

    fn create(&self, _: &Request, parent: INodeNo, name: &OsStr, _: u32, _: u32, _: i32, reply: ReplyCreate) {
        match self.create(parent, name, Action::Create, Kind::File) {
            Ok(made) => {
                reply.created(&LIFE, &made, Generation(0), FileHandle(0), FopenFlags::FOPEN_DIRECT_IO);
            }
            Err(error) => reply.error(error),
        }
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        tell_empty(reply, self.remove(parent, name));
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        tell_empty(reply, self.remove(parent, name));
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        new_parent: INodeNo,
        new_name: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        if !flags.is_empty() {
            return reply.error(Errno::EINVAL);
        }
        let rename = |volume: &mut Volume| volume.rename((parent.0, name), (new_parent.0, new_name));
        tell_empty(reply, self.act(Action::Rename, rename));
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        reply.opened(FileHandle(0), FopenFlags::FOPEN_DIRECT_IO);
    }

    fn read(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let read = self.look(|volume| {
            let rest = volume.file(number.0)?.octets().get(offset as usize..).unwrap_or_default();
            Ok(rest[..rest.len().min(size as usize)].to_vec())
        });
        match read {
            Ok(octets) => reply.data(&octets),
            Err(error) => reply.error(error),
        }
    }

    fn write(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: u64,
        octets: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match self.write_some(number.0, offset, octets) {
            Ok(written) => reply.written(written),
            Err(error) => reply.error(error),
        }
    }

    fn fsync(&self, _: &Request, number: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        tell_empty(reply, self.sync(number.0));
    }

    fn fsyncdir(&self, _: &Request, number: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        tell_empty(reply, self.act(Action::SyncFolder, |volume| volume.sync_folder(number.0)));
    }

    fn fallocate(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        if mode != 0 {
            return reply.error(Errno::EOPNOTSUPP);
        }
        let end = (offset + length) as usize;
        tell_empty(reply, self.act(Action::Allocate, |volume| volume.allocate(number.0, end)));
    }

    fn readdir(&self, _: &Request, number: INodeNo, _: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let listed = self.look(|volume| {
            let names = volume.folder(number.0)?.now.iter();
            names
                .map(|(name, inner)| Ok((name.clone(), attributes(volume, *inner)?)))
                .collect::<Result<Vec<_>, _>>()
        });
        match listed {
            Ok(entries) => {
                for (at, (name, found)) in (1..).zip(&entries).skip(offset as usize) {
                    if reply.add(found.ino, at, found.kind, name) {
                        break;
                    }
                }
                reply.ok();
            }
            Err(error) => reply.error(error),
        }
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        let (capacity, used) = {
            let state = self.0.lock();
            (state.volume().capacity.unwrap_or(BOUNDLESS_OCTETS), state.volume().used())
        };
        let blocks = |octets: u64| octets / u64::from(BLOCK_OCTETS);
        let free = blocks(capacity.saturating_sub(used));
        reply.statfs(blocks(capacity), free, free, 1 << 20, 1 << 20, BLOCK_OCTETS, 255, BLOCK_OCTETS);
    }
}
