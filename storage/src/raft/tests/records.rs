//! Every record reads back as it was written, and whatever else arrives is refused without harm.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, VoteRequest, VoteResponse};
use openraft::{EntryPayload, Membership, StoredMembership};
use proptest::prelude::*;

use crate::Error;
use crate::fuzzing;
use crate::kv::KeyRange;
use crate::kv::engine::{Chunk, ChunkLimit, Commit, Committed, Mutation, Version, Versionstamp};
use crate::raft::call::{Answer, Call, Envelope, Get, GetRange, Introduced, Manage, Succession};
use crate::raft::consensus::{Append, LogEntry, Members, Proposal, Vote, Voter, log_id};
use crate::raft::fuzzing::CHECKS;
use crate::raft::roster::Roster;
use crate::raft::snapshot::{Ending, Part, Received};
use crate::raft::wire;

fn octets() -> impl Strategy<Value = Bytes> {
    proptest::collection::vec(any::<u8>(), 0..40).prop_map(Bytes::from)
}

fn range() -> impl Strategy<Value = KeyRange> {
    (octets(), octets()).prop_map(|(begin, end)| KeyRange { begin, end })
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let stamped = || proptest::collection::vec(any::<u8>(), 10..40).prop_map(Bytes::from);
    prop_oneof![
        (octets(), octets()).prop_map(|(key, value)| Mutation::Set(key, value)),
        octets().prop_map(Mutation::Clear),
        range().prop_map(Mutation::ClearRange),
        (octets(), any::<i64>()).prop_map(|(key, delta)| Mutation::Add(key, delta)),
        (octets(), any::<u64>()).prop_map(|(key, value)| Mutation::Max(key, value)),
        (octets(), any::<u64>()).prop_map(|(key, value)| Mutation::Min(key, value)),
        (stamped(), octets()).prop_map(|(key, value)| {
            let offset = key.len() - 10;
            Mutation::SetVersionstampedKey { key, offset, value }
        }),
        (octets(), stamped()).prop_map(|(key, value)| {
            let offset = value.len() - 10;
            Mutation::SetVersionstampedValue { key, value, offset }
        }),
    ]
}

fn commit() -> impl Strategy<Value = Commit> {
    let ranges = || proptest::collection::vec(range(), 0..4);
    let mutations = proptest::collection::vec(mutation(), 0..6);
    (any::<Option<u64>>(), ranges(), ranges(), mutations).prop_map(|(read, reads, writes, mutations)| {
        Commit { read_version: read.map(Version), read_conflicts: reads, write_conflicts: writes, mutations }
    })
}

fn members() -> impl Strategy<Value = Members> {
    let nodes = proptest::collection::btree_map(any::<u64>(), any::<u64>(), 1..6);
    (nodes, any::<bool>()).prop_map(|(nodes, is_joint)| {
        let first: BTreeSet<u64> = nodes.keys().copied().take(1).collect();
        let all: BTreeSet<u64> = nodes.keys().copied().collect();
        let configs = if is_joint { vec![first, all] } else { vec![first] };
        let voter = |(node, incarnation)| (node, Voter { incarnation, era: incarnation % 3 });
        let nodes: BTreeMap<u64, Voter> = nodes.into_iter().map(voter).collect();
        Membership::new(configs, nodes).expect("voters are nodes")
    })
}

fn entry() -> impl Strategy<Value = LogEntry> {
    let payload = prop_oneof![
        Just(EntryPayload::Blank),
        members().prop_map(EntryPayload::Membership),
        (any::<u64>(), proptest::collection::vec(any::<u8>(), 1..40)).prop_map(|(term, batch)| {
            EntryPayload::Normal(Proposal([&Proposal::head(term)[..], &batch].concat().into()))
        }),
    ];
    (any::<u64>(), any::<u64>(), payload)
        .prop_map(|(term, index, payload)| LogEntry { log_id: log_id(term, index), payload })
}

fn vote() -> impl Strategy<Value = Vote> {
    (any::<u64>(), any::<u64>(), any::<bool>()).prop_map(|(term, node, is_committed)| {
        if is_committed { Vote::new_committed(term, node) } else { Vote::new(term, node) }
    })
}

fn place() -> impl Strategy<Value = Option<crate::raft::consensus::LogId>> {
    any::<Option<(u64, u64)>>().prop_map(|id| id.map(|(term, index)| log_id(term, index)))
}

fn append() -> impl Strategy<Value = Append> {
    (vote(), place(), proptest::collection::vec(entry(), 0..4), place()).prop_map(
        |(vote, prev_log_id, entries, leader_commit)| AppendEntriesRequest {
            vote,
            prev_log_id,
            entries,
            leader_commit,
        },
    )
}

fn part() -> impl Strategy<Value = Part> {
    let pairs = proptest::collection::vec((octets(), octets()), 0..5);
    let ending = proptest::option::of((any::<(u64, u64)>(), place(), members()));
    (any::<(u64, u64, u64)>(), vote(), pairs, ending).prop_map(
        |((transfer, version, number), vote, pairs, ending)| {
            let ending = ending.map(|((term, index), at, members)| {
                let known = members.nodes().map(|(node, voter)| (*node, voter.incarnation)).collect();
                let members = StoredMembership::new(at, members);
                Ending { last: log_id(term, index), roster: Roster { members, known } }
            });
            Part { transfer, vote, version: Version(version), number, pairs, ending }
        },
    )
}

fn call() -> impl Strategy<Value = Call> {
    let ballot = || {
        (vote(), place(), any::<bool>()).prop_map(|(vote, last, leadership_transfer)| VoteRequest {
            leadership_transfer,
            ..VoteRequest::new(vote, last)
        })
    };
    let get = || (any::<u64>(), octets()).prop_map(|(at, key)| Get { at: Version(at), key });
    let limit = any::<(u32, u32, bool)>().prop_map(|(pairs, octets, reverse)| ChunkLimit {
        pairs: pairs as usize,
        octets: octets as usize,
        reverse,
    });
    let succession = (vote(), any::<u64>(), place()).prop_map(|(from_leader, to, last_log_id)| Succession {
        from_leader,
        to,
        last_log_id,
    });
    prop_oneof![
        append().prop_map(Call::Append),
        ballot().prop_map(Call::Vote),
        ballot().prop_map(Call::PreVote),
        succession.prop_map(Call::Lead),
        part().prop_map(Call::Part),
        Just(Call::Introduce(())),
        Just(Call::ReadIndex(())),
        Just(Call::ReadVersion(())),
        get().prop_map(Call::Get),
        (any::<u64>(), range(), limit).prop_map(|(at, range, limit)| Call::Range(GetRange {
            at: Version(at),
            range,
            limit
        })),
        commit().prop_map(Call::Commit),
        get().prop_map(Call::Watch),
        any::<(u8, u64)>().prop_map(|(which, node)| Call::Manage(match which % 4 {
            0 => Manage::AddLearner(node),
            1 => Manage::AddVoter(node),
            2 => Manage::Remove(node),
            _ => Manage::Transfer(node),
        })),
    ]
}

fn answer() -> impl Strategy<Value = Answer> {
    let appended = prop_oneof![
        Just(AppendEntriesResponse::Success),
        place().prop_map(AppendEntriesResponse::PartialSuccess),
        Just(AppendEntriesResponse::Conflict),
        vote().prop_map(AppendEntriesResponse::HigherVote),
    ];
    let received = prop_oneof![
        any::<u64>().prop_map(Received::Parts),
        Just(Received::Unknown(())),
        vote().prop_map(Received::Installed),
        vote().prop_map(Received::Outvoted),
    ];
    let error = prop_oneof![
        Just(Error::Conflict),
        Just(Error::TooOld),
        Just(Error::CommitUnknown),
        any::<String>().prop_map(|text| Error::Unavailable(text.into())),
        any::<String>().prop_map(|text| Error::Full(text.into())),
        any::<String>().prop_map(|text| Error::TooLarge(text.into())),
    ];
    let chunk = (proptest::collection::vec((octets(), octets()), 0..5), any::<bool>());
    prop_oneof![
        appended.prop_map(Answer::Appended),
        (vote(), place(), any::<bool>())
            .prop_map(|(vote, last, granted)| Answer::Balloted(VoteResponse::new(vote, last, granted))),
        any::<bool>().prop_map(Answer::Led),
        received.prop_map(Answer::Received),
        any::<(u64, bool)>()
            .prop_map(|(incarnation, is_new)| Answer::Introduced(Introduced { incarnation, is_new })),
        any::<u64>().prop_map(Answer::ReadIndex),
        any::<u64>().prop_map(|version| Answer::Version(Version(version))),
        proptest::option::of(octets()).prop_map(Answer::Value),
        chunk.prop_map(|(pairs, more)| Answer::Chunk(Chunk { pairs, more })),
        any::<(u64, u16)>().prop_map(|(version, order)| {
            let version = Version(version);
            Answer::Committed(Committed { version, versionstamp: Versionstamp::new(version, order) })
        }),
        any::<bool>().prop_map(Answer::Watched),
        Just(Answer::Managed(())),
        any::<Option<u64>>().prop_map(Answer::NotLeader),
        Just(Answer::Stranger(())),
        error.prop_map(Answer::Failed),
    ]
}

proptest! {
    #[test]
    fn calls_read_back(group in "[a-z]{1,8}", to: u64, from: u64, call in call()) {
        let envelope = Envelope { group, to, from, call };
        let octets = envelope.encode();
        let read = Envelope::decode(&octets).expect("own octets");
        prop_assert_eq!(read.encode(), octets.clone());
        prop_assert_eq!(format!("{read:?}"), format!("{envelope:?}"));
        for length in 0..octets.len() {
            prop_assert!(Envelope::decode(&octets.slice(..length)).is_err(), "cut to {length} octets");
        }
    }

    #[test]
    fn answers_read_back(answer in answer()) {
        let octets = answer.encode();
        let read = Answer::decode(&octets).expect("own octets");
        prop_assert_eq!(read.encode(), octets);
    }

    #[test]
    fn damaged_calls_are_refused_without_harm(call in call(), at: prop::sample::Index, octet: u8) {
        let envelope = Envelope { group: "mail".into(), to: 1, from: 2, call };
        let mut octets = envelope.encode().to_vec();
        let at = at.index(octets.len());
        octets[at] = octet;
        let octets = bytes::Bytes::from(octets);
        CHECKS.iter().for_each(|check| fuzzing::check(*check, &octets));
    }

    #[test]
    fn rosters_read_back(members in members(), at in place()) {
        let known = members.nodes().map(|(node, voter)| (*node, voter.incarnation)).collect();
        let roster = Roster { members: StoredMembership::new(at, members), known };
        prop_assert_eq!(Roster::decode(&roster.encode()).expect("own octets"), roster);
    }
}

#[test]
fn a_count_that_no_octets_follow_is_refused_before_anything_is_made_of_it() {
    let octets = Bytes::from_static(&[1, 0xff, 0xff, 0xff, 0xff]);
    assert!(wire::decode::<Vec<u64>>(1, &octets).is_err());
}
