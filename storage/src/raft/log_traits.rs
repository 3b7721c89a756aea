//! What openraft asks of a log, answered by [`super::log_store`].

use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};

use futures::stream::{self, Stream, StreamExt};
use openraft::OptionalSend;
use openraft::storage::{IOFlushed, LogState, RaftLogReader, RaftLogStorage};

use super::consensus::{LogEntry, LogId, Types, Vote};
use super::log_store::{LogStore, other, ours};
use crate::limits;

fn bounds(range: &impl RangeBounds<u64>) -> (u64, u64) {
    let begin = match range.start_bound() {
        Bound::Included(begin) => *begin,
        Bound::Excluded(before) => before + 1,
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(last) => last + 1,
        Bound::Excluded(end) => *end,
        Bound::Unbounded => u64::MAX,
    };
    (begin, end)
}

impl RaftLogReader<Types> for LogStore {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<LogEntry>, io::Error> {
        // All of it: openraft asks for one entry, or for some dozens when it starts.
        let (begin, end) = bounds(&range);
        self.read(begin, end, usize::MAX).map_err(other)
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, io::Error> {
        Ok(self.held().vote)
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> Result<Vec<LogEntry>, io::Error> {
        self.read(start, end, limits::RAFT_SENT_OCTETS).map_err(other)
    }

    /// What is committed, a few entries at a time: the range may be all that a restart replays.
    async fn entries_stream<RB>(
        &mut self,
        range: RB,
    ) -> impl Stream<Item = Result<LogEntry, io::Error>> + OptionalSend
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let (begin, end) = bounds(&range);
        let store = self.clone();
        let steps = stream::unfold(begin, move |begin| {
            let store = store.clone();
            async move {
                if begin >= end {
                    return None;
                }
                match store.read(begin, end, limits::RAFT_SENT_OCTETS) {
                    Ok(entries) => match entries.last().map(|last| last.log_id.index + 1) {
                        Some(next) => Some((entries.into_iter().map(Ok).collect::<Vec<_>>(), next)),
                        None => Some((vec![Err(io::Error::other("a committed entry is not there"))], end)),
                    },
                    Err(error) => Some((vec![Err(other(error))], end)),
                }
            }
        });
        steps.flat_map(stream::iter).boxed()
    }
}

impl RaftLogStorage<Types> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<Types>, io::Error> {
        Ok(LogState { last_purged_log_id: self.held().purged, last_log_id: self.last() })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), io::Error> {
        // What was handed over before is on disk before: openraft counts on this order.
        self.settle().await.map_err(other)?;
        let vote = *vote;
        self.change(move |held| held.vote = Some(vote)).await.map_err(other)
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<Types>) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = LogEntry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        self.add(entries.into_iter().collect(), callback).await.map_err(other)
    }

    async fn truncate_after(&mut self, last_log_id: Option<LogId>) -> Result<(), io::Error> {
        self.truncate(last_log_id.map_or(0, |last| ours(&last))).await.map_err(other)
    }

    async fn purge(&mut self, upto: LogId) -> Result<(), io::Error> {
        self.forget(upto).await.map_err(other)
    }
}
