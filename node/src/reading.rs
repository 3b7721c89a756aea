//! A message's octets on their way to a client who may take them slowly: what is read ahead of a long one comes out of
//! the node's octet budget, and where that has nothing to spare, less is read at a time.

use std::ops::Range;

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use sterna_gateway::net::ByteBudget;
use sterna_storage::Result;
use sterna_storage::limits::{BODY_LOADED_OCTETS, BODY_READ_AHEAD_OCTETS};
use sterna_storage::mailstore::MessageReader;

/// The octets of the range as far as the message has them, once the first of them are at hand. The budget has back what
/// they hold when the stream is dropped.
pub(crate) async fn begin(
    message: &MessageReader,
    range: Range<u64>,
    budget: &ByteBudget,
) -> Result<BoxStream<'static, Result<Bytes>>> {
    if range.end.saturating_sub(range.start) <= BODY_LOADED_OCTETS {
        return message.begin(range, BODY_LOADED_OCTETS).await;
    }
    let held = budget.spare(BODY_READ_AHEAD_OCTETS as usize);
    let ahead_octets = held.as_ref().map_or(0, |held| held.octets() as u64);
    let octets = message.begin(range, ahead_octets).await?;
    let hold = move |_: &Result<Bytes>| {
        let _until_the_end = &held;
    };
    Ok(octets.inspect(hold).boxed())
}
