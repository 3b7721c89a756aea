//! Whether an account is still what it was when a session logged in to it: one that is deleted, disabled, or given
//! another password ends its sessions (design §6), whichever protocol they speak.

use std::sync::Arc;

use sterna_storage::directory::{Account, Directory};

/// How an account stands beside what a session knows of it.
pub enum Standing {
    /// Its sessions may go on, with what is newer.
    Good(Arc<Account>),
    /// Its sessions end.
    Revoked,
    /// It cannot be looked at for a moment.
    Unknown,
}

/// Looks at the account again.
pub async fn of(directory: &Directory, known: &Account) -> Standing {
    match directory.account(known.id).await {
        Ok(Some(current)) if current.enabled && password(&current) == password(known) => {
            Standing::Good(current)
        }
        Ok(_) => Standing::Revoked,
        Err(error) => {
            tracing::warn!(%error, account = %known.id, "a session's account cannot be looked at");
            Standing::Unknown
        }
    }
}

fn password(account: &Account) -> Option<&str> {
    account.password_hash.as_ref().map(|hash| hash.expose().as_str())
}
