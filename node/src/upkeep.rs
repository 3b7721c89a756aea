//! Background work that joins several stores: removing the mail of deleted accounts and the keys of
//! deleted domains, and results of operations that nobody can ask for any more.

use sterna_storage::types::Timestamp;
use sterna_storage::{Error, Result};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::assemble::Stores;
use crate::limits;

/// Begins; ends soon after `stop`.
pub(crate) fn spawn(stores: Stores, tasks: &TaskTracker, stop: CancellationToken) {
    tasks.spawn(async move {
        let mut trimmed: Option<tokio::time::Instant> = None;
        loop {
            warn_of("deleted accounts", stop.run_until_cancelled(remove_accounts(&stores)).await);
            let remove = async { remove_domains(&stores, stores.config.now().await?).await };
            warn_of("deleted domains", stop.run_until_cancelled(remove).await);
            if trimmed.is_none_or(|last| last.elapsed() >= limits::OPERATIONS_TRIMMED_EVERY) {
                trimmed = Some(tokio::time::Instant::now());
                let trim = async {
                    stores.config.trim_operations(stores.config.now().await?).await?;
                    stores.database.trim_operations(stores.database.now().await?).await.map(drop)
                };
                warn_of("results of operations", stop.run_until_cancelled(trim).await);
            }
            let mut changes = stores.directory.subscribe();
            let pause = async {
                tokio::select! {
                    _ = changes.changed() => {}
                    () = tokio::time::sleep(limits::UPKEEP_INTERVAL) => {}
                }
            };
            if stop.run_until_cancelled(pause).await.is_none() {
                return;
            }
        }
    });
}

fn warn_of(what: &str, result: Option<Result<()>>) {
    if let Some(Err(error)) = result {
        tracing::warn!(%error, what, "left for later");
    }
}

/// Hands the mail of deleted accounts to the mail store's workers, which remember it from then on.
async fn remove_accounts(stores: &Stores) -> Result<()> {
    loop {
        let deleted = stores.directory.deleted_accounts(None, limits::UPKEEP_ITEMS).await?;
        for account in &deleted {
            match stores.mail.delete_account(account.id).await {
                Ok(()) | Err(Error::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
            stores.directory.forget_deleted_account(account.id).await?;
            tracing::info!(account = %account.address, "the mail of a deleted account is being removed");
        }
        if deleted.len() < limits::UPKEEP_ITEMS {
            return Ok(());
        }
    }
}

/// Destroys the keys of domains whose last message may no longer be needed by anybody, also not by a
/// queue entry that one of its users left.
async fn remove_domains(stores: &Stores, now: Timestamp) -> Result<()> {
    for (domain, deleted) in stores.directory.deleted_domains().await? {
        if now.since(deleted) >= limits::DOMAIN_KEY_KEPT {
            stores.bodies.erase_domain_key(domain).await?;
            stores.directory.forget_deleted_domain(domain).await?;
            tracing::info!(%domain, "the key of a deleted domain is destroyed");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use sterna_storage::bodies::{Bodies, BodiesConfig};
    use sterna_storage::directory::{Directory, NewAccount, NewDomain};
    use sterna_storage::kv::{Database, Memory};
    use sterna_storage::mailstore::{MailStore, MailStoreConfig};
    use sterna_storage::queue::{Queue, QueueConfig};
    use sterna_storage::types::Secret;

    use super::*;

    async fn stores(folder: &std::path::Path) -> Stores {
        let database = Database::new(Memory::new());
        let objects = Bodies::local_folder(folder).await.expect("a folder");
        let (key, settings) = (Secret::new([7; 32]), BodiesConfig::default());
        let bodies = Bodies::open(database.clone(), objects, key, settings).await.expect("opens");
        let mail = MailStore::new(database.clone(), bodies.clone(), MailStoreConfig::default());
        let queue =
            Queue::open(database.clone(), bodies.clone(), QueueConfig::default()).await.expect("opens");
        let directory = Directory::open(database.clone()).await.expect("opens");
        Stores { config: database.clone(), database, bodies, mail, queue, directory }
    }

    #[tokio::test]
    async fn what_is_deleted_goes_everywhere_in_time() {
        let folder = tempfile::tempdir().expect("a folder");
        let stores = stores(folder.path()).await;
        let name: sterna_storage::types::DomainName = "a.example".parse().expect("name");
        stores.directory.create_domain(NewDomain::named(name.clone())).await.expect("made");
        let new = NewAccount::at("ann@a.example".parse().expect("address"));
        let mailboxes = |id, domain| stores.mail.add_account(id, domain);
        let ann = stores.directory.create_account(new, mailboxes).await.expect("made");
        assert!(!stores.mail.mailboxes(ann.id).await.expect("lists").is_empty());
        stores.directory.delete_account(ann.id).await.expect("deleted");
        stores.directory.delete_domain(&name).await.expect("deleted");
        remove_accounts(&stores).await.expect("removed");
        let inbox = "INBOX".parse().expect("a name");
        assert!(stores.mail.mailbox(ann.id, &inbox).await.is_err(), "nobody reads it any more");
        stores.mail.work_once(Timestamp::now()).await.expect("works");
        let left = stores.mail.mailboxes(ann.id).await;
        assert!(left.is_err() || left.is_ok_and(|left| left.is_empty()), "and in the end it is gone");
        assert!(stores.directory.deleted_accounts(None, 10).await.expect("lists").is_empty());
        remove_domains(&stores, Timestamp::now()).await.expect("looked at");
        assert_eq!(
            stores.directory.deleted_domains().await.expect("lists").len(),
            1,
            "the key is still kept"
        );
        let later = Timestamp::now().plus(limits::DOMAIN_KEY_KEPT);
        remove_domains(&stores, later).await.expect("removed");
        assert!(stores.directory.deleted_domains().await.expect("lists").is_empty());
    }
}
