//! One run of a message to one destination: host after host, address after address, until each recipient has a
//! lasting answer or nothing is left to try (RFC 5321 §5.1).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::time::Instant;

use super::config::OutboundConfig;
use super::content::Content;
use super::pool::{Bounds, Pool};
use super::route::{Destination, MailRoute, Router};
use super::session::{Broken, Dial, Lost, Session};
use super::wire;
use crate::dns::{Resolver, RouteError};
use crate::limits;
use crate::net::Drain;
use crate::smtp::client::{ClientError, RecipientOutcome, RecipientRequest, Request};
use crate::smtp::codec::PeerReply;
use crate::smtp::codec::parameter::BodyKind;

/// What is to be delivered.
#[derive(Clone)]
pub struct Job {
    /// Where to.
    pub destination: Destination,
    /// Envelope; its recipients all belong to the destination.
    pub request: Request,
    /// The message.
    pub content: Content,
    /// Asked before the final dot: whether this node still has the claim.
    pub still_ours: Arc<MayEnd>,
}

/// Whether the final dot may be sent.
pub type MayEnd = dyn Fn() -> BoxFuture<'static, bool> + Send + Sync;

/// What became of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// An outcome for each recipient of the job's request, in their order.
    Tried(Vec<Outcome>),
    /// Nothing was tried: too many deliveries wait for the destination.
    Busy,
    /// The job's claim was lost before the message was handed over.
    Abandoned,
}

/// What became of a recipient in this run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Another server has taken responsibility.
    Relayed {
        /// Its name and address: `mx.example.org [192.0.2.1]`.
        host: String,
        /// Whether it offers DSN.
        dsn: bool,
        /// Its reply.
        reply: String,
    },
    /// Not delivered.
    Refused(Refusal),
}

/// Why a recipient was not delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Whether trying again later can help.
    pub is_temporary: bool,
    /// The enhanced status code; its first digit agrees with `is_temporary`.
    pub status: String,
    /// What the server said, or what went wrong.
    pub text: String,
    /// The server that said so; `None` if no server did.
    pub host: Option<String>,
}

impl Refusal {
    fn temporary(status: &str, text: impl Into<String>, host: Option<String>) -> Self {
        Self { is_temporary: true, status: status.to_owned(), text: text.into(), host }
    }

    fn permanent(status: &str, text: impl Into<String>, host: Option<String>) -> Self {
        Self { is_temporary: false, status: status.to_owned(), text: text.into(), host }
    }

    /// From a server's reply; one that is neither 4xx nor 5xx counts as temporary.
    fn of(reply: &PeerReply, host: &str) -> Self {
        let is_temporary = !reply.is_permanent();
        let class = if is_temporary { 4 } else { 5 };
        let status = match reply.enhanced {
            Some(code) if u16::from(code.0) == class => code.to_string(),
            _ => format!("{class}.0.0"),
        };
        Self { is_temporary, status, text: reply.to_string(), host: Some(host.to_owned()) }
    }
}

impl From<RouteError> for Refusal {
    fn from(error: RouteError) -> Self {
        match error {
            RouteError::Permanent { status, text } => Self::permanent(status, text, None),
            RouteError::Temporary { status, text } => Self::temporary(status, text, None),
        }
    }
}

/// Delivers to other hosts. Cheap to clone; clones share connections and what is known of hosts.
#[derive(Clone)]
pub struct Outbound {
    inner: Arc<Inner>,
}

struct Inner {
    config: OutboundConfig,
    router: Router,
    pool: Pool,
    tls: Option<Arc<rustls::ClientConfig>>,
}

impl Outbound {
    /// With the resolver and the operator's wishes. Fails where this build's cryptography cannot do TLS.
    pub fn new(resolver: Resolver, config: OutboundConfig) -> Result<Self, rustls::Error> {
        Self::keeping(resolver, config, limits::OUTBOUND_IDLE)
    }

    // Connections are kept for that long.
    pub(super) fn keeping(
        resolver: Resolver,
        config: OutboundConfig,
        idle: Duration,
    ) -> Result<Self, rustls::Error> {
        let tls = if config.tls { Some(wire::opportunistic()?) } else { None };
        let waiting = match config.smarthost {
            Some(_) => tokio::sync::Semaphore::MAX_PERMITS,
            None => config.waiting_per_destination,
        };
        let bounds = Bounds {
            connections: config.connections,
            per_destination: config.connections_per_destination,
            waiting,
            idle,
        };
        let pool = Pool::new(bounds);
        let router = Router::new(resolver, config.clone());
        Ok(Self { inner: Arc::new(Inner { config, router, pool, tls }) })
    }

    /// Groups recipients.
    pub fn router(&self) -> &Router {
        &self.inner.router
    }

    /// The operator's wishes.
    pub fn config(&self) -> &OutboundConfig {
        &self.inner.config
    }

    /// Closes connections that have been idle for too long, until the drain starts; then all, and none is kept any
    /// more.
    pub async fn sweep(self, drain: Drain) {
        let mut ticks = tokio::time::interval(self.inner.pool.idle_time() / 2);
        loop {
            let is_last = tokio::select! {
                () = drain.started() => true,
                _ = ticks.tick() => false,
            };
            let old = if is_last { self.inner.pool.close() } else { self.inner.pool.expired() };
            futures::future::join_all(old.into_iter().map(Session::quit)).await;
            if is_last {
                return;
            }
        }
    }

    /// One run.
    pub async fn deliver(&self, job: &Job) -> Delivery {
        let inner = &*self.inner;
        let Some(_slot) = inner.pool.slot(&job.destination.to_string()).await else { return Delivery::Busy };
        let mut run = Run::new(inner, job);
        match inner.router.route(&job.destination).await {
            Ok(route) => run.try_all(&route).await,
            Err(error) => run.refuse_rest(&error.into()),
        }
        if run.is_abandoned {
            return Delivery::Abandoned;
        }
        Delivery::Tried(run.outcomes())
    }
}

fn nothing_tried() -> Outcome {
    Outcome::Refused(Refusal::temporary("4.4.1", "no host could be tried", None))
}

/// The state of one run.
struct Run<'r> {
    inner: &'r Inner,
    job: &'r Job,
    /// Parallel to the request's recipients: what is known so far, temporary refusals included.
    outcomes: Vec<Option<Outcome>>,
    /// Servers that have been talked to.
    sessions: usize,
    /// What the last server said that wants no mail from us at all, for good.
    unwelcome: Option<Refusal>,
    /// Whether anything else was met, that may be otherwise the next time.
    may_change: bool,
    is_abandoned: bool,
}

/// Whether the next address is to be tried.
#[derive(PartialEq, Eq)]
enum Next {
    Address,
    Nothing,
}

impl<'r> Run<'r> {
    fn new(inner: &'r Inner, job: &'r Job) -> Self {
        let outcomes = vec![None; job.request.recipients.len()];
        Self { inner, job, outcomes, sessions: 0, unwelcome: None, may_change: false, is_abandoned: false }
    }

    /// What is known of each recipient. Where every server there is greets us with a lasting refusal (RFC 5321
    /// §3.1: "No SMTP service here"), it lasts for the recipients too.
    fn outcomes(self) -> Vec<Outcome> {
        let unwelcome = self.unwelcome.filter(|_| !self.may_change).map(Outcome::Refused);
        let of = |outcome: Option<Outcome>| match (outcome, &unwelcome) {
            (Some(Outcome::Refused(Refusal { is_temporary: true, .. })), Some(unwelcome)) => {
                unwelcome.clone()
            }
            (Some(outcome), _) => outcome,
            (None, _) => nothing_tried(),
        };
        self.outcomes.into_iter().map(of).collect()
    }

    async fn try_all(&mut self, route: &MailRoute) {
        let mut connects = 0;
        for (host, addresses) in &route.hosts {
            for address in addresses {
                if self.inner.pool.is_down(*address, Instant::now()) {
                    self.may_change = true;
                    let text = format!("{host} [{}] did not answer a moment ago", address.ip());
                    self.refuse_rest(&Refusal::temporary("4.4.1", text, None));
                    continue;
                }
                if connects == limits::OUTBOUND_CONNECTS || self.sessions == limits::OUTBOUND_SESSIONS {
                    self.may_change = true;
                    return;
                }
                connects += 1;
                if self.try_address(host, *address).await == Next::Nothing {
                    return;
                }
            }
        }
    }

    async fn try_address(&mut self, host: &str, address: SocketAddr) -> Next {
        let shown = format!("{host} [{}]", address.ip());
        // A connection that was kept may have gone stale: then a fresh one is tried.
        if let Some(session) = self.inner.pool.take(address) {
            match self.transact(session, &shown).await {
                Ok(next) => return next,
                Err(broken) if broken.is_stale() => {}
                Err(broken) => return self.broke(&broken, &shown),
            }
        }
        match self.dial(host, address).await {
            Ok(session) => {
                self.inner.pool.succeeded(address);
                match self.transact(session, &shown).await {
                    Ok(next) => next,
                    Err(broken) => self.broke(&broken, &shown),
                }
            }
            Err(why) => {
                if matches!(why, Lost::Connect(_)) {
                    self.inner.pool.failed(address, Instant::now());
                }
                self.broke(&Broken { why, was_sent: false }, &shown)
            }
        }
    }

    /// With TLS where the server offers it; in the clear if its TLS does not work (RFC 7435 §3).
    async fn dial(&self, host: &str, address: SocketAddr) -> Result<Session, Lost> {
        let pool = &self.inner.pool;
        let tls = self.inner.tls.clone().filter(|_| !pool.is_without_tls(address));
        let dial = Dial { host, address, hello: &self.inner.config.host, tls };
        match Session::open(dial.clone()).await {
            Err(Lost::Tls(error)) => {
                tracing::info!(host, %address, %error, "TLS failed, continuing in the clear");
                pool.tls_failed(address);
                Session::open(Dial { tls: None, ..dial }).await
            }
            other => other,
        }
    }

    async fn transact(&mut self, mut session: Session, shown: &str) -> Result<Next, Broken> {
        self.may_change = true;
        let (indexes, request) = self.fitting_request(&session, shown);
        if !indexes.is_empty() {
            self.sessions += 1;
            let dsn = session.extensions().dsn;
            let outcome = session.transact(request, &self.job.content, &*self.job.still_ours).await?;
            for (index, outcome) in indexes.into_iter().zip(outcome.recipients) {
                self.outcomes[index] = Some(match outcome {
                    RecipientOutcome::Accepted(reply) => {
                        Outcome::Relayed { host: shown.to_owned(), dsn, reply: reply.to_string() }
                    }
                    RecipientOutcome::Refused(reply) => Outcome::Refused(Refusal::of(&reply, shown)),
                });
            }
        }
        self.put_back(session);
        Ok(if self.pending().next().is_none() { Next::Nothing } else { Next::Address })
    }

    /// The request for those recipients that have no lasting answer and that the server can take; the others
    /// get their refusal.
    fn fitting_request(&mut self, session: &Session, shown: &str) -> (Vec<usize>, Request) {
        let (job, offers) = (self.job, session.extensions());
        let host = || Some(shown.to_owned());
        if !offers.takes(job.content.octets()) {
            self.refuse_rest(&Refusal::permanent(
                "5.3.4",
                "the message is larger than the server takes",
                host(),
            ));
        } else if job.request.body == BodyKind::EightBitMime && !offers.eight_bit_mime {
            self.refuse_rest(&Refusal::permanent("5.6.3", "the server takes no eight-bit text", host()));
        }
        let sender_needs =
            job.request.smtp_utf8 || job.request.sender.as_ref().is_some_and(|s| !s.is_ascii());
        if !offers.smtp_utf8 {
            let refusal =
                Refusal::permanent("5.6.7", "the server takes no UTF-8 addresses or headers", host());
            for index in self.pending().collect::<Vec<_>>() {
                if sender_needs || !job.request.recipients[index].address.is_ascii() {
                    self.outcomes[index] = Some(Outcome::Refused(refusal.clone()));
                }
            }
        }
        let indexes: Vec<usize> = self.pending().collect();
        let recipients: Vec<RecipientRequest> =
            indexes.iter().map(|index| job.request.recipients[*index].clone()).collect();
        let size_octets = job.content.octets();
        let request = Request { sender: job.request.sender.clone(), recipients, size_octets, ..self.frame() };
        (indexes, request)
    }

    /// The request without its addresses.
    fn frame(&self) -> Request {
        let Request { body, smtp_utf8, return_content, ref envelope_id, .. } = self.job.request;
        Request { body, smtp_utf8, return_content, envelope_id: envelope_id.clone(), ..Request::default() }
    }

    /// Recipients that another host may still take.
    fn pending(&self) -> impl Iterator<Item = usize> + '_ {
        let is_open = |outcome: &Option<Outcome>| match outcome {
            None => true,
            Some(Outcome::Refused(refusal)) => refusal.is_temporary,
            Some(Outcome::Relayed { .. }) => false,
        };
        self.outcomes.iter().enumerate().filter(move |(_, outcome)| is_open(outcome)).map(|(index, _)| index)
    }

    fn refuse_rest(&mut self, refusal: &Refusal) {
        for index in self.pending().collect::<Vec<_>>() {
            self.outcomes[index] = Some(Outcome::Refused(refusal.clone()));
        }
    }

    fn broke(&mut self, broken: &Broken, shown: &str) -> Next {
        tracing::debug!(host = shown, why = %broken.why, "delivery broke off");
        let refusal = match &broken.why {
            Lost::Abandoned => {
                self.is_abandoned = true;
                return Next::Nothing;
            }
            // One that greets with 5xx is passed over; whether it lasts is known when all were asked.
            Lost::Dialogue(ClientError::Refused(reply) | ClientError::Closing(reply)) => {
                let said = Refusal::of(reply, shown);
                match reply.is_permanent() {
                    true => self.unwelcome = Some(Refusal { status: "5.3.2".into(), ..said.clone() }),
                    false => self.may_change = true,
                }
                Refusal { is_temporary: true, status: "4.3.2".into(), ..said }
            }
            Lost::Storage(error) => Refusal::temporary("4.3.0", error.to_string(), None),
            Lost::Connect(error) => Refusal::temporary("4.4.1", format!("{shown}: {error}"), None),
            other => Refusal::temporary("4.4.2", format!("{shown}: {other}"), None),
        };
        self.may_change |= !matches!(broken.why, Lost::Dialogue(ClientError::Refused(_)));
        self.refuse_rest(&refusal);
        // After the final dot the server may have the message; to try the next host now would most likely make
        // a second copy.
        match broken.why {
            Lost::Storage(_) => Next::Nothing,
            _ if broken.was_sent => Next::Nothing,
            _ => Next::Address,
        }
    }

    fn put_back(&self, session: Session) {
        let surplus = if session.transactions < limits::OUTBOUND_TRANSACTIONS {
            self.inner.pool.keep(session)
        } else {
            Some(session)
        };
        if let Some(session) = surplus {
            // A goodbye holds up nobody, and ends by itself within its time-out.
            tokio::spawn(session.quit());
        }
    }
}
