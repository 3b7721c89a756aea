//! Mail of our own accounts: only after a login, only in their own names, mended and signed, and to anyone.

use std::sync::Arc;

use bytes::Bytes;
use sterna_storage::directory::Account;
use sterna_storage::types::DomainName;

use super::authors::{check_header, check_sender};
use crate::deliver::Deliverer;
use crate::deliver::admission::{Admission, Found, Recipients};
use crate::deliver::intake::{Intake, taken};
use crate::deliver::plan::Wanted;
use crate::deliver::reply::TRY_AGAIN;
use crate::limits::SUMMARY_ASIDE_OCTETS;
use crate::login::sasl::Credentials;
use crate::login::standing::{self, Standing};
use crate::login::{Authenticator, LoginError};
use crate::message::{dkim, submission};
use crate::net::{Connection, Reservation};
use crate::smtp::codec::{EnhancedCode as E, Reply};
use crate::smtp::driver::{self, Service};
use crate::smtp::session::{Candidate, Incoming, Transaction};
use crate::smtp::{Peer, Policy};

const WRONG_LOGIN: Reply = Reply::new(535, E(5, 7, 8), "Wrong login or password");
const DISABLED: Reply = Reply::new(535, E(5, 7, 13), "The account is disabled");
const LOCKED: Reply = Reply::new(454, E(4, 7, 0), "Too many failed logins, try again later");
const NO_LOGINS_NOW: Reply = Reply::new(454, E(4, 7, 0), "Logins are not possible now, try again later");
const REVOKED: Reply = Reply::new(421, E(4, 7, 0), "The account has changed, log in again");
const LOGIN_FIRST: Reply = Reply::new(530, E(5, 7, 0), "Authentication required");

/// What the connections of this role share.
#[derive(Clone)]
pub struct Submission {
    /// Who is connecting.
    pub authenticator: Authenticator,
    /// Who exists.
    pub recipients: Recipients,
    /// Takes the messages.
    pub deliverer: Deliverer,
    /// Signs them.
    pub signers: Arc<dkim::Signers>,
}

/// Serves a connection of port 587 or 465.
pub async fn serve(service: Service, submission: Arc<Submission>, connection: Connection) {
    let host = service.config.host_name.clone();
    driver::serve(service, connection, SubmissionPolicy { shared: submission, host, account: None }).await;
}

struct SubmissionPolicy {
    shared: Arc<Submission>,
    host: String,
    account: Option<Arc<Account>>,
}

impl Policy for SubmissionPolicy {
    type Admission = Admission;

    async fn authenticate(&mut self, peer: &Peer, credentials: &Credentials) -> Result<(), Reply> {
        match self.shared.authenticator.authenticate(credentials, peer.address.ip()).await {
            Ok(account) => {
                tracing::info!(peer = %peer.address, account = %account.address, "logged in");
                self.account = Some(account);
                Ok(())
            }
            Err(error) => {
                tracing::info!(peer = %peer.address, %error, "login refused");
                Err(match error {
                    LoginError::Invalid => WRONG_LOGIN,
                    LoginError::Disabled => DISABLED,
                    LoginError::Locked { .. } => LOCKED,
                    LoginError::Unavailable => NO_LOGINS_NOW,
                })
            }
        }
    }

    async fn sender(&mut self, _: &Peer, transaction: &Transaction<Admission>) -> Result<(), Reply> {
        let directory = self.shared.recipients.directory();
        let known = self.account.as_ref().ok_or(LOGIN_FIRST)?;
        let account = match standing::of(directory, known).await {
            Standing::Good(current) => self.account.insert(current),
            Standing::Revoked => return Err(REVOKED),
            Standing::Unknown => return Err(TRY_AGAIN),
        };
        check_sender(directory, account, &transaction.sender).await
    }

    async fn recipient(
        &mut self,
        _: &Peer,
        transaction: &Transaction<Admission>,
        candidate: &Candidate,
    ) -> Result<Admission, Reply> {
        let size = transaction.parameters.size_octets.unwrap_or(0);
        match self.shared.recipients.find(candidate, size).await? {
            Found::Ours(admission) => Ok(admission),
            Found::Elsewhere { mailbox, .. } => {
                let wanted = Wanted {
                    original: candidate.parameters.original_recipient.clone(),
                    notify: candidate.parameters.notify,
                    ..Wanted::remote(mailbox)
                };
                Ok(Admission { wanted, domain: None })
            }
        }
    }

    async fn message(
        &mut self,
        peer: &Peer,
        incoming: Incoming<Admission>,
        memory: Reservation,
    ) -> Vec<Reply> {
        match self.take(peer, incoming, memory).await {
            Ok(reply) | Err(reply) => vec![reply],
        }
    }
}

impl SubmissionPolicy {
    async fn take(
        &mut self,
        peer: &Peer,
        incoming: Incoming<Admission>,
        memory: Reservation,
    ) -> Result<Reply, Reply> {
        let account = self.account.clone().ok_or(LOGIN_FIRST)?;
        let directory = self.shared.recipients.directory();
        let signing = check_header(directory, &account, &incoming.message).await?;
        let mut intake = Intake::new(incoming, memory)?;
        intake.submitter = Some((account.id, account.domain));
        mend(&mut intake, &self.host);
        self.sign(&mut intake, &signing).await;
        let id = intake.accept(&self.shared.deliverer, &self.host, peer).await?;
        Ok(taken(id))
    }

    /// Signs with the keys of the author's domain. A key that cannot be used is the administrator's
    /// matter: the mail goes out without its signature.
    async fn sign(&self, intake: &mut Intake, domain: &DomainName) {
        let domain = match self.shared.recipients.directory().domain(domain).await {
            Ok(Some(domain)) if !domain.dkim.is_empty() => domain,
            Ok(_) => return,
            Err(error) => return tracing::warn!(%error, "not signed"),
        };
        let signer = match self.shared.signers.of(&domain) {
            Ok(signer) => signer,
            Err(error) => return tracing::error!(%error, domain = %domain.name, "not signed"),
        };
        let message = Bytes::from(std::mem::take(&mut intake.incoming.message));
        let signatures = signatures(signer, message.clone()).await;
        // The only other handle ended with the signature; nothing is copied.
        intake.incoming.message = Vec::from(message);
        match signatures {
            Ok(signatures) => intake.signatures = signatures,
            Err(error) => tracing::error!(%error, domain = %domain.name, "not signed"),
        }
    }
}

/// The signature fields; of a large message they are made aside, so that others do not wait for it.
async fn signatures(signer: Arc<dkim::Signer>, message: Bytes) -> Result<String, String> {
    let is_large = message.len() >= SUMMARY_ASIDE_OCTETS;
    let sign = move || match signer.sign(std::iter::once(&message[..])) {
        Ok(fields) => String::from_utf8(fields).map_err(|_| "the signature is no text".to_owned()),
        Err(error) => Err(error.to_string()),
    };
    match is_large {
        true => tokio::task::spawn_blocking(sign).await.map_err(|error| error.to_string())?,
        false => sign(),
    }
}

/// Adds Date and Message-ID where they are missing and takes Bcc out (RFC 6409 §8), in place: only the
/// header is copied.
fn mend(intake: &mut Intake, host: &str) {
    let message = &intake.incoming.message;
    let fix = submission::fix_up(message, host, intake.received);
    if fix.is_empty() {
        return;
    }
    let pieces: Vec<&[u8]> = fix.pieces(message).collect();
    let Some((rest, front)) = pieces.split_last() else { return };
    let (front, replaced) = (front.concat(), message.len() - rest.len());
    intake.incoming.message.splice(..replaced, front);
}
