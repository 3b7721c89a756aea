//! In whose name an account may send: its own addresses and aliases, in the envelope and in the header.

use sterna_storage::directory::{Account, Directory};
use sterna_storage::types::DomainName;

use crate::deliver::envelope::ReversePath;
use crate::deliver::reply::TRY_AGAIN;
use crate::message::address::Address as Written;
use crate::message::{header, submission};
use crate::smtp::codec::{EnhancedCode as E, Reply};

const NOT_YOUR_SENDER: Reply = Reply::new(550, E(5, 7, 1), "The sender is none of your addresses");
const NOT_YOUR_FROM: Reply = Reply::new(550, E(5, 7, 1), "From or Sender is none of your addresses");
const BAD_FROM: Reply =
    Reply::new(554, E(5, 6, 0), "A message has one From and at most one Sender (RFC 5322 3.6)");

/// Whether the account may use the reverse-path. The null one is allowed: clients send receipts with it.
pub(super) async fn check_sender(
    directory: &Directory,
    account: &Account,
    sender: &ReversePath,
) -> Result<(), Reply> {
    let Some(sender) = sender else { return Ok(()) };
    let Some(address) = sender.address() else { return Err(NOT_YOUR_SENDER) };
    match directory.may_send_as(account.id, &address).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(NOT_YOUR_SENDER),
        Err(error) => {
            tracing::warn!(%error, "a sender could not be checked");
            Err(TRY_AGAIN)
        }
    }
}

/// Whether the account may put its name to the message: every From and Sender of the header. Gives the
/// domain of the first From, which signs it.
pub(super) async fn check_header(
    directory: &Directory,
    account: &Account,
    message: &[u8],
) -> Result<DomainName, Reply> {
    let authors = submission::authors(&message[..header::length(message)]);
    if authors.from_fields != 1 || authors.sender_fields > 1 || authors.from.is_empty() {
        return Err(BAD_FROM);
    }
    let mut signing = None;
    for written in authors.from.iter().chain(&authors.sender) {
        let address = Written::to_address(written).ok_or(BAD_FROM)?;
        match directory.may_send_as(account.id, &address).await {
            Ok(true) => signing.get_or_insert_with(|| address.domain().clone()),
            Ok(false) => return Err(NOT_YOUR_FROM),
            Err(error) => {
                tracing::warn!(%error, "an author could not be checked");
                return Err(TRY_AGAIN);
            }
        };
    }
    signing.ok_or(BAD_FROM)
}
