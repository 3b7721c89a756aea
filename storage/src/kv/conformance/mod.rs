//! One suite, written against the interface alone, that every engine passes. A failure panics with what
//! was expected; the generated history names its seed.

mod checks;
mod copies;
pub mod history;

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;

use super::Database;
use super::engine::Engine;

/// Makes an empty engine whose read versions live this long, or as long as the engine will have it.
pub type MakeEngine<'m> = dyn Fn(Duration) -> BoxFuture<'static, Arc<dyn Engine>> + Sync + 'm;

/// Runs every check, each on an empty engine.
pub async fn run_all(make: &MakeEngine<'_>) {
    let life = crate::limits::TRANSACTION_LIFE;
    for (name, check) in checks::ALL {
        let database = Database::new(make(life).await);
        check(database.clone()).await;
        database.close().await;
        tracing::debug!(name, "check passed");
    }
    let engine = make(checks::SHORT_LIFE).await;
    let life = engine.transaction_life();
    let database = Database::new(engine);
    checks::old_transactions_are_refused(database.clone(), life).await;
    database.close().await;
    for seed in 0..4 {
        let engine = make(life).await;
        if let Err(violation) = history::check(engine.clone(), seed).await {
            panic!("seed {seed}: {violation}");
        }
        engine.close().await;
    }
}
