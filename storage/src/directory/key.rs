//! Where the directory's records are kept: subspace `d`, then one letter per kind.

use bytes::Bytes;

use crate::kv::{KeyRange, KeyReader, KeyWriter};
use crate::types::{AccountId, Address, DomainId, DomainName};
use crate::{Error, Result};

/// The directory's subspace.
const SUBSPACE: u8 = b'd';

const DOMAIN: u8 = b'D';
const NAME: u8 = b'n';
const FURTHER_NAME: u8 = b'N';
const ACCOUNT: u8 = b'A';
const ADDRESS: u8 = b'a';
const MEMBER: u8 = b'm';
const DELETED_ACCOUNT: u8 = b'x';
const DELETED_DOMAIN: u8 = b'y';
const SETTINGS: u8 = b's';
const NEXT_ID: u8 = b'i';
const LOG: u8 = b'l';
const LOG_START: u8 = b't';
const LATEST: u8 = b'v';

fn writer(kind: u8) -> KeyWriter {
    KeyWriter::new(SUBSPACE).u8(kind)
}

fn reader(key: &[u8], kind: u8) -> Result<KeyReader<'_>> {
    let mut reader = KeyReader::new(key, SUBSPACE)?;
    match reader.u8()? {
        found if found == kind => Ok(reader),
        _ => Err(Error::Corrupt("directory key of another kind".into())),
    }
}

/// From `after` (excluded) to the end of what starts with `prefix`.
fn rest_of(prefix: Bytes, after: Option<Bytes>) -> KeyRange {
    let whole = KeyRange::prefix(&prefix);
    match after {
        None => whole,
        Some(after) => KeyRange::new(KeyRange::key(&after).end, whole.end),
    }
}

/// A domain's record.
pub(super) fn domain(id: DomainId) -> Bytes {
    writer(DOMAIN).u64(id.0).finish()
}

/// What a domain name stands for: one namespace of domains and their aliases.
pub(super) fn name(name: &DomainName) -> Bytes {
    writer(NAME).text(name.as_str()).finish()
}

/// All names after the given one.
pub(super) fn names(after: Option<&DomainName>) -> KeyRange {
    rest_of(writer(NAME).finish(), after.map(name))
}

/// The name of a key of [`names`].
pub(super) fn read_name(key: &[u8]) -> Result<DomainName> {
    let text = reader(key, NAME)?.text()?;
    text.parse().map_err(|_| Error::Corrupt("directory domain name".into()))
}

/// That a name is a further one of a domain.
pub(super) fn further_name(domain: DomainId, name: &DomainName) -> Bytes {
    writer(FURTHER_NAME).u64(domain.0).text(name.as_str()).finish()
}

/// The further names of a domain.
pub(super) fn further_names(domain: DomainId) -> KeyRange {
    rest_of(writer(FURTHER_NAME).u64(domain.0).finish(), None)
}

/// The name of a key of [`further_names`].
pub(super) fn read_further_name(key: &[u8]) -> Result<DomainName> {
    let mut reader = reader(key, FURTHER_NAME)?;
    reader.u64()?;
    reader.text()?.parse().map_err(|_| Error::Corrupt("directory domain name".into()))
}

/// An account's record.
pub(super) fn account(id: AccountId) -> Bytes {
    writer(ACCOUNT).u64(id.0).finish()
}

/// The local part as it is compared: without regard to case, as every mail system in use does.
pub(super) fn folded(local_part: &str) -> String {
    local_part.to_lowercase()
}

/// What a (folded) local part of a domain stands for: one namespace of accounts and aliases.
pub(super) fn address(domain: DomainId, local_part: &str) -> Bytes {
    writer(ADDRESS).u64(domain.0).text(local_part).finish()
}

/// The local parts of a domain after the given (folded) one.
pub(super) fn addresses(domain: DomainId, after: Option<&str>) -> KeyRange {
    rest_of(writer(ADDRESS).u64(domain.0).finish(), after.map(|local_part| address(domain, local_part)))
}

/// The folded local part of a key of [`addresses`].
pub(super) fn read_local_part(key: &[u8]) -> Result<String> {
    let mut reader = reader(key, ADDRESS)?;
    reader.u64()?;
    reader.text()
}

/// That an account belongs to a domain; in order of age.
pub(super) fn member(domain: DomainId, account: AccountId) -> Bytes {
    writer(MEMBER).u64(domain.0).u64(account.0).finish()
}

/// The accounts of a domain, oldest first.
pub(super) fn members(domain: DomainId) -> KeyRange {
    rest_of(writer(MEMBER).u64(domain.0).finish(), None)
}

/// The account of a key of [`members`].
pub(super) fn read_member(key: &[u8]) -> Result<AccountId> {
    let mut reader = reader(key, MEMBER)?;
    reader.u64()?;
    reader.u64().map(AccountId)
}

/// A deleted account's record.
pub(super) fn deleted_account(id: AccountId) -> Bytes {
    writer(DELETED_ACCOUNT).u64(id.0).finish()
}

/// Deleted accounts after the given one.
pub(super) fn deleted_accounts(after: Option<AccountId>) -> KeyRange {
    rest_of(writer(DELETED_ACCOUNT).finish(), after.map(deleted_account))
}

/// A deleted domain.
pub(super) fn deleted_domain(id: DomainId) -> Bytes {
    writer(DELETED_DOMAIN).u64(id.0).finish()
}

/// All deleted domains.
pub(super) fn deleted_domains() -> KeyRange {
    rest_of(writer(DELETED_DOMAIN).finish(), None)
}

/// The domain of a key of [`deleted_domains`].
pub(super) fn read_deleted_domain(key: &[u8]) -> Result<DomainId> {
    reader(key, DELETED_DOMAIN)?.u64().map(DomainId)
}

/// The settings.
pub(super) fn settings() -> Bytes {
    writer(SETTINGS).finish()
}

/// The first number not yet given out as an id.
pub(super) fn next_id() -> Bytes {
    writer(NEXT_ID).finish()
}

/// An entry of the change log, and where in the key its versionstamp stands.
pub(super) fn log_entry(versionstamp: [u8; 10]) -> (Bytes, usize) {
    (writer(LOG).fixed(&versionstamp).finish(), 2)
}

/// The change log after the given entry.
pub(super) fn log(after: [u8; 10]) -> KeyRange {
    rest_of(writer(LOG).finish(), Some(log_entry(after).0))
}

/// The versionstamp of a key of [`log`].
pub(super) fn read_log_entry(key: &[u8]) -> Result<[u8; 10]> {
    reader(key, LOG)?.fixed()
}

/// Everything in the log up to and including that entry.
pub(super) fn log_until(last: [u8; 10]) -> KeyRange {
    KeyRange::new(writer(LOG).finish(), KeyRange::key(&log_entry(last).0).end)
}

/// The versionstamp of the last entry that was trimmed from the log.
pub(super) fn log_start() -> Bytes {
    writer(LOG_START).finish()
}

/// The change log and its marks: they stand in the order of one engine's versionstamps, for processes that live.
pub(crate) fn all_of_log() -> impl Iterator<Item = KeyRange> {
    [LOG, LOG_START, LATEST].into_iter().map(|kind| KeyRange::prefix(&writer(kind).finish()))
}

/// The versionstamp of the latest change: what followers watch.
pub(super) fn latest() -> Bytes {
    writer(LATEST).finish()
}

/// The domain and folded local part of an address.
pub(super) fn address_of(domain: DomainId, address: &Address) -> Bytes {
    self::address(domain, &folded(address.local_part()))
}
