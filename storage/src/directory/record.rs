//! What the directory holds. None of these types can be serialized: secrets leave them only by name.

use crate::types::{AccountId, Address, DomainId, DomainName, Secret, Timestamp};

/// A domain whose mail this system keeps.
#[derive(Debug, Clone)]
pub struct Domain {
    /// Never reused; bodies are sealed under its key.
    pub id: DomainId,
    /// Its name. Never changes; a further name is an [`AliasDomain`].
    pub name: DomainName,
    /// A disabled domain takes no mail (its addresses are unknown) and no logins.
    pub enabled: bool,
    /// Where mail goes to addresses of this domain that do not exist; `None`: they are refused.
    pub catch_all: Option<Address>,
    /// Who answers for it: receives `postmaster@` and `abuse@` where no such account or alias exists.
    pub contact: Option<Address>,
    /// Most octets that its accounts may hold together; `None`: no bound.
    pub quota_octets: Option<u64>,
    /// Keys that sign its outgoing mail (RFC 6376), newest last.
    pub dkim: Vec<DkimKey>,
    /// When it was made.
    pub created: Timestamp,
}

/// A DKIM signing key.
#[derive(Debug, Clone)]
pub struct DkimKey {
    /// The label below `_domainkey` (RFC 6376 §3.1).
    pub selector: String,
    /// Which algorithm the key is for.
    pub algorithm: DkimAlgorithm,
    /// The private key, PKCS #8 DER. This floor keeps it and does not read it.
    pub private_key: Secret<Vec<u8>>,
    /// The public key in the form of the `p=` tag before base64 (RFC 6376 §3.6.1, RFC 8463 §4).
    pub public_key: Vec<u8>,
    /// When it was made.
    pub created: Timestamp,
}

/// What a DKIM key signs with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum DkimAlgorithm {
    /// `rsa-sha256` (RFC 6376 §3.3.2).
    RsaSha256,
    /// `ed25519-sha256` (RFC 8463).
    Ed25519Sha256,
}

impl DkimAlgorithm {
    /// The `a=` tag of a signature.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RsaSha256 => "rsa-sha256",
            Self::Ed25519Sha256 => "ed25519-sha256",
        }
    }
}

/// Which replicated group of metadata holds an account's mail. There is one to begin with; accounts
/// name theirs from the first day, so that more can be added without a conversion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct MailGroup(pub u32);

/// Somebody with a mailbox.
#[derive(Debug, Clone)]
pub struct Account {
    /// Never reused, also after the account is deleted.
    pub id: AccountId,
    /// The domain of its address.
    pub domain: DomainId,
    /// Where it receives mail, and its login name.
    pub address: Address,
    /// The person's name; may be empty.
    pub name: String,
    /// The password's hash in PHC string form; `None`: no login by password.
    pub password_hash: Option<Secret<String>>,
    /// Most octets it may hold; `None`: only the domain's bound.
    pub quota_octets: Option<u64>,
    /// A disabled account takes no logins. Its mail is still kept: a suspension loses nothing.
    pub enabled: bool,
    /// Where its mail is sent on to.
    pub forward: Vec<Address>,
    /// Whether mail that is sent on is kept as well.
    pub keep_copy: bool,
    /// Where its mail is held.
    pub mail_group: MailGroup,
    /// When it was made.
    pub created: Timestamp,
}

/// An address whose mail goes to others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alias {
    /// The address.
    pub address: Address,
    /// Accounts, further aliases, or addresses elsewhere.
    pub targets: Vec<Address>,
}

/// A further name of a domain: `x@name` is `x@` the domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AliasDomain {
    /// The further name.
    pub name: DomainName,
    /// The domain it stands for.
    pub target: DomainId,
}

/// An account that was deleted and whose mail is still to be removed. It stays on record until then,
/// so that a crash in between loses track of nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeletedAccount {
    /// Its id, which will not be used again.
    pub id: AccountId,
    /// The domain it belonged to, which may itself be deleted by now.
    pub domain: DomainId,
    /// The address it had, which may belong to another account by now.
    pub address: Address,
    /// When it was deleted.
    pub deleted: Timestamp,
}

/// What holds for the whole system.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// Where a login without `@` is looked up; the first domain made, unless changed.
    pub default_domain: Option<DomainId>,
    /// Receives mail to the bare `<postmaster>` (RFC 5321 §4.5.1), and to `postmaster@` and `abuse@` of
    /// domains that name nobody.
    pub postmaster: Option<Address>,
}

/// Part of a listing.
#[derive(Debug, Clone)]
pub struct Page<T> {
    /// In the order of the listing.
    pub items: Vec<T>,
    /// What to pass as `after` for the next page; `None` at the end.
    pub next: Option<String>,
}

/// What was found, and whether that is known to be current: while a node is cut off its own copy may tell what was.
#[derive(Debug, Clone)]
pub struct Seen<T> {
    /// What was found.
    pub found: T,
    /// Whether it is so now.
    pub is_current: bool,
}
