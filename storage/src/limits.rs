//! The bounds of this floor: the number, its unit, and why it is what it is.

use std::time::Duration;

// Mail store.

/// Longest mailbox name, in octets. Fits a key many times over and a LIST line comfortably.
pub const MAILBOX_NAME_OCTETS: usize = 1_000;
/// Deepest mailbox name, in levels. People use three; a bound keeps "create makes superiors" small.
pub const MAILBOX_NAME_LEVELS: usize = 32;
/// Most mailboxes of an account: a rename of all of them still fits one transaction.
pub const MAILBOXES_PER_ACCOUNT: usize = 5_000;
/// Most subscriptions of an account, names without a mailbox among them.
pub const SUBSCRIPTIONS_PER_ACCOUNT: usize = 10_000;
/// Most keywords of a mailbox. Their table is one value.
pub const KEYWORDS_PER_MAILBOX: usize = 1_000;
/// Most octets of a mailbox's keywords together, so that their table fits a value.
pub const KEYWORDS_OCTETS: usize = 80_000;
/// Longest summary kept beside a message, in octets; what is longer is derived from the body (design §3).
pub const SUMMARY_OCTETS: usize = 64 * 1024;
/// Longest per-recipient header prefix, in octets. Kept in the summary's value.
pub const PREFIX_OCTETS: usize = 16 * 1024;
/// Most messages in one chunk of a snapshot: what a change of one message copies (16 octets each).
pub const SNAPSHOT_CHUNK_MESSAGES: usize = 512;
/// Octets of one change-log value after which the next one begins: below [`VALUE_OCTETS`] with any flags.
pub const CHANGE_ENTRY_OCTETS: usize = 64 * 1024;
/// After so many commits to a mailbox its change log is looked at.
pub const CHANGE_LOG_CHECK_COMMITS: u64 = 1024;
/// Most commits that a mailbox's change log reaches back; QRESYNC answers with a superset beyond.
pub const CHANGE_LOG_COMMITS: usize = 16 * 1024;
/// A view that is more commits behind reads the mailbox anew.
pub const VIEW_CATCH_UP_COMMITS: usize = 4 * 1024;
/// Messages from which on a mailbox gets an outline: reading fewer records takes a millisecond.
pub const OUTLINE_MESSAGES: u32 = 1024;
/// UIDs of one part of an outline: some 20 octets where nothing happened to the messages, 16 KiB where each went
/// its own way. What a change rewrites. In the unit tests small mailboxes have several.
pub const OUTLINE_PART_UIDS: u32 = if cfg!(test) { 8 } else { 4096 };
/// Longest part of an outline, in octets: below [`VALUE_OCTETS`]. Only thousands of different keyword sets pass it,
/// and some in the unit tests.
pub const OUTLINE_PART_OCTETS: usize = if cfg!(test) { 48 } else { 90_000 };
/// Most parts of an outline written in one transaction: 1 MB where each message went its own way.
pub const OUTLINE_STEP_PARTS: usize = 64;
/// After so many commits to a mailbox its outline is looked at.
pub const OUTLINE_CHECK_COMMITS: u64 = 256;
/// After so many new messages likewise.
pub const OUTLINE_CHECK_MESSAGES: u32 = 1024;
/// An outline that is so many commits behind is renewed whatever its length: reading on from it takes some
/// milliseconds, and [`VIEW_CATCH_UP_COMMITS`] is far.
pub const OUTLINE_BEHIND_COMMITS: u64 = 2 * 1024;
/// A shorter outline is renewed once it is a commit for so many messages behind: what is written for it then is at
/// most some 1,300 octets a commit.
pub const OUTLINE_MESSAGES_A_COMMIT: u64 = 256;
/// Most messages read in one transaction when a mailbox is read as a whole: a few milliseconds. Fewer in the unit
/// tests, where mailboxes change between the steps.
pub const LOAD_STEP_MESSAGES: usize = if cfg!(test) { 64 } else { 8 * 1024 };
/// What a view takes in memory beside its messages, in octets.
pub const VIEW_OCTETS: u64 = 2 * 1024;
/// What each message of a view takes: UID, MODSEQ and the number of its flags.
pub const VIEW_MESSAGE_OCTETS: u64 = 16;
/// Most pushes that a view keeps while an earlier one is missing.
pub const VIEW_PENDING_PUSHES: usize = 64;
/// While sessions wait for changes that other nodes make, the mailbox is looked at after so long even if no watch
/// tells of one.
pub const VIEW_WATCH_LONGEST: Duration = Duration::from_secs(60);
/// How soon it is looked at again after the store was away.
pub const VIEW_WATCH_PAUSE: Duration = Duration::from_secs(1);
/// Octets after which a batch of changes to many messages is committed: a tenth of what would be refused.
pub const BATCH_OCTETS: usize = 1_000_000;
/// Most messages in such a batch.
pub const BATCH_MESSAGES: usize = 10_000;
/// Octets up to which APPEND and COPY are one transaction; more goes through a hidden block.
pub const ATOMIC_OCTETS: usize = 4_000_000;
/// Most messages that COPY copies in one transaction.
pub const ATOMIC_MESSAGES: usize = 2_000;
/// Most messages in one step of a larger COPY, or of a MOVE: their summaries are in memory.
pub const TRANSFER_STEP_MESSAGES: usize = 500;
/// UIDs left free for what arrives while a hidden block is filled (seconds). Of four billion.
pub const BLOCK_UID_GAP: u32 = 1 << 16;
/// MODSEQs left free likewise. Of 2^63.
pub const BLOCK_MODSEQ_GAP: u64 = 1 << 20;
/// Most deliveries to one mailbox in one transaction.
pub const DELIVERY_BATCH_MESSAGES: usize = 128;
/// Octets after which such a batch is full.
pub const DELIVERY_BATCH_OCTETS: usize = 1_000_000;
/// Most deliveries that wait for one mailbox before the next is told `Overloaded`.
pub const DELIVERIES_WAITING: usize = 4_096;
/// Most octets of such deliveries: what the mailbox's task commits in a few seconds.
pub const DELIVERIES_WAITING_OCTETS: usize = 64 << 20;
/// Most messages that a worker handles in one transaction (some 400 octets written each).
pub const WORK_STEP_MESSAGES: usize = 1_000;
/// Most work items that a worker reads at once.
pub const WORK_ITEMS: usize = 256;
/// How long the result of a delivery is kept under its id: longer than queue and relay retry (five days).
pub const DELIVERY_KEPT: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// A hidden block that has been filled for longer is given up.
pub const BLOCK_LIFE: Duration = Duration::from_secs(15 * 60);
/// Most records that one step of a listing reads: bounds memory, and lets a slow reader outlive a transaction.
pub const LISTING_STEP_RECORDS: usize = 512;
/// Octets after which such a step ends.
pub const LISTING_STEP_OCTETS: usize = 512 * 1024;

// Transactions.

/// Longest key, in octets: FoundationDB's bound of 10,000 with room for what its engine puts before and behind.
pub const KEY_OCTETS: usize = 9_900;
/// Longest value, in octets. FoundationDB's own bound.
pub const VALUE_OCTETS: usize = 100_000;
/// Most that one transaction may write (keys, values and conflict ranges), in octets. FoundationDB's own bound.
pub const TRANSACTION_OCTETS: usize = 10_000_000;
/// Longest life of a transaction from its read version to its commit. FoundationDB's own bound.
pub const TRANSACTION_LIFE: Duration = Duration::from_secs(5);
/// How often each node keeps the store's clock. What the last node counted since is lost with its process, and mail that
/// came in meanwhile waits for as much longer.
pub const CLOCK_KEPT_EVERY: Duration = Duration::from_secs(5);
/// By how much the store's clock must be behind to be written: once in some seconds, however many nodes keep it.
pub const CLOCK_STEP: Duration = Duration::from_secs(3);
/// How far a process moves the store's clock on without asking the store: then it stands. What a monotonic clock counts
/// in a leap, since its machine was moved or has failed, makes nothing old.
pub const CLOCK_UNKEPT: Duration = Duration::from_secs(60);
/// Most reruns of one closure after conflicts before the caller is told `Overloaded`.
pub const TRANSACTION_ATTEMPTS: u32 = 64;
/// How long the result of an operation is kept under its id: longer than anything can retry.
pub const OPERATION_KEPT: Duration = Duration::from_secs(24 * 60 * 60);
/// How long the result of a commit is kept under an id that its caller alone knows: longer than that one reruns it, by the
/// 23 hours that a machine which was suspended may take the store's clock to be behind.
pub const COMMIT_KEPT: Duration = Duration::from_secs(24 * 60 * 60);
const _: () = assert!(COMMIT_KEPT.as_secs() > 23 * 60 * 60 + 2 * DOUBT_PATIENCE.as_secs());
/// Most pairs that one step of a range read asks the engine for: a step stays short, so that it can run
/// inline, and a caller that stops early has wasted little.
pub const RANGE_CHUNK_PAIRS: usize = 512;
/// Octets of keys and values after which a step of a range read ends.
pub const RANGE_CHUNK_OCTETS: usize = 128 * 1024;
/// Most keys watched at once in one engine; each costs some 200 octets.
pub const WATCHED_KEYS: usize = 100_000;
/// Longest prefix of a cluster's keys in FoundationDB, in octets. Each write holds it up to three times.
pub const FOUNDATIONDB_PREFIX_OCTETS: usize = 32;
/// How long an answer of FoundationDB to a read is waited for: no version lives longer.
pub const FOUNDATIONDB_READ_PATIENCE: Duration = TRANSACTION_LIFE;
/// How long the end of a commit is waited for: above a recovery of FoundationDB's, which takes a few seconds, below
/// what any client waits, and longer than a version lives, so that what read anything and is given up cannot take place
/// later.
pub const FOUNDATIONDB_COMMIT_PATIENCE: Duration = Duration::from_secs(10);
const _: () = assert!(FOUNDATIONDB_COMMIT_PATIENCE.as_secs() > TRANSACTION_LIFE.as_secs());
/// Longest wait before a rerun after a conflict; the wait doubles up to it and is jittered.
pub const RERUN_WAIT_MAX: Duration = Duration::from_millis(50);
/// For how long a commit of unknown result is run again to learn it: an engine that elects or recovers is back before,
/// and clients wait for minutes (RFC 5321 §4.5.3.2.6). Shorter in the unit tests, which outlast it.
pub const DOUBT_PATIENCE: Duration = Duration::from_secs(if cfg!(test) { 3 } else { 60 });
/// Longest wait before such a rerun, unless it follows a conflict; likewise doubled and jittered.
pub const DOUBT_WAIT_MAX: Duration = Duration::from_secs(1);

/// Most octets that a node remembers of the directory: some 100,000 accounts and their addresses.
pub const DIRECTORY_CACHE_OCTETS: u64 = 64 << 20;
/// Bells by which who waits for an account is told of its changes; each costs some 600 octets. A change
/// wakes one in so many of those who wait for other accounts.
pub const DIRECTORY_BELLS: usize = 256;
/// How often a node looks for directory changes although nothing woke it: a watch is only a hint.
pub const DIRECTORY_FOLLOW_INTERVAL: Duration = Duration::from_secs(1);
/// A node that last looked for directory changes so long ago (it was held up, or its store is slow) answers from the
/// store instead of from what it remembers: its clients' limits of time are longer.
pub const DIRECTORY_CACHE_TRUSTED: Duration = Duration::from_secs(10);
/// How long a node waits before it reads the directory's change log again after a failure.
pub const DIRECTORY_FOLLOW_RETRY: Duration = Duration::from_millis(200);
/// How long entries of the directory's change log are kept: longer than any node lags behind. A node
/// that does forgets everything it remembers.
pub const DIRECTORY_LOG_KEPT: Duration = Duration::from_secs(24 * 60 * 60);
/// How often old entries of the directory's change log are removed.
pub const DIRECTORY_TRIM_INTERVAL: Duration = Duration::from_secs(10 * 60);
/// Most entries of the directory's change log that one step removes.
pub const DIRECTORY_TRIM_ENTRIES: usize = 1000;
/// Ids that a node takes at once, so that makers of accounts do not wait for each other.
pub const DIRECTORY_IDS_TAKEN: u64 = 64;
/// Most accounts that are made in one transaction: with their mailboxes some 6,000 keys, half a megabyte.
pub const ACCOUNTS_TOGETHER: usize = 256;
/// Most targets of one alias, and most addresses that one account forwards to. Larger lists are a
/// mailing list's matter.
pub const ALIAS_TARGETS: usize = 500;
/// Most octets of one directory record: a value's bound with room to spare.
pub const DIRECTORY_RECORD_OCTETS: usize = 64 << 10;
/// Most recipients that one address expands to, over all nested aliases.
pub const EXPANSION_RECIPIENTS: usize = 2000;
/// Deepest nesting of aliases and forwards.
pub const EXPANSION_DEPTH: usize = 16;
/// Most items of one page of a directory listing.
pub const DIRECTORY_PAGE_ITEMS: usize = 1000;
/// Longest name of a person, in octets.
pub const ACCOUNT_NAME_OCTETS: usize = 1000;
/// Most DKIM keys of a domain: two algorithms, current and former, and room for a rotation.
pub const DKIM_KEYS: usize = 8;
/// Most further names of one domain: they are all removed with it in one transaction.
pub const FURTHER_NAMES: usize = 1000;
/// Longest body, in octets: its frame table must fit a value (3 octets for each 64 KiB frame).
pub const BODY_OCTETS: u64 = 1 << 30;
/// Octets of a staged body in one value: with its record beside it, below [`VALUE_OCTETS`].
pub const BODY_PIECE_OCTETS: usize = 90_000;
/// Most owners of one body that a segment's footer lists; recovery from the bucket needs one.
pub const BODY_OWNERS_LISTED: usize = 1000;
/// Most bodies in one segment: bounds its footer, and the transactions that point at it.
pub const SEGMENT_ENTRIES: usize = 8192;
/// Longest footer of a segment, in octets, that is read back: far above what is ever written.
pub const SEGMENT_FOOTER_OCTETS: usize = 64 << 20;
/// Most pieces of a long body in one transaction: below 1 MB, as transactions should be.
pub const BODY_PIECES_TOGETHER: usize = 10;
/// For how long the object of an upload that was given up is deleted again and again: a request that timed
/// out may still land.
pub const UPLOAD_TIDIED: Duration = Duration::from_secs(24 * 60 * 60);
/// Most domains' keys that are held open; each costs some 100 octets.
pub const DOMAIN_KEYS_CACHED: u64 = 10_000;
/// Most octets that one request of a body reader asks for, sealed as well as unpacked: what a reader that stands still
/// holds.
pub const BODY_READ_AHEAD_OCTETS: u64 = 512 * 1024;
/// Most bodies that are opened together; their records are read in one transaction.
pub const BODIES_TOGETHER: usize = 256;
/// Staged bodies that are read at once to be packed; those of one segment are held in memory anyway.
pub const PACKED_TOGETHER: usize = 16;
/// Longest body that is loaded together with others, in octets; a longer one streams by itself.
pub const BODY_LOADED_OCTETS: u64 = 128 * 1024;
/// Bodies of one segment that lie no further apart than this (octets) are read in one go: a page, which is read
/// anyway.
pub const SEGMENT_GAP_OCTETS: u64 = 4 * 1024;
/// The same in a bucket, where a request costs more than octets: what is read in vain is held in memory with the rest.
pub const REMOTE_GAP_OCTETS: u64 = 32 * 1024;
/// Segments of which bodies are read at once, for one reader.
pub const SEGMENTS_TOGETHER: usize = 8;
/// Messages whose header prefixes are looked up together by a reader of many messages; a prefix is at most
/// [`PREFIX_OCTETS`].
pub const PREFIXES_TOGETHER: usize = 64;
/// Bodies that a verification looks at at once; where it reads them, each holds [`BODY_READ_AHEAD_OCTETS`] at most.
pub const VERIFIED_TOGETHER: usize = 16;
/// Most problems that a verification lists; it counts all.
pub const VERIFY_PROBLEMS_LISTED: usize = 1000;
/// Longest payload of a queue entry, in octets: some 10,000 recipients with their state.
pub const QUEUE_PAYLOAD_OCTETS: usize = 2 << 20;
/// Octets of a queue payload in one value.
pub const QUEUE_PIECE_OCTETS: usize = 90_000;
/// Most queue entries that one transaction claims or frees; with their payloads read, not written.
pub const QUEUE_CLAIMED_TOGETHER: usize = 16;
/// Most queue entries in one page of a listing.
pub const QUEUE_LISTED_TOGETHER: usize = 1000;
/// Octets of payloads after which a page of a listing ends.
pub const QUEUE_LISTED_OCTETS: usize = 4 << 20;
/// Longest sleep of a queue worker: after it the queue is looked at, whatever the watches told.
pub const QUEUE_WAIT_MAX: Duration = Duration::from_secs(30);
/// Size that a log file is preallocated at. Small enough that purging gives space back soon, large
/// enough that a new file's preallocation is rare. A single larger entry gets a file of its own size.
pub const LOG_SEGMENT_OCTETS: u64 = 32 * 1024 * 1024;
/// Most octets of entries that wait for the log's writer; past it appends fail with `Overloaded`.
pub const LOG_QUEUE_OCTETS: usize = 32 * 1024 * 1024;
/// Longest entry of the log: a full transaction with its framing.
pub const LOG_ENTRY_OCTETS: usize = 2 * TRANSACTION_OCTETS;
/// Values of this many octets and more stand in the log alone, the store keeping their place; smaller
/// ones, which are read in ranges with their neighbours, stand in the store.
pub const VALUE_IN_LOG_OCTETS: usize = 2048;
/// Octets of log behind the last entry handed to the flusher at which the next ones are handed on: with
/// what is being flushed, some three times as much is replayed at a restart.
pub const REPLAYED_OCTETS: u64 = 64 * 1024 * 1024;
/// Most keys that one `clear_range` may remove: it is done inline and must not stall the applying of
/// others. Above the pieces of the longest body, which are cleared at once; larger ranges are cleared in steps by
/// their owner.
pub const CLEAR_RANGE_KEYS: usize = 16_384;
const _: () = assert!(BODY_OCTETS as usize / BODY_PIECE_OCTETS + 64 < CLEAR_RANGE_KEYS);
/// Most transactions in one log entry, so that the first does not wait long for the last.
pub const ENTRY_TRANSACTIONS: usize = 128;
/// Octets of write sets after which a log entry is closed.
pub const ENTRY_OCTETS: usize = 1024 * 1024;
/// Most octets of transactions that wait for the resolver; past it commits fail with `Overloaded`.
pub const COMMIT_QUEUE_OCTETS: usize = 32 * 1024 * 1024;
/// Most keys in the conflict window, some 150 octets each. Past it the oldest versions leave early, and
/// transactions that read at them are `TooOld`.
pub const WINDOW_KEYS: usize = 150_000;
/// Most octets of memtables kept for readers of old versions. Past it old versions leave early.
pub const RETAINED_MEMTABLE_OCTETS: u64 = 48 * 1024 * 1024;

/// Most octets of a call between nodes, and of its answer.
pub const CALL_OCTETS: usize = 32 << 20;
/// Most octets of a group's last entries that a voter keeps in memory, for followers that ask for them; those not
/// yet on disk are kept in any case, and bounded by [`LOG_QUEUE_OCTETS`].
pub const RAFT_TAIL_OCTETS: usize = 16 << 20;
/// Octets of entries after which a call that carries them is sent.
pub const RAFT_SENT_OCTETS: usize = 2 << 20;
/// Most entries in such a call.
pub const RAFT_SENT_ENTRIES: u64 = 256;
/// Most entries that are handed to the log at once.
pub const RAFT_APPENDED_ENTRIES: u64 = 16;
/// Octets of the log that are kept for voters that lag behind, unless set otherwise.
pub const RAFT_LOG_KEPT_OCTETS: u64 = 256 << 20;
/// So many times as much is kept at most for a voter that receives a state, or catches up behind one.
pub const RAFT_LOG_HELD_TIMES: u64 = 8;
/// How often it is looked what of a group's log may be purged.
pub const RAFT_TEND: Duration = Duration::from_millis(500);
/// How long a call that carries entries may take: longer than a disk stalls.
pub const RAFT_APPEND_PATIENCE: Duration = Duration::from_secs(2);
/// How long the next voter waits for the one before it to follow a leader that is gone.
pub const RAFT_SUCCESSION_STEP: Duration = Duration::from_millis(100);
/// How long a voter that cannot be reached is left alone.
pub const RAFT_BACKOFF: Duration = Duration::from_millis(100);
/// Octets of pairs after which a part of a state is sent.
pub const SNAPSHOT_PART_OCTETS: usize = 2 << 20;
/// How long a part may take: the last one ends with the flushing of a whole tree.
pub const SNAPSHOT_PART_PATIENCE: Duration = Duration::from_secs(30);
/// How long a part is sent again while its answers are lost; then another state is sent from its begin.
pub const SNAPSHOT_PATIENCE: Duration = Duration::from_secs(100);
const _: () = assert!(SNAPSHOT_PATIENCE.as_secs() >= 3 * SNAPSHOT_PART_PATIENCE.as_secs());
/// Longest pause between two such attempts; it doubles up to it.
pub const SNAPSHOT_PAUSE_MAX: Duration = Duration::from_secs(2);
/// Most reads that wait for one confirmation of the leader.
pub const READS_WAITING: usize = 65_536;
/// How long a read waits for a leader, or for whoever answers.
pub const READ_PATIENCE: Duration = Duration::from_secs(5);
/// How long a read waits for this node's voter to catch up; then it goes to others.
pub const LAG_PATIENCE: Duration = Duration::from_secs(1);
/// For how long reads then go to others at once.
pub const LAG_REMEMBERED: Duration = Duration::from_secs(5);
/// How long a commit waits for a leader and its majority. What was handed over by then is `CommitUnknown`.
pub const COMMIT_PATIENCE: Duration = Duration::from_secs(5);
/// How long one node is waited for where another could be asked.
pub const CALL_PATIENCE: Duration = Duration::from_secs(2);
/// How long a change of a group's members is waited for.
pub const MANAGE_PATIENCE: Duration = Duration::from_secs(60);
/// How long of that a new voter may take to receive the state, and another change to end; then it is asked for again.
pub const COPY_PATIENCE: Duration = Duration::from_secs(if cfg!(test) { 3 } else { 20 });
/// Most entries that a learner lacks when it gets a vote.
pub const PROMOTED_LAG: u64 = 64;
/// How long commits without a majority are waited for when a group closes.
pub const CLOSE_PATIENCE: Duration = Duration::from_secs(5);
/// How long a voter holds another node's watch before it answers that nothing changed.
pub const WATCH_HELD: Duration = Duration::from_secs(10);
/// Most reads and commits of other nodes that are answered at once.
pub const CALLS_ANSWERED: usize = 4096;
/// Most octets of such calls, counted from 4 KiB on, and of what ranges give.
pub const CALLS_ANSWERED_OCTETS: usize = 256 << 20;
const _: () = assert!(CALLS_ANSWERED_OCTETS >= CALL_OCTETS);
/// Most watches of other nodes that are held at once.
pub const WATCHES_ANSWERED: usize = 65_536;

// The roster of a cluster.

/// Longest address of a node, in octets: a domain name and a port.
pub const NODE_ADDRESS_OCTETS: usize = 260;
/// Most tokens that wait for their nodes: the roster stays small whatever a program gone wild asks for.
pub const CLUSTER_TOKENS: usize = 100;

// Moves.

/// Most pairs of a page that a move compares: with its octets, what it holds in memory of one side. Fewer in the unit
/// tests, whose installations are small.
pub const MOVE_PAGE_PAIRS: usize = if cfg!(test) { 8 } else { 4096 };
/// Octets of pairs after which such a page ends. What is written for two pages is below a third of [`TRANSACTION_OCTETS`].
pub const MOVE_PAGE_OCTETS: usize = 1_000_000;
const _: () =
    assert!(3 * (2 * (MOVE_PAGE_OCTETS + VALUE_OCTETS) + 64 * MOVE_PAGE_PAIRS) < TRANSACTION_OCTETS);
/// Passes after which a source that still changes is given up: on a quiet one the second finds nothing.
pub const MOVE_PASSES: u32 = 5;
/// For how long a side that is away is asked again before a run of a move ends: above an election or a recovery.
pub const MOVE_PATIENCE: Duration = Duration::from_secs(if cfg!(test) { 2 } else { 60 });
/// Objects that a move copies at the same time: hides the time that a bucket takes to answer.
pub const MOVE_OBJECTS_TOGETHER: usize = 8;
/// Octets in which a move reads and sends objects; S3 asks for parts of 5 MiB at least. Each copy holds two of them.
pub const MOVE_PART_OCTETS: u64 = 5 << 20;
