//! An account that is revoked ends its sessions.

use super::connection::{End, Link, bye};
use sterna_gateway::login::standing::{self, Standing};

impl Link {
    /// Looks at the account again if the directory has changed since it was last looked at.
    pub(super) async fn check_account(&mut self) -> Result<(), End> {
        let version = self.context.directory.version();
        let Some(known) = self.session.account.as_ref().filter(|_| version != self.directory_version) else {
            return Ok(());
        };
        match standing::of(&self.context.directory, known).await {
            Standing::Good(current) => {
                self.session.account = Some(current);
                self.directory_version = version;
                Ok(())
            }
            Standing::Revoked => Err(bye("The account has changed; log in again")),
            // Looked at again with the next command.
            Standing::Unknown => Ok(()),
        }
    }
}
