//! openraft's calls over the transport.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use openraft::OptionalSend;
use openraft::alias::SnapshotOf;
use openraft::errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{Backoff, RPCOption, RaftNetworkFactory, RaftNetworkV2};
use openraft::raft::{SnapshotResponse, TransferLeaderRequest, TransferLeaderResponse};

use super::call::{Answer, Call, Succession};
use super::consensus::{Append, Appended, Ballot, Balloted, Types, Vote, Voter};
use super::exchange::Exchange;
use super::sending::{Sending, Transfer};
use super::snapshot::{Carried, Outgoing, Part, Received};
use super::transport::{CallError, NodeId};
use crate::{Error, Result, limits};

/// Makes links.
pub(super) struct Links {
    pub(super) exchange: Arc<Exchange>,
    pub(super) sending: Arc<Sending>,
}

/// To one voter.
pub(super) struct Link {
    exchange: Arc<Exchange>,
    sending: Arc<Sending>,
    to: (NodeId, u64),
}

impl RaftNetworkFactory<Types> for Links {
    type Network = Link;

    async fn new_client(&mut self, target: u64, voter: &Voter) -> Link {
        let (exchange, sending) = (self.exchange.clone(), self.sending.clone());
        Link { exchange, sending, to: (NodeId(target), voter.incarnation) }
    }
}

impl Link {
    async fn ask(&self, call: Call, patience: Duration) -> Result<Answer, RPCError<Types>> {
        match self.exchange.ask(self.to, &call, patience).await {
            Ok(Answer::Stranger(())) => {
                let text = format!("node {} has another folder than the group's member", self.to.0);
                Err(unreachable(text))
            }
            Ok(Answer::Failed(error)) => Err(unreachable(error.to_string())),
            Ok(answer) => Ok(answer),
            Err(CallError::NotSent(_, text)) => Err(unreachable(text)),
            Err(CallError::Lost(_, text)) => Err(RPCError::Network(NetworkError::from_string(text))),
        }
    }

    /// Sends the part until the receiver has it. `None`: it goes on with the next.
    async fn send(&self, part: Part) -> Result<Option<Vote>, StreamingError<Types>> {
        let number = part.number;
        let call = Call::Part(part);
        let begun = Instant::now();
        let mut pause = limits::RAFT_BACKOFF;
        loop {
            match self.ask(call.clone(), limits::SNAPSHOT_PART_PATIENCE).await {
                Ok(Answer::Received(Received::Parts(parts))) if parts == number + 1 => return Ok(None),
                Ok(Answer::Received(Received::Installed(vote) | Received::Outvoted(vote))) => {
                    return Ok(Some(vote));
                }
                Ok(_) => return Err(NetworkError::from_string("the receiver starts anew").into()),
                Err(error) if begun.elapsed() > limits::SNAPSHOT_PATIENCE => return Err(error.into()),
                Err(_) => {
                    tokio::time::sleep(pause).await;
                    pause = limits::SNAPSHOT_PAUSE_MAX.min(pause * 2);
                }
            }
        }
    }

    async fn send_all(
        &self,
        vote: Vote,
        mut outgoing: Box<Outgoing>,
        transfer: Transfer,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        loop {
            let read = tokio::task::spawn_blocking(move || {
                let part = outgoing.part(vote);
                (outgoing, part)
            });
            let (back, part) = read.await.map_err(|error| StreamingError::from(NetworkError::new(&error)))?;
            let part = part.map_err(|error| {
                tracing::error!(%error, "the state cannot be read for another voter");
                StreamingError::Unreachable(Unreachable::from_string(error))
            })?;
            let answered = self.send(part).await?;
            transfer.heard();
            if let Some(vote) = answered {
                transfer.is_whole();
                return Ok(SnapshotResponse::new(vote));
            }
            outgoing = back;
        }
    }
}

fn unreachable(text: String) -> RPCError<Types> {
    RPCError::Unreachable(Unreachable::from_string(text))
}

fn unexpected() -> RPCError<Types> {
    RPCError::Network(NetworkError::from_string(Error::Corrupt("an answer to another question".into())))
}

impl RaftNetworkV2<Types> for Link {
    type SnapshotData = Carried;

    async fn append_entries(
        &mut self,
        request: Append,
        option: RPCOption,
    ) -> Result<Appended, RPCError<Types>> {
        // Entries are answered once they are synced.
        let patience =
            if request.entries.is_empty() { option.hard_ttl() } else { limits::RAFT_APPEND_PATIENCE };
        match self.ask(Call::Append(request), patience).await? {
            Answer::Appended(appended) => Ok(appended),
            _ => Err(unexpected()),
        }
    }

    async fn vote(&mut self, request: Ballot, option: RPCOption) -> Result<Balloted, RPCError<Types>> {
        match self.ask(Call::Vote(request), option.hard_ttl()).await? {
            Answer::Balloted(balloted) => Ok(balloted),
            _ => Err(unexpected()),
        }
    }

    async fn pre_vote(&mut self, request: Ballot, option: RPCOption) -> Result<Balloted, RPCError<Types>> {
        match self.ask(Call::PreVote(request), option.hard_ttl()).await? {
            Answer::Balloted(balloted) => Ok(balloted),
            _ => Err(unexpected()),
        }
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: SnapshotOf<Types, Carried>,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _: RPCOption,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        let Carried::Outgoing(outgoing) = snapshot.snapshot else {
            return Err(NetworkError::from_string("a state that cannot be read").into());
        };
        let last = snapshot.meta.last_log_id.map_or(0, |last| last.index);
        let transfer = self.sending.begin(self.to.0.0, last);
        let cancel = pin!(cancel);
        tokio::select! {
            reason = cancel => Err(reason.into()),
            sent = self.send_all(vote, outgoing, transfer) => sent,
        }
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<Types>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<Types>, RPCError<Types>> {
        let succession = Succession::new(&request);
        match self.ask(Call::Lead(succession.clone()), option.hard_ttl()).await? {
            Answer::Led(true) => Ok(Ok(())),
            Answer::Led(false) => Ok(Err(succession.refusal())),
            _ => Err(unexpected()),
        }
    }

    fn backoff(&self) -> Option<Backoff> {
        // A voter that comes back is noticed soon; one that is away costs a call now and then.
        Some(Backoff::new(std::iter::repeat(limits::RAFT_BACKOFF)))
    }
}
