//! Recipients at RCPT: who exists, who has room, and what is somebody else's. Shared by all inbound roles.

use std::sync::Arc;

use sterna_storage::Error;
use sterna_storage::directory::{Account, Directory, Resolution, is_role};
use sterna_storage::mailstore::{Limits, MailStore};
use sterna_storage::types::{Address, DomainId, DomainName};

use super::envelope::Mailbox;
use super::plan::Wanted;
use super::reply;
use crate::smtp::codec::{EnhancedCode, ForwardPath, MailDomain, Reply};
use crate::smtp::session::Candidate;

/// What is not ours, and the client may not send there.
pub const RELAYING_DENIED: Reply = Reply::new(550, EnhancedCode(5, 7, 1), "Relaying denied");

/// Looks recipients up. Cheap to clone.
#[derive(Clone)]
pub struct Recipients {
    directory: Directory,
    mail: MailStore,
    host: DomainName,
}

/// What a recipient is.
#[derive(Debug, Clone)]
pub enum Found {
    /// One of ours, with room for the message.
    Ours(Admission),
    /// An address of another system.
    Elsewhere {
        /// The address.
        mailbox: Mailbox,
        /// Whether its domain is known not to be ours; else this node is cut off, and another may know better.
        is_certain: bool,
    },
}

/// A recipient that was accepted.
#[derive(Debug, Clone)]
pub struct Admission {
    /// Who receives it.
    pub wanted: Wanted,
    /// The domain of ours that it is an address of; `None` for another system's.
    pub domain: Option<DomainId>,
}

impl Recipients {
    /// Over this node's directory and mail store. `host` is the name by which this server greets.
    pub fn new(directory: Directory, mail: MailStore, host: DomainName) -> Self {
        Self { directory, mail, host }
    }

    /// The directory.
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Looks a recipient up, for a message of that size. Refused with `550 5.1.1` where it does not
    /// exist, `452 4.2.2` where it is over quota, `451` where the directory cannot tell.
    pub async fn find(&self, candidate: &Candidate, size_octets: u64) -> Result<Found, Reply> {
        let (mailbox, resolution) = match &candidate.path {
            ForwardPath::Postmaster => {
                let mailbox = self.postmaster().await.map_err(unknown)?;
                (mailbox, self.directory.resolve_postmaster().await.map_err(unknown)?)
            }
            ForwardPath::Mailbox(mailbox) => match mailbox.address() {
                Some(address) => (mailbox.clone(), self.directory.resolve(&address).await.map_err(unknown)?),
                // An address literal names a host, and mail is kept for domains.
                None => return Ok(Found::Elsewhere { mailbox: mailbox.clone(), is_certain: true }),
            },
        };
        match resolution {
            Resolution::NotLocal { .. } if self.is_hosts_own(&mailbox) => {
                let postmaster = Candidate { path: ForwardPath::Postmaster, ..candidate.clone() };
                Box::pin(self.find(&postmaster, size_octets)).await
            }
            Resolution::NotLocal { is_current } => Ok(Found::Elsewhere { mailbox, is_certain: is_current }),
            Resolution::Unknown => Err(reply::NO_SUCH_USER),
            Resolution::Deliver { accounts, forwards } => {
                if forwards.is_empty() && !is_role(mailbox.local_part()) {
                    self.check_room(&accounts, size_octets).await?;
                }
                let domain = self.domain_of(&mailbox, &accounts).await?;
                let mut wanted = Wanted::local(mailbox, accounts, &forwards);
                wanted.notify = candidate.parameters.notify;
                wanted.original = candidate.parameters.original_recipient.clone();
                Ok(Found::Ours(Admission { wanted, domain: Some(domain) }))
            }
        }
    }

    /// Whether it is an address that people write to because the server is called so, or because its reports
    /// come from there (RFC 5321 §4.5.1, RFC 2142).
    fn is_hosts_own(&self, mailbox: &Mailbox) -> bool {
        let local = mailbox.local_part();
        let at_host = matches!(mailbox.domain(), MailDomain::Name(name) if *name == self.host);
        at_host && (is_role(local) || local.eq_ignore_ascii_case("mailer-daemon"))
    }

    /// `postmaster@` the default domain, as what the bare `<postmaster>` stands for.
    async fn postmaster(&self) -> Result<Mailbox, Error> {
        let settings = self.directory.settings().await?;
        if let Some(address) = &settings.postmaster {
            return Ok(Mailbox::from(address));
        }
        let domain = match settings.default_domain {
            Some(id) => self.directory.domain_by_id(id).await?,
            None => None,
        };
        let name =
            domain.map(|domain| domain.name.clone()).ok_or(Error::NotFound("default domain".into()))?;
        let address =
            Address::new("postmaster", name).map_err(|error| Error::Invalid(error.to_string().into()))?;
        Ok(Mailbox::from(&address))
    }

    async fn domain_of(&self, mailbox: &Mailbox, accounts: &[Arc<Account>]) -> Result<DomainId, Reply> {
        if let Some(account) = accounts.first() {
            return Ok(account.domain);
        }
        let domain = match mailbox.address() {
            Some(address) => self.directory.domain(address.domain()).await.map_err(unknown)?,
            None => None,
        };
        match domain {
            Some(domain) => Ok(domain.id),
            None => {
                let settings = self.directory.settings().await.map_err(unknown)?;
                settings.default_domain.ok_or(reply::TRY_AGAIN)
            }
        }
    }

    /// Over quota only if nobody behind the address has room: what some accept may overdraw the others.
    async fn check_room(&self, accounts: &[Arc<Account>], size_octets: u64) -> Result<(), Reply> {
        let mut refusal = None;
        for account in accounts {
            let domain = self.directory.domain_by_id(account.domain).await.map_err(unknown)?;
            let limits = Limits {
                account_octets: account.quota_octets,
                domain_octets: domain.and_then(|domain| domain.quota_octets),
            };
            match self.mail.check_quota(account.id, size_octets, limits).await {
                Ok(()) => return Ok(()),
                Err(Error::OverQuota(_)) => refusal = Some(reply::MAILBOX_FULL),
                Err(error) => return Err(unknown(error)),
            }
        }
        refusal.map_or(Ok(()), Err)
    }
}

/// Whether the recipient exists is not known: never a permanent refusal (I6).
fn unknown(error: Error) -> Reply {
    tracing::warn!(%error, "a recipient could not be checked");
    reply::TRY_AGAIN
}
