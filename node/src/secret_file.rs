//! Files that are made once, whole or not at all. Most of them only the server's own user may read: the admin token, the
//! cluster key, private keys.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sterna_storage::folder;
use sterna_storage::types::Secret;
use zeroize::Zeroizing;

/// Writes a new secret file, whole or not at all: it appears under its name once it is on the disk.
pub fn create(path: &Path, content: &[u8]) -> io::Result<()> {
    write_whole(path, content, 0o600)
}

/// The same for what is no secret: a certificate.
pub fn create_public(path: &Path, content: &[u8]) -> io::Result<()> {
    write_whole(path, content, 0o644)
}

fn write_whole(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let partial = path.with_extension("partial");
    match fs::remove_file(&partial) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&partial)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&partial, path)?;
    folder::sync(folder::above(path))
}

/// Makes the data folder. Only the server's own user may look into a folder that is made here.
pub fn make_folder(path: &Path) -> io::Result<()> {
    folder::make(folder::above(path))?;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    // Nothing in it is durable before its own name is.
    folder::make(path)
}

/// Keeps the key of a cluster that this node has joined; fails if the file has another one.
pub fn keep_cluster_key(path: &Path, key: &Secret<[u8; 32]>) -> io::Result<()> {
    if !path.exists() {
        return create(path, Zeroizing::new(STANDARD.encode(key.expose())).as_bytes());
    }
    if known_cluster_key(path)?.expose() == key.expose() {
        return Ok(());
    }
    let other = format!("{} holds another cluster's key", path.display());
    Err(io::Error::new(io::ErrorKind::AlreadyExists, other))
}

/// Reads the cluster key, base64 of 32 octets; makes one if there is none. Whoever loses it loses all
/// message bodies, and whoever has it and the bodies can read them.
pub fn cluster_key(path: &Path) -> io::Result<Secret<[u8; 32]>> {
    match known_cluster_key(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let key = Secret::new(rand::random());
            keep_cluster_key(path, &key)?;
            Ok(key)
        }
        known => known,
    }
}

/// Reads the cluster key; a cluster's is never made anew.
pub fn known_cluster_key(path: &Path) -> io::Result<Secret<[u8; 32]>> {
    let text = Zeroizing::new(fs::read_to_string(path)?);
    // Whoever made it may have been killed before its name was on the disk.
    folder::sync(folder::above(path))?;
    let invalid = || io::Error::new(io::ErrorKind::InvalidData, "not a cluster key: base64 of 32 octets");
    let octets = Zeroizing::new(STANDARD.decode(text.trim()).map_err(|_| invalid())?);
    Ok(Secret::new(octets.as_slice().try_into().map_err(|_| invalid())?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_key_is_made_once_and_never_replaced() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("cluster.key");
        let key = cluster_key(&path).expect("made");
        assert_eq!(cluster_key(&path).expect("read").expose(), key.expose());
        keep_cluster_key(&path, &key).expect("the same");
        assert!(keep_cluster_key(&path, &Secret::new([1; 32])).is_err(), "another");
        fs::write(&path, "AAAA").expect("written");
        assert!(cluster_key(&path).is_err());
        assert_eq!(fs::read_to_string(&path).expect("there"), "AAAA");
    }

    #[test]
    fn what_a_killed_writer_left_is_replaced_and_never_seen() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("self-signed.pem");
        let partial = path.with_extension("partial");
        fs::write(&partial, "-----BEGIN CERTIF").expect("written");
        assert!(!path.exists());
        create_public(&path, b"whole").expect("made");
        assert_eq!(fs::read(&path).expect("there"), b"whole");
        assert!(!partial.exists());
    }
}
