//! The first of two steps: a body comes in as a stream and is compressed and sealed frame by frame. A short
//! one waits in memory for the caller's transaction. A long one goes on, part by part, to an object of its
//! own, under an intent written before; while the object store is away, to pieces in the metadata, under
//! the same intent. It is never held whole here.

use std::sync::Arc;

use bytes::Bytes;
use smallvec::SmallVec;

use super::crypt::WrappedKey;
use super::frame::{FRAME_OCTETS, Sealer};
use super::keys;
use super::objects::ObjectName;
use super::record::{BodyRecord, Header, Owner, Place, Upload};
use super::segment::{Entry, OWN_OFFSET};
use super::store::Bodies;
use super::upload::{Intent, ObjectUpload};
use crate::kv::{RangeOptions, Transaction};
use crate::limits::{BODY_OCTETS, BODY_PIECE_OCTETS, BODY_PIECES_TOGETHER, UPLOAD_TIDIED};
use crate::types::{BodyId, DomainId};
use crate::{Error, Result};

/// Takes one body in. Dropped before [`Writer::finish`], it leaves nothing that the collector does not find.
pub struct Writer {
    bodies: Bodies,
    id: BodyId,
    domain: DomainId,
    /// Octets that came in, all told.
    size: u64,
    // What waits for its frame to fill. Invariant: at most FRAME_OCTETS.
    plain: Vec<u8>,
    sealing: Option<(Sealer, WrappedKey)>,
    frames: SmallVec<[u32; 2]>,
    // Sealed frames that went nowhere yet.
    sealed: Vec<u8>,
    sink: Sink,
    intent: Option<Intent>,
}

/// Where sealed frames go.
enum Sink {
    /// They wait for the caller's transaction.
    Memory,
    /// To an object of the body's own.
    Object(ObjectUpload),
    /// To pieces in the metadata, of which so many are written.
    Pieces(u32),
}

impl Writer {
    pub(super) fn new(bodies: Bodies, domain: DomainId) -> Self {
        Self {
            bodies,
            id: BodyId::random(),
            domain,
            size: 0,
            plain: Vec::new(),
            sealing: None,
            frames: SmallVec::new(),
            sealed: Vec::new(),
            sink: Sink::Memory,
            intent: None,
        }
    }

    /// Octets that came in so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Takes the next octets in. After an error the writer can only be dropped: `TooLarge` past
    /// [`BODY_OCTETS`], `Unavailable` or `Overloaded` where a long body finds no place now.
    pub async fn write(&mut self, mut octets: &[u8]) -> Result<()> {
        self.size += octets.len() as u64;
        if self.size > BODY_OCTETS {
            return Err(Error::TooLarge(format!("body of more than {BODY_OCTETS} octets").into()));
        }
        // The last frame is sealed as such, so a full one waits until more comes.
        while self.plain.len() + octets.len() > FRAME_OCTETS {
            let (head, rest) = octets.split_at(FRAME_OCTETS - self.plain.len());
            octets = rest;
            if self.plain.is_empty() {
                self.seal(head, false).await?;
            } else {
                let mut frame = std::mem::take(&mut self.plain);
                frame.extend_from_slice(head);
                self.seal(&frame, false).await?;
                frame.clear();
                self.plain = frame;
            }
            self.choose_sink().await?;
            self.flush().await?;
        }
        self.plain.extend_from_slice(octets);
        Ok(())
    }

    /// Ends the body. What it gives is to be committed; a long body is durable by now, but unreferenced.
    pub async fn finish(mut self) -> Result<Staged> {
        let last = std::mem::take(&mut self.plain);
        self.seal(&last, true).await?;
        self.choose_sink().await?;
        let (_, key) = self.sealing.take().expect("the last frame was sealed");
        let frames = std::mem::take(&mut self.frames);
        let header = Header { domain: self.domain, key, size: self.size, frames };
        if let Sink::Object(_) = self.sink {
            self.flush().await?;
            self.finish_object(&header).await?;
        }
        if let Sink::Pieces(_) = self.sink {
            self.flush_pieces(0).await?;
        }
        let staged = match self.sink {
            Sink::Memory => self.in_memory(header),
            Sink::Object(_) => self.under_intent(BodyRecord { header, place: Place::Object }),
            Sink::Pieces(_) => self.under_intent(BodyRecord { header, place: Place::Pieces }),
        };
        Ok(staged)
    }

    async fn seal(&mut self, plain: &[u8], last: bool) -> Result<()> {
        if self.sealing.is_none() {
            let domain = self.bodies.inner.domains.sealing(self.domain).await?;
            let (key, wrapped) = domain.new_body_key(self.id);
            self.sealing = Some((Sealer::new(key), wrapped));
        }
        let (sealer, _) = self.sealing.as_mut().expect("made above");
        self.frames.push(sealer.seal(plain, last, &mut self.sealed));
        if !last {
            // A megabyte of sealing without an await would starve the others of this thread.
            tokio::task::coop::consume_budget().await;
        }
        Ok(())
    }

    /// Once the body is longer than what is staged: writes the intent, and begins the upload.
    async fn choose_sink(&mut self) -> Result<()> {
        let inner = &self.bodies.inner;
        if !matches!(self.sink, Sink::Memory) || self.size <= inner.config.staging_octets as u64 {
            return Ok(());
        }
        let name = ObjectName::Body(self.id);
        let upload = ObjectUpload::begin(self.bodies.clone(), name).await?;
        self.intent = Some(Intent::write(self.bodies.clone(), name).await?);
        // Its domain's key goes there first: a body alone could not be recovered from there.
        let away =
            !inner.objects.may_try() || inner.domains.copy_to(&inner.objects, self.domain).await.is_err();
        self.sink = if away { Sink::Pieces(0) } else { Sink::Object(upload) };
        Ok(())
    }

    /// Sends on what is enough for a part.
    async fn flush(&mut self) -> Result<()> {
        if let Sink::Object(upload) = &mut self.sink {
            let sent = upload.push(&mut self.sealed).await;
            self.or_in_pieces(sent).await?;
        }
        if let Sink::Pieces(_) = self.sink {
            self.flush_pieces(BODY_PIECES_TOGETHER * BODY_PIECE_OCTETS).await?;
        }
        Ok(())
    }

    async fn finish_object(&mut self, header: &Header) -> Result<()> {
        let Sink::Object(upload) = &mut self.sink else { return Ok(()) };
        let entry = Entry { id: self.id, offset: OWN_OFFSET, header: header.clone(), owners: Vec::new() };
        let finished = upload.finish(&mut self.sealed, &entry).await;
        self.or_in_pieces(finished).await
    }

    /// Where the object store turned out to be away before anything was sent, the body is kept in pieces.
    async fn or_in_pieces(&mut self, sent: Result<()>) -> Result<()> {
        match (sent, &self.sink) {
            (Err(Error::Unavailable(reason)), Sink::Object(upload)) if !upload.has_begun() => {
                tracing::warn!(body = %self.id, %reason, "object store is away: long body is kept in pieces");
                self.sink = Sink::Pieces(0);
                Ok(())
            }
            (sent, _) => sent,
        }
    }

    /// Writes pieces, in transactions of bounded size, until less than `keep` octets are left.
    async fn flush_pieces(&mut self, keep: usize) -> Result<()> {
        let Sink::Pieces(written) = &mut self.sink else { return Ok(()) };
        let mut waiting = Bytes::from(std::mem::take(&mut self.sealed));
        while !waiting.is_empty() && waiting.len() >= keep {
            let batch = waiting.split_to(waiting.len().min(BODY_PIECES_TOGETHER * BODY_PIECE_OCTETS));
            let (id, from) = (self.id, *written);
            let most = self.bodies.inner.config.away_octets;
            let inner = &self.bodies.inner;
            inner.db.run_repeatable(async |tx| write_pieces(tx, id, from, &batch, most).await).await?;
            *written += batch.len().div_ceil(BODY_PIECE_OCTETS) as u32;
        }
        self.sealed = waiting.into();
        Ok(())
    }

    fn in_memory(self, header: Header) -> Staged {
        let sealed = Bytes::from(self.sealed);
        let (place, pieces) = if sealed.len() <= BODY_PIECE_OCTETS {
            (Place::Inline(sealed.clone()), Vec::new())
        } else {
            let piece = |at| sealed.slice(at..sealed.len().min(at + BODY_PIECE_OCTETS));
            (Place::Pieces, (0..sealed.len()).step_by(BODY_PIECE_OCTETS).map(piece).collect())
        };
        let sealed_octets = header.sealed_octets();
        let record = BodyRecord { header, place }.encode();
        Staged {
            id: self.id,
            size: self.size,
            bodies: self.bodies,
            record,
            pieces,
            waits_octets: Some(sealed_octets),
            intent: None,
        }
    }

    fn under_intent(self, record: BodyRecord) -> Staged {
        let waits_octets = record.place.is_staged().then(|| record.header.sealed_octets());
        Staged {
            id: self.id,
            size: self.size,
            bodies: self.bodies,
            record: record.encode(),
            pieces: Vec::new(),
            waits_octets,
            intent: self.intent.map(Arc::new),
        }
    }
}

async fn write_pieces(tx: &mut Transaction, id: BodyId, from: u32, batch: &Bytes, most: u64) -> Result<()> {
    let options = RangeOptions { snapshot: true, ..RangeOptions::default() };
    let mut kept = 0;
    for (key, value) in tx.range(keys::all_away(), options).collect().await? {
        if key != keys::away(id) {
            kept += u64::from_be_bytes(value[..].try_into().unwrap_or_default());
        }
    }
    let own = u64::from(from) * BODY_PIECE_OCTETS as u64 + batch.len() as u64;
    if kept + own > most {
        return Err(Error::Full("object store is away, and the room for long bodies is full".into()));
    }
    tx.set(keys::away(id), own.to_be_bytes().to_vec());
    for (number, at) in (from..).zip((0..batch.len()).step_by(BODY_PIECE_OCTETS)) {
        tx.set(keys::piece(id, number), batch.slice(at..batch.len().min(at + BODY_PIECE_OCTETS)));
    }
    Ok(())
}

/// A body that came in whole and is to be committed. Cheap to clone. Once the last clone is dropped, what of it was
/// not committed is given up, and the collector takes it away at its next look.
#[derive(Clone)]
pub struct Staged {
    /// Its identity.
    pub id: BodyId,
    /// Plaintext octets.
    pub size: u64,
    bodies: Bodies,
    record: Bytes,
    pieces: Vec<Bytes>,
    // Sealed octets, if it is still to be packed.
    waits_octets: Option<u64>,
    // The upload intent under which it stands, which the commit ends.
    intent: Option<Arc<Intent>>,
}

impl std::fmt::Debug for Staged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Staged").field("id", &self.id).field("size", &self.size).finish_non_exhaustive()
    }
}

impl Staged {
    /// Writes the body's record, its staged octets and the reference into the caller's transaction. May be
    /// called again for a further owner, or when the transaction is rerun. `Invalid` if the body took so
    /// long ([`super::BodiesConfig::upload_life`]) that its upload was given up: it must be sent again.
    pub async fn commit_into(&self, tx: &mut Transaction, owner: Owner) -> Result<()> {
        tx.set(keys::reference(self.id, owner), Bytes::new());
        let key = keys::body(self.id);
        if tx.get(&key).await?.is_some() {
            return Ok(());
        }
        if self.intent.is_some() {
            let intent = ObjectName::Body(self.id).key();
            match tx.get(&intent).await? {
                Some(value) if Upload::decode(&value)? == Upload::Intended => {
                    self.end_intent(tx, intent).await?
                }
                _ => return Err(Error::Invalid("the body's upload took too long and was given up".into())),
            }
        }
        tx.set(key, self.record.clone());
        for (number, piece) in (0..).zip(&self.pieces) {
            tx.set(keys::piece(self.id, number), piece.clone());
        }
        if let Some(octets) = self.waits_octets {
            tx.set(keys::staged(self.id), octets.to_be_bytes().to_vec());
            self.bodies.inner.pack_hint.staged(octets);
        }
        Ok(())
    }

    async fn end_intent(&self, tx: &mut Transaction, intent: Bytes) -> Result<()> {
        if self.waits_octets.is_none() {
            tx.clear(keys::multipart(ObjectName::Body(self.id)));
            tx.clear(intent);
            return Ok(());
        }
        // It went to pieces because the object store was away: a request of before may still land there.
        let until = tx.now().await?.plus(UPLOAD_TIDIED).as_millis();
        tx.set(intent, Upload::Abandoned(until).encode());
        Ok(())
    }

    /// Roughly the octets that [`Staged::commit_into`] adds to a transaction.
    pub fn staged_octets(&self) -> usize {
        const KEYS: usize = 200;
        KEYS + self.record.len() + self.pieces.iter().map(|piece| piece.len() + 32).sum::<usize>()
    }
}
