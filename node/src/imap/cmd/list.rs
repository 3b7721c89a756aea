//! LIST with the options of LIST-EXTENDED, LIST-STATUS and SPECIAL-USE (RFC 9051 §6.3.9, RFC 5258,
//! RFC 5819, RFC 6154).

use std::collections::{BTreeMap, HashSet};

use sterna_storage::mailstore::{Mailbox, MailboxName};

use super::call::Call;
use super::list_pattern::Pattern;
use super::status;
use crate::imap::codec::command::{List, ListSelection};
use crate::imap::codec::mailbox_name::{self, NameEncoding};
use crate::imap::codec::writer;
use crate::imap::status::{CommandError, Outcome, Status};
use crate::limits::IMAP_LIST_STEPS;

/// A name that exists, is subscribed, or stands above one that does or is.
#[derive(Debug, Default)]
pub(super) struct Node {
    pub(super) mailbox: Option<Mailbox>,
    pub(super) subscribed: bool,
    /// Whether a mailbox exists below it.
    pub(super) has_children: bool,
}

/// All names of an account, by name.
pub(super) struct Names(pub(super) BTreeMap<MailboxName, Node>);

impl Names {
    /// Reads them.
    pub(super) async fn read(call: &Call<'_>) -> Outcome<Self> {
        let (store, account) = (&call.context.store, call.account());
        Ok(Self::of(store.mailboxes(account).await?, store.subscriptions(account).await?))
    }

    fn of(mailboxes: Vec<Mailbox>, subscriptions: Vec<MailboxName>) -> Self {
        let mut names: BTreeMap<MailboxName, Node> = BTreeMap::new();
        for mailbox in mailboxes {
            for superior in mailbox.name.superiors() {
                names.entry(superior).or_default().has_children = true;
            }
            let name = mailbox.name.clone();
            names.entry(name).or_default().mailbox = Some(mailbox);
        }
        for name in subscriptions {
            for superior in name.superiors() {
                names.entry(superior).or_default();
            }
            names.entry(name).or_default().subscribed = true;
        }
        Self(names)
    }

    /// The names that match one of the patterns. Others get their turn in between.
    pub(super) async fn matching(&self, patterns: &[Pattern]) -> HashSet<&MailboxName> {
        let (mut matching, mut steps) = (HashSet::new(), 0);
        for name in self.0.keys() {
            for pattern in patterns {
                steps += pattern.steps(name.as_str());
                if steps > IMAP_LIST_STEPS {
                    steps = 0;
                    tokio::task::yield_now().await;
                }
                if pattern.matches(name.as_str()) {
                    matching.insert(name);
                    break;
                }
            }
        }
        matching
    }

    /// Names below `name`.
    fn below<'n>(&'n self, name: &'n MailboxName) -> impl Iterator<Item = (&'n MailboxName, &'n Node)> {
        let same_start =
            self.0.range(name..).take_while(|(other, _)| other.as_str().starts_with(name.as_str()));
        same_start.filter(|(other, _)| other.is_inferior_to(name))
    }

    /// Whether a name below satisfies `wanted`.
    pub(super) fn any_below(&self, name: &MailboxName, wanted: impl Fn(&MailboxName, &Node) -> bool) -> bool {
        self.below(name).any(|(name, node)| wanted(name, node))
    }
}

/// Lists the mailboxes that match.
pub(super) async fn run(call: &mut Call<'_>, list: List) -> Outcome {
    let encoding = call.session.enabled.names();
    if !list.extended && list.patterns.iter().all(Vec::is_empty) {
        // The hierarchy separator and the root are asked for.
        call.out.buffer.extend_from_slice(b"* LIST (\\Noselect) \"/\" \"\"\r\n");
        return Ok(Status::ok("LIST completed"));
    }
    let patterns = patterns(&list.reference, &list.patterns, encoding);
    let names = Names::read(call).await?;
    let matched = names.matching(&patterns).await;
    for (name, node) in names.0.iter().filter(|(name, _)| matched.contains(name)) {
        let children =
            list.select.recursive_match && names.any_below(name, |_, below| satisfies(below, list.select));
        let hidden_child = children
            && names
                .any_below(name, |other, below| satisfies(below, list.select) && !matched.contains(other));
        if !(satisfies(node, list.select) || hidden_child) {
            continue;
        }
        let told = Told { name, node, list: &list, children };
        told.write(call);
        call.out.drain().await?;
        if let Some(mailbox) = node.mailbox.as_ref().filter(|_| !list.returns.status.is_empty()) {
            // RFC 5819 §2: the STATUS response follows its LIST response; a mailbox that is gone
            // meanwhile has none.
            match status::respond(call, name, mailbox.id, &list.returns.status).await {
                Err(CommandError::Refused(_)) | Ok(()) => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(Status::ok("LIST completed"))
}

/// The client's patterns; what cannot match is left out.
pub(super) fn patterns(reference: &[u8], patterns: &[Vec<u8>], encoding: NameEncoding) -> Vec<Pattern> {
    let Ok(reference) = mailbox_name::decode(reference, encoding) else { return Vec::new() };
    let decoded = patterns.iter().filter(|pattern| !pattern.is_empty());
    let decoded = decoded.filter_map(|pattern| mailbox_name::decode(pattern, encoding).ok());
    decoded.filter_map(|pattern| Pattern::new(&reference, &pattern)).collect()
}

fn satisfies(node: &Node, select: ListSelection) -> bool {
    if select.special_use && node.mailbox.as_ref().is_none_or(|mailbox| mailbox.special_use.is_none()) {
        return false;
    }
    match select.subscribed {
        true => node.subscribed,
        // A level above an existing mailbox is listed too, although it cannot be selected.
        false => node.mailbox.is_some() || node.has_children,
    }
}

struct Told<'l> {
    name: &'l MailboxName,
    node: &'l Node,
    list: &'l List,
    children: bool,
}

impl Told<'_> {
    fn write(&self, call: &mut Call<'_>) {
        let enabled = call.session.enabled;
        let out = &mut *call.out.buffer;
        out.extend_from_slice(b"* LIST (");
        if self.node.mailbox.is_none() {
            let extended = self.list.extended || enabled.rev2;
            out.extend_from_slice(if extended { b"\\NonExistent " } else { b"\\Noselect " });
        }
        out.extend_from_slice(if self.node.has_children { b"\\HasChildren" } else { b"\\HasNoChildren" });
        if self.node.subscribed && (self.list.select.subscribed || self.list.returns.subscribed) {
            out.extend_from_slice(b" \\Subscribed");
        }
        if let Some(special_use) = self.node.mailbox.as_ref().and_then(|mailbox| mailbox.special_use) {
            out.push(b' ');
            out.extend_from_slice(special_use.attribute().as_bytes());
        }
        out.extend_from_slice(b") \"/\" ");
        writer::mailbox(out, self.name.as_str(), enabled.names());
        if self.children {
            out.extend_from_slice(match (self.list.select.subscribed, self.list.select.special_use) {
                (true, true) => b" (\"CHILDINFO\" (\"SUBSCRIBED\" \"SPECIAL-USE\"))".as_slice(),
                (true, false) => b" (\"CHILDINFO\" (\"SUBSCRIBED\"))",
                (false, _) => b" (\"CHILDINFO\" (\"SPECIAL-USE\"))",
            });
        }
        out.extend_from_slice(b"\r\n");
    }
}
