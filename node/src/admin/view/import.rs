//! Many accounts that are to be made at once.

use serde::{Deserialize, Serialize};
use sterna_storage::types::Address;

use super::ErrorView;

/// One of them; a line of the file that the command line reads.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImportedAccountView {
    /// Its address; the domain must exist.
    pub address: Address,
    /// The person's name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The hash of its password, a PHC string of an argon2 kind; absent: no login yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_hash: Option<String>,
    /// Most octets it may hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota_octets: Option<u64>,
}

/// What became of them.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ImportView {
    /// So many were made.
    pub made: u64,
    /// So many were there already, and stay as they are.
    pub existed: u64,
    /// The others.
    pub refused: Vec<RefusedView>,
}

/// One that was not made.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RefusedView {
    /// Its place in the request, from 0 on.
    pub place: usize,
    /// Why.
    pub error: ErrorView,
}
