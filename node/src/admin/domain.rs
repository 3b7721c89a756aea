//! Domains, their further names, their keys and DNS records, and the settings.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use sterna_gateway::message::dkim;
use sterna_storage::directory::{DkimAlgorithm, DkimKey, Domain, NewDomain, Settings};
use sterna_storage::types::{DomainName, Timestamp};
use sterna_storage::{Error, Result};

use super::reply::{Asked, At, Failure, Given, Reply, Teller, told};
use super::server::Admin;
use super::view::{
    AliasDomainView, Changed, DeletedView, DnsRecord, DomainChange, DomainView, Gone, NewDkimView,
    NewDomainView, Page, PageQuery, SettingsChange, SettingsView,
};
use crate::limits;

type Context = State<Arc<Admin>>;

/// What is deleted with a domain.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct DeleteQuery {
    /// Its accounts too.
    accounts: bool,
}

pub(super) async fn list(admin: Context, query: Asked<PageQuery>) -> Reply<Json<Page<DomainView>>> {
    let (after, limit) =
        (named(query.0.after.as_deref())?, query.0.limit.unwrap_or(limits::ADMIN_PAGE_ITEMS));
    let page = admin.directory.domains(after.as_ref(), limit).await?;
    Ok(Json(Page { items: page.items.iter().map(Into::into).collect(), next: page.next }))
}

fn named(text: Option<&str>) -> Reply<Option<DomainName>> {
    text.map(str::parse).transpose().map_err(|_| Failure::invalid("after: not a valid domain name"))
}

pub(super) async fn create(admin: Context, given: Given<NewDomainView>) -> Reply<Response> {
    let NewDomainView { name, catch_all, contact, quota_octets } = given.0;
    let rsa = generate("rsa1".into(), DkimAlgorithm::RsaSha256).await?;
    let ed25519 = generate("ed1".into(), DkimAlgorithm::Ed25519Sha256).await?;
    let new = NewDomain { name, catch_all, contact, quota_octets, dkim: vec![rsa, ed25519] };
    let domain = admin.directory.create_domain(new).await?;
    tracing::info!(domain = %domain.name, "a domain was made");
    Ok((StatusCode::CREATED, admin.changed(DomainView::from(&domain)).await).into_response())
}

/// Making a key takes up to a second.
async fn generate(selector: String, algorithm: DkimAlgorithm) -> Reply<DkimKey> {
    let task = tokio::task::spawn_blocking(move || dkim::generate(&selector, algorithm, Timestamp::now()));
    task.await.map_err(Failure::internal)?.map_err(Failure::internal)
}

pub(super) async fn show(admin: Context, name: At<DomainName>) -> Reply<Json<DomainView>> {
    Ok(Json(DomainView::from(&existing(&admin, &name.0).await?)))
}

async fn existing(admin: &Admin, name: &DomainName) -> Reply<Arc<Domain>> {
    let domain = admin.directory.domain(name).await?;
    domain.ok_or_else(|| Failure::not_found(format!("domain {name}")))
}

pub(super) async fn update(
    admin: Context,
    name: At<DomainName>,
    change: Given<DomainChange>,
) -> Reply<Json<Changed<DomainView>>> {
    let change = change.0;
    let apply = |domain: &mut Domain| -> Result<()> {
        domain.enabled = change.enabled.unwrap_or(domain.enabled);
        if let Some(catch_all) = &change.catch_all {
            domain.catch_all.clone_from(catch_all);
        }
        if let Some(contact) = &change.contact {
            domain.contact.clone_from(contact);
        }
        domain.quota_octets = change.quota_octets.unwrap_or(domain.quota_octets);
        Ok(())
    };
    let domain = admin.directory.update_domain(&name.0, apply).await?;
    tracing::info!(domain = %domain.name, "a domain was changed");
    Ok(admin.changed(DomainView::from(&domain)).await)
}

/// Told line by line: a domain may have many accounts.
pub(super) async fn delete(
    admin: Context,
    name: At<DomainName>,
    query: Asked<DeleteQuery>,
) -> Reply<Response> {
    let name = existing(&admin, &name.0).await?.name.clone();
    let admin = admin.0;
    Ok(told(async move |teller| {
        let deleted = if query.0.accounts { delete_accounts(&admin, &name, &teller).await? } else { 0 };
        admin.directory.delete_domain(&name).await?;
        tracing::info!(domain = %name, accounts = deleted, "a domain was deleted");
        Ok(Changed { what: DeletedView { deleted_accounts: deleted }, in_force: admin.in_force().await })
    }))
}

/// All of them; tells and gives how many.
async fn delete_accounts(admin: &Admin, name: &DomainName, teller: &Teller) -> Reply<u64> {
    let mut deleted = 0;
    loop {
        let page = admin.directory.accounts(name, None, limits::ADMIN_PAGE_ITEMS).await?;
        if page.items.is_empty() {
            return Ok(deleted);
        }
        for account in page.items {
            admin.directory.delete_account(account.id).await?;
            deleted += 1;
        }
        teller.done(deleted).await;
    }
}

pub(super) async fn create_dkim(
    admin: Context,
    name: At<DomainName>,
    given: Given<NewDkimView>,
) -> Reply<Json<Changed<DomainView>>> {
    let key = generate(given.0.selector, given.0.algorithm.into()).await?;
    let add = |domain: &mut Domain| {
        domain.dkim.push(key.clone());
        Ok(())
    };
    let domain = admin.directory.update_domain(&name.0, add).await?;
    tracing::info!(domain = %domain.name, selector = key.selector, "a DKIM key was made");
    Ok(admin.changed(DomainView::from(&domain)).await)
}

pub(super) async fn delete_dkim(
    admin: Context,
    path: At<(DomainName, String)>,
) -> Reply<Json<Changed<DomainView>>> {
    let (name, selector) = path.0;
    let remove = |domain: &mut Domain| {
        let before = domain.dkim.len();
        domain.dkim.retain(|key| key.selector != selector);
        match domain.dkim.len() == before {
            true => Err(Error::NotFound(format!("DKIM key {selector}").into())),
            false => Ok(()),
        }
    };
    let domain = admin.directory.update_domain(&name, remove).await?;
    tracing::info!(domain = %name, selector, "a DKIM key was deleted");
    Ok(admin.changed(DomainView::from(&domain)).await)
}

/// The records that the domain's zone needs.
pub(super) async fn dns(admin: Context, name: At<DomainName>) -> Reply<Json<Vec<DnsRecord>>> {
    let domain = existing(&admin, &name.0).await?;
    Ok(Json(records(&domain, &admin.host_name)))
}

fn records(domain: &Domain, host: &DomainName) -> Vec<DnsRecord> {
    let record = |name: String, kind: &str, value: String| DnsRecord {
        name,
        kind: kind.to_owned(),
        ttl_seconds: 3600,
        value,
    };
    let name = &domain.name;
    let mut records = vec![
        record(name.to_string(), "MX", format!("10 {host}.")),
        record(name.to_string(), "TXT", "v=spf1 mx -all".into()),
        record(format!("_dmarc.{name}"), "TXT", "v=DMARC1; p=quarantine".into()),
    ];
    records.extend(domain.dkim.iter().map(|key| {
        let (name, text) = dkim::record(&domain.name, key);
        record(name, "TXT", text)
    }));
    // RFC 6186, RFC 8314 §5.1
    for (service, port) in
        [("submissions", 465), ("submission", 587), ("imaps", 993), ("imap", 143), ("pop3s", 995)]
    {
        records.push(record(format!("_{service}._tcp.{name}"), "SRV", format!("0 1 {port} {host}.")));
    }
    records
}

pub(super) async fn list_further(
    admin: Context,
    query: Asked<PageQuery>,
) -> Reply<Json<Page<AliasDomainView>>> {
    let (after, limit) =
        (named(query.0.after.as_deref())?, query.0.limit.unwrap_or(limits::ADMIN_PAGE_ITEMS));
    let page = admin.directory.alias_domains(after.as_ref(), limit).await?;
    let mut items = Vec::with_capacity(page.items.len());
    for further in page.items {
        if let Some(target) = admin.directory.domain_by_id(further.target).await? {
            items.push(AliasDomainView { name: further.name, target: target.name.clone() });
        }
    }
    Ok(Json(Page { items, next: page.next }))
}

pub(super) async fn create_further(admin: Context, given: Given<AliasDomainView>) -> Reply<Response> {
    admin.directory.create_alias_domain(&given.0.name, &given.0.target).await?;
    tracing::info!(name = %given.0.name, domain = %given.0.target, "a domain got a further name");
    Ok((StatusCode::CREATED, admin.changed(given.0).await).into_response())
}

pub(super) async fn delete_further(admin: Context, name: At<DomainName>) -> Reply<Json<Changed<Gone>>> {
    admin.directory.delete_alias_domain(&name.0).await?;
    tracing::info!(name = %name.0, "a further name of a domain was deleted");
    Ok(admin.changed(Gone {}).await)
}

pub(super) async fn settings(admin: Context) -> Reply<Json<SettingsView>> {
    let settings = admin.directory.settings().await?;
    Ok(Json(settings_view(&admin, &settings).await?))
}

async fn settings_view(admin: &Admin, settings: &Settings) -> Reply<SettingsView> {
    let domain = match settings.default_domain {
        Some(id) => admin.directory.domain_by_id(id).await?,
        None => None,
    };
    Ok(SettingsView::new(settings, domain.map(|domain| domain.name.clone())))
}

pub(super) async fn update_settings(
    admin: Context,
    change: Given<SettingsChange>,
) -> Reply<Json<Changed<SettingsView>>> {
    let default_domain = match &change.0.default_domain {
        Some(name) => Some(existing(&admin, name).await?.id),
        None => None,
    };
    let apply = |settings: &mut Settings| {
        settings.default_domain = default_domain.or(settings.default_domain);
        if let Some(postmaster) = &change.0.postmaster {
            settings.postmaster.clone_from(postmaster);
        }
    };
    let settings = admin.directory.update_settings(apply).await?;
    tracing::info!("the settings were changed");
    Ok(admin.changed(settings_view(&admin, &settings).await?).await)
}
