//! Aliases, and where mail to an address goes.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use sterna_storage::directory::{Alias, Resolution};
use sterna_storage::types::{Address, DomainName};

use super::reply::{Asked, At, Failure, Given, Reply};
use super::server::Admin;
use super::view::{AliasView, Changed, Gone, Page, PageQuery, ResolutionView};
use crate::limits;

type Context = State<Arc<Admin>>;

pub(super) async fn list(
    admin: Context,
    name: At<DomainName>,
    query: Asked<PageQuery>,
) -> Reply<Json<Page<AliasView>>> {
    let limit = query.0.limit.unwrap_or(limits::ADMIN_PAGE_ITEMS);
    let page = admin.directory.aliases(&name.0, query.0.after.as_deref(), limit).await?;
    Ok(Json(Page { items: page.items.into_iter().map(Into::into).collect(), next: page.next }))
}

pub(super) async fn create(admin: Context, given: Given<AliasView>) -> Reply<Response> {
    let alias = Alias::from(given.0);
    admin.directory.create_alias(&alias).await?;
    tracing::info!(alias = %alias.address, "an alias was made");
    Ok((StatusCode::CREATED, admin.changed(AliasView::from(alias)).await).into_response())
}

pub(super) async fn show(admin: Context, address: At<Address>) -> Reply<Json<AliasView>> {
    let alias = admin.directory.alias(&address.0).await?;
    let alias = alias.ok_or_else(|| Failure::not_found(format!("alias {}", address.0)))?;
    Ok(Json(alias.into()))
}

pub(super) async fn update(
    admin: Context,
    address: At<Address>,
    targets: Given<Vec<Address>>,
) -> Reply<Json<Changed<AliasView>>> {
    let alias = Alias { address: address.0, targets: targets.0 };
    admin.directory.update_alias(&alias).await?;
    tracing::info!(alias = %alias.address, "an alias was changed");
    Ok(admin.changed(AliasView::from(alias)).await)
}

pub(super) async fn delete(admin: Context, address: At<Address>) -> Reply<Json<Changed<Gone>>> {
    admin.directory.delete_alias(&address.0).await?;
    tracing::info!(alias = %address.0, "an alias was deleted");
    Ok(admin.changed(Gone {}).await)
}

pub(super) async fn resolve(admin: Context, address: At<Address>) -> Reply<Json<ResolutionView>> {
    let (local, accounts, forwards) = match admin.directory.resolve(&address.0).await? {
        Resolution::NotLocal { .. } => (false, Vec::new(), Vec::new()),
        Resolution::Unknown => (true, Vec::new(), Vec::new()),
        Resolution::Deliver { accounts, forwards } => (true, accounts, forwards),
    };
    let accounts = accounts.iter().map(|account| account.address.clone()).collect();
    Ok(Json(ResolutionView { local, accounts, forwards }))
}
