//! What is there in the end, held against the ledger.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;

use sterna_cluster_tests::sink::Sink;
use sterna_cluster_tests::sterna::{Service, Sterna, address};

use super::editor::Edits;
use super::imap::{Fetched, Flags, Imap};
use super::ledger::{Attempt, Ledger, MAILBOXES, Outcome, Place};
use super::model::Own;
use super::text::{ACCOUNTS, Name};
use super::world::{Manner, World};

/// What was found in a mailbox.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// By UID.
    pub(super) messages: BTreeMap<u32, Own>,
    pub(super) octets: u64,
}

/// What the audit has counted.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) promised: usize,
    pub(super) doubtful: usize,
    /// Of those, the ones that are there.
    pub(super) doubtful_there: usize,
    pub(super) messages: usize,
    pub(super) far: usize,
}

/// Reads a mailbox through: numbers, counters and texts are in order.
fn mailbox(imap: &mut Imap<'_, '_>, ledger: &Ledger, place: Place) -> io::Result<Found> {
    let status = imap.status(place)?;
    let messages = if status["MESSAGES"] == 0 { Vec::new() } else { imap.fetch_all(place)? };
    let uids: Vec<u64> = messages.iter().map(|message| message.uid.into()).collect();
    assert!(uids.is_sorted_by(|one, next| one < next), "{place:?}: UIDs do not ascend: {uids:?}");
    assert!(uids.last().is_none_or(|last| *last < status["UIDNEXT"]), "{place:?}: {uids:?} {status:?}");
    let has = |flag: &'static str| move |message: &&Fetched| message.flags.contains(flag);
    let octets = messages.iter().map(|message| message.size_octets).sum();
    let recount = [
        ("MESSAGES", messages.len() as u64),
        ("UNSEEN", (messages.len() - messages.iter().filter(has("\\Seen")).count()) as u64),
        ("DELETED", messages.iter().filter(has("\\Deleted")).count() as u64),
        ("SIZE", octets),
    ];
    for (item, counted) in recount {
        assert_eq!(status[item], counted, "{item} of {place:?}");
    }
    let mut found = BTreeMap::new();
    for message in messages {
        let (uid, modseq) = (message.uid, message.modseq);
        assert!(modseq > 0 && modseq <= status["HIGHESTMODSEQ"], "MODSEQ {modseq} of {uid} in {place:?}");
        assert_eq!(message.size_octets, message.text.len() as u64, "RFC822.SIZE of {uid} in {place:?}");
        let name = Name::of(&message.text).unwrap_or_else(|error| panic!("{place:?} {uid}: {error}"));
        assert!(
            message.text.ends_with(&name.text()),
            "{name} ({uid} in {place:?}) is damaged: {}",
            message.text
        );
        ledger.saw(place, uid, &name);
        found.insert(uid, Own { name, flags: message.flags });
    }
    ledger.known(|known| {
        let back = found.keys().find(|uid| known.gone.contains(&(place, **uid)));
        assert!(back.is_none(), "{back:?} in {place:?} was expunged and is back");
        for ((_, uid), name) in known.seen.iter().filter(|((seen, _), _)| *seen == place) {
            let is_accounted = found.contains_key(uid) || known.gone.contains(&(place, *uid));
            assert!(is_accounted, "{name} was {uid} in {place:?} and is not there");
        }
    });
    Ok(Found { messages: found, octets })
}

/// All mailboxes, read through at one of the servers.
pub(super) fn mailboxes(world: &World, at: usize) -> HashMap<Place, Found> {
    let mut all = HashMap::new();
    for account in 0..ACCOUNTS.len() {
        world.persist(Service::Imap, at, Manner::Patient, |line| {
            let mut imap = Imap::log_in(line, account)?;
            for mailbox in MAILBOXES {
                let place = Place { account, mailbox };
                all.insert(place, self::mailbox(&mut imap, &world.ledger, place)?);
            }
            Ok(())
        });
    }
    all
}

/// Every attempt is where it must be and nowhere else; so are the editors' messages.
pub(super) fn attempts(
    ledger: &Ledger,
    found: &HashMap<Place, Found>,
    far: &HashSet<Name>,
    editors: &HashMap<usize, Edits>,
) -> Counts {
    let mut copies = HashMap::<(Name, Place), usize>::new();
    for (place, Found { messages, .. }) in found {
        let state = editors.get(&place.account).map(|edits| match place.mailbox {
            "INBOX" => &edits.state[0],
            _ => &edits.state[1],
        });
        let is_own = |own: &Own| matches!(own.name.kind, "edit" | "bulk");
        let own: BTreeMap<u32, Own> =
            messages.iter().filter(|(_, own)| is_own(own)).map(|(uid, own)| (*uid, own.clone())).collect();
        assert_eq!(Some(&own), state, "what the editor knows of {place:?}");
        for other in messages.values().filter(|own| !is_own(own)) {
            *copies.entry((other.name.clone(), *place)).or_default() += 1;
        }
    }
    let mut counts = Counts { far: far.len(), ..Counts::default() };
    counts.messages = found.values().map(|found| found.messages.len()).sum();
    ledger.known(|known| {
        for (name, attempt) in &known.attempts {
            let there = |place: &Place| copies.remove(&(name.clone(), *place)).unwrap_or(0);
            let mut there: Vec<usize> = attempt.places.iter().map(there).collect();
            // Another server may get a message twice: when it had taken it, and we died before we noted that.
            there.extend(attempt.remote.then(|| usize::from(far.contains(name))));
            judge(name, attempt, &there, &mut counts);
        }
        let unknown = far.iter().find(|name| !known.attempts.contains_key(name));
        assert!(unknown.is_none(), "{unknown:?} was never sent, and is at the other server");
    });
    assert!(copies.is_empty(), "these were never sent there: {:?}", copies.keys().collect::<Vec<_>>());
    counts
}

fn judge(name: &Name, attempt: &Attempt, there: &[usize], counts: &mut Counts) {
    let all = |count: usize| there.iter().all(|copies| *copies == count);
    match attempt.outcome {
        Outcome::Unsent => assert!(all(0), "{name} was never sent whole: {there:?}"),
        Outcome::Promised => {
            counts.promised += 1;
            assert!(all(1), "{name} was acknowledged and is there {there:?} times: {attempt:?}");
        }
        Outcome::Doubtful => {
            counts.doubtful += 1;
            counts.doubtful_there += usize::from(all(1));
            assert!(all(0) || all(1), "{name} is there in part: {there:?} of {attempt:?}");
        }
    }
}

/// The messages that the other server has taken whole.
pub(super) fn far(sink: &Sink) -> HashSet<Name> {
    let whole = |message: String| {
        let message = message.replace("\r\n", "\n");
        let name = Name::of(&message).ok()?;
        message.trim_end().ends_with(name.text().replace("\r\n", "\n").trim_end()).then_some(name)
    };
    sink.messages().into_iter().filter_map(whole).collect()
}

/// The usage of each account is what was found in it.
pub(super) fn quotas(server: (usize, &Sterna), world: &World, found: &HashMap<Place, Found>) {
    for account in 0..ACCOUNTS.len() {
        let of_account = found.iter().filter(|(place, _)| place.account == account);
        quota(server, world, account, of_account.map(|(_, found)| found.octets).sum());
    }
}

/// The account's usage is `octets`, to the octet: with room for one more message, that message is taken, and with
/// one octet less it is not.
fn quota((at, server): (usize, &Sterna), world: &World, account: usize, octets: u64) {
    let name = Name { kind: "append", account, client: 99, number: 1, attempt: 1, octets: 100, addresses: 0 };
    let whole = octets + name.text().len() as u64;
    let place = Place { account, mailbox: MAILBOXES[1] };
    let limit = |octets: u64| {
        let owner = address(ACCOUNTS[account]);
        server.cli(&["account", "set", &owner, "--quota", &octets.to_string()]);
    };
    limit(whole - 1);
    world.persist(Service::Imap, at, Manner::Patient, |line| {
        let refused = Imap::log_in(line, account)?.refused_append(place, &name)?;
        assert!(
            refused.contains("[OVERQUOTA]"),
            "{} has not all of {octets} octets: {refused}",
            place.owner()
        );
        Ok(())
    });
    // A changed account ends its sessions.
    limit(whole);
    world.persist(Service::Imap, at, Manner::Patient, |line| {
        Imap::log_in(line, account)?.append(place, &Flags::new(), &name, false).map(drop)
    });
}
