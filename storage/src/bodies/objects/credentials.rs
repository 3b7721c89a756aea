//! What proves to an object store who asks: from the environment, from a file, or from the machine itself.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use object_store::CredentialProvider;
use object_store::aws::AwsCredential;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::types::Secret;
use crate::{Error, Result};

/// How long what a file says is used before it is read again: so long after a rotation the former key is used.
const READ_EVERY: Duration = Duration::from_secs(60);
/// Longest file of credentials, in octets.
const FILE_OCTETS: u64 = 64 * 1024;

/// Secrets by their lower-case names.
pub(super) type Secrets = HashMap<String, Secret<String>>;

/// The variables of the environment with these names, as far as they are set.
pub(super) fn of_environment(names: &[&str]) -> Secrets {
    let named = |name: &&str| Some((name.to_ascii_lowercase(), Secret::new(std::env::var(name).ok()?)));
    names.iter().filter_map(named).collect()
}

/// What a file says in lines of `name = value`, in no section or in `[default]`: as AWS's own tools write it, and as
/// a list of variables is written.
pub(super) fn of_file(path: &Path) -> Result<Secrets> {
    let wrong = |what: String| Error::Invalid(format!("{}: {what}", path.display()).into());
    let length = std::fs::metadata(path).map_err(|error| wrong(error.to_string()))?.len();
    if length > FILE_OCTETS {
        return Err(wrong(format!("is longer than {FILE_OCTETS} octets")));
    }
    let text = Secret::new(std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?);
    Ok(parsed(text.expose()))
}

fn parsed(text: &str) -> Secrets {
    let (mut secrets, mut counts) = (Secrets::new(), true);
    for line in text.lines().map(str::trim) {
        if let Some(section) = line.strip_prefix('[') {
            counts = section.trim_end_matches(']').trim() == "default";
        } else if let Some((name, value)) = line.split_once('=')
            && counts
            && !line.starts_with(['#', ';'])
        {
            let value = value.trim().trim_matches('"').to_owned();
            secrets.insert(name.trim().to_ascii_lowercase(), Secret::new(value));
        }
    }
    secrets
}

/// The key pair among the secrets, and the session's token if there is one.
pub(super) fn key_pair(secrets: &Secrets, source: &str) -> Result<AwsCredential> {
    let find = |name: &str| secrets.get(name).map(|secret| secret.expose().clone());
    let missing = |name: &str| Error::Invalid(format!("{source}: there is no {name}").into());
    Ok(AwsCredential {
        key_id: find("aws_access_key_id").ok_or_else(|| missing("aws_access_key_id"))?,
        secret_key: find("aws_secret_access_key").ok_or_else(|| missing("aws_secret_access_key"))?,
        token: find("aws_session_token"),
    })
}

/// A key pair in a file, which may be rotated while the server runs.
pub(super) struct KeyFile {
    path: PathBuf,
    read: Mutex<(Instant, Arc<AwsCredential>)>,
}

impl KeyFile {
    /// Reads it a first time.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let read = key_pair(&of_file(path)?, &path.display().to_string())?;
        Ok(Self { path: path.to_owned(), read: Mutex::new((Instant::now(), Arc::new(read))) })
    }

    /// The pair, read again if it is old.
    async fn pair(&self, now: Instant) -> Arc<AwsCredential> {
        let (since, pair) = self.read.lock().clone();
        if now.saturating_duration_since(since) < READ_EVERY {
            return pair;
        }
        let path = self.path.clone();
        let reading = tokio::task::spawn_blocking(move || {
            of_file(&path).and_then(|secrets| key_pair(&secrets, &path.display().to_string()))
        });
        let pair = match reading.await {
            Ok(Ok(pair)) => Arc::new(pair),
            // The former one may still be right; half a file is not.
            Ok(Err(error)) => {
                tracing::warn!(%error, "the object store's credentials cannot be read again");
                pair
            }
            Err(_) => pair,
        };
        *self.read.lock() = (now, pair.clone());
        pair
    }
}

impl std::fmt::Debug for KeyFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyFile").field("path", &self.path).finish_non_exhaustive()
    }
}

#[async_trait]
impl CredentialProvider for KeyFile {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        Ok(self.pair(Instant::now()).await)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_both_styles_are_read() {
        let ini = "# of the bucket\n[other]\naws_access_key_id = no\n[default]\naws_access_key_id = id\n\
                   aws_secret_access_key=a=b/c+\"\n";
        let pair = key_pair(&parsed(ini), "file").expect("whole");
        assert_eq!((pair.key_id.as_str(), pair.secret_key.as_str(), pair.token), ("id", "a=b/c+", None));
        let variables = "AWS_ACCESS_KEY_ID=id\nAWS_SECRET_ACCESS_KEY=\"key\"\nAWS_SESSION_TOKEN=t\n";
        let pair = key_pair(&parsed(variables), "file").expect("whole");
        assert_eq!((pair.secret_key.as_str(), pair.token.as_deref()), ("key", Some("t")));
        let wrong = match key_pair(&parsed("aws_access_key_id = id"), "x") {
            Ok(_) => panic!("half a pair is taken"),
            Err(error) => error.to_string(),
        };
        assert!(wrong.contains("x: there is no aws_secret_access_key"), "{wrong}");
    }

    #[tokio::test]
    async fn a_file_that_is_rotated_is_read_again() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let write = |key: &str| {
            let text = format!("aws_access_key_id = id\naws_secret_access_key = {key}\n");
            std::fs::write(file.path(), text).expect("written");
        };
        write("one");
        let keys = KeyFile::open(file.path()).expect("whole");
        write("two");
        assert_eq!(keys.get_credential().await.expect("there").secret_key, "one");
        let later = Instant::now() + READ_EVERY;
        assert_eq!(keys.pair(later).await.secret_key, "two");
        std::fs::write(file.path(), "aws_access_key_id = id\n").expect("written");
        assert_eq!(keys.pair(later + READ_EVERY).await.secret_key, "two", "the half is left alone");
        assert!(!format!("{keys:?}").contains("two"));
    }
}
