//! Accounts.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use sterna_gateway::login::password::is_usable_hash;
use sterna_storage::Result;
use sterna_storage::directory::{Account, NewAccount};
use sterna_storage::mailstore::Usage;
use sterna_storage::types::{Address, DomainName, Secret};

use super::reply::{Asked, At, Failure, Given, Reply};
use super::server::Admin;
use super::view::{
    AccountChange, AccountDetails, AccountView, Changed, Gone, NewAccountView, Page, PageQuery,
};
use crate::limits;

type Context = State<Arc<Admin>>;

pub(super) async fn list(
    admin: Context,
    name: At<DomainName>,
    query: Asked<PageQuery>,
) -> Reply<Json<Page<AccountView>>> {
    let limit = query.0.limit.unwrap_or(limits::ADMIN_PAGE_ITEMS);
    let page = admin.directory.accounts(&name.0, query.0.after.as_deref(), limit).await?;
    Ok(Json(Page { items: page.items.iter().map(Into::into).collect(), next: page.next }))
}

pub(super) async fn create(admin: Context, given: Given<NewAccountView>) -> Reply<Response> {
    let NewAccountView { address, name, password, password_hash, quota_octets } = given.0;
    let password_hash = match (password, password_hash) {
        (Some(_), Some(_)) => return Err(Failure::invalid("either password or password_hash")),
        (Some(password), None) => Some(hash(&admin, Secret::new(password)).await?),
        (None, hash) => usable(hash)?,
    };
    let new = NewAccount { address, name, password_hash, quota_octets };
    let mailboxes = |id, domain| admin.mail.add_account(id, domain);
    let account = admin.directory.create_account(new, mailboxes).await?;
    tracing::info!(account = %account.address, "an account was made");
    Ok((StatusCode::CREATED, admin.changed(AccountView::from(&account)).await).into_response())
}

/// A hash that was made elsewhere.
pub(super) fn usable(hash: Option<String>) -> Reply<Option<Secret<String>>> {
    match hash {
        Some(hash) if !is_usable_hash(&hash) => {
            Err(Failure::invalid("password_hash: not an argon2 PHC string of acceptable cost"))
        }
        hash => Ok(hash.map(Secret::new)),
    }
}

async fn hash(admin: &Admin, password: Secret<String>) -> Reply<Secret<String>> {
    let least = admin.password_characters;
    if password.expose().chars().count() < least {
        return Err(Failure::invalid(format!("a password has at least {least} characters")));
    }
    Ok(admin.authenticator.passwords().hash(password.expose()).await?)
}

pub(super) async fn show(admin: Context, address: At<Address>) -> Reply<Json<AccountDetails>> {
    let account = existing(&admin, &address.0).await?;
    let Usage { octets: used_octets, messages } = admin.mail.usage(account.id).await?;
    Ok(Json(AccountDetails { account: AccountView::from(&account), used_octets, messages }))
}

async fn existing(admin: &Admin, address: &Address) -> Reply<Arc<Account>> {
    let account = admin.directory.account_by_address(address).await?;
    account.ok_or_else(|| Failure::not_found(format!("account {address}")))
}

pub(super) async fn update(
    admin: Context,
    address: At<Address>,
    change: Given<AccountChange>,
) -> Reply<Json<Changed<AccountView>>> {
    let account = existing(&admin, &address.0).await?;
    let change = change.0;
    let password_hash = match change.password {
        None => None,
        Some(None) => Some(None),
        Some(Some(password)) => Some(Some(hash(&admin, Secret::new(password)).await?)),
    };
    let apply = |account: &mut Account| -> Result<()> {
        if let Some(name) = &change.name {
            account.name.clone_from(name);
        }
        if let Some(forward) = &change.forward {
            account.forward.clone_from(forward);
        }
        if let Some(hash) = &password_hash {
            account.password_hash.clone_from(hash);
        }
        account.enabled = change.enabled.unwrap_or(account.enabled);
        account.keep_copy = change.keep_copy.unwrap_or(account.keep_copy);
        account.quota_octets = change.quota_octets.unwrap_or(account.quota_octets);
        Ok(())
    };
    let account = admin.directory.update_account(account.id, apply).await?;
    tracing::info!(account = %account.address, "an account was changed");
    Ok(admin.changed(AccountView::from(&account)).await)
}

pub(super) async fn delete(admin: Context, address: At<Address>) -> Reply<Json<Changed<Gone>>> {
    let account = existing(&admin, &address.0).await?;
    admin.directory.delete_account(account.id).await?;
    tracing::info!(account = %account.address, "an account was deleted");
    Ok(admin.changed(Gone {}).await)
}
