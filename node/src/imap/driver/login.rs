//! LOGIN and AUTHENTICATE (RFC 9051 §6.2.2 and §6.2.3, RFC 4959, RFC 5530).

use std::sync::Arc;

use sterna_gateway::login::LoginError;
use sterna_gateway::login::sasl::{self, Credentials, Exchange, Mechanism, SaslError, Step};
use sterna_storage::directory::Account;
use sterna_storage::types::Secret;

use super::connection::{End, Link, bye};
use crate::imap::status::Status;
use crate::limits;

impl Link {
    pub(super) async fn login(
        &mut self,
        tag: &str,
        login: &str,
        password: &Secret<String>,
    ) -> Result<(), End> {
        if !self.may_log_in() {
            return self.conclude(tag, Ok(privacy_required()));
        }
        self.directory_version = self.context.directory.version();
        let verified = self.context.authenticator.verify(login, password, self.connection.peer.ip()).await;
        self.verified(tag, verified)
    }

    pub(super) async fn authenticate(
        &mut self,
        tag: &str,
        mechanism: &str,
        initial: Option<&[u8]>,
    ) -> Result<(), End> {
        if !self.may_log_in() {
            return self.conclude(tag, Ok(privacy_required()));
        }
        let Some(mechanism) = Mechanism::named(mechanism.as_bytes()) else {
            return self.conclude(tag, Ok(Status::no("CANNOT", "Unknown mechanism")));
        };
        let credentials = match self.exchange(mechanism, initial).await? {
            Ok(credentials) => credentials,
            Err(error) => return self.conclude(tag, Ok(Status::bad(error.to_string()))),
        };
        self.directory_version = self.context.directory.version();
        let verified = self.context.authenticator.authenticate(&credentials, self.connection.peer.ip()).await;
        self.verified(tag, verified)
    }

    async fn exchange(
        &mut self,
        mechanism: Mechanism,
        initial: Option<&[u8]>,
    ) -> Result<Result<Credentials, SaslError>, End> {
        let initial = match initial.map(sasl::decode_line).transpose() {
            Ok(initial) => initial,
            Err(error) => return Ok(Err(error)),
        };
        let (mut exchange, mut step) = Exchange::start(mechanism, initial.as_deref());
        loop {
            let challenge = match step {
                Step::Credentials(credentials) => return Ok(Ok(credentials)),
                Step::Failed(error) => return Ok(Err(error)),
                Step::Challenge(challenge) => sasl::encode_line(challenge),
            };
            self.output.extend_from_slice(format!("+ {challenge}\r\n").as_bytes());
            let line = self.line().await?;
            step = match sasl::decode_line(&line) {
                Ok(response) => exchange.respond(&response),
                Err(error) => return Ok(Err(error)),
            };
        }
    }

    fn verified(&mut self, tag: &str, verified: Result<Arc<Account>, LoginError>) -> Result<(), End> {
        let error = match verified {
            Ok(account) => {
                tracing::info!(peer = %self.connection.peer, account = %account.address, "IMAP login");
                self.session.account = Some(account);
                let code = format!("CAPABILITY {}", self.capabilities());
                return self.conclude(tag, Ok(Status::ok_with(code, "Logged in")));
            }
            Err(error) => error,
        };
        tracing::info!(peer = %self.connection.peer, %error, "IMAP login refused");
        let status = match error {
            LoginError::Invalid => Status::no("AUTHENTICATIONFAILED", "Wrong login or password"),
            LoginError::Disabled => Status::no("CONTACTADMIN", "The account is disabled"),
            LoginError::Locked { .. } => Status::no("UNAVAILABLE", "Too many failed logins; try again later"),
            LoginError::Unavailable => Status::no("UNAVAILABLE", "Logins are not possible at the moment"),
        };
        self.conclude(tag, Ok(status))?;
        self.failed_logins += 1;
        if self.failed_logins >= limits::IMAP_FAILED_LOGINS {
            Err(bye("Too many failed logins"))
        } else {
            Ok(())
        }
    }
}

fn privacy_required() -> Status {
    Status::no("PRIVACYREQUIRED", "Logins need TLS")
}
