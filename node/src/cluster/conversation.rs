//! One connection of another node: the hello, then its calls, begun in the order in which they were sent.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Poll;
use std::time::Instant;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body, Incoming};
use hyper::{Request, Response, StatusCode};
use parking_lot::Mutex;
use sterna_storage::limits::CALL_OCTETS;
use sterna_storage::raft::{Answers, Lane};
use tokio::sync::oneshot;

use super::hello::{self, Hello};
use super::identity::{Identity, Incarnation};
use super::peers::Peers;
use super::twins::{Presence, Twins};
use crate::limits;

/// An answer on its way.
pub(super) type Answer = Response<Full<Bytes>>;

/// One connection.
pub(super) struct Conversation {
    pub(super) from: Identity,
    pub(super) peer: SocketAddr,
    pub(super) incarnation: Incarnation,
    pub(super) twins: Twins,
    pub(super) peers: Peers,
    pub(super) answers: Arc<dyn Answers>,
    pub(super) turns: Turns,
    pub(super) in_hand: Arc<InHand>,
    /// Since the hello.
    pub(super) presence: OnceLock<Presence>,
}

/// Why a request is not carried out; nothing of it is.
type Refused = (StatusCode, String);

fn answer(status: StatusCode, octets: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(octets.into()));
    *answer.status_mut() = status;
    answer
}

impl Conversation {
    /// Answers one request.
    pub(super) async fn answer(&self, request: Request<Incoming>, turn: Turn) -> Answer {
        let answered = match request.uri().path() {
            hello::HELLO => self.greet(request).await,
            path => match hello::lane(path) {
                Some(lane) => self.call(lane, request, turn).await,
                None => Err((StatusCode::NOT_FOUND, "there is no such lane".into())),
            },
        };
        answered.unwrap_or_else(|(status, reason)| answer(status, reason))
    }

    async fn greet(&self, request: Request<Incoming>) -> Result<Answer, Refused> {
        let invalid = |reason: String| (StatusCode::BAD_REQUEST, reason);
        let octets = read(request, limits::HELLO_OCTETS).await?;
        let theirs = Hello::read(&octets).map_err(invalid)?;
        theirs.agrees().map_err(|reason| {
            tracing::warn!(node = %self.from.node, peer = %self.peer, reason, "a node of another release calls");
            // Said of this node by the one that reads it.
            (StatusCode::UPGRADE_REQUIRED, format!("versions do not fit; node {} is told: {reason}", self.from.node))
        })?;
        match self.twins.enter(self.from.node, theirs.incarnation, self.peer.ip(), Instant::now()) {
            Ok(presence) => {
                self.presence.set(presence).map_err(|_| invalid("a second hello".into()))?;
                if let Some(address) = theirs.address
                    && self.peers.says(self.from.node, address.clone())
                {
                    tracing::info!(node = %self.from.node, %address, "another node has moved");
                }
                Ok(answer(StatusCode::OK, Hello::new(self.incarnation).write()))
            }
            Err(twin) => {
                let told = hello::rivalry(self.from, &twin.first.to_string());
                if twin.is_news {
                    tracing::error!(second = %self.peer, "{told}");
                }
                Err((StatusCode::CONFLICT, told))
            }
        }
    }

    async fn call(&self, lane: Lane, request: Request<Incoming>, mut turn: Turn) -> Result<Answer, Refused> {
        let Some(presence) = self.presence.get() else {
            return Err((StatusCode::FORBIDDEN, "a hello comes first".into()));
        };
        let announced = request.body().size_hint().exact().and_then(|octets| usize::try_from(octets).ok());
        let octets = announced.ok_or((StatusCode::LENGTH_REQUIRED, "a call tells its length".to_owned()))?;
        let held = Held::take(&self.in_hand, octets)?;
        let request = read(request, CALL_OCTETS).await?;
        turn.comes().await;
        let (answers, from) = (self.answers.clone(), self.from.node);
        // What was begun is carried to its end, also if nobody waits for it any more.
        let answering = tokio::spawn(async move {
            let mut answering = answers.answer(from, lane, request);
            let first = futures::poll!(&mut answering);
            drop(turn);
            let octets = match first {
                Poll::Ready(octets) => octets,
                Poll::Pending => answering.await,
            };
            drop(held);
            octets
        });
        let Ok(octets) = answering.await else {
            return Ok(answer(StatusCode::INTERNAL_SERVER_ERROR, "answering it failed"));
        };
        if octets.len() > CALL_OCTETS {
            tracing::error!(octets = octets.len(), ?lane, "an answer to another node is too long");
            return Ok(answer(StatusCode::INTERNAL_SERVER_ERROR, "the answer is too long"));
        }
        let mut answer = answer(StatusCode::OK, octets);
        if let Some(rival) =
            presence.rival(Instant::now()).and_then(|rival| rival.to_string().try_into().ok())
        {
            answer.headers_mut().insert(hello::RIVAL, rival);
        }
        Ok(answer)
    }
}

async fn read(request: Request<Incoming>, most: usize) -> Result<Bytes, Refused> {
    let body = Limited::new(request.into_body(), most).collect().await;
    body.map(|body| body.to_bytes()).map_err(|_| {
        (StatusCode::PAYLOAD_TOO_LARGE, format!("it is not whole, or longer than {most} octets"))
    })
}

/// What a connection has in hand.
#[derive(Default)]
pub(super) struct InHand {
    calls: AtomicUsize,
    octets: AtomicUsize,
}

/// One call's part of it; given back when dropped.
struct Held {
    in_hand: Arc<InHand>,
    octets: usize,
}

impl Held {
    /// An honest caller counts too, and stays below half of these bounds.
    fn take(in_hand: &Arc<InHand>, octets: usize) -> Result<Self, Refused> {
        let calls = 1 + in_hand.calls.fetch_add(1, Ordering::Relaxed);
        let all = octets.saturating_add(in_hand.octets.fetch_add(octets, Ordering::Relaxed));
        let held = Self { in_hand: in_hand.clone(), octets };
        if calls > 2 * limits::CALLS_IN_FLIGHT || all > 2 * limits::CALLS_IN_FLIGHT_OCTETS {
            return Err((StatusCode::TOO_MANY_REQUESTS, "too much of this lane is in hand".into()));
        }
        Ok(held)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.in_hand.calls.fetch_sub(1, Ordering::Relaxed);
        self.in_hand.octets.fetch_sub(self.octets, Ordering::Relaxed);
    }
}

/// Gives each request its turn behind the ones before it.
#[derive(Default)]
pub(super) struct Turns(Mutex<Option<Before>>);

/// One request's turn. Dropping it passes it on; where it has not come yet, so does what it waits for.
pub(super) struct Turn {
    before: Option<Before>,
    after: Option<oneshot::Sender<Option<Before>>>,
}

/// Ends when the request before had its turn, or tells what else is to be waited for.
struct Before(oneshot::Receiver<Option<Before>>);

impl Turns {
    pub(super) fn next(&self) -> Turn {
        let (after, next) = oneshot::channel();
        Turn { before: self.0.lock().replace(Before(next)), after: Some(after) }
    }
}

impl Turn {
    /// Ends once all before it have had theirs.
    async fn comes(&mut self) {
        while let Some(Before(before)) = &mut self.before {
            let next = before.await.ok().flatten();
            self.before = next;
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        // What was given up before it is skipped: however many are, the next one waits for one that is not.
        while let Some(Before(before)) = &mut self.before
            && let Ok(next) = before.try_recv()
        {
            self.before = next;
        }
        if let Some(after) = self.after.take() {
            // Nobody may come behind it.
            let _ = after.send(self.before.take());
        }
    }
}

impl Before {
    /// What it would tell now; from then on it is told nothing.
    fn end(&mut self) -> Option<Self> {
        self.0.close();
        self.0.try_recv().ok().flatten()
    }
}

/// One by one: a long chain that ended itself link within link would need as much of the stack.
impl Drop for Before {
    fn drop(&mut self) {
        let mut next = self.end();
        while let Some(mut before) = next {
            next = before.end();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_turn_that_is_given_up_lets_nobody_overtake() {
        let turns = Turns::default();
        let (first, given_up, mut last) = (turns.next(), turns.next(), turns.next());
        drop(given_up);
        let mut waiting = Box::pin(last.comes());
        assert!(futures::poll!(&mut waiting).is_pending(), "the first has not had its turn");
        drop(first);
        waiting.await;
    }

    #[tokio::test]
    async fn thousands_that_are_given_up_leave_no_chain_and_end_in_any_order() {
        const LINKS: usize = 100_000;
        let turns = Turns::default();
        let first = turns.next();
        (0..LINKS).for_each(|_| drop(turns.next()));
        let mut last = turns.next();
        let Some(Before(before)) = &mut last.before else { panic!("it waits for the first") };
        let told = before.try_recv().expect("the one before was given up");
        assert!(told.is_some_and(|mut told| told.0.try_recv().is_err()), "the first comes next");
        drop((first, last));
        // The last one first: each leaves what it waits for to the one behind it, which has gone.
        let mut given_up: Vec<Turn> = (0..LINKS).map(|_| turns.next()).collect();
        while let Some(turn) = given_up.pop() {
            drop(turn);
        }
        drop(turns);
    }
}
