//! What is staged and waits to be packed, for who looks after the server.

use super::keys;
use super::store::Bodies;
use crate::Result;
use crate::kv::KeyRange;

/// What waits to be packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Waiting {
    /// Bodies.
    pub bodies: u64,
    /// Their sealed octets.
    pub octets: u64,
}

impl Bodies {
    /// Counts what waits to be packed; walks over all of it.
    pub async fn waiting(&self) -> Result<Waiting> {
        let (mut waiting, mut left) = (Waiting::default(), keys::all_staged());
        loop {
            let page = self.page(&left).await?;
            let Some((last, _)) = page.last() else { return Ok(waiting) };
            left.begin = KeyRange::key(last).end;
            waiting.bodies += page.len() as u64;
            for (_, octets) in &page {
                waiting.octets += u64::from_be_bytes(octets[..].try_into().unwrap_or_default());
            }
        }
    }
}
