//! Routes, who may use them, and the connections they come over.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use futures::future::BoxFuture;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use sterna_gateway::login::Authenticator;
use sterna_gateway::net::{Connection, Drain};
use sterna_storage::bodies::Bodies;
use sterna_storage::directory::Directory;
use sterna_storage::mailstore::MailStore;
use sterna_storage::queue::Queue;
use sterna_storage::types::{DomainName, Secret};

use super::reply::Failure;
use super::{account, alias, bodies, cluster, domain, health, import, queue, token};
use crate::cluster::Membership;
use crate::health::Health;
use crate::limits;

/// What the admin API works on.
pub struct Admin {
    /// Domains, accounts, aliases.
    pub directory: Directory,
    /// Hashes new passwords.
    pub authenticator: Authenticator,
    /// Mailboxes, made with their accounts.
    pub mail: MailStore,
    /// Messages on their way.
    pub queue: Queue,
    /// Message bodies.
    pub bodies: Bodies,
    /// The other nodes, if there are any.
    pub cluster: Option<Arc<Membership>>,
    /// Whether the node is ready.
    pub health: Health,
    /// The name by which the server greets: what MX records point to.
    pub host_name: DomainName,
    /// Shortest password that may be set.
    pub password_characters: usize,
    /// Who has it may do everything.
    pub token: Secret<String>,
}

/// What a listener of the API does with its connections.
pub fn handler(
    admin: Arc<Admin>,
    drain: Drain,
) -> impl Fn(Connection) -> BoxFuture<'static, ()> + Clone + Send + Sync + 'static {
    let router = router(admin);
    move |connection| Box::pin(converse(connection, router.clone(), drain.clone()))
}

async fn converse(connection: Connection, router: Router, drain: Drain) {
    let service = TowerToHyperService::new(router);
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(limits::ADMIN_HEADER_PATIENCE);
    builder.max_buf_size(limits::ADMIN_HEADER_OCTETS);
    let conversation = builder.serve_connection(TokioIo::new(connection.stream), service);
    let mut conversation = std::pin::pin!(conversation);
    let result = tokio::select! {
        result = conversation.as_mut() => result,
        () = drain.started() => {
            conversation.as_mut().graceful_shutdown();
            conversation.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(peer = %connection.peer, %error, "an HTTP connection ended");
    }
}

fn router(admin: Arc<Admin>) -> Router {
    let api = Router::new()
        .route("/domains", get(domain::list).post(domain::create))
        .route("/domains/{name}", get(domain::show).patch(domain::update).delete(domain::delete))
        .route("/domains/{name}/dns", get(domain::dns))
        .route("/domains/{name}/dkim", post(domain::create_dkim))
        .route("/domains/{name}/dkim/{selector}", delete(domain::delete_dkim))
        .route("/domains/{name}/accounts", get(account::list))
        .route("/domains/{name}/aliases", get(alias::list))
        .route("/accounts", post(account::create))
        .route("/accounts/import", post(import::accounts))
        .route("/accounts/{address}", get(account::show).patch(account::update).delete(account::delete))
        .route("/aliases", post(alias::create))
        .route("/aliases/{address}", get(alias::show).put(alias::update).delete(alias::delete))
        .route("/alias-domains", get(domain::list_further).post(domain::create_further))
        .route("/alias-domains/{name}", delete(domain::delete_further))
        .route("/settings", get(domain::settings).patch(domain::update_settings))
        .route("/resolve/{address}", get(alias::resolve))
        .route("/queue", get(queue::list))
        .route("/queue/counts", get(queue::counts))
        .route("/queue/{id}", get(queue::show).delete(queue::cancel))
        .route("/queue/{id}/hold", post(queue::hold))
        .route("/queue/{id}/release", post(queue::release))
        .route("/queue/{id}/retry", post(queue::retry))
        .route("/bodies", get(bodies::status))
        .route("/bodies/verify", post(bodies::verify))
        .route("/cluster", get(cluster::status))
        .route("/cluster/tokens", post(cluster::invite))
        .route("/cluster/nodes/{id}", delete(cluster::remove))
        .route("/cluster/nodes/{id}/voter", post(cluster::add))
        .route("/cluster/nodes/{id}/copy", post(cluster::copy))
        .route("/cluster/nodes/{id}/lead", post(cluster::lead))
        .fallback(async || Failure::not_found("this path"))
        .layer(middleware::from_fn_with_state(admin.clone(), authorize));
    Router::new()
        .nest("/api/v1", api)
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready))
        .fallback(async || Failure::not_found("this path"))
        .layer(middleware::from_fn(bound_time))
        .layer(DefaultBodyLimit::max(limits::ADMIN_REQUEST_OCTETS))
        .with_state(admin)
}

/// `Authorization: Bearer TOKEN` (RFC 6750 §2.1).
async fn authorize(State(admin): State<Arc<Admin>>, request: Request, next: Next) -> Response {
    let given = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let given = given.and_then(|value| value.split_once(' '));
    let given =
        given.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, token)| token.trim());
    let right = given.is_some_and(|given| token::is_same(given.as_bytes(), admin.token.expose().as_bytes()));
    if right {
        return next.run(request).await;
    }
    let failure =
        Failure::new(StatusCode::UNAUTHORIZED, "unauthorized", "the admin token is missing or wrong");
    ([(header::WWW_AUTHENTICATE, "Bearer")], failure).into_response()
}

/// A request whose answer has not begun by then fails; the lines of a long answer may go on.
async fn bound_time(request: Request, next: Next) -> Response {
    const PATIENCE: Duration = limits::ADMIN_REQUEST_PATIENCE;
    match tokio::time::timeout(PATIENCE, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Failure::new(StatusCode::REQUEST_TIMEOUT, "unavailable", "the request took too long")
            .into_response(),
    }
}

/// Nothing to tell but that it is done.
pub(super) fn done() -> Json<serde_json::Value> {
    Json(serde_json::json!({}))
}
