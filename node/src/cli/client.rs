//! The admin API's other end.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::{Method, Request, Response};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::Serialize;
use serde_json::Value;
use sterna_storage::types::Secret;

use super::arguments::Place;
use super::output::Output;
use crate::admin::token;
use crate::admin::view::Progress;
use crate::config::Config;
use crate::limits;

/// A connection to the admin API.
pub(super) struct Client {
    base: String,
    token: Secret<String>,
    pool: Pool<HttpConnector, Full<Bytes>>,
}

impl Client {
    pub(super) fn new(place: &Place, config: &Config) -> anyhow::Result<Self> {
        let base = match &place.server {
            Some(url) if url.starts_with("http://") => url.trim_end_matches('/').to_owned(),
            Some(url) => bail!("--server {url}: an address as http://127.0.0.1:8425 is expected"),
            None => format!("http://{}", first_address(config)?),
        };
        let token = match (&place.token_file, std::env::var("STERNA_TOKEN")) {
            (Some(file), _) => read_token(file)?,
            (None, Ok(token)) => Secret::new(token),
            (None, Err(_)) => read_token(&config.token_file())?,
        };
        Ok(Self { base, token, pool: Pool::builder(TokioExecutor::new()).build_http() })
    }

    /// Asks, and gives the whole answer.
    pub(super) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> anyhow::Result<Value> {
        let response = self.send(method, path, body).await?;
        let body = Limited::new(response.into_body(), limits::ADMIN_ANSWER_OCTETS).collect().await;
        let octets = body.map_err(|error| anyhow::anyhow!("reading the answer: {error}"))?.to_bytes();
        serde_json::from_slice(&octets).context("the answer is no JSON")
    }

    pub(super) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.call(Method::GET, path, None::<&()>).await
    }

    pub(super) async fn delete(&self, path: &str) -> anyhow::Result<Value> {
        self.call(Method::DELETE, path, None::<&()>).await
    }

    /// All items of a listing, page by page.
    pub(super) async fn all(&self, path: &str) -> anyhow::Result<Vec<Value>> {
        let mut items = Vec::new();
        let mut after = String::new();
        loop {
            let page = self.get(&format!("{path}?limit={}{after}", limits::CLI_PAGE_ITEMS)).await?;
            items.extend(page["items"].as_array().into_iter().flatten().cloned());
            match page["next"].as_str() {
                Some(next) => after = format!("&after={}", escaped(next)),
                None => return Ok(items),
            }
        }
    }

    /// Asks for long work, shows how far it is, and gives what came of it.
    pub(super) async fn follow(
        &self,
        method: Method,
        path: &str,
        (output, what): (&Output, &str),
    ) -> anyhow::Result<Value> {
        let mut body = self.send(method, path, None::<&()>).await?.into_body();
        let mut pending = BytesMut::new();
        let mut shown = false;
        while let Some(frame) = body.frame().await {
            let frame = frame.context("reading the answer")?;
            pending.extend_from_slice(frame.data_ref().map_or(&[], |octets| octets));
            while let Some(end) = pending.iter().position(|octet| *octet == b'\n') {
                let line = pending.split_to(end + 1);
                let progress = serde_json::from_slice(&line).context("the answer is no progress")?;
                if !matches!(progress, Progress::<Value>::Done(_)) && shown {
                    output.progress_ends()?;
                }
                match progress {
                    Progress::Done(things) => {
                        output.progress(what, things)?;
                        shown = true;
                    }
                    Progress::Result(value) => return Ok(value),
                    Progress::Error(error) => bail!("{}", error.message),
                }
            }
            if pending.len() > limits::ADMIN_ANSWER_OCTETS {
                bail!("the answer has a line that is too long");
            }
        }
        bail!("the server stopped before it was done")
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> anyhow::Result<Response<Incoming>> {
        let octets = body.map(serde_json::to_vec).transpose()?.unwrap_or_default();
        let request = Request::builder()
            .method(method)
            .uri(format!("{}/api/v1{path}", self.base))
            .header("Authorization", format!("Bearer {}", self.token.expose()))
            .header("Content-Type", "application/json")
            .body(Full::from(octets))?;
        let answer = tokio::time::timeout(Duration::from_secs(120), self.pool.request(request)).await;
        let response = answer
            .with_context(|| format!("{} does not answer", self.base))?
            .with_context(|| format!("no server at {}: is it running?", self.base))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let body = Limited::new(response.into_body(), limits::ADMIN_ANSWER_OCTETS).collect().await;
        let octets = body.map_err(|error| anyhow::anyhow!("{status}: {error}"))?.to_bytes();
        let answer: Value = serde_json::from_slice(&octets).unwrap_or_default();
        match answer["error"]["message"].as_str() {
            Some(message) => bail!("{message}"),
            None => bail!("{} answers {status}", self.base),
        }
    }
}

fn first_address(config: &Config) -> anyhow::Result<SocketAddr> {
    let mut address = *config.http.listen.first().context("the configuration's http.listen is empty")?;
    if address.ip().is_unspecified() {
        address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
    }
    Ok(address)
}

fn read_token(file: &Path) -> anyhow::Result<Secret<String>> {
    token::load(file).with_context(|| format!("the admin token cannot be read from {}", file.display()))
}

/// A part of a path or query: everything but letters, digits and a few marks as %XX (RFC 3986 §2.1).
pub(super) fn escaped(text: impl AsRef<str>) -> String {
    let mut out = String::new();
    for octet in text.as_ref().bytes() {
        match octet {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'@' => {
                out.push(octet.into());
            }
            _ => out.push_str(&format!("%{octet:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_survive_in_paths() {
        assert_eq!(escaped("ann+x@example.org"), "ann%2Bx@example.org");
        assert_eq!(escaped("a/b?c#d e\u{e4}"), "a%2Fb%3Fc%23d%20e%C3%A4");
    }
}
