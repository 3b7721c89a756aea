//! One run of a move: it takes the target over from earlier runs, makes it equal to the source in passes over all keys, and
//! switches over after a pass that found nothing to write.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bytes::Bytes;

use super::difference::Difference;
use super::page::Page;
use super::patience::Side;
use super::routes::{Keeper, routes};
use super::standing::{self, Filling, Left};
use super::tally::Tally;
use crate::kv::key::subspace;
use crate::kv::{Database, KeyRange, RangeOptions, Transaction, clock};
use crate::{Error, Result, bodies, limits};

/// The databases of an installation. Where one keeps all, they are the same.
#[derive(Clone)]
pub struct Home {
    /// Mailboxes, bodies and the queue.
    pub mail: Database,
    /// The directory.
    pub config: Database,
}

impl Home {
    fn keeper(&self, keeper: Keeper) -> &Database {
        match keeper {
            Keeper::Mail => &self.mail,
            Keeper::Config => &self.config,
        }
    }
}

/// How a run begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beginning {
    /// The target was empty.
    New,
    /// An earlier run has filled some of it.
    Resumed,
    /// Both sides were found the same and the source is marked: only [`Mover::finish`] is left.
    Left,
    /// All was done by an earlier run.
    Done,
}

/// How far a pass has come, for who waits for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stand {
    /// Which pass of this run, from one on.
    pub pass: u32,
    /// Pairs of the source that were compared.
    pub pairs: u64,
    /// Their octets.
    pub octets: u64,
    /// Pairs that the target lacked, or had otherwise.
    pub set: u64,
    /// Keys that only the target had.
    pub cleared: u64,
}

/// What a whole pass found.
pub struct Pass {
    /// At its end.
    pub stand: Stand,
    /// What the source holds.
    pub source: Tally,
    /// What the target held before.
    pub target: Tally,
}

/// One run of a move.
pub struct Mover {
    source: Option<Home>,
    target: Home,
    filling: Filling,
}

impl Mover {
    /// Takes the target over. `source` is `None` where it cannot be read yet: then nothing but objects can be moved. `Invalid`
    /// where the target holds what this move did not write, where the source was left for another one, holds nothing, or is
    /// itself being filled.
    pub async fn begin(source: Option<Home>, target: Home) -> Result<(Self, Beginning)> {
        let (mut known, mut left) = (None, None);
        if let Some(source) = &source {
            (known, left) = Side::Source.asked(async || look_at_source(source).await).await?;
        }
        let run = rand::random();
        let id = rand::random();
        let begun = async || {
            let is_empty = is_empty(&target).await?;
            target
                .mail
                .run_repeatable(async |tx| {
                    let (mut filling, beginning) = match standing::filling(tx).await? {
                        None if left.is_some() => return Err(moved_elsewhere(&left)),
                        None if !is_empty => return Err(not_empty()),
                        None => {
                            let (next, is_whole) = (Vec::new(), false);
                            (Filling { id, run, source: known, next, is_whole }, Beginning::New)
                        }
                        Some(filling) => {
                            let beginning = resumed(&filling, known, &left)?;
                            (filling, beginning)
                        }
                    };
                    if beginning != Beginning::Done {
                        filling.run = run;
                        filling.source = filling.source.or(known);
                        standing::set_filling(tx, &filling);
                    }
                    Ok((filling, beginning))
                })
                .await
        };
        let (filling, beginning) = Side::Target.asked(begun).await?;
        Ok((Self { source, target, filling }, beginning))
    }

    /// Compares all keys of both sides and writes what differs, in bounded transactions. The first pass of a run goes on
    /// where an earlier run was cut off, and then says nothing of what lies before: `None`. `watcher` is told now and then.
    pub async fn pass(
        &mut self,
        number: u32,
        watcher: &(dyn Fn(&Stand) + Send + Sync),
    ) -> Result<Option<Pass>> {
        let from = Bytes::from(std::mem::take(&mut self.filling.next));
        let is_whole = from.is_empty();
        let stand = Stand { pass: number, ..Stand::default() };
        let mut pass = Pass { stand, source: Tally::default(), target: Tally::default() };
        for (mut range, keeper) in routes() {
            range.begin = range.begin.max(from.clone());
            while !range.is_empty() {
                range.begin = self.step(&range, keeper, &mut pass).await?;
                watcher(&pass.stand);
            }
        }
        self.filling.next = Vec::new();
        self.note(Difference::default(), None).await?;
        Ok(is_whole.then_some(pass))
    }

    /// One page; gives where the next begins.
    async fn step(&mut self, range: &KeyRange, keeper: Keeper, pass: &mut Pass) -> Result<Bytes> {
        let source = self.source()?.keeper(keeper);
        let target = self.target.keeper(keeper);
        let (wanted, found) = tokio::join!(
            Side::Source.asked(async || Page::read(source, range).await),
            Side::Target.asked(async || Page::read(target, range).await),
        );
        let (mut wanted, mut found) = (wanted?, found?);
        let end = wanted.end.clone().min(found.end.clone());
        wanted.cut(&end);
        found.cut(&end);
        pass.source.add(&wanted.pairs);
        pass.target.add(&found.pairs);
        let difference = Difference::between(&wanted.pairs, &found.pairs);
        pass.stand.pairs += wanted.pairs.len() as u64;
        pass.stand.octets +=
            wanted.pairs.iter().map(|(key, value)| (key.len() + value.len()) as u64).sum::<u64>();
        pass.stand.set += difference.set.len() as u64;
        pass.stand.cleared += difference.cleared.len() as u64;
        if !difference.is_empty() {
            self.filling.next = end.to_vec();
            self.note(difference, Some(keeper)).await?;
        }
        Ok(end)
    }

    /// Writes a difference, and how far the move is. The directory of a cluster has a database of its own, which a
    /// process has to itself: there the difference goes first, and is found done if the rest is not.
    async fn note(&self, difference: Difference, keeper: Option<Keeper>) -> Result<()> {
        let Home { mail, config } = &self.target;
        let is_apart = keeper == Some(Keeper::Config) && !config.is_same(mail);
        if is_apart {
            let write_apart = async || {
                let run = config.run_repeatable(async |tx| {
                    write(tx, &difference);
                    Ok(())
                });
                run.await
            };
            Side::Target.asked(write_apart).await?;
        }
        let note = async || {
            let run = mail.run_repeatable(async |tx| {
                self.check_run(tx).await?;
                if !is_apart {
                    write(tx, &difference);
                }
                standing::set_filling(tx, &self.filling);
                Ok(())
            });
            run.await
        };
        Side::Target.asked(note).await
    }

    async fn check_run(&self, tx: &mut Transaction) -> Result<()> {
        match standing::filling(tx).await? {
            Some(filling) if filling.run == self.filling.run => Ok(()),
            _ => Err(refused("another run has taken this move over")),
        }
    }

    /// Passes until one finds nothing to write; gives that one. `Invalid` where the source changes all the time.
    pub async fn equalise(&mut self, watcher: &(dyn Fn(&Stand) + Send + Sync)) -> Result<Pass> {
        for number in 1..=limits::MOVE_PASSES {
            let Some(pass) = self.pass(number, watcher).await? else { continue };
            if pass.stand.set + pass.stand.cleared > 0 {
                continue;
            }
            if pass.source.sums() != pass.target.sums() {
                return Err(Error::Corrupt("both sides were found equal, and their sums differ".into()));
            }
            return Ok(pass);
        }
        let passes = limits::MOVE_PASSES;
        Err(refused(format!("the old installation changed during each of {passes} passes: stop its servers")))
    }

    /// The heartbeats of processes on the source. What [`Mover::leave`] takes, so that nobody who served meanwhile goes unseen.
    pub async fn heartbeats(&self) -> Result<BTreeMap<Bytes, Bytes>> {
        let source = &self.source()?.mail;
        Side::Source.asked(async || source.run(async |tx| heartbeats(tx).await).await).await
    }

    /// Marks the source as left for what `to` names, durably: no server serves there from now on. `Invalid` if a process has
    /// shown itself there since the heartbeats were taken.
    pub async fn leave(&self, to: &str, seen: &BTreeMap<Bytes, Bytes>) -> Result<()> {
        self.carry_clocks().await?;
        let mark = Left { filling: self.filling.id, to: to.to_owned() };
        let source = &self.source()?.mail;
        let leave = async || {
            source
                .run_repeatable(async |tx| {
                    if heartbeats(tx).await? != *seen {
                        return Err(refused(
                            "a server of the old installation ran meanwhile: stop it, and begin again",
                        ));
                    }
                    standing::set_left(tx, &mark);
                    Ok(())
                })
                .await
        };
        Side::Source.asked(leave).await
    }

    /// Sets the target's clocks to what the source's show, so that what is stored there is as old as it was here.
    async fn carry_clocks(&self) -> Result<()> {
        let source = self.source()?;
        for (from, to) in [(&source.config, &self.target.config), (&source.mail, &self.target.mail)] {
            let read = async || from.run(async |tx| clock::read(tx).await).await;
            // One that was never founded has the ages of a wall clock, from which the target's is founded.
            let Some(shown) = Side::Source.asked(read).await? else { continue };
            let set = async || {
                let run = to.run_repeatable(async |tx| {
                    clock::write(tx, shown);
                    Ok(())
                });
                run.await
            };
            Side::Target.asked(set).await?;
        }
        Ok(())
    }

    /// Lets the target serve: the last step. `has_moved_bodies`: its objects lie elsewhere than the source's did, under a mark.
    pub async fn finish(&mut self, has_moved_bodies: bool) -> Result<()> {
        self.filling.is_whole = true;
        let finish = async || {
            self.target
                .mail
                .run_repeatable(async |tx| {
                    self.check_run(tx).await?;
                    standing::set_filling(tx, &self.filling);
                    if has_moved_bodies {
                        bodies::set_placed(tx);
                    }
                    Ok(())
                })
                .await
        };
        Side::Target.asked(finish).await?;
        self.tidy().await
    }

    /// Clears what only a move needs. For who finds all [`Beginning::Done`], too.
    pub async fn tidy(&self) -> Result<()> {
        for range in [standing::copied_objects(), standing::uploads()] {
            Side::Target.asked(async || self.target.mail.clear_in_steps(range.clone()).await).await?;
        }
        Ok(())
    }

    /// The database in which it is noted how far the move is.
    pub fn notes(&self) -> &Database {
        &self.target.mail
    }

    fn source(&self) -> Result<&Home> {
        self.source.as_ref().ok_or_else(|| refused("the old installation is not open"))
    }
}

/// Whose mail it is, and whether it was left. `Invalid` where it is itself being filled.
async fn look_at_source(source: &Home) -> Result<(Option<[u8; 16]>, Option<Left>)> {
    let id = bodies::identity(&source.mail).await?;
    source
        .mail
        .run(async |tx| {
            if standing::filling(tx).await?.is_some_and(|filling| !filling.is_whole) {
                return Err(refused("the old installation is itself being filled: are the two exchanged?"));
            }
            let id =
                id.ok_or_else(|| refused("the old installation holds nothing: are the two exchanged?"))?;
            Ok((Some(id.cluster()), standing::left(tx).await?))
        })
        .await
}

/// What only a person can mend.
fn refused(text: impl Into<Cow<'static, str>>) -> Error {
    Error::Invalid(text.into())
}

fn moved_elsewhere(left: &Option<Left>) -> Error {
    let to = left.as_ref().map_or("", |left| &left.to);
    refused(format!("the old installation has moved to {to} already"))
}

fn not_empty() -> Error {
    refused("the new installation is not empty: it holds what this move did not write")
}

fn resumed(filling: &Filling, known: Option<[u8; 16]>, left: &Option<Left>) -> Result<Beginning> {
    let is_ours = filling.source.is_none() || known.is_none() || filling.source == known;
    if !is_ours {
        return Err(not_empty());
    }
    match left {
        Some(left) if left.filling != filling.id => Err(moved_elsewhere(&Some(left.clone()))),
        Some(_) if filling.is_whole => Ok(Beginning::Done),
        Some(_) => Ok(Beginning::Left),
        None if filling.is_whole => Err(not_empty()),
        None => Ok(Beginning::Resumed),
    }
}

/// Whether there is no mail and no directory.
async fn is_empty(home: &Home) -> Result<bool> {
    let [nodes, clock] = [subspace::CLUSTER, subspace::CLOCK].map(|space| KeyRange::prefix(&[space]));
    let (first, last) = (Bytes::from_static(&[0]), Bytes::from_static(&[subspace::ENGINE]));
    let directory = KeyRange::prefix(&[subspace::DIRECTORY]);
    let below = (&home.mail, KeyRange::new(first, nodes.begin));
    let between = (&home.mail, KeyRange::new(nodes.end, clock.begin));
    let above = (&home.mail, KeyRange::new(clock.end, last));
    for (db, range) in [below, between, above, (&home.config, directory)] {
        if !Page::read(db, &range).await?.pairs.is_empty() {
            return Ok(false);
        }
    }
    Ok(true)
}

async fn heartbeats(tx: &mut Transaction) -> Result<BTreeMap<Bytes, Bytes>> {
    let all = KeyRange::prefix(&[subspace::NODE]);
    Ok(tx.range(all, RangeOptions::default()).collect().await?.into_iter().collect())
}

fn write(tx: &mut Transaction, difference: &Difference) {
    for (key, value) in &difference.set {
        tx.set(key.clone(), value.clone());
    }
    for key in &difference.cleared {
        tx.clear(key.clone());
    }
}
