//! A move from its first look to the switch-over: objects, then metadata, then the comparison, then the marks.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, bail};
use bytes::Bytes;
use sterna_storage::Error;
use sterna_storage::bodies::{
    Bodies, BodiesConfig, Bucket, Problem, Relocated, Relocation, Stock, VerifyOptions, VerifyReport,
    identity,
};
use sterna_storage::kv::Database;
use sterna_storage::migrate::{
    Beginning, Home, Mover, Pass, Side, Stand, Standing, Sum, standing, take_mark_back,
};
use sterna_storage::types::Secret;

use super::installation::{self, Installation, Name};
use super::place::Place;
use crate::cluster::ClusterFolder;
use crate::config::{Config, MetadataEngine};
use crate::{limits, secret_file};

/// What is going on, for who waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// Objects: what was done, and all there is.
    Objects(Relocated, Stock),
    /// Keys; `None` where nobody knows yet how many there are.
    Keys(Stand, Option<u64>),
    /// Bodies looked for in their new place.
    Bodies(u64),
    /// Servers of the old installation are listened for.
    Listening,
}

/// Told what is going on.
pub type Watcher<'a> = &'a (dyn Fn(Sight) + Send + Sync);

/// What came of a run.
#[derive(Debug)]
pub enum Arrival {
    /// Copied as far as it is possible while the old servers run.
    Ahead,
    /// An earlier run had done all.
    Before,
    /// The old installation is left and the new one may serve. What both held, unless an earlier run had compared it.
    Now {
        /// Of the old one and the new one.
        sums: Option<(Vec<Sum>, Vec<Sum>)>,
        /// Objects in the new place, unless bodies stay where they were.
        objects: Option<Stock>,
    },
}

/// A move.
pub struct Journey<'a> {
    /// The configuration of the installation that is left.
    pub old: &'a Config,
    /// Of the one that is filled.
    pub new: &'a Config,
    /// Its file, for whoever starts a server on the old one.
    pub new_file: String,
    /// Only what can be copied while the old servers run.
    pub is_ahead: bool,
}

/// Both places of bodies, where they differ.
struct Objects {
    source: Bucket,
    target: Bucket,
}

impl Journey<'_> {
    /// Makes the move, or goes on with it.
    pub async fn run(&self, watcher: Watcher<'_>) -> anyhow::Result<Arrival> {
        if installation::is_same(self.old, self.new) {
            bail!(
                "both configurations name the same metadata, {}: the new one needs a place of its own",
                Name(self.old)
            );
        }
        // One that other processes can read while servers run; the others are a process's own.
        let is_open_to_all = self.old.metadata.engine == MetadataEngine::FoundationDb;
        let source = match self.is_ahead && !is_open_to_all {
            true => None,
            false => Some(Installation::source(self.old).await?),
        };
        let outcome = self.with_target(source.as_ref(), watcher).await;
        if let Some(source) = source {
            source.close().await;
        }
        outcome
    }

    async fn objects(&self) -> anyhow::Result<Option<Objects>> {
        let (source, target) = (Place::of(self.old), Place::of(self.new));
        if source.is_same(&target) {
            return Ok(None);
        }
        Ok(Some(Objects { source: source.source(self.old).await?, target: target.target().await? }))
    }

    async fn with_target(
        &self,
        source: Option<&Installation>,
        watcher: Watcher<'_>,
    ) -> anyhow::Result<Arrival> {
        let data = &self.old.server.data;
        let key = secret_file::known_cluster_key(&data.join("cluster.key"));
        let key = key.with_context(|| format!("reading the cluster key in {}", data.display()))?;
        let objects = self.objects().await?;
        let target = Installation::target(self.new, &key).await?;
        let outcome = match Mover::begin(source.map(Installation::home), target.home()).await.map_err(told) {
            Ok((mover, beginning)) => {
                let way = Way { journey: self, mover, objects, key, watcher };
                way.go(source.map(Installation::home), beginning).await
            }
            Err(error) => Err(error),
        };
        target.close().await;
        outcome
    }
}

/// A run under way between two installations that are open.
struct Way<'a> {
    journey: &'a Journey<'a>,
    mover: Mover,
    /// `None` where bodies stay.
    objects: Option<Objects>,
    key: Secret<[u8; 32]>,
    watcher: Watcher<'a>,
}

impl Way<'_> {
    async fn go(mut self, source: Option<Home>, beginning: Beginning) -> anyhow::Result<Arrival> {
        let is_new = match beginning {
            Beginning::Done => {
                self.mover.tidy().await.map_err(told)?;
                return Ok(Arrival::Before);
            }
            Beginning::Left => {
                self.mover.finish(self.objects.is_some()).await.map_err(told)?;
                return Ok(Arrival::Now { sums: None, objects: None });
            }
            Beginning::New => true,
            Beginning::Resumed => false,
        };
        match source {
            Some(source) if !self.journey.is_ahead => self.whole_way(&source, is_new).await,
            source => self.ahead(source, is_new).await,
        }
    }

    /// What can be copied while servers run.
    async fn ahead(mut self, source: Option<Home>, is_new: bool) -> anyhow::Result<Arrival> {
        self.relocate(source.as_ref(), is_new).await?;
        if source.is_some() {
            let watcher = |stand: &Stand| (self.watcher)(Sight::Keys(*stand, None));
            self.mover.pass(1, &watcher).await.map_err(told)?;
        }
        Ok(Arrival::Ahead)
    }

    /// All of it, compared, and the switch-over.
    async fn whole_way(mut self, source: &Home, is_new: bool) -> anyhow::Result<Arrival> {
        // From here on nobody writes to the old installation, or it is noticed when that is marked.
        let seen = self.quiet().await?;
        let objects = self.relocate(Some(source), is_new).await?;
        let pass = self.equalise().await?;
        self.look_for_bodies(&source.mail).await?;
        let Journey { new, new_file, .. } = self.journey;
        self.mover.leave(&format!("{} ({new_file})", Name(new)), &seen).await.map_err(told)?;
        self.mover.finish(self.objects.is_some()).await.map_err(told)?;
        Ok(Arrival::Now { sums: Some((pass.source.sums(), pass.target.sums())), objects })
    }

    async fn equalise(&mut self) -> anyhow::Result<Pass> {
        let (known, watcher) = (AtomicU64::new(0), self.watcher);
        let told_keys = |stand: &Stand| {
            // The first pass of a run may be the rest of an earlier run's.
            let before = if stand.pass > 1 { known.load(Ordering::Relaxed) } else { 0 };
            watcher(Sight::Keys(*stand, (before >= stand.pairs).then_some(before)));
            known.fetch_max(stand.pairs, Ordering::Relaxed);
        };
        self.mover.equalise(&told_keys).await.map_err(told)
    }

    /// Copies all objects, and compares what lies in both places: what does now, if the metadata cannot be read.
    async fn relocate(&self, source: Option<&Home>, is_new: bool) -> anyhow::Result<Option<Stock>> {
        let Some(objects) = &self.objects else { return Ok(None) };
        let whose = match source {
            Some(home) => identity(&home.mail).await.map_err(told)?,
            None => None,
        };
        let (from, to) = (objects.source.clone(), objects.target.clone());
        let relocation = Relocation::new(from, to, self.mover.notes().clone(), whose);
        relocation.prepare(is_new).await.map_err(told)?;
        let all = relocation.stock(Side::Source).await.map_err(told)?;
        let watcher = self.watcher;
        relocation.run(&|done| watcher(Sight::Objects(*done, all))).await.map_err(told)?;
        let there = relocation.stock(Side::Source).await.map_err(told)?;
        let here = relocation.stock(Side::Target).await.map_err(told)?;
        // While servers run objects come and go.
        if !self.journey.is_ahead && there != here {
            bail!(
                "{} objects of {} octets lie in the old place, {} of {} in the new one: run this again",
                there.objects,
                there.octets,
                here.objects,
                here.octets
            );
        }
        Ok(Some(here))
    }

    /// The heartbeats at the source, once none of them moves. Where the folder is this process's own nobody else can be there.
    async fn quiet(&self) -> anyhow::Result<BTreeMap<Bytes, Bytes>> {
        let seen = self.mover.heartbeats().await.map_err(told)?;
        if self.journey.old.metadata.engine != MetadataEngine::FoundationDb || seen.is_empty() {
            return Ok(seen);
        }
        let begun = tokio::time::Instant::now();
        while begun.elapsed() < limits::MOVE_LISTENS {
            (self.watcher)(Sight::Listening);
            tokio::time::sleep(limits::MOVE_LISTENS / 10).await;
            if self.mover.heartbeats().await.map_err(told)? != seen {
                bail!(
                    "a server runs on the old installation: stop all of them, then run this again, or meanwhile with --ahead"
                );
            }
        }
        Ok(seen)
    }

    /// Looks whether every message's body is there. What was lost in the old place already keeps nobody from moving.
    async fn look_for_bodies(&self, old: &Database) -> anyhow::Result<()> {
        let Some(objects) = &self.objects else { return Ok(()) };
        let here = self.lost(self.mover.notes(), &objects.target).await.map_err(told)?;
        if here.is_empty() {
            return Ok(());
        }
        let there = self.lost(old, &objects.source).await.map_err(told)?;
        if let Some(problem) = here.iter().find(|problem| !there.contains(problem)) {
            bail!("a body is not in its new place: {problem:?}");
        }
        tracing::warn!(
            bodies = here.len(),
            "bodies were lost in the old place already: see `sterna bodies verify`"
        );
        Ok(())
    }

    async fn lost(&self, database: &Database, bucket: &Bucket) -> Result<Vec<Problem>, Error> {
        let settings = BodiesConfig::default();
        let bodies = Bodies::open(database.clone(), bucket.clone(), self.key.clone(), settings).await?;
        let progress = |report: &VerifyReport| (self.watcher)(Sight::Bodies(report.bodies));
        let report = bodies.verify(VerifyOptions::default(), progress).await?;
        let is_loss =
            |problem: &Problem| matches!(problem, Problem::Damaged { .. } | Problem::Dangling { .. });
        Ok(report.problems.into_iter().filter(is_loss).collect())
    }
}

/// Lets the old installation serve again.
pub async fn go_back(old: &Config) -> anyhow::Result<()> {
    let data = &old.server.data;
    let is_node = ClusterFolder::below(data).credentials()?.is_some();
    if old.metadata.engine == MetadataEngine::Local && is_node {
        let data = data.display();
        bail!(
            "{data} became a node of a cluster: move `cluster` and `groups` there away first, and give them up"
        );
    }
    let source = Installation::source(old).await?;
    let outcome = take_mark_back(&source.home().mail).await.map_err(told);
    source.close().await;
    outcome
}

/// Fails where a server must not serve: the installation was left, or is not whole.
pub async fn refuse_to_serve(database: &Database) -> anyhow::Result<()> {
    match standing(database).await? {
        Standing::Home => Ok(()),
        Standing::Left(to) => bail!(
            "this installation has moved to {to}: start the server there. To go back, see `sterna migrate --undo`"
        ),
        Standing::BeingFilled => bail!(
            "this installation is being filled by `sterna migrate`, which has not finished: run that again until it has"
        ),
    }
}

/// What only a person can mend is said without its kind.
fn told(error: Error) -> anyhow::Error {
    match error {
        Error::Invalid(text) => anyhow::Error::msg(text),
        error @ (Error::Unavailable(_) | Error::Full(_)) => {
            anyhow::Error::from(error).context("what was copied stays; run this again once that is mended")
        }
        error => error.into(),
    }
}
