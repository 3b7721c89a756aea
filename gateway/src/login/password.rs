//! Passwords: how they are prepared, hashed and checked. Hashing is slow on purpose, so it happens on
//! a bounded number of threads with a bounded queue before them.

use std::sync::Arc;

use argon2::password_hash::{Output, PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use icu_normalizer::ComposingNormalizerBorrowed;
use sterna_storage::types::Secret;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use crate::limits;

/// What a hash costs: OWASP's recommendation for argon2id unless configured otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HashCost {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes over the memory.
    pub passes: u32,
}

impl Default for HashCost {
    fn default() -> Self {
        Self { memory_kib: 19 << 10, passes: 2 }
    }
}

/// Why a password was neither hashed nor checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Too many wait already. Try again later.
    #[error("too many password checks are waiting")]
    Busy,
    /// It cannot be a password: empty, too long, or with control characters.
    #[error("a password is 1 to {} octets of text without control characters", limits::PASSWORD_OCTETS)]
    Unusable,
    /// The costs asked for are no valid ones.
    #[error("invalid costs of a password hash")]
    Cost,
}

/// The form in which a password is hashed and compared: the OpaqueString profile (RFC 8265 §4.2), which
/// replaces the SASLprep of RFC 4616: all spaces are one, canonical composition, no control characters.
/// Then the same password typed on another keyboard is the same octets.
pub fn prepare(password: &str) -> Result<Secret<String>, PasswordError> {
    if password.is_empty() || password.len() > limits::PASSWORD_OCTETS {
        return Err(PasswordError::Unusable);
    }
    if password.chars().any(char::is_control) {
        return Err(PasswordError::Unusable);
    }
    if password.is_ascii() {
        return Ok(Secret::new(password.to_owned()));
    }
    let space = |character: char| if is_space(character) { ' ' } else { character };
    let spaced: Zeroizing<String> = Zeroizing::new(password.chars().map(space).collect());
    Ok(Secret::new(ComposingNormalizerBorrowed::new_nfc().normalize(&spaced).into_owned()))
}

/// Unicode's general category Zs.
fn is_space(character: char) -> bool {
    matches!(
        character,
        ' ' | '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}'
    )
}

/// Whether a stored hash can be checked here, at a cost within [`limits::PASSWORD_HASH_MEMORY_KIB`] and
/// [`limits::PASSWORD_HASH_PASSES`]: for hashes that come from elsewhere.
pub fn is_usable_hash(hash: &str) -> bool {
    PasswordHash::new(hash).is_ok_and(|hash| is_usable(&hash))
}

fn is_usable(hash: &PasswordHash<'_>) -> bool {
    Algorithm::try_from(hash.algorithm).is_ok()
        && hash.hash.is_some()
        && Params::try_from(hash).is_ok_and(|params| {
            params.m_cost() <= limits::PASSWORD_HASH_MEMORY_KIB
                && params.t_cost() <= limits::PASSWORD_HASH_PASSES
        })
}

/// Who asks for a check. Those who guess come as strangers; however many they are, those who are known are not
/// held up by them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asker {
    /// Has logged in from there before, or is an administrator.
    Known,
    /// Anybody.
    Stranger,
}

/// Hashes and checks passwords; cheap to clone.
#[derive(Clone)]
pub struct Passwords {
    /// One permit per check under way or waiting, for those who are known.
    known: Arc<Semaphore>,
    /// The same for strangers.
    strangers: Arc<Semaphore>,
    /// One permit per stranger that may stand among the known in the line for a thread.
    turns: Arc<Semaphore>,
    /// One permit per thread that hashes.
    running: Arc<Semaphore>,
    params: Params,
    /// Checked in place of the hash that an unknown account has not, so that it costs the same time.
    decoy: Arc<Secret<String>>,
}

impl Passwords {
    /// With as many threads as `workers`, at most one per core.
    pub fn new(cost: HashCost, workers: usize) -> Result<Self, PasswordError> {
        let params = Params::new(cost.memory_kib, cost.passes, 1, None).map_err(|_| PasswordError::Cost)?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let workers = workers.clamp(1, cores);
        Ok(Self {
            known: Arc::new(Semaphore::new(limits::PASSWORD_CHECKS_WAITING + workers)),
            strangers: Arc::new(Semaphore::new(limits::PASSWORD_CHECKS_WAITING + workers)),
            turns: Arc::new(Semaphore::new(workers)),
            running: Arc::new(Semaphore::new(workers)),
            decoy: Arc::new(Secret::new(decoy(&params)?)),
            params,
        })
    }

    /// The hash of a new password, as a PHC string.
    pub async fn hash(&self, password: &str) -> Result<Secret<String>, PasswordError> {
        let password = prepare(password)?;
        let params = self.params.clone();
        self.run(Asker::Known, move || {
            let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
            let salt = salt()?;
            let hash = argon2.hash_password(password.expose().as_bytes(), &salt);
            Ok(Secret::new(hash.map_err(|_| PasswordError::Cost)?.to_string()))
        })
        .await?
    }

    /// Whether the prepared password is the one of the hash. Without a hash it never is, and takes as long.
    pub async fn check(
        &self,
        hash: Option<Secret<String>>,
        prepared: Secret<String>,
        asker: Asker,
    ) -> Result<bool, PasswordError> {
        let decoy = self.decoy.clone();
        self.run(asker, move || match &hash {
            Some(hash) if is_usable_hash(hash.expose()) => is_right(hash, &prepared),
            _ => {
                is_right(&decoy, &prepared);
                false
            }
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        asker: Asker,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, PasswordError> {
        let waiting = if asker == Asker::Known { &self.known } else { &self.strangers };
        let admitted = waiting.clone().try_acquire_owned().map_err(|_| PasswordError::Busy)?;
        let turn = match asker {
            Asker::Known => None,
            Asker::Stranger => {
                Some(self.turns.clone().acquire_owned().await.map_err(|_| PasswordError::Busy)?)
            }
        };
        let running = self.running.clone().acquire_owned().await.map_err(|_| PasswordError::Busy)?;
        let task = tokio::task::spawn_blocking(move || {
            let result = work();
            drop((running, turn, admitted));
            result
        });
        task.await.map_err(|_| PasswordError::Busy)
    }
}

fn is_right(hash: &Secret<String>, prepared: &Secret<String>) -> bool {
    let Ok(hash) = PasswordHash::new(hash.expose()) else { return false };
    Argon2::default().verify_password(prepared.expose().as_bytes(), &hash).is_ok()
}

fn salt() -> Result<SaltString, PasswordError> {
    SaltString::encode_b64(&rand::random::<[u8; 16]>()).map_err(|_| PasswordError::Cost)
}

/// A hash of nothing that anybody could know.
fn decoy(params: &Params) -> Result<String, PasswordError> {
    let salt = salt()?;
    let hash = PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: params.try_into().map_err(|_| PasswordError::Cost)?,
        salt: Some(salt.as_salt()),
        hash: Some(Output::new(&rand::random::<[u8; 32]>()).map_err(|_| PasswordError::Cost)?),
    };
    Ok(hash.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cheap() -> Passwords {
        Passwords::new(HashCost { memory_kib: 64, passes: 1 }, 2).expect("valid costs")
    }

    #[tokio::test]
    async fn hashes_check() {
        let passwords = cheap();
        let hash = passwords.hash("correct horse").await.expect("hash");
        assert!(hash.expose().starts_with("$argon2id$v=19$m=64,t=1,p=1$"));
        let check = async |hash: Option<&Secret<String>>, password: &str| {
            let prepared = prepare(password).expect("usable");
            passwords.check(hash.cloned(), prepared, Asker::Stranger).await.expect("not busy")
        };
        assert!(check(Some(&hash), "correct horse").await);
        assert!(!check(Some(&hash), "Correct horse").await);
        assert!(!check(None, "correct horse").await);
        let garbage = Secret::new("$1$abc$def".to_owned());
        assert!(!check(Some(&garbage), "correct horse").await);
    }

    #[test]
    fn passwords_are_prepared_as_rfc_8265_says() {
        let prepared = |password: &str| prepare(password).map(|password| password.expose().clone());
        assert_eq!(prepared("a\u{308}\u{3000}b"), Ok("\u{e4} b".into()));
        assert_eq!(prepared("a\u{308}\u{3000}b"), prepared("\u{e4} b"));
        for bad in ["", "a\0b", "a\nb", &"x".repeat(limits::PASSWORD_OCTETS + 1)] {
            assert_eq!(prepared(bad), Err(PasswordError::Unusable));
        }
    }

    #[test]
    fn costly_or_foreign_hashes_are_refused() {
        let of = |cost: &str| format!("$argon2id$v=19${cost}$c29tZXNhbHQ$RdescudvJCsgt3ub+b4dWRWJTmaaJObG");
        assert!(is_usable_hash(&of("m=65536,t=2,p=1")));
        assert!(!is_usable_hash(&of("m=4194304,t=2,p=1")));
        assert!(!is_usable_hash(&of("m=65536,t=1000,p=1")));
        assert!(!is_usable_hash("$2b$12$abcdefghijklmnopqrstuv"));
        assert!(!is_usable_hash("plain"));
    }

    #[tokio::test]
    async fn too_many_at_once_are_told_so() {
        let passwords = cheap();
        let prepared = prepare("x").expect("usable");
        let check = |asker| Box::pin(passwords.check(None, prepared.clone(), asker));
        let all = passwords.strangers.available_permits() as u32;
        assert!(all > limits::PASSWORD_CHECKS_WAITING as u32);
        let held = passwords.strangers.clone().acquire_many_owned(all).await.expect("open");
        assert_eq!(check(Asker::Stranger).await, Err(PasswordError::Busy));
        assert_eq!(check(Asker::Known).await, Ok(false), "strangers do not crowd out who is known");
        drop(held);
        assert_eq!(check(Asker::Stranger).await, Ok(false));
    }

    #[tokio::test]
    async fn who_is_known_goes_before_strangers_that_came_earlier() {
        use futures::StreamExt as _;
        use futures::stream::FuturesUnordered;

        let passwords = Passwords::new(HashCost { memory_kib: 64, passes: 1 }, 1).expect("valid costs");
        let prepared = prepare("x").expect("usable");
        let held = passwords.running.clone().acquire_owned().await.expect("open");
        let asked = FuturesUnordered::new();
        let askers = std::iter::repeat_n(Asker::Stranger, 20).chain([Asker::Known]);
        for asker in askers {
            let check = passwords.check(None, prepared.clone(), asker);
            let mut check = Box::pin(async move { check.await.map(|_| asker) });
            // Each is in its place before the next one comes.
            assert!(futures::poll!(&mut check).is_pending());
            asked.push(check);
        }
        drop(held);
        let served: Vec<Asker> = asked.map(|served| served.expect("not busy")).collect().await;
        let place = served.iter().position(|asker| *asker == Asker::Known);
        assert!(place.is_some_and(|place| place <= 2), "it was served as number {place:?}");
    }
}
