//! What can be typed.

mod cluster;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use sterna_storage::types::{Address, DomainName, QueueId};

pub use cluster::{ClusterCommand, TokenSource};

use super::quantity::Octets;
use crate::admin::view::AlgorithmView;
use crate::demo;

/// The mail server Sterna.
#[derive(Debug, Parser)]
#[command(name = "sterna", version, about = "The mail server Sterna", propagate_version = true)]
pub struct Arguments {
    /// Where things are.
    #[command(flatten)]
    pub place: Place,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Where the configuration and the server are.
#[derive(Debug, Args)]
pub struct Place {
    /// The configuration file; without one: /etc/sterna/sterna.toml if it exists, else the defaults
    #[arg(long, global = true, env = "STERNA_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The admin API, as http://127.0.0.1:8425; without one: where the configuration says
    #[arg(long, global = true, env = "STERNA_SERVER", value_name = "URL")]
    pub server: Option<String>,
    /// The file with the admin API's token; without one: the variable STERNA_TOKEN, else where the
    /// configuration says
    #[arg(long, global = true, env = "STERNA_TOKEN_FILE", value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Print JSON
    #[arg(long, global = true)]
    pub json: bool,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the server
    Serve,
    /// Show the whole path of a message on a server of its own
    Demo(demo::Arguments),
    /// Check the configuration and print nothing if it is right
    Check,
    /// Domains
    #[command(subcommand)]
    Domain(DomainCommand),
    /// Accounts
    #[command(subcommand)]
    Account(AccountCommand),
    /// Aliases
    #[command(subcommand)]
    Alias(AliasCommand),
    /// Messages on their way
    #[command(subcommand)]
    Queue(QueueCommand),
    /// Message bodies
    #[command(subcommand)]
    Bodies(BodiesCommand),
    /// The nodes that are one server together
    #[command(subcommand)]
    Cluster(ClusterCommand),
    /// Move all mail to another engine, and its bodies to another place; no server runs meanwhile
    Migrate(Migrating),
    /// What holds for the whole system
    #[command(subcommand)]
    Settings(SettingsCommand),
    /// Where mail to an address goes
    Resolve {
        /// The address
        address: Address,
    },
}

/// `sterna domain`
#[derive(Debug, Subcommand)]
pub enum DomainCommand {
    /// Make a domain, with its signing keys
    Add {
        /// Its name
        name: DomainName,
        /// Where mail to unknown addresses goes
        #[arg(long)]
        catch_all: Option<Address>,
        /// Who gets mail to postmaster and abuse
        #[arg(long)]
        contact: Option<Address>,
        /// Most that all its accounts hold together, as 500MB or 20GiB
        #[arg(long)]
        quota: Option<Octets>,
    },
    /// List all domains
    List,
    /// Show a domain
    Show {
        /// Its name
        name: DomainName,
    },
    /// Change a domain
    Set(DomainChanges),
    /// Delete a domain
    Delete {
        /// Its name
        name: DomainName,
        /// Delete its accounts and their mail too
        #[arg(long)]
        with_accounts: bool,
    },
    /// Print the DNS records to publish
    Dns {
        /// Its name
        name: DomainName,
    },
    /// Give a domain a further name
    AddName {
        /// The further name
        name: DomainName,
        /// The domain
        target: DomainName,
    },
    /// Take a further name away
    DeleteName {
        /// The further name
        name: DomainName,
    },
    /// List further names
    Names,
    /// Make a further signing key
    AddKey {
        /// The domain
        name: DomainName,
        /// The label below _domainkey
        selector: String,
        /// What it signs with
        #[arg(long, value_enum, default_value = "rsa")]
        algorithm: AlgorithmView,
    },
    /// Delete a signing key
    DeleteKey {
        /// The domain
        name: DomainName,
        /// The label below _domainkey
        selector: String,
    },
}

/// `sterna domain set`
#[derive(Debug, Args)]
pub struct DomainChanges {
    /// Its name
    pub name: DomainName,
    /// Take mail and logins
    #[arg(long, conflicts_with = "disable")]
    pub enable: bool,
    /// Take neither mail nor logins
    #[arg(long)]
    pub disable: bool,
    /// Where mail to unknown addresses goes
    #[arg(long, conflicts_with = "no_catch_all")]
    pub catch_all: Option<Address>,
    /// Refuse mail to unknown addresses
    #[arg(long)]
    pub no_catch_all: bool,
    /// Who gets mail to postmaster and abuse
    #[arg(long)]
    pub contact: Option<Address>,
    /// Most that all its accounts hold together, as 500MB or 20GiB
    #[arg(long, conflicts_with = "no_quota")]
    pub quota: Option<Octets>,
    /// No bound
    #[arg(long)]
    pub no_quota: bool,
}

/// `sterna account`
#[derive(Debug, Subcommand)]
pub enum AccountCommand {
    /// Make an account; asks for its password
    Add {
        /// Its address
        address: Address,
        /// The person's name
        #[arg(long, default_value = "")]
        name: String,
        /// Most that it holds, as 500MB or 20GiB
        #[arg(long)]
        quota: Option<Octets>,
        /// How it gets its password
        #[command(flatten)]
        password: PasswordSource,
    },
    /// Make many accounts: one JSON object a line, with address, name, password_hash (argon2, PHC) and quota_octets, of
    /// which only the address must be there. Accounts that exist stay as they are: the command may be given again
    Import {
        /// The file; `-`: standard input
        file: PathBuf,
    },
    /// List the accounts of a domain, or of all
    List {
        /// The domain
        domain: Option<DomainName>,
    },
    /// Show an account, and how much it holds
    Show {
        /// Its address
        address: Address,
    },
    /// Change an account
    Set(AccountChanges),
    /// Change an account's password; asks for it
    Password {
        /// Its address
        address: Address,
        /// How it gets its password
        #[command(flatten)]
        password: PasswordSource,
    },
    /// Delete an account and its mail
    Delete {
        /// Its address
        address: Address,
    },
}

/// Where a password comes from.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub struct PasswordSource {
    /// Read it as one line from standard input
    #[arg(long)]
    pub password_stdin: bool,
    /// Make a random one and print it
    #[arg(long)]
    pub generate: bool,
    /// None: no login
    #[arg(long)]
    pub no_password: bool,
}

/// `sterna account set`
#[derive(Debug, Args)]
pub struct AccountChanges {
    /// Its address
    pub address: Address,
    /// The person's name
    #[arg(long)]
    pub name: Option<String>,
    /// Allow logins
    #[arg(long, conflicts_with = "disable")]
    pub enable: bool,
    /// Refuse logins; mail is still kept
    #[arg(long)]
    pub disable: bool,
    /// Most that it holds, as 500MB or 20GiB
    #[arg(long, conflicts_with = "no_quota")]
    pub quota: Option<Octets>,
    /// No bound
    #[arg(long)]
    pub no_quota: bool,
    /// Send its mail on to these addresses
    #[arg(long, num_args = 1.., value_name = "ADDRESS", conflicts_with = "no_forward")]
    pub forward: Vec<Address>,
    /// Send its mail on to nobody
    #[arg(long)]
    pub no_forward: bool,
    /// Keep what is sent on
    #[arg(long, conflicts_with = "no_copy")]
    pub keep_copy: bool,
    /// Do not keep what is sent on
    #[arg(long)]
    pub no_copy: bool,
}

/// `sterna alias`
#[derive(Debug, Subcommand)]
pub enum AliasCommand {
    /// Make an alias
    Add {
        /// The address
        address: Address,
        /// Where its mail goes
        #[arg(required = true)]
        targets: Vec<Address>,
    },
    /// List the aliases of a domain, or of all
    List {
        /// The domain
        domain: Option<DomainName>,
    },
    /// Show an alias
    Show {
        /// The address
        address: Address,
    },
    /// Give an alias other targets
    Set {
        /// The address
        address: Address,
        /// Where its mail goes
        #[arg(required = true)]
        targets: Vec<Address>,
    },
    /// Delete an alias
    Delete {
        /// The address
        address: Address,
    },
}

/// `sterna settings`
#[derive(Debug, Subcommand)]
pub enum SettingsCommand {
    /// Show them
    Show,
    /// Change them
    Set {
        /// Where logins without @ are looked up
        #[arg(long)]
        default_domain: Option<DomainName>,
        /// Who gets mail to <postmaster>
        #[arg(long)]
        postmaster: Option<Address>,
    },
}

/// `sterna migrate`
#[derive(Debug, Args)]
pub struct Migrating {
    /// The configuration of the new installation; --config names the old one's
    #[arg(long, value_name = "FILE", required_unless_present = "undo")]
    pub to: Option<PathBuf>,
    /// Copy what can be copied while the old servers run, and switch nothing over
    #[arg(long)]
    pub ahead: bool,
    /// Let an old installation serve again; what came in at the new one since is not there
    #[arg(long, conflicts_with_all = ["to", "ahead"])]
    pub undo: bool,
}

/// `sterna queue`
#[derive(Debug, Subcommand)]
pub enum QueueCommand {
    /// List messages on their way, oldest first
    List,
    /// Show a message on its way
    Show {
        /// Its id, as the reply to its sender told
        id: QueueId,
    },
    /// Count messages on their way
    Counts,
    /// Keep a message from being tried
    Hold {
        /// Its id
        id: QueueId,
    },
    /// Let a held message go on
    Release {
        /// Its id
        id: QueueId,
    },
    /// Try a message now
    Retry {
        /// Its id
        id: QueueId,
    },
    /// Take a message out, undelivered; its sender is not told
    Cancel {
        /// Its id
        id: QueueId,
    },
}

/// `sterna bodies`
#[derive(Debug, Subcommand)]
pub enum BodiesCommand {
    /// Where bodies lie, what waits to be packed, and what was asked of the bucket
    Status,
    /// Look whether every message's body is there
    Verify {
        /// Read, decrypt and measure each of them too
        #[arg(long)]
        read: bool,
    },
}
