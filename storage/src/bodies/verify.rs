//! Walks both sides: from the metadata to what is stored (every body that has a record can be read), and back (every
//! object is named by a record, or known to be unsettled). Runs beside everything else: what looks wrong is looked at
//! again before it is told.

use std::collections::HashMap;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use parking_lot::Mutex;

use super::keys;
use super::objects::ObjectName;
use super::record::{BodyRecord, Owner, Place, SegmentId, SegmentRecord, piece_count};
use super::recover::footer;
use super::segment::OWN_OFFSET;
use super::store::Bodies;
use crate::kv::{KeyRange, RangeOptions};
use crate::limits::{BODY_READ_AHEAD_OCTETS, VERIFIED_TOGETHER, VERIFY_PROBLEMS_LISTED};
use crate::types::BodyId;
use crate::{Error, Result};

/// How thoroughly to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct VerifyOptions {
    /// Whether every body is read, opened and measured, and every object's footer checked; else only that all is there.
    pub read_bodies: bool,
}

/// How far a verification has come, for who waits for it; and at its end, what it found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VerifyReport {
    /// Bodies looked at.
    pub bodies: u64,
    /// Their plaintext octets.
    pub octets: u64,
    /// Those that wait to be packed.
    pub staged: u64,
    /// References looked at.
    pub references: u64,
    /// Objects looked at.
    pub objects: u64,
    /// All that is wrong.
    pub problem_count: u64,
    /// What is wrong: the first [`VERIFY_PROBLEMS_LISTED`].
    pub problems: Vec<Problem>,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// A body's record or octets are not what was written, or are not there: mail is lost.
    Damaged {
        /// Which.
        body: BodyId,
        /// In what way.
        what: String,
    },
    /// A message or queue entry refers to a body of which nothing is known: mail is lost.
    Dangling {
        /// Which body.
        body: BodyId,
        /// Who refers to it.
        owner: Owner,
    },
    /// A body to which nobody refers, and of which the collector does not know: room is lost.
    Unreferenced {
        /// Which.
        body: BodyId,
    },
    /// An object that no record names: room is lost.
    Orphan {
        /// Its path.
        object: String,
    },
    /// An object whose footer cannot be read: its bodies could not be recovered from it alone.
    Footer {
        /// Its path.
        object: String,
        /// In what way.
        what: String,
    },
}

/// Lengths of segments, as far as they were looked up.
type Sizes = HashMap<SegmentId, Option<u64>>;

impl Bodies {
    /// Walks both sides, and calls `progress` now and then with what it has found so far. Takes as long as reading
    /// everything takes.
    pub async fn verify(
        &self,
        options: VerifyOptions,
        progress: impl Fn(&VerifyReport) + Send + Sync,
    ) -> Result<VerifyReport> {
        let (report, sizes) = (VerifyReport::default(), Mutex::default());
        let mut walk = Walk { bodies: self, options, progress, report, sizes };
        walk.walk_bodies().await?;
        walk.walk_references().await?;
        for folder in ObjectName::FOLDERS {
            walk.walk_objects(folder).await?;
        }
        (walk.progress)(&walk.report);
        Ok(walk.report)
    }
}

/// A verification under way.
struct Walk<'a, P> {
    bodies: &'a Bodies,
    options: VerifyOptions,
    progress: P,
    report: VerifyReport,
    sizes: Mutex<Sizes>,
}

impl<P: Fn(&VerifyReport) + Send + Sync> Walk<'_, P> {
    /// Many at once: what costs time is waiting for the answers of other nodes, of the bucket, or of both.
    async fn walk_bodies(&mut self) -> Result<()> {
        let mut left = keys::bodies();
        loop {
            let page = self.bodies.page(&left).await?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            left.begin = KeyRange::key(last).end;
            let look = Look { bodies: self.bodies, options: self.options, sizes: &self.sizes };
            let looks = page.into_iter().map(|(key, value)| look.body(key, value));
            let mut looks = stream::iter(looks).buffered(VERIFIED_TOGETHER);
            while let Some(seen) = looks.try_next().await? {
                self.report.bodies += 1;
                match seen {
                    Seen::Whole { octets, is_staged } => {
                        self.report.octets += octets;
                        self.report.staged += u64::from(is_staged);
                    }
                    Seen::Gone => {}
                    Seen::Wrong(problem) => self.report.add(problem),
                }
            }
            drop(looks);
            (self.progress)(&self.report);
        }
    }

    async fn walk_references(&mut self) -> Result<()> {
        let mut left = keys::all_references();
        loop {
            let page = self.bodies.page(&left).await?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            left.begin = KeyRange::key(last).end;
            let mut of_bodies: Vec<(BodyId, Vec<(Bytes, Owner)>)> = Vec::new();
            for (key, _) in page {
                self.report.references += 1;
                let (body, owner) = keys::reference_of(&key)?;
                match of_bodies.last_mut().filter(|(last, _)| *last == body) {
                    Some((_, references)) => references.push((key, owner)),
                    None => of_bodies.push((body, vec![(key, owner)])),
                }
            }
            let look = Look { bodies: self.bodies, options: self.options, sizes: &self.sizes };
            let looks = of_bodies.into_iter().map(|(body, references)| look.references(body, references));
            let mut looks = stream::iter(looks).buffered(VERIFIED_TOGETHER);
            while let Some(problems) = looks.try_next().await? {
                problems.into_iter().for_each(|problem| self.report.add(problem));
            }
            drop(looks);
            (self.progress)(&self.report);
        }
    }

    async fn walk_objects(&mut self, folder: &str) -> Result<()> {
        let mut listed = self.bodies.inner.objects.list(folder);
        while let Some((path, size)) = listed.try_next().await? {
            self.report.objects += 1;
            let name = ObjectName::of(&path);
            let is_known = match name {
                Some(name) => self.is_known(name, size).await?,
                None => false,
            };
            if !is_known {
                self.report.add(Problem::Orphan { object: path.to_string() });
            } else if let Some(name @ (ObjectName::Body(_) | ObjectName::Segment(_))) = name
                && self.options.read_bodies
                && let Err(error) = footer(&self.bodies.inner.objects, name, size).await
                && !matches!(error, Error::NotFound(_))
            {
                self.report.add(Problem::Footer { object: path.to_string(), what: error.to_string() });
            }
            if self.report.objects.is_multiple_of(256) {
                (self.progress)(&self.report);
            }
        }
        Ok(())
    }

    /// Whether a record names the object, or its intent does.
    async fn is_known(&self, name: ObjectName, size: u64) -> Result<bool> {
        let mut tx = self.bodies.inner.db.begin();
        if tx.get_snapshot(&name.key()).await?.is_some() {
            return Ok(true);
        }
        let is_known = match name {
            ObjectName::Body(id) => match tx.get_snapshot(&keys::body(id)).await? {
                Some(value) => BodyRecord::decode(&value).is_ok_and(|record| record.place == Place::Object),
                None => false,
            },
            ObjectName::Segment(id) => match tx.get_snapshot(&keys::segment(id)).await? {
                Some(value) => SegmentRecord::decode(&value)?.octets == size,
                None => false,
            },
            ObjectName::DomainKey(id) => {
                tx.get_snapshot(&keys::domain_key(id)).await?.is_some_and(|key| key.len() > 1)
            }
        };
        Ok(is_known)
    }
}

/// One look at a body or at references; many are taken at once.
#[derive(Clone, Copy)]
struct Look<'a> {
    bodies: &'a Bodies,
    options: VerifyOptions,
    sizes: &'a Mutex<Sizes>,
}

/// What a look at a body found.
enum Seen {
    Whole {
        octets: u64,
        is_staged: bool,
    },
    /// It went meanwhile.
    Gone,
    Wrong(Problem),
}

impl Look<'_> {
    /// One body; what is wrong with it, if it is still so on a second look.
    async fn body(self, key: Bytes, mut value: Bytes) -> Result<Seen> {
        let id = keys::body_of(&key)?;
        loop {
            let found = match BodyRecord::decode(&value) {
                Ok(record) => self.whole(id, record).await,
                Err(error) => Err(error),
            };
            let wrong = match found {
                Ok(Seen::Wrong(problem)) => Seen::Wrong(problem),
                Ok(seen) => return Ok(seen),
                Err(error @ (Error::Corrupt(_) | Error::NotFound(_))) => {
                    Seen::Wrong(Problem::Damaged { body: id, what: error.to_string() })
                }
                Err(error) => return Err(error),
            };
            match self.bodies.inner.db.begin().get_snapshot(&key).await? {
                None => return Ok(Seen::Gone),
                Some(now) if now != value => value = now,
                Some(_) => return Ok(wrong),
            }
        }
    }

    async fn whole(self, id: BodyId, record: BodyRecord) -> Result<Seen> {
        if self.is_forgotten(id).await? {
            return Ok(Seen::Wrong(Problem::Unreferenced { body: id }));
        }
        let (octets, is_staged) = (record.header.size, record.place.is_staged());
        self.is_in_place(id, &record).await?;
        if self.options.read_bodies {
            self.reads_whole(id, record).await?;
        }
        Ok(Seen::Whole { octets, is_staged })
    }

    /// The references to one body; those that are left where there is no body.
    async fn references(self, body: BodyId, references: Vec<(Bytes, Owner)>) -> Result<Vec<Problem>> {
        let mut tx = self.bodies.inner.db.begin();
        let mut dangling = Vec::new();
        if tx.get_snapshot(&keys::body(body)).await?.is_some() {
            return Ok(dangling);
        }
        for (key, owner) in references {
            if tx.get_snapshot(&key).await?.is_some() {
                dangling.push(Problem::Dangling { body, owner });
            }
        }
        Ok(dangling)
    }

    /// The length of a segment's object, if there is one.
    async fn size_of(self, segment: SegmentId) -> Result<Option<u64>> {
        let known = self.sizes.lock().get(&segment).copied();
        match known {
            Some(size) => Ok(size),
            None => {
                let size = self.bodies.inner.objects.size(ObjectName::Segment(segment)).await?;
                self.sizes.lock().insert(segment, size);
                Ok(size)
            }
        }
    }

    /// Whether nobody refers to the body, and the collector does not know.
    async fn is_forgotten(&self, id: BodyId) -> Result<bool> {
        let one = RangeOptions { limit: Some(1), snapshot: true, ..RangeOptions::default() };
        let mut tx = self.bodies.inner.db.begin();
        if tx.range(keys::references(id), one).next().await?.is_some() {
            return Ok(false);
        }
        let known = tx.get_snapshot(&keys::candidate(id)).await?.is_some();
        Ok(!known && tx.get_snapshot(&keys::body(id)).await?.is_some())
    }

    /// That what the record names is there, in full length: `Corrupt` else.
    async fn is_in_place(&self, id: BodyId, record: &BodyRecord) -> Result<()> {
        let sealed = record.header.sealed_octets();
        let missing = |what: &str| Err(Error::Corrupt(what.to_owned().into()));
        let mut tx = self.bodies.inner.db.begin();
        match &record.place {
            Place::Inline(_) => Ok(()),
            Place::Pieces => {
                for number in 0..piece_count(sealed) {
                    if tx.get_snapshot(&keys::piece(id, number)).await?.is_none() {
                        return missing("a staged piece is missing");
                    }
                }
                Ok(())
            }
            Place::Segment(segment, offset) => {
                if tx.get_snapshot(&keys::segment_body(*segment, id)).await?.is_none() {
                    return missing("its segment does not know of it");
                }
                let size = self.size_of(*segment).await?;
                if size.is_some_and(|size| size >= offset + sealed) {
                    Ok(())
                } else {
                    missing("its segment is missing")
                }
            }
            Place::Object => {
                let size = self.bodies.inner.objects.size(ObjectName::Body(id)).await?;
                if size.is_some_and(|size| size >= OWN_OFFSET + sealed) {
                    Ok(())
                } else {
                    missing("its object is missing")
                }
            }
        }
    }

    /// That all frames open, past the cache.
    async fn reads_whole(&self, id: BodyId, record: BodyRecord) -> Result<()> {
        let stored = match self.bodies.stored(id, record).await {
            // Its domain's key was erased: nobody is to read it.
            Err(Error::NotFound(_)) => return Ok(()),
            stored => stored?,
        };
        let count = stored.header.frames.len() as u32;
        let mut first = 0;
        while first < count {
            let mut until = first + 1;
            let start = stored.sealed_range(first..until).start;
            while until < count && stored.sealed_range(until..until + 1).end - start <= BODY_READ_AHEAD_OCTETS
            {
                until += 1;
            }
            let range = stored.sealed_range(first..until);
            let sealed = self.bodies.sealed(id, &stored.place, range.clone()).await?;
            for number in first..until {
                let frame = stored.sealed_range(number..number + 1);
                stored.open_frame(
                    number,
                    &sealed[(frame.start - range.start) as usize..(frame.end - range.start) as usize],
                )?;
            }
            first = until;
        }
        Ok(())
    }
}

impl VerifyReport {
    fn add(&mut self, problem: Problem) {
        self.problem_count += 1;
        if self.problems.len() < VERIFY_PROBLEMS_LISTED {
            self.problems.push(problem);
        }
    }
}
