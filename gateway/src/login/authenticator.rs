//! From credentials to an account: throttled first, hashed then, remembered for minutes.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use moka::future::Cache;
use parking_lot::Mutex;
use serde::Deserialize;
use sterna_storage::directory::{Account, Directory};
use sterna_storage::types::Secret;

use super::network::{Network, source_of};
use super::password::{Asker, HashCost, PasswordError, Passwords, prepare};
use super::sasl::Credentials;
use super::throttle::{Attempt, Key, Outcome, Throttle, Verdict};
use crate::limits;

/// Settings of logins.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LoginConfig {
    /// Networks in which many people share an address (a webmail server, a balancer): failures are
    /// counted there per login only.
    pub shared_sources: Vec<Network>,
    /// Memory of a password hash in KiB.
    pub hash_memory_kib: u32,
    /// Passes of a password hash over that memory.
    pub hash_passes: u32,
    /// Threads that hash; never more than there are cores.
    pub hash_threads: usize,
}

impl Default for LoginConfig {
    fn default() -> Self {
        let cost = HashCost::default();
        Self {
            shared_sources: Vec::new(),
            hash_memory_kib: cost.memory_kib,
            hash_passes: cost.passes,
            hash_threads: 64,
        }
    }
}

/// Why somebody is not logged in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LoginError {
    /// Wrong login or password, or not allowed to act as whom the client named. Which it was is not said.
    #[error("wrong login or password")]
    Invalid,
    /// Too many failures; the password was not looked at (`[UNAVAILABLE]`, `454 4.7.0`).
    #[error("too many failed logins")]
    Locked {
        /// When it may be tried again.
        retry_after: Duration,
    },
    /// The password was right, and the account is disabled.
    #[error("the account is disabled")]
    Disabled,
    /// The check could not be made; try again later (`[UNAVAILABLE]`, `454 4.7.0`).
    #[error("logins are not possible at the moment")]
    Unavailable,
}

/// Checks who is connecting; cheap to clone. One per node, so that failures of all protocols count
/// together.
#[derive(Clone)]
pub struct Authenticator {
    shared: Arc<Shared>,
}

struct Shared {
    directory: Directory,
    passwords: Passwords,
    throttle: Mutex<Throttle>,
    /// Fingerprints of what was right. They contain the account's password hash: once that is changed,
    /// no fingerprint matches any more.
    remembered: Cache<[u8; 32], ()>,
    /// Keys all fingerprints, and lives as long as the process.
    key: [u8; 32],
    shared_sources: Vec<Network>,
}

/// What is needed to check one try.
#[derive(Clone)]
struct Claim {
    account: Option<Arc<Account>>,
    prepared: Secret<String>,
    fingerprint: [u8; 32],
    attempt: Attempt,
}

impl Authenticator {
    /// Over the directory's accounts.
    pub fn new(directory: Directory, config: &LoginConfig) -> Result<Self, PasswordError> {
        let cost = HashCost { memory_kib: config.hash_memory_kib, passes: config.hash_passes };
        let remembered = Cache::builder()
            .max_capacity(limits::LOGINS_REMEMBERED)
            .time_to_live(limits::LOGIN_REMEMBERED)
            .build();
        let shared = Shared {
            directory,
            passwords: Passwords::new(cost, config.hash_threads)?,
            throttle: Mutex::new(Throttle::new()),
            remembered,
            key: rand::random(),
            shared_sources: config.shared_sources.clone(),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Hashes new passwords in the same bounded pool.
    pub fn passwords(&self) -> &Passwords {
        &self.shared.passwords
    }

    /// The account of the login (an address, or a bare name of the default domain), if the password is its
    /// own. A check that has begun is finished and counted even if the caller gives up.
    pub async fn verify(
        &self,
        login: &str,
        password: &Secret<String>,
        source: IpAddr,
    ) -> Result<Arc<Account>, LoginError> {
        let claim = self.claim(login, password, source).await?;
        let (verdict, is_known) = {
            let (mut throttle, now) = (self.shared.throttle.lock(), Instant::now());
            (throttle.begin(claim.attempt, now), throttle.is_known(claim.attempt, now))
        };
        let asker = if is_known { Asker::Known } else { Asker::Stranger };
        match verdict {
            Verdict::Go => {}
            Verdict::KnownWrong => return Err(LoginError::Invalid),
            Verdict::Locked(retry_after) => return Err(LoginError::Locked { retry_after }),
        }
        if self.shared.remembered.get(&claim.fingerprint).await.is_some() {
            self.shared.finish(claim.attempt, Outcome::Right);
        } else {
            let (shared, claim) = (self.shared.clone(), claim.clone());
            let checked = tokio::spawn(async move { shared.check(&claim, asker).await });
            checked.await.map_err(|_| LoginError::Unavailable)??;
        }
        match claim.account {
            Some(account) if account.enabled => Ok(account),
            Some(_) => Err(LoginError::Disabled),
            None => Err(LoginError::Invalid),
        }
    }

    /// As [`Authenticator::verify`], for what a SASL exchange gave. Acting as another account is allowed
    /// to nobody.
    pub async fn authenticate(
        &self,
        credentials: &Credentials,
        source: IpAddr,
    ) -> Result<Arc<Account>, LoginError> {
        let account = self.verify(&credentials.login, &credentials.password, source).await?;
        let Some(wanted) = &credentials.authorization_id else { return Ok(account) };
        let wanted = self.shared.directory.account_by_login(wanted).await;
        match wanted.map_err(unavailable)? {
            Some(wanted) if wanted.id == account.id => Ok(account),
            _ => Err(LoginError::Invalid),
        }
    }

    async fn claim(
        &self,
        login: &str,
        password: &Secret<String>,
        source: IpAddr,
    ) -> Result<Claim, LoginError> {
        let prepared = prepare(password.expose()).map_err(|_| LoginError::Invalid)?;
        if login.len() > limits::LOGIN_OCTETS {
            return Err(LoginError::Invalid);
        }
        let account = self.shared.directory.account_by_login(login).await.map_err(unavailable)?;
        let whom = match &account {
            Some(account) => account.id.to_string(),
            None => format!("?{}", login.to_lowercase()),
        };
        let hash = account.as_ref().and_then(|account| account.password_hash.as_ref());
        let hash = hash.map_or("", |hash| hash.expose().as_str());
        let fingerprint = self.shared.keyed(&[&whom, hash, prepared.expose()]);
        let is_shared = self.shared.shared_sources.iter().any(|network| network.contains(source));
        let source = source_of(source).to_string();
        let attempt = Attempt {
            pair: short(self.shared.keyed(&[&whom, &source])),
            source: (!is_shared).then(|| short(self.shared.keyed(&[&source]))),
            fingerprint: u64::from_le_bytes(*fingerprint.first_chunk().expect("32 octets hold 8")),
        };
        Ok(Claim { account, prepared, fingerprint, attempt })
    }
}

impl Shared {
    /// Checks the password, once for all who ask the same at the same time, and counts the outcome.
    async fn check(&self, claim: &Claim, asker: Asker) -> Result<(), LoginError> {
        let check = async {
            let hash = claim.account.as_ref().and_then(|account| account.password_hash.clone());
            let checked = self.passwords.check(hash, claim.prepared.clone(), asker).await;
            let (outcome, result) = match checked {
                Ok(true) => (Outcome::Right, Ok(())),
                Ok(false) => (Outcome::Wrong, Err(LoginError::Invalid)),
                Err(_) => (Outcome::Unchecked, Err(LoginError::Unavailable)),
            };
            self.finish(claim.attempt, outcome);
            result
        };
        self.remembered.try_get_with(claim.fingerprint, check).await.map_err(|error| *error)
    }

    fn finish(&self, attempt: Attempt, outcome: Outcome) {
        self.throttle.lock().finish(attempt, outcome, Instant::now());
    }

    fn keyed(&self, parts: &[&str]) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        for part in parts {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
        *hasher.finalize().as_bytes()
    }
}

fn short(hash: [u8; 32]) -> Key {
    *hash.first_chunk().expect("32 octets hold 16")
}

fn unavailable(error: sterna_storage::Error) -> LoginError {
    tracing::warn!(%error, "the directory cannot be read");
    LoginError::Unavailable
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use sterna_storage::directory::{NewAccount, NewDomain};
    use sterna_storage::kv::{Database, Memory};

    use super::*;

    const HOME: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));

    struct Fixture {
        directory: Directory,
        authenticator: Authenticator,
        ann: Arc<Account>,
    }

    impl Fixture {
        /// With ann@a.example, whose password is `right`.
        async fn new() -> Self {
            let directory = Directory::open(Database::new(Memory::new())).await.expect("opens");
            let config = LoginConfig { hash_memory_kib: 64, hash_passes: 1, ..LoginConfig::default() };
            let authenticator = Authenticator::new(directory.clone(), &config).expect("valid costs");
            let domain = "a.example".parse().expect("name");
            directory.create_domain(NewDomain::named(domain)).await.expect("made");
            let hash = authenticator.passwords().hash("right").await.expect("hashes");
            let address = "ann@a.example".parse().expect("address");
            let new = NewAccount { password_hash: Some(hash), ..NewAccount::at(address) };
            let ann = directory.create_account(new, async |_, _| Ok(())).await.expect("made");
            Self { directory, authenticator, ann }
        }

        async fn login(&self, login: &str, password: &str, source: IpAddr) -> Result<(), LoginError> {
            let password = Secret::new(password.to_owned());
            self.authenticator.verify(login, &password, source).await.map(|account| {
                assert_eq!(account.id, self.ann.id);
            })
        }

        async fn update(&self, update: impl Fn(&mut Account) + Send + Sync) {
            let update = |account: &mut Account| {
                update(account);
                Ok(())
            };
            self.directory.update_account(self.ann.id, update).await.expect("updated");
        }
    }

    #[tokio::test]
    async fn the_right_password_logs_in_and_nothing_else_does() {
        let fixture = Fixture::new().await;
        for login in ["ann", "ann@a.example", "ANN@A.example"] {
            assert_eq!(fixture.login(login, "right", HOME).await, Ok(()), "{login}");
        }
        for (login, password) in
            [("ann", "Right"), ("bob", "right"), ("ann@b.example", "right"), ("", "right"), ("ann", "")]
        {
            let refused = fixture.login(login, password, HOME).await;
            assert_eq!(refused, Err(LoginError::Invalid), "{login} {password}");
        }
    }

    #[tokio::test]
    async fn names_that_no_account_can_have_are_not_looked_up() {
        let fixture = Fixture::new().await;
        let longest = format!("{}@a.example", "x".repeat(limits::LOGIN_OCTETS - "@a.example".len()));
        for login in [longest.clone(), longest + "x"] {
            assert_eq!(fixture.login(&login, "right", HOME).await, Err(LoginError::Invalid));
        }
        assert_eq!(
            fixture.authenticator.shared.throttle.lock().failing_pairs(),
            1,
            "the longer one was not tried"
        );
    }

    #[tokio::test]
    async fn the_sixth_wrong_password_meets_a_lock_even_if_it_is_right() {
        let fixture = Fixture::new().await;
        for login in ["ann", "nobody"] {
            for wrong in 0..5 {
                let refused = fixture.login(login, &wrong.to_string(), HOME).await;
                assert_eq!(refused, Err(LoginError::Invalid));
            }
            let refused = fixture.login(login, "right", HOME).await;
            assert!(matches!(refused, Err(LoginError::Locked { .. })), "{login}: {refused:?}");
        }
        assert_eq!(fixture.login("ann", "right", ELSEWHERE).await, Ok(()));
    }

    #[tokio::test]
    async fn a_client_with_an_old_password_locks_nobody_out() {
        let fixture = Fixture::new().await;
        for _ in 0..30 {
            assert_eq!(fixture.login("ann", "old", HOME).await, Err(LoginError::Invalid));
        }
        assert_eq!(fixture.login("ann", "right", HOME).await, Ok(()));
    }

    #[tokio::test]
    async fn a_changed_password_is_in_force_at_once() {
        let fixture = Fixture::new().await;
        assert_eq!(fixture.login("ann", "right", HOME).await, Ok(()));
        assert_eq!(fixture.login("ann", "new", HOME).await, Err(LoginError::Invalid));
        let hash = fixture.authenticator.passwords().hash("new").await.expect("hashes");
        fixture.update(|account| account.password_hash = Some(hash.clone())).await;
        assert_eq!(fixture.login("ann", "right", HOME).await, Err(LoginError::Invalid));
        assert_eq!(fixture.login("ann", "new", HOME).await, Ok(()));
        fixture.update(|account| account.password_hash = None).await;
        assert_eq!(fixture.login("ann", "new", HOME).await, Err(LoginError::Invalid));
    }

    #[tokio::test]
    async fn disabled_is_told_to_the_owner_only() {
        let fixture = Fixture::new().await;
        assert_eq!(fixture.login("ann", "right", HOME).await, Ok(()));
        fixture.update(|account| account.enabled = false).await;
        assert_eq!(fixture.login("ann", "wrong", HOME).await, Err(LoginError::Invalid));
        assert_eq!(fixture.login("ann", "right", HOME).await, Err(LoginError::Disabled));
    }

    #[tokio::test]
    async fn many_connections_of_one_client_are_one_check() {
        let fixture = Fixture::new().await;
        let logins = (0..50).map(|_| fixture.login("ann", "right", HOME));
        let results = futures::future::join_all(logins).await;
        assert!(results.iter().all(Result::is_ok), "{results:?}");
        let guesses: Vec<String> = (0..50).map(|guess| guess.to_string()).collect();
        let logins = guesses.iter().map(|guess| fixture.login("ann", guess, ELSEWHERE));
        let results = futures::future::join_all(logins).await;
        let looked_at = results.iter().filter(|result| **result == Err(LoginError::Invalid)).count();
        assert_eq!(looked_at, limits::LOGIN_FAILURES);
    }

    #[tokio::test]
    async fn a_check_counts_although_its_caller_left() {
        let fixture = Fixture::new().await;
        for wrong in 0..5 {
            let password = wrong.to_string();
            let login = fixture.login("ann", &password, HOME);
            // The caller leaves as soon as the try has begun.
            let _ = futures::poll!(Box::pin(login));
        }
        let mut refused = fixture.login("ann", "right", HOME).await;
        while refused == Err(LoginError::Locked { retry_after: Duration::from_secs(1) }) {
            tokio::task::yield_now().await; // the checks are under way
            refused = fixture.login("ann", "right", HOME).await;
        }
        assert!(matches!(refused, Err(LoginError::Locked { .. })), "{refused:?}");
    }

    #[tokio::test]
    async fn nobody_acts_as_another() {
        let fixture = Fixture::new().await;
        let as_whom = async |whom: Option<&str>| {
            let credentials = Credentials {
                authorization_id: whom.map(str::to_owned),
                login: "ann".into(),
                password: Secret::new("right".into()),
            };
            fixture.authenticator.authenticate(&credentials, HOME).await.map(|account| account.id)
        };
        assert_eq!(as_whom(None).await, Ok(fixture.ann.id));
        assert_eq!(as_whom(Some("ann@a.example")).await, Ok(fixture.ann.id));
        assert_eq!(as_whom(Some("bob@a.example")).await, Err(LoginError::Invalid));
    }
}
