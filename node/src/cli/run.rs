//! Carries out a command through the admin API.

use std::path::Path;

use hyper::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use sterna_storage::types::{Address, DomainName};

use super::arguments::{
    AccountChanges, AccountCommand, AliasCommand, BodiesCommand, ClusterCommand, Command, DomainChanges,
    DomainCommand, PasswordSource, Place, QueueCommand, SettingsCommand,
};
use super::client::{Client, escaped};
use super::cluster;
use super::migrate;
use super::output::{Column, Output, cell};
use super::password::{self, Obtained};
use crate::admin::view::{
    AccountChange, AliasDomainView, AliasView, DomainChange, InForceView, NewAccountView, NewDkimView,
    NewDomainView, SettingsChange,
};
use crate::config::Config;

/// Where the configuration is looked for if nothing else is said.
const DEFAULT_CONFIG: &str = "/etc/sterna/sterna.toml";

impl Place {
    /// The configuration that this names.
    pub fn configuration(&self) -> anyhow::Result<Config> {
        match &self.config {
            Some(path) => Ok(Config::load(path)?),
            None if Path::new(DEFAULT_CONFIG).exists() => Ok(Config::load(Path::new(DEFAULT_CONFIG))?),
            None => Ok(Config::default()),
        }
    }
}

/// Carries out any command but `serve` and `demo`.
pub async fn run(place: &Place, command: Command) -> anyhow::Result<()> {
    let config = place.configuration()?;
    let output = Output { json: place.json };
    match &command {
        Command::Check => return Ok(()),
        Command::Cluster(ClusterCommand::Init) => return cluster::init(&config, &output),
        Command::Cluster(ClusterCommand::Join { node, token, authority }) => {
            return cluster::join(&config, (node, token, *authority), &output).await;
        }
        Command::Cluster(ClusterCommand::Recover { accept_loss }) => {
            return cluster::recover(&config, *accept_loss, &output).await;
        }
        Command::Migrate(migrating) => return migrate::run(&config, migrating, &output).await,
        _ => {}
    }
    let session = Session { client: Client::new(place, &config)?, output };
    match command {
        Command::Cluster(command) => session.cluster(command).await,
        Command::Domain(command) => session.domain(command).await,
        Command::Account(command) => session.account(command).await,
        Command::Alias(command) => session.alias(command).await,
        Command::Queue(command) => session.queue(command).await,
        Command::Bodies(BodiesCommand::Verify { read }) => session.verify(read).await,
        Command::Bodies(BodiesCommand::Status) => session.bodies_status().await,
        Command::Settings(command) => session.settings(command).await,
        Command::Resolve { address } => {
            let found = session.client.get(&format!("/resolve/{}", escaped(address.to_string()))).await?;
            Ok(session.output.value(&found)?)
        }
        // Carried out without a server.
        Command::Serve | Command::Demo(_) | Command::Check | Command::Migrate(_) => Ok(()),
    }
}

pub(super) struct Session {
    pub(super) client: Client,
    pub(super) output: Output,
}

fn at_domain(name: &DomainName) -> String {
    format!("/domains/{}", escaped(name.as_str()))
}

fn at_account(address: &Address) -> String {
    format!("/accounts/{}", escaped(address.to_string()))
}

fn at_alias(address: &Address) -> String {
    format!("/aliases/{}", escaped(address.to_string()))
}

/// `on` if the first is set, `off` if the second is.
fn switch(on: bool, off: bool) -> Option<bool> {
    (on || off).then_some(on)
}

const DOMAIN_COLUMNS: &[Column] = &[
    ("DOMAIN", |item| cell(item, "name")),
    ("ENABLED", |item| cell(item, "enabled")),
    ("QUOTA", |item| cell(item, "quota_octets")),
    ("CATCH-ALL", |item| cell(item, "catch_all")),
];

const ACCOUNT_COLUMNS: &[Column] = &[
    ("ADDRESS", |item| cell(item, "address")),
    ("NAME", |item| cell(item, "name")),
    ("ENABLED", |item| cell(item, "enabled")),
    ("QUOTA", |item| cell(item, "quota_octets")),
    ("FORWARD", |item| cell(item, "forward")),
];

const ALIAS_COLUMNS: &[Column] =
    &[("ALIAS", |item| cell(item, "address")), ("TARGETS", |item| cell(item, "targets"))];

const QUEUE_COLUMNS: &[Column] = &[
    ("ID", |item| cell(item, "id")),
    ("ARRIVED", |item| cell(item, "created")),
    ("NEXT TRY", |item| cell(item, "due")),
    ("SIZE", |item| cell(item, "size_octets")),
    ("STATE", |item| cell(item, "state")),
    ("SENDER", |item| cell(item, "sender")),
    ("RECIPIENTS", |item| {
        item["recipients"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|one| cell(one, "address"))
            .collect::<Vec<_>>()
            .join(", ")
    }),
];

const REQUEST_COLUMNS: &[Column] = &[
    ("REQUEST", |item| cell(item, "kind")),
    ("SENT", |item| cell(item, "requests")),
    ("FAULTS", |item| cell(item, "faults")),
    ("OUT", |item| cell(item, "sent_octets")),
    ("IN", |item| cell(item, "received_octets")),
];

const NAME_COLUMNS: &[Column] =
    &[("NAME", |item| cell(item, "name")), ("DOMAIN", |item| cell(item, "target"))];

impl Session {
    async fn domain(&self, command: DomainCommand) -> anyhow::Result<()> {
        match command {
            DomainCommand::Add { name, catch_all, contact, quota } => {
                let quota_octets = quota.map(|quota| quota.0);
                let new = NewDomainView { name: name.clone(), catch_all, contact, quota_octets };
                let made = self.client.call(Method::POST, "/domains", Some(&new)).await?;
                let hint = format!(
                    "Domain {name} is made. `sterna domain dns {name}` prints the records to publish."
                );
                self.changed(&hint, &made)
            }
            DomainCommand::List => {
                Ok(self.output.table(&self.client.all("/domains").await?, DOMAIN_COLUMNS)?)
            }
            DomainCommand::Show { name } => {
                Ok(self.output.value(&self.client.get(&at_domain(&name)).await?)?)
            }
            DomainCommand::Set(changes) => self.change_domain(changes).await,
            DomainCommand::Delete { name, with_accounts } => {
                let path = format!("{}?accounts={with_accounts}", at_domain(&name));
                let told = (&self.output, "accounts deleted");
                let result = self.client.follow(Method::DELETE, &path, told).await?;
                self.changed(&format!("Domain {name} is deleted."), &result)
            }
            DomainCommand::Dns { name } => self.dns(&name).await,
            DomainCommand::AddName { name, target } => {
                let new = AliasDomainView { name: name.clone(), target: target.clone() };
                let made = self.client.call(Method::POST, "/alias-domains", Some(&new)).await?;
                self.changed(&format!("{name} is a further name of {target}."), &made)
            }
            DomainCommand::DeleteName { name } => {
                let path = format!("/alias-domains/{}", escaped(name.as_str()));
                let result = self.client.delete(&path).await?;
                self.changed(&format!("{name} is no name of a domain any more."), &result)
            }
            DomainCommand::Names => {
                Ok(self.output.table(&self.client.all("/alias-domains").await?, NAME_COLUMNS)?)
            }
            DomainCommand::AddKey { name, selector, algorithm } => {
                let path = format!("{}/dkim", at_domain(&name));
                let new = NewDkimView { selector, algorithm };
                let made = self.client.call(Method::POST, &path, Some(&new)).await?;
                let hint =
                    format!("The key is made. `sterna domain dns {name}` prints its record: publish it now.");
                self.changed(&hint, &made)
            }
            DomainCommand::DeleteKey { name, selector } => {
                let path = format!("{}/dkim/{}", at_domain(&name), escaped(&selector));
                let result = self.client.delete(&path).await?;
                self.changed(&format!("The key {selector} of {name} is deleted."), &result)
            }
        }
    }

    async fn change_domain(&self, changes: DomainChanges) -> anyhow::Result<()> {
        let change = DomainChange {
            enabled: switch(changes.enable, changes.disable),
            catch_all: changes.catch_all.map(Some).or(changes.no_catch_all.then_some(None)),
            contact: changes.contact.map(Some),
            quota_octets: changes.quota.map(|quota| Some(quota.0)).or(changes.no_quota.then_some(None)),
        };
        let path = at_domain(&changes.name);
        let changed = self.client.call(Method::PATCH, &path, Some(&change)).await?;
        self.changed(&format!("Domain {} is changed.", changes.name), &changed)
    }

    async fn dns(&self, name: &DomainName) -> anyhow::Result<()> {
        let records = self.client.get(&format!("{}/dns", at_domain(name))).await?;
        if self.output.json {
            return Ok(self.output.value(&records)?);
        }
        for record in records.as_array().into_iter().flatten() {
            let text = |field: &str| record[field].as_str().unwrap_or_default().to_owned();
            let value = match text("type").as_str() {
                "TXT" => in_strings(&text("value")),
                _ => text("value"),
            };
            let (name, ttl, kind) = (text("name"), &record["ttl_seconds"], text("type"));
            self.output.say(format!("{name}. {ttl} IN {kind} {value}"))?;
        }
        Ok(())
    }

    async fn account(&self, command: AccountCommand) -> anyhow::Result<()> {
        match command {
            AccountCommand::Add { address, name, quota, password } => {
                let obtained = password::obtain(&password)?;
                let new = NewAccountView {
                    address: address.clone(),
                    name,
                    password: obtained.password.as_ref().map(|password| password.expose().clone()),
                    password_hash: None,
                    quota_octets: quota.map(|quota| quota.0),
                };
                let made = self.client.call(Method::POST, "/accounts", Some(&new)).await?;
                self.with_password(&format!("Account {address} is made."), made, &obtained)
            }
            AccountCommand::Import { file } => self.import(&file).await,
            AccountCommand::List { domain } => self.list(domain, "accounts", ACCOUNT_COLUMNS).await,
            AccountCommand::Show { address } => {
                Ok(self.output.value(&self.client.get(&at_account(&address)).await?)?)
            }
            AccountCommand::Set(changes) => self.change_account(changes).await,
            AccountCommand::Password { address, password } => self.set_password(&address, &password).await,
            AccountCommand::Delete { address } => {
                let result = self.client.delete(&at_account(&address)).await?;
                self.changed(&format!("Account {address} is deleted."), &result)
            }
        }
    }

    async fn change_account(&self, changes: AccountChanges) -> anyhow::Result<()> {
        let forwards = !changes.forward.is_empty() || changes.no_forward;
        let change = AccountChange {
            name: changes.name,
            enabled: switch(changes.enable, changes.disable),
            password: None,
            quota_octets: changes.quota.map(|quota| Some(quota.0)).or(changes.no_quota.then_some(None)),
            forward: forwards.then_some(changes.forward),
            keep_copy: switch(changes.keep_copy, changes.no_copy),
        };
        let changed = self.client.call(Method::PATCH, &at_account(&changes.address), Some(&change)).await?;
        self.changed(&format!("Account {} is changed.", changes.address), &changed)
    }

    async fn set_password(&self, address: &Address, source: &PasswordSource) -> anyhow::Result<()> {
        let obtained = password::obtain(source)?;
        let password = obtained.password.as_ref().map(|password| password.expose().clone());
        let change = AccountChange { password: Some(password), ..AccountChange::default() };
        let changed = self.client.call(Method::PATCH, &at_account(address), Some(&change)).await?;
        self.with_password(&format!("The password of {address} is changed."), changed, &obtained)
    }

    async fn alias(&self, command: AliasCommand) -> anyhow::Result<()> {
        match command {
            AliasCommand::Add { address, targets } => {
                let new = AliasView { address: address.clone(), targets };
                let made = self.client.call(Method::POST, "/aliases", Some(&new)).await?;
                self.changed(&format!("Alias {address} is made."), &made)
            }
            AliasCommand::List { domain } => self.list(domain, "aliases", ALIAS_COLUMNS).await,
            AliasCommand::Show { address } => {
                Ok(self.output.value(&self.client.get(&at_alias(&address)).await?)?)
            }
            AliasCommand::Set { address, targets } => {
                let changed = self.client.call(Method::PUT, &at_alias(&address), Some(&targets)).await?;
                self.changed(&format!("Alias {address} is changed."), &changed)
            }
            AliasCommand::Delete { address } => {
                let result = self.client.delete(&at_alias(&address)).await?;
                self.changed(&format!("Alias {address} is deleted."), &result)
            }
        }
    }

    async fn settings(&self, command: SettingsCommand) -> anyhow::Result<()> {
        match command {
            SettingsCommand::Show => Ok(self.output.value(&self.client.get("/settings").await?)?),
            SettingsCommand::Set { default_domain, postmaster } => {
                let change = SettingsChange { default_domain, postmaster: postmaster.map(Some) };
                let changed = self.client.call(Method::PATCH, "/settings", Some(&change)).await?;
                self.changed("The settings are changed.", &changed)
            }
        }
    }

    async fn queue(&self, command: QueueCommand) -> anyhow::Result<()> {
        let (id, action, text) = match command {
            QueueCommand::List => {
                return Ok(self.output.table(&self.client.all("/queue").await?, QUEUE_COLUMNS)?);
            }
            QueueCommand::Show { id } => {
                return Ok(self.output.value(&self.client.get(&format!("/queue/{id}")).await?)?);
            }
            QueueCommand::Counts => {
                return Ok(self.output.value(&self.client.get("/queue/counts").await?)?);
            }
            QueueCommand::Cancel { id } => {
                let result = self.client.delete(&format!("/queue/{id}")).await?;
                return self.changed(&format!("Message {id} is taken out."), &result);
            }
            QueueCommand::Hold { id } => (id, "hold", "is held"),
            QueueCommand::Release { id } => (id, "release", "goes on"),
            QueueCommand::Retry { id } => (id, "retry", "is tried now"),
        };
        let path = format!("/queue/{id}/{action}");
        let result = self.client.call(Method::POST, &path, None::<&()>).await?;
        self.changed(&format!("Message {id} {text}."), &result)
    }

    async fn bodies_status(&self) -> anyhow::Result<()> {
        let mut status = self.client.get("/bodies").await?;
        if self.output.json {
            return Ok(self.output.value(&status)?);
        }
        let requests = status.as_object_mut().and_then(|status| status.remove("requests"));
        self.output.value(&status)?;
        self.output.say("")?;
        let requests = requests.as_ref().and_then(Value::as_array).map(Vec::as_slice);
        Ok(self.output.table(requests.unwrap_or_default(), REQUEST_COLUMNS)?)
    }

    async fn verify(&self, read: bool) -> anyhow::Result<()> {
        let path = format!("/bodies/verify?read={read}");
        let report = self.client.follow(Method::POST, &path, (&self.output, "bodies")).await?;
        self.output.value(&report)?;
        match report["problem_count"].as_u64() {
            Some(0) => Ok(()),
            _ => anyhow::bail!("there are problems"),
        }
    }

    /// Everything of one domain, or of all, domain by domain.
    async fn list(&self, domain: Option<DomainName>, kind: &str, columns: &[Column]) -> anyhow::Result<()> {
        let domains = match domain {
            Some(name) => vec![json!({ "name": name })],
            None => self.client.all("/domains").await?,
        };
        let mut items = Vec::new();
        for domain in &domains {
            let name = escaped(domain["name"].as_str().unwrap_or_default());
            items.extend(self.client.all(&format!("/domains/{name}/{kind}")).await?);
        }
        Ok(self.output.table(&items, columns)?)
    }

    /// A sentence for people, and in a cluster another one on where that is in force; the value as JSON.
    pub(super) fn changed(&self, text: &str, value: &Value) -> anyhow::Result<()> {
        if self.output.json {
            return Ok(self.output.value(value)?);
        }
        self.output.say(text)?;
        match value.get("in_force") {
            Some(in_force) => Ok(self.output.say(InForceView::deserialize(in_force)?.sentence())?),
            None => Ok(()),
        }
    }

    /// As [`Session::changed`]; a password that was made here is shown this once.
    fn with_password(&self, text: &str, mut value: Value, obtained: &Obtained) -> anyhow::Result<()> {
        match &obtained.password {
            Some(password) if obtained.was_made => {
                value["password"] = json!(password.expose());
                self.changed(&format!("{text} Its password is {}", password.expose()), &value)
            }
            _ => self.changed(text, &value),
        }
    }
}

/// A TXT record's text in strings of at most 255 octets (RFC 1035 §3.3.14).
fn in_strings(text: &str) -> String {
    let quoted = |part: &[u8]| format!("\"{}\"", String::from_utf8_lossy(part));
    text.as_bytes().chunks(255).map(quoted).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::super::arguments::Arguments;
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
        let typed = ["sterna", "account", "add", "ann@a.example", "--password-stdin", "--config", "x.toml"];
        let arguments = Arguments::try_parse_from(typed).expect("valid");
        assert_eq!(arguments.place.config.as_deref(), Some(Path::new("x.toml")));
        let both = ["sterna", "account", "add", "ann@a.example", "--password-stdin", "--generate"];
        assert!(Arguments::try_parse_from(both).is_err());
        assert!(Arguments::try_parse_from(["sterna", "account", "add", "no address"]).is_err());
    }

    #[test]
    fn long_texts_are_cut_into_strings() {
        assert_eq!(in_strings("v=spf1 mx -all"), "\"v=spf1 mx -all\"");
        let long = in_strings(&"a".repeat(300));
        assert_eq!(long, format!("\"{}\" \"{}\"", "a".repeat(255), "a".repeat(45)));
    }
}
