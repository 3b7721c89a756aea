//! Hears of what other nodes commit to a mailbox while sessions of this node wait for its changes: one watch
//! for all of them, and none once nobody waits.

use std::sync::Arc;

use super::keys;
use super::view::View;
use crate::limits::{VIEW_WATCH_LONGEST, VIEW_WATCH_PAUSE};
use crate::{Error, Result};

/// Runs until nobody waits any more, or the mailbox is deleted.
pub(super) async fn follow_others(view: Arc<View>) {
    loop {
        tokio::select! {
            () = view.nobody_waits() => {
                if view.ends_following() {
                    return;
                }
            }
            outcome = next_change(&view) => match outcome {
                Ok(()) => {}
                Err(Error::NotFound(_)) => return,
                Err(error) => {
                    tracing::debug!(%error, ?view, "what other nodes commit is looked for again");
                    tokio::time::sleep(VIEW_WATCH_PAUSE).await;
                }
            },
        }
    }
}

/// Brings the view up to date, then waits for what may be the next change.
async fn next_change(view: &View) -> Result<()> {
    let watch = view.database().begin().watch(&keys::counters(view.account(), view.mailbox())).await?;
    view.catch_up().await?;
    // A watch is a hint: if it is lost, someone looks all the same.
    match tokio::time::timeout(VIEW_WATCH_LONGEST, watch).await {
        Ok(outcome) => outcome,
        Err(_) => Ok(()),
    }
}
