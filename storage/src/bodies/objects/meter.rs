//! What was asked of the object store, counted where requests leave the process: each try, each page of a listing, each
//! part; and what it costs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
    ReqwestConnector,
};

use super::fault::RangeRefused;

/// What a request is for, as object stores charge for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RequestKind {
    /// Writes an object whole.
    Put,
    /// Sends a part of an upload.
    Part,
    /// Begins an upload in parts, or completes it.
    Multipart,
    /// Reads an object, or a range of it.
    Get,
    /// Asks for an object's length.
    Head,
    /// A page of names.
    List,
    /// Deletes an object, or aborts an upload.
    Delete,
}

impl RequestKind {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Put, Self::Part, Self::Multipart, Self::Get, Self::Head, Self::List, Self::Delete];

    /// Its name for people and for metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Put => "put",
            Self::Part => "part",
            Self::Multipart => "multipart",
            Self::Get => "get",
            Self::Head => "head",
            Self::List => "list",
            Self::Delete => "delete",
        }
    }

    /// From a request's method and query, as S3, Google Cloud Storage and Azure write them.
    pub fn of(method: &str, query: &str) -> Self {
        let has = |key: &str| query.split('&').any(|pair| pair.split('=').next() == Some(key));
        let is = |pair: &str| query.split('&').any(|one| one == pair);
        match method {
            "PUT" if is("comp=blocklist") => Self::Multipart,
            "PUT" if has("partNumber") || is("comp=block") => Self::Part,
            "PUT" => Self::Put,
            "POST" => Self::Multipart,
            "HEAD" => Self::Head,
            "DELETE" => Self::Delete,
            _ if has("list-type") || is("comp=list") => Self::List,
            _ => Self::Get,
        }
    }

    /// The list price of S3 Standard (us-east-1, 2026) in nanodollars: what writes and lists is 0.005 dollars for a
    /// thousand, what reads 0.0004, deleting is free.
    fn nanodollars(self) -> u64 {
        match self {
            Self::Put | Self::Part | Self::Multipart | Self::List => 5_000,
            Self::Get | Self::Head => 400,
            Self::Delete => 0,
        }
    }
}

/// What was asked and answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traffic {
    /// Requests sent.
    pub requests: u64,
    /// Those that got no answer, or one from 500 on.
    pub faults: u64,
    /// Octets of their bodies.
    pub sent_octets: u64,
    /// Octets of the answers' bodies, as announced.
    pub received_octets: u64,
}

/// Counts requests.
#[derive(Debug, Default)]
pub struct Meter {
    kinds: [Counters; RequestKind::ALL.len()],
}

#[derive(Debug, Default)]
struct Counters {
    requests: AtomicU64,
    faults: AtomicU64,
    sent_octets: AtomicU64,
    received_octets: AtomicU64,
}

impl Meter {
    /// So far, of this kind.
    pub fn traffic(&self, kind: RequestKind) -> Traffic {
        let counters = &self.kinds[kind as usize];
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Traffic {
            requests: read(&counters.requests),
            faults: read(&counters.faults),
            sent_octets: read(&counters.sent_octets),
            received_octets: read(&counters.received_octets),
        }
    }

    /// What the requests so far would cost at the list price of S3 Standard, in microdollars; storage and traffic apart.
    pub fn cost_microdollars(&self) -> u64 {
        let cost = |kind: RequestKind| self.traffic(kind).requests * kind.nanodollars();
        RequestKind::ALL.into_iter().map(cost).sum::<u64>() / 1_000
    }

    async fn counted(&self, service: &HttpClient, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let kind = RequestKind::of(request.method().as_str(), request.uri().query().unwrap_or(""));
        let counters = &self.kinds[kind as usize];
        let add = |counter: &AtomicU64, octets: u64| {
            counter.fetch_add(octets, Ordering::Relaxed);
        };
        add(&counters.requests, 1);
        add(&counters.sent_octets, request.body().content_length() as u64);
        let answer = service.execute(request).await;
        match &answer {
            Ok(answer) if answer.status().as_u16() < 500 => {
                let length = answer.headers().get("content-length").and_then(|length| length.to_str().ok());
                let octets = if kind == RequestKind::Head { None } else { length };
                add(&counters.received_octets, octets.and_then(|octets| octets.parse().ok()).unwrap_or(0));
            }
            _ => add(&counters.faults, 1),
        }
        answer
    }
}

/// Makes clients whose requests are counted.
#[derive(Debug)]
pub(super) struct MeteredConnector {
    pub(super) meter: Arc<Meter>,
}

impl HttpConnector for MeteredConnector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let inner = ReqwestConnector::default().connect(options)?;
        Ok(HttpClient::new(Metered { inner, meter: self.meter.clone() }))
    }
}

#[derive(Debug)]
struct Metered {
    inner: HttpClient,
    meter: Arc<Meter>,
}

#[async_trait]
impl HttpService for Metered {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let answer = self.meter.counted(&self.inner, request).await?;
        // 416: an object that is too short must be told from a store that is in trouble.
        if answer.status().as_u16() == 416 {
            return Err(HttpError::new(HttpErrorKind::Unknown, RangeRefused));
        }
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_known_by_their_query() {
        let kinds = [
            ("PUT", "", RequestKind::Put),
            ("PUT", "partNumber=1&uploadId=x", RequestKind::Part),
            ("PUT", "comp=block&blockid=x", RequestKind::Part),
            ("PUT", "comp=blocklist", RequestKind::Multipart),
            ("POST", "uploads=", RequestKind::Multipart),
            ("POST", "uploadId=x", RequestKind::Multipart),
            ("GET", "", RequestKind::Get),
            ("GET", "list-type=2&prefix=bodies%2F", RequestKind::List),
            ("GET", "restype=container&comp=list", RequestKind::List),
            ("HEAD", "", RequestKind::Head),
            ("DELETE", "uploadId=x", RequestKind::Delete),
        ];
        for (method, query, kind) in kinds {
            assert_eq!(RequestKind::of(method, query), kind, "{method} {query}");
        }
        for (at, kind) in RequestKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, at);
        }
    }

    #[test]
    fn a_put_costs_as_much_as_twelve_gets() {
        let meter = Meter::default();
        meter.kinds[RequestKind::Put as usize].requests.store(1000, Ordering::Relaxed);
        assert_eq!(meter.cost_microdollars(), 5_000);
        meter.kinds[RequestKind::Get as usize].requests.store(1000, Ordering::Relaxed);
        assert_eq!(meter.cost_microdollars(), 5_400);
    }
}
