//! For balancers and orchestrators; without a token, and without a word about the inside.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::server::Admin;

/// The process runs.
pub(super) async fn live() -> Json<Value> {
    Json(json!({ "status": "live" }))
}

/// The node takes new clients: ports are bound, stores are open, and it is not shutting down.
pub(super) async fn ready(State(admin): State<Arc<Admin>>) -> (StatusCode, Json<Value>) {
    match admin.health.is_ready() {
        true => (StatusCode::OK, Json(json!({ "status": "ready" }))),
        false => (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "status": "not ready" }))),
    }
}
