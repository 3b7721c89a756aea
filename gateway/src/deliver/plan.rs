//! Who receives a message: from what each RCPT was resolved to, to recipients without duplicates. Pure.

use std::collections::HashSet;
use std::sync::Arc;

use sterna_storage::directory::Account;
use sterna_storage::types::{Address, DomainId, Timestamp};

use super::envelope::{Envelope, Mailbox, Notify, Recipient, Target};

/// A recipient that RCPT accepted, and what the directory made of it.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The address, also where the client said only `<postmaster>`.
    pub address: Mailbox,
    /// ORCPT.
    pub original: Option<String>,
    /// NOTIFY.
    pub notify: Option<Notify>,
    /// Accounts that receive it.
    pub accounts: Vec<Arc<Account>>,
    /// Addresses elsewhere that receive it: the address itself, or where it is sent on to.
    pub elsewhere: Vec<Mailbox>,
}

impl Wanted {
    /// One that goes to another system as it is.
    pub fn remote(address: Mailbox) -> Self {
        Self { elsewhere: vec![address.clone()], address, original: None, notify: None, accounts: Vec::new() }
    }

    /// One that the directory resolved.
    pub fn local(address: Mailbox, accounts: Vec<Arc<Account>>, forwards: &[Address]) -> Self {
        let elsewhere = forwards.iter().map(Mailbox::from).collect();
        Self { address, original: None, notify: None, accounts, elsewhere }
    }
}

/// Each account and each address elsewhere once, in order; the first that leads to one is named.
pub fn recipients(wanted: &[Wanted], now: Timestamp) -> Vec<Recipient> {
    let (mut accounts, mut elsewhere) = (HashSet::new(), HashSet::new());
    let mut recipients = Vec::with_capacity(wanted.len());
    for one in wanted {
        let with_wishes = |recipient: Recipient| Recipient {
            original: one.original.clone(),
            notify: one.notify,
            ..recipient
        };
        for account in one.accounts.iter().filter(|account| accounts.insert(account.id)) {
            let target = Target::Local { account: account.id, domain: account.domain };
            recipients.push(with_wishes(Recipient::new(one.address.clone(), target, now)));
        }
        for address in one.elsewhere.iter().filter(|address| elsewhere.insert((*address).clone())) {
            recipients.push(with_wishes(Recipient::new(address.clone(), Target::Remote, now)));
        }
    }
    recipients
}

/// The domain under whose key the body is sealed: the first local recipient's, so that it is shared
/// where it is filed; else the sender's.
pub fn body_domain(recipients: &[Recipient]) -> Option<DomainId> {
    recipients.iter().find_map(|recipient| match recipient.target {
        Target::Local { domain, .. } => Some(domain),
        Target::Remote => None,
    })
}

/// Whether the message can be filed at once, without a queue entry: a single local recipient, and
/// nobody to tell of it.
pub fn is_direct(envelope: &Envelope) -> bool {
    match envelope.recipients.as_slice() {
        [only] => {
            let tell = envelope.sender.is_some() && only.notify.is_some_and(|notify| notify.success);
            matches!(only.target, Target::Local { .. }) && !tell
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use sterna_storage::directory::MailGroup;
    use sterna_storage::types::AccountId;

    use super::*;

    fn account(id: u64) -> Arc<Account> {
        Arc::new(Account {
            id: AccountId(id),
            domain: DomainId(id / 10),
            address: format!("u{id}@x.example").parse().expect("valid"),
            name: String::new(),
            password_hash: None,
            quota_octets: None,
            enabled: true,
            forward: Vec::new(),
            keep_copy: true,
            mail_group: MailGroup::default(),
            created: Timestamp::from_secs(0),
        })
    }

    fn mailbox(text: &str) -> Mailbox {
        text.parse().expect("valid")
    }

    #[test]
    fn each_receives_one_copy() {
        let forward: Address = "far@away.example".parse().expect("valid");
        let wanted = [
            Wanted::local(mailbox("list@x.example"), vec![account(11), account(12)], &[forward]),
            Wanted::local(mailbox("u12@x.example"), vec![account(12)], &[]),
            Wanted { notify: Some(Notify::NEVER), ..Wanted::remote(mailbox("far@away.example")) },
            Wanted { notify: Some(Notify::NEVER), ..Wanted::remote(mailbox("b@away.example")) },
        ];
        let planned = recipients(&wanted, Timestamp::from_secs(1));
        let shown: Vec<String> =
            planned.iter().map(|one| format!("{} {:?}", one.address, one.notify)).collect();
        let never = format!("{:?}", Some(Notify::NEVER));
        assert_eq!(
            shown,
            [
                "list@x.example None".to_owned(),
                "list@x.example None".to_owned(),
                "far@away.example None".to_owned(),
                format!("b@away.example {never}"),
            ]
        );
        assert_eq!(body_domain(&planned), Some(DomainId(1)));
        assert_eq!(body_domain(&planned[2..]), None);
    }
}
