//! The message of a delivery: header lines in front, then the stored body, read as it is sent.

use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use sterna_storage::Result;
use sterna_storage::bodies::Reader;

/// A message that can be sent as often as needed. Cheap to clone.
#[derive(Clone)]
pub struct Content {
    head: Bytes,
    body: Body,
}

#[derive(Clone)]
enum Body {
    Stored(Arc<Reader>),
    Loaded(Bytes),
}

impl Content {
    /// Of a stored body, with header lines in front of it.
    pub fn stored(head: impl Into<Bytes>, body: Reader) -> Self {
        Self { head: head.into(), body: Body::Stored(Arc::new(body)) }
    }

    /// Of octets in memory.
    pub fn loaded(octets: impl Into<Bytes>) -> Self {
        Self { head: Bytes::new(), body: Body::Loaded(octets.into()) }
    }

    /// Its length in octets.
    pub fn octets(&self) -> u64 {
        let body = match &self.body {
            Body::Stored(reader) => reader.len(),
            Body::Loaded(octets) => octets.len() as u64,
        };
        self.head.len() as u64 + body
    }

    /// Its octets, in pieces, from the start.
    pub(super) fn stream(&self) -> BoxStream<'static, Result<Bytes>> {
        let body = match &self.body {
            Body::Stored(reader) => reader.read(0..reader.len()),
            Body::Loaded(octets) => {
                let octets = octets.clone();
                stream::once(async { Ok(octets) }).boxed()
            }
        };
        let head = self.head.clone();
        stream::once(async { Ok(head) }).chain(body).boxed()
    }
}
