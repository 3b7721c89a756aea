//! An account that is deleted, disabled, or given another password ends its sessions (design §6).

use sterna_storage::directory::Account;

use super::connection::{End, Link, bye};

impl Link {
    /// Looks at the account again if the directory has changed since it was last looked at.
    pub(super) async fn check_account(&mut self) -> Result<(), End> {
        let version = self.context.directory.version();
        let Some(known) = self.session.account.as_ref().filter(|_| version != self.directory_version) else {
            return Ok(());
        };
        match self.context.directory.account(known.id).await {
            Ok(Some(current)) if current.enabled && password(&current) == password(known) => {
                self.session.account = Some(current);
                self.directory_version = version;
                Ok(())
            }
            Ok(_) => Err(bye("The account has changed; log in again")),
            // Not readable for a moment: looked at again with the next command.
            Err(error) => {
                tracing::warn!(%error, "an IMAP session's account cannot be looked at");
                Ok(())
            }
        }
    }
}

fn password(account: &Account) -> Option<&str> {
    account.password_hash.as_ref().map(|hash| hash.expose().as_str())
}
