//! The admin API's token: a file that only the server's own user may read.

use std::path::Path;
use std::{fs, io};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sterna_storage::types::Secret;

use crate::secret_file;

/// Reads the token; makes one of 256 random bits, mode 0600, if there is none.
pub fn load_or_create(path: &Path) -> io::Result<Secret<String>> {
    match load(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            secret_file::create(path, URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>()).as_bytes())?;
            load(path)
        }
        loaded => loaded,
    }
}

/// Reads the token.
pub fn load(path: &Path) -> io::Result<Secret<String>> {
    let token = fs::read_to_string(path)?.trim().to_owned();
    match token.len() {
        0..16 => Err(io::Error::new(io::ErrorKind::InvalidData, "a token has at least 16 characters")),
        _ => Ok(Secret::new(token)),
    }
}

/// Whether two tokens are the same, in a time that tells only whether their lengths are.
pub fn is_same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |differences, (a, b)| differences | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_token_is_made_once_and_for_its_owner_only() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("admin.token");
        let token = load_or_create(&path).expect("made");
        assert_eq!(token.expose().len(), 43);
        assert_eq!(load_or_create(&path).expect("read").expose(), token.expose());
        let mode = fs::metadata(&path).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::write(&path, "short\n").expect("written");
        assert!(load_or_create(&path).is_err(), "never replaced");
    }

    #[test]
    fn tokens_compare_whole() {
        assert!(is_same(b"abc", b"abc") && is_same(b"", b""));
        assert!(!is_same(b"abc", b"abd") && !is_same(b"abc", b"ab") && !is_same(b"", b"a"));
    }
}
