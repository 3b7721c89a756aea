//! Many accounts in one request.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use sterna_storage::directory::{Creation, NewAccount};

use super::account::usable;
use super::reply::{Failure, Given, Reply};
use super::server::Admin;
use super::view::{Changed, ImportView, ImportedAccountView, RefusedView};

/// Makes those that are not there. What is wrong with one keeps no other back; the same request may be made again.
pub(super) async fn accounts(
    admin: State<Arc<Admin>>,
    given: Given<Vec<ImportedAccountView>>,
) -> Reply<Json<Changed<ImportView>>> {
    let mut view = ImportView::default();
    let (mut places, mut new) = (Vec::new(), Vec::new());
    for (place, one) in given.0.into_iter().enumerate() {
        let ImportedAccountView { address, name, password_hash, quota_octets } = one;
        match usable(password_hash) {
            Ok(password_hash) => {
                places.push(place);
                new.push(NewAccount { address, name, password_hash, quota_octets });
            }
            Err(failure) => view.refused.push(refused(place, failure)),
        }
    }
    let mail = &admin.mail;
    let mailboxes = |accounts: Vec<_>| async move { mail.add_accounts(&accounts).await };
    let outcomes = admin.directory.create_accounts(new, mailboxes).await?;
    for (place, outcome) in places.into_iter().zip(outcomes) {
        match outcome {
            Ok(Creation::Made(_)) => view.made += 1,
            Ok(Creation::Existed) => view.existed += 1,
            Err(error) => view.refused.push(refused(place, error.into())),
        }
    }
    view.refused.sort_by_key(|refused| refused.place);
    tracing::info!(
        made = view.made,
        existed = view.existed,
        refused = view.refused.len(),
        "accounts were imported"
    );
    Ok(admin.changed(view).await)
}

fn refused(place: usize, failure: Failure) -> RefusedView {
    RefusedView { place, error: failure.into_view() }
}
