//! A node's certificate is renewed once two thirds of its life are over, with a new key, while connections live on.

use std::time::Duration;

use anyhow::Context;
use sterna_storage::cluster::Roster;
use sterna_storage::types::Timestamp;
use tokio_util::sync::CancellationToken;

use super::certificate::{Authority, Facts, Request};
use super::credentials::{Credentials, LiveCredentials};
use super::folder::ClusterFolder;
use crate::limits;

/// What renewing needs.
pub struct Renewal {
    /// Where the authority is kept.
    pub roster: Roster,
    /// What is renewed.
    pub live: LiveCredentials,
    /// Where it is kept.
    pub folder: ClusterFolder,
}

impl Renewal {
    /// Looks now and then, until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        loop {
            let renewed = stop.run_until_cancelled(self.renew_if_due(Timestamp::now())).await;
            let pause = match renewed {
                None => return,
                Some(Ok(_)) => limits::RENEWAL_LOOKED_AT,
                Some(Err(error)) => {
                    let until = self.live.current().facts.until;
                    let left = until.since(Timestamp::now());
                    tracing::warn!(
                        error = format!("{error:#}"),
                        days_left = left.as_secs() / 86_400,
                        "the node's certificate is not renewed yet"
                    );
                    limits::RENEWAL_RETRIED
                }
            };
            if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
                return;
            }
        }
    }

    /// Renews the certificate if a third of its life or less is left, or if it is not valid yet, and tells whether it
    /// did. The one before it is kept, and shown where the new one is not valid yet.
    pub async fn renew_if_due(&self, now: Timestamp) -> anyhow::Result<bool> {
        self.step_back_if_early(now)?;
        let current = self.live.current();
        if !is_due(&current.facts, now) {
            return Ok(false);
        }
        let authority = Authority::of(&self.roster.cluster().await?)?;
        let key = rcgen::KeyPair::generate()?;
        let request = Request::read(&Request::make(&key)?)?;
        let node = current.facts.identity.node;
        let certificate = authority.issue(node, &request, now)?;
        let renewed = Credentials::of_key(certificate, &key, authority.certificate().clone())?;
        // Fails for a node that was removed.
        self.roster.certified(node, renewed.facts.key, renewed.facts.until).await?;
        if current.facts.from <= now {
            self.folder.keep_previous(&current).context("keeping the old certificate")?;
        }
        self.folder.keep(&renewed).context("keeping the new certificate")?;
        self.live.replace(renewed);
        tracing::info!("the node's certificate is renewed");
        Ok(true)
    }

    /// The clock was ahead when the certificate was renewed: shows the one before it, if that is good.
    fn step_back_if_early(&self, now: Timestamp) -> anyhow::Result<()> {
        if self.live.current().facts.from <= now {
            return Ok(());
        }
        let previous = self.folder.credentials_at(now)?.filter(|previous| previous.facts.is_valid(now));
        if let Some(previous) = previous {
            tracing::warn!(
                "the node's certificate is not valid yet, the one before it is shown: was the clock ahead?"
            );
            self.live.replace(previous);
        }
        Ok(())
    }
}

fn is_due(facts: &Facts, now: Timestamp) -> bool {
    let life: Duration = facts.until.since(facts.from);
    facts.from > now || facts.until.since(now) <= life / 3
}
