//! Message bodies.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use sterna_storage::bodies::{RequestKind, VerifyOptions, VerifyReport};
use tokio::sync::watch;

use super::reply::{Asked, Reply, told};
use super::server::Admin;
use super::view::{BodiesView, RequestsView, VerifyView};

/// How thoroughly to look.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct VerifyQuery {
    /// Read, open and measure every body too.
    read: bool,
}

/// Where bodies lie, what waits to be packed, and what was asked of the object store by this node.
pub(super) async fn status(admin: State<Arc<Admin>>) -> Reply<Json<BodiesView>> {
    let waiting = admin.bodies.waiting().await?;
    let meter = admin.bodies.bucket().meter();
    let requests = RequestKind::ALL.into_iter().map(|kind| {
        let traffic = meter.traffic(kind);
        RequestsView {
            kind: kind.name().to_owned(),
            requests: traffic.requests,
            faults: traffic.faults,
            sent_octets: traffic.sent_octets,
            received_octets: traffic.received_octets,
        }
    });
    Ok(Json(BodiesView {
        store: admin.bodies.bucket().name().to_owned(),
        away: admin.bodies.is_away(),
        staged: waiting.bodies,
        staged_octets: waiting.octets,
        requests: requests.collect(),
        cost_microdollars: meter.cost_microdollars(),
    }))
}

/// Walks both sides, and tells how many bodies it has looked at.
pub(super) async fn verify(admin: State<Arc<Admin>>, query: Asked<VerifyQuery>) -> Reply<Response> {
    let (bodies, options) = (admin.bodies.clone(), VerifyOptions { read_bodies: query.0.read });
    Ok(told(async move |teller| {
        let (reached, mut looked_at) = watch::channel(0);
        let work = async move {
            bodies
                .verify(options, |report| {
                    reached.send_replace(report.bodies);
                })
                .await
        };
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                biased;
                report = &mut work => return Ok(view(&report?)),
                Ok(()) = looked_at.changed() => {
                    let bodies = *looked_at.borrow_and_update();
                    teller.done(bodies).await;
                }
            }
        }
    }))
}

fn view(report: &VerifyReport) -> VerifyView {
    VerifyView {
        bodies: report.bodies,
        octets: report.octets,
        staged: report.staged,
        references: report.references,
        objects: report.objects,
        problem_count: report.problem_count,
        problems: report.problems.iter().map(|problem| format!("{problem:?}")).collect(),
    }
}
