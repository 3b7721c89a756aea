//! The calls of one lane to one node: a queue, and a task that sends them in their order over one connection, which it
//! keeps and makes anew. Calls in flight are bounded by number and octets, those that wait likewise.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::TrySendError;
use hyper::{Request, Response, StatusCode, body::Incoming};
use sterna_storage::cluster::NodeAddress;
use sterna_storage::limits::CALL_OCTETS;
use sterna_storage::raft::{CallError, Lane, NodeId, Patience};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::dial::{self, Dialer, Sender, whole};
use super::hello::{self, causes};
use crate::limits;

/// What one permit for octets stands for.
const UNIT_OCTETS: usize = 1024;

/// Where calls are put.
#[derive(Debug)]
pub(super) struct Queue {
    calls: mpsc::UnboundedSender<Call>,
    waiting: Arc<Waiting>,
}

/// A call that was put there.
#[derive(Debug)]
pub(super) struct Pending {
    stage: Arc<Stage>,
    answer: oneshot::Receiver<Result<Bytes, CallError>>,
}

#[derive(Debug)]
struct Call {
    request: Bytes,
    stage: Arc<Stage>,
    reply: oneshot::Sender<Result<Bytes, CallError>>,
    place: Place,
}

/// Whether the caller has given up or the call has gone out, whichever was first.
#[derive(Debug, Default)]
struct Stage(AtomicU8);

const GIVEN_UP: u8 = 1;
const SENT: u8 = 2;

impl Stage {
    fn enter(&self, stage: u8) -> bool {
        self.0.compare_exchange(0, stage, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

/// What waits in the queue.
#[derive(Debug, Default)]
struct Waiting {
    calls: AtomicUsize,
    octets: AtomicUsize,
}

/// A place in the queue; given back when dropped.
#[derive(Debug)]
struct Place {
    waiting: Arc<Waiting>,
    octets: usize,
}

impl Place {
    fn take(waiting: &Arc<Waiting>, octets: usize) -> Option<Self> {
        let calls = waiting.calls.fetch_add(1, Ordering::Relaxed);
        let before = waiting.octets.fetch_add(octets, Ordering::Relaxed);
        let place = Self { waiting: waiting.clone(), octets };
        (calls < limits::CALLS_WAITING && before + octets <= limits::CALLS_WAITING_OCTETS).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.waiting.calls.fetch_sub(1, Ordering::Relaxed);
        self.waiting.octets.fetch_sub(self.octets, Ordering::Relaxed);
    }
}

impl Queue {
    /// A queue whose task ends with it.
    pub(super) fn start(dialer: Dialer, to: NodeId, lane: Lane) -> Self {
        let (calls, receiver) = mpsc::unbounded_channel();
        tokio::spawn(Line::new(dialer, to, lane).run(receiver));
        Self { calls, waiting: Arc::default() }
    }

    /// Puts a call at the end, at once; the reason if there is no room.
    pub(super) fn push(&self, request: Bytes) -> Result<Pending, String> {
        let place = Place::take(&self.waiting, request.len()).ok_or("too many calls wait for it")?;
        let (reply, answer) = oneshot::channel();
        let stage = Arc::<Stage>::default();
        let call = Call { request, stage: stage.clone(), reply, place };
        self.calls.send(call).map_err(|_| "this node is ending")?;
        Ok(Pending { stage, answer })
    }
}

impl Pending {
    /// Its answer, if it comes within that time.
    pub(super) async fn within(mut self, to: NodeId, patience: Patience) -> Result<Bytes, CallError> {
        let Patience { sending, answer: whole } = patience;
        let ended = |_| Err(CallError::Lost(to, "this node is ending".into()));
        let begun = Instant::now();
        if let Ok(answer) = tokio::time::timeout_at(begun + sending.min(whole), &mut self.answer).await {
            return answer.unwrap_or_else(ended);
        }
        if self.stage.enter(GIVEN_UP) {
            return Err(CallError::NotSent(to, format!("it could not be sent within {sending:?}")));
        }
        match tokio::time::timeout_at(begun + whole, self.answer).await {
            Ok(answer) => answer.unwrap_or_else(ended),
            Err(_) => Err(CallError::Lost(to, format!("no answer within {whole:?}"))),
        }
    }
}

/// The task's side.
struct Line {
    dialer: Dialer,
    to: NodeId,
    lane: Lane,
    link: Option<(NodeAddress, Sender)>,
    failure: Option<Failure>,
    calls: Arc<Semaphore>,
    octets: Arc<Semaphore>,
}

/// Why there was no connection when one was last tried.
struct Failure {
    address: NodeAddress,
    reason: String,
    pause: Duration,
    until: Instant,
    /// The next attempt, once it is under way. No call waits for it.
    dialing: Option<AbortOnDropHandle<Result<Sender, String>>>,
}

/// What a call in flight holds.
type Room = (OwnedSemaphorePermit, OwnedSemaphorePermit);

impl Line {
    fn new(dialer: Dialer, to: NodeId, lane: Lane) -> Self {
        let calls = Arc::new(Semaphore::new(limits::CALLS_IN_FLIGHT));
        let octets = Arc::new(Semaphore::new(limits::CALLS_IN_FLIGHT_OCTETS / UNIT_OCTETS));
        Self { dialer, to, lane, link: None, failure: None, calls, octets }
    }

    async fn run(mut self, mut receiver: mpsc::UnboundedReceiver<Call>) {
        while let Some(call) = receiver.recv().await {
            if call.reply.is_closed() {
                continue;
            }
            let Some(room) = self.room(call.request.len()).await else { return };
            match self.connected().await {
                Ok(sender) => self.send(sender, call, room),
                // Its caller may have gone.
                Err(reason) => drop(call.reply.send(Err(CallError::NotSent(self.to, reason)))),
            }
        }
    }

    /// Waits until one more call of that length may be in flight. `None`: never, nobody closes them.
    async fn room(&self, octets: usize) -> Option<Room> {
        let units = octets.div_ceil(UNIT_OCTETS).max(1);
        let call = self.calls.clone().acquire_owned().await.ok()?;
        Some((call, self.octets.clone().acquire_many_owned(units as u32).await.ok()?))
    }

    /// The connection, made anew if it has ended or the node is called elsewhere now.
    async fn connected(&mut self) -> Result<Sender, String> {
        let Some(address) = self.dialer.peers.address(self.to) else {
            self.link = None;
            return Err("it is no node of this cluster".into());
        };
        if let Some((at, sender)) = &self.link
            && *at == address
            && !sender.is_closed()
        {
            return Ok(sender.clone());
        }
        self.link = None;
        let (before, dialed) = match self.failure.take().filter(|failure| failure.address == address) {
            None => (None, self.dialer.dial(self.to, &address).await),
            Some(mut failure) => match self.dialed_aside(&mut failure).await {
                Some(dialed) => (Some(failure), dialed),
                None => return Err(self.failure.insert(failure).reason.clone()),
            },
        };
        match dialed {
            Ok(sender) => {
                tracing::debug!(node = %self.to, %address, lane = ?self.lane, "connected");
                self.link = Some((address, sender.clone()));
                Ok(sender)
            }
            Err(reason) => Err(self.failed(address, before, &reason)),
        }
    }

    /// What came of the attempt after one that failed: it goes on aside. `None`: nothing yet.
    async fn dialed_aside(&self, failure: &mut Failure) -> Option<Result<Sender, String>> {
        match failure.dialing.take() {
            Some(dialing) if dialing.is_finished() => {
                return Some(dialing.await.unwrap_or_else(|error| Err(error.to_string())));
            }
            Some(dialing) => failure.dialing = Some(dialing),
            None if Instant::now() >= failure.until => {
                let (dialer, to, address) = (self.dialer.clone(), self.to, failure.address.clone());
                let dialing = tokio::spawn(async move { dialer.dial(to, &address).await });
                failure.dialing = Some(AbortOnDropHandle::new(dialing));
            }
            None => {}
        }
        None
    }

    /// Remembers why there is no connection.
    fn failed(&mut self, address: NodeAddress, before: Option<Failure>, reason: &str) -> String {
        let reason = format!("{address}: {reason}");
        if before.as_ref().is_none_or(|before| before.reason != reason) {
            tracing::warn!(node = %self.to, lane = ?self.lane, reason, "another node cannot be reached");
        }
        let pause = dial::pause_after(before.map_or(Duration::ZERO, |before| before.pause));
        let until = Instant::now() + pause;
        self.failure = Some(Failure { address, reason: reason.clone(), pause, until, dialing: None });
        reason
    }

    /// Hands the call to the connection, before anything of a later one; its answer is waited for aside.
    fn send(&self, mut sender: Sender, call: Call, room: Room) {
        let Call { request, stage, mut reply, place } = call;
        if !stage.enter(SENT) {
            return;
        }
        drop(place);
        let answer = sender.try_send_request(dial::request(hello::path(self.lane), request));
        let (to, dialer) = (self.to, self.dialer.clone());
        tokio::spawn(async move {
            tokio::select! {
                outcome = received(answer, to, &dialer) => drop(reply.send(outcome)),
                // Nobody waits for it any more: the stream is reset.
                () = reply.closed() => {}
            }
            drop(room);
        });
    }
}

async fn received(
    answer: impl Future<Output = Result<Response<Incoming>, TrySendError<Request<Full<Bytes>>>>>,
    to: NodeId,
    dialer: &Dialer,
) -> Result<Bytes, CallError> {
    let response = match answer.await {
        Ok(response) => response,
        Err(mut error) => {
            let was_kept = error.take_message().is_some();
            let reason = causes(&error.into_error());
            return Err(if was_kept { CallError::NotSent(to, reason) } else { CallError::Lost(to, reason) });
        }
    };
    if let Some(other) = response.headers().get(hello::RIVAL).and_then(|value| value.to_str().ok()) {
        let told = hello::rivalry(dialer.live.current().facts.identity, other);
        dialer.rival.is_told(&told, std::time::Instant::now());
    }
    let (status, octets) =
        whole(response, CALL_OCTETS).await.map_err(|reason| CallError::Lost(to, reason))?;
    if status == StatusCode::OK {
        return Ok(octets);
    }
    let told = hello::told(&octets);
    Err(if hello::is_refusal(status) { CallError::NotSent(to, told) } else { CallError::Lost(to, told) })
}
