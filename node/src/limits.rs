//! The bounds of this floor: the number, its unit, and why it is what it is.

use std::time::Duration;

/// Longest POP3 line in octets, without its line end. RFC 2449 §4 asks for 255; a base64 response to
/// AUTH may be as long as four thirds of `SASL_RESPONSE_OCTETS` of the gateway.
pub const POP3_LINE_OCTETS: usize = 6 * 1024;

/// Lines that are no valid command, in one POP3 session, before it is closed: a client makes few
/// mistakes, a scanner thousands.
pub const POP3_ERRORS: u32 = 50;

/// Failed logins in one POP3 session before it is closed: a person mistypes, a guesser reconnects
/// and meets the throttle.
pub const POP3_FAILED_LOGINS: u32 = 5;

/// Messages that one POP3 session sees; at 16 octets each this bounds its memory to 8 MB. A client that
/// downloads and deletes gets the rest next time.
pub const POP3_MESSAGES: usize = 500_000;

/// Octets of replies that a POP3 session collects before it writes them out.
pub const POP3_OUTPUT_OCTETS: usize = 16 * 1024;
// --- IMAP ---

/// Longest IMAP command with its literals, in octets, once logged in: RFC 2683 §3.2.1.5 asks for at
/// least 8,000 in a line; clients with large mailboxes send sets of UIDs of some ten thousand.
pub const IMAP_COMMAND_OCTETS: usize = 65_536;
/// The same before login, where the longest honest command is an AUTHENTICATE.
pub const IMAP_COMMAND_OCTETS_BEFORE_LOGIN: usize = 8_192;
/// Longest literal in a command other than APPEND's message, in octets: names, passwords, search texts.
pub const IMAP_LITERAL_OCTETS: u64 = 32_768;
/// Longest tag, in octets. Clients use up to a dozen.
pub const IMAP_TAG_OCTETS: usize = 128;
/// Most data items in one FETCH; each may read the message once.
pub const IMAP_FETCH_ITEMS: usize = 128;
/// Deepest part number in a section: more than the message parser's own depth.
pub const IMAP_PART_DEPTH: usize = 64;
/// Deepest nesting of search keys: the parser and the matcher recurse. Clients that look for any of
/// many addresses or Message-IDs nest an OR for each.
pub const IMAP_SEARCH_DEPTH: usize = 128;
/// Most texts that one SEARCH looks for in the messages' bodies: each costs a pass over all of them.
pub const IMAP_SEARCH_TEXTS: usize = 64;
/// Most patterns in one LIST: each is matched against each mailbox.
pub const IMAP_LIST_PATTERNS: usize = 64;
/// Most fields in ID (RFC 2971 §3.3).
pub const IMAP_ID_FIELDS: usize = 30;
/// Longest string written in quotes, in octets: some clients' quoted strings are bounded (RFC 2683 §3.4.1);
/// longer ones are literals.
pub const IMAP_QUOTED_OCTETS: usize = 1_000;
/// Mailboxes whose `\Recent` mark is remembered: some 60 octets each.
pub const IMAP_RECENT_MARKS: u64 = 100_000;
/// Octets of responses that an IMAP command collects before it writes them out: one TLS record.
pub const IMAP_OUTPUT_OCTETS: usize = 16 * 1024;
/// Most messages whose records and summaries one FETCH or SEARCH holds at a time.
pub const IMAP_BATCH_MESSAGES: usize = 256;
/// Most octets of summaries that one FETCH holds at a time.
pub const IMAP_BATCH_OCTETS: usize = 1 << 20;
/// Octets of bodies that one FETCH or SEARCH of several messages holds ahead of their use, out of the node's
/// octet budget; where that is short, it reads them one by one.
pub const IMAP_READ_AHEAD_OCTETS: usize = 512 * 1024;
/// Neighbours that are read in one range although some between them were not asked for.
pub const IMAP_RANGE_GAP: u32 = 8;
/// Longest header section that HEADER.FIELDS or SEARCH reads, in octets.
pub const IMAP_HEADER_OCTETS: u64 = 1 << 20;
/// Largest decoded part that BINARY keeps in memory, in octets; larger ones are decoded twice, once
/// to know their size.
pub const IMAP_BINARY_OCTETS: u64 = 1 << 20;
/// Time to log in, from the first octet to the last.
pub const IMAP_LOGIN_TIME: Duration = Duration::from_secs(60);
/// Time for one command from its first octet to its last, literals apart.
pub const IMAP_COMMAND_TIME: Duration = Duration::from_secs(300);
/// Longest pause within an APPEND's message.
pub const IMAP_LITERAL_PAUSE: Duration = Duration::from_secs(120);
/// Slowest APPEND, in octets per second, after the first pause: who sends an octet a minute holds a
/// connection and memory for nothing.
pub const IMAP_LITERAL_RATE: u64 = 256;
/// How long an APPEND waits for the node's octet budget.
pub const IMAP_BUDGET_PATIENCE: Duration = Duration::from_secs(20);
/// First allocation for an APPEND's message, in octets; it doubles as octets arrive.
pub const IMAP_APPEND_STEP_OCTETS: usize = 64 * 1024;
/// Largest refused literal that is read and dropped, in octets; the connection is closed over a
/// larger one (RFC 7888 §4).
pub const IMAP_DISCARD_OCTETS: u64 = 256 << 20;
/// Commands in one session that are no valid ones, before it is closed.
pub const IMAP_ERRORS: u32 = 100;
/// The same before login: nobody honest makes many mistakes there.
pub const IMAP_ERRORS_BEFORE_LOGIN: u32 = 10;
/// Failed logins in one session before it is closed.
pub const IMAP_FAILED_LOGINS: u32 = 5;
/// Pause after which an idle client is told that the server is there: below [`KEEPALIVE_IDLE`], whose probes a
/// client does not see.
///
/// [`KEEPALIVE_IDLE`]: sterna_gateway::limits::KEEPALIVE_IDLE
pub const IMAP_IDLE_NOTICE: Duration = Duration::from_secs(180);
/// Time for the server's last words to a client that is being closed.
pub const IMAP_LAST_WORDS: Duration = Duration::from_secs(5);
/// Longest LIST pattern with its reference, in octets; what is longer matches nothing.
pub const IMAP_PATTERN_OCTETS: usize = 4_096;
/// Steps of comparing names with patterns after which LIST lets others have their turn: some milliseconds.
pub const IMAP_LIST_STEPS: usize = 1 << 20;
/// Largest message that APPEND parses on the task's own thread, in octets: about a millisecond.
pub const IMAP_PARSE_OCTETS: usize = 512 * 1024;

// --- Admin API ---

/// Most octets of an admin request's body: the longest alias with room to spare.
pub const ADMIN_REQUEST_OCTETS: usize = 256 * 1024;
/// Most octets of an admin request's head.
pub const ADMIN_HEADER_OCTETS: usize = 16 * 1024;
/// How long a client may take to send the head of an admin request; also how long it may be idle.
pub const ADMIN_HEADER_PATIENCE: Duration = Duration::from_secs(60);
/// How long the start of an admin answer may take, the request's body included.
pub const ADMIN_REQUEST_PATIENCE: Duration = Duration::from_secs(60);
/// Items of one page of a listing unless the client asks for another number.
pub const ADMIN_PAGE_ITEMS: usize = 100;
/// Lines of progress that wait for a slow client before the work waits too.
pub const ADMIN_PROGRESS_LINES: usize = 64;
/// Most connections to the admin API.
pub const ADMIN_CONNECTIONS: usize = 256;
/// Most of them from one source, so that a program gone wild leaves room for a person, and for health checks from
/// elsewhere.
pub const ADMIN_CONNECTIONS_PER_SOURCE: usize = 128;
/// Longest answer of the admin API, or line of one, that the command line reads.
pub const ADMIN_ANSWER_OCTETS: usize = 16 * 1024 * 1024;
/// Longest line of a file of accounts: an address, a name and a hash with room to spare.
pub const IMPORT_LINE_OCTETS: usize = 8 * 1024;
/// After how many accounts of such a file the command line says how far it is.
pub const IMPORT_TOLD: u64 = 10_000;
/// Items that the command line asks for at once.
pub const CLI_PAGE_ITEMS: usize = 500;

/// Octets that a POP3 session takes from the node's budget while it sends a message: a frame as stored, the
/// same decoded, and its byte-stuffed form, at 64 KiB each.
pub const POP3_RETRIEVAL_OCTETS: usize = 192 * 1024;

/// How long a POP3 session waits for its part of the node's octet budget before it asks its client to come again.
pub const POP3_BUDGET_PATIENCE: Duration = Duration::from_secs(30);

// --- Stores ---

/// Parts in which a long body is written to a local folder, in octets: a folder needs no large ones, and each
/// body on its way holds two of them.
pub const LOCAL_PART_OCTETS: usize = 512 * 1024;

// --- The process ---

/// Descriptors that connections leave alone: the log, the tables and bodies that are being read and written, name
/// lookups, the admin API.
pub const DESCRIPTORS_RESERVED: usize = 1_024;

// --- Upkeep ---

/// How often upkeep looks for work that nothing told it of.
pub const UPKEEP_INTERVAL: Duration = Duration::from_secs(60);
/// Deleted accounts that one step hands on.
pub const UPKEEP_ITEMS: usize = 100;
/// How often results of operations that nobody can ask for any more are removed.
pub const OPERATIONS_TRIMMED_EVERY: Duration = Duration::from_secs(10 * 60);
/// How long the key of a deleted domain is kept: longer than a message of one of its users can wait in
/// the queue, so that it can still be delivered or bounced.
pub const DOMAIN_KEY_KEPT: Duration = Duration::from_secs(31 * 24 * 60 * 60);

/// How long tasks that nobody waits for may go on once the server has ended.
pub const LAST_TASKS_WAIT: Duration = Duration::from_secs(2);

// --- Cluster ---

/// Calls of one lane to one node that are on their way at once; on the lane of watches those that wait there for
/// something to change. Each is a stream of some KiB.
pub const CALLS_IN_FLIGHT: usize = 4096;
/// Octets of their requests: two of the longest.
pub const CALLS_IN_FLIGHT_OCTETS: usize = 64 << 20;
/// Calls that wait until those in flight leave room.
pub const CALLS_WAITING: usize = 16 * 1024;
/// Octets of their requests.
pub const CALLS_WAITING_OCTETS: usize = 128 << 20;
/// What of one call may be on its way unread, in octets: a fast link over a continent.
pub const CALL_WINDOW_OCTETS: u32 = 4 << 20;
/// What of all calls of a connection may be.
pub const CONNECTION_WINDOW_OCTETS: u32 = 16 << 20;
/// Most octets of a call's headers: a path and a length.
pub const CALL_HEADER_OCTETS: u32 = 4 * 1024;
/// Most octets of a hello.
pub const HELLO_OCTETS: usize = 4 * 1024;
/// Characters of another node's reason that are passed on.
pub const REFUSAL_CHARACTERS: usize = 500;
/// How long a connection to another node may take from its first packet to the other's hello.
pub const DIAL_WAIT: Duration = Duration::from_secs(5);
/// How long a node that could not be reached is left alone after the first failure; doubled after each.
pub const DIAL_PAUSE_FIRST: Duration = Duration::from_millis(50);
/// At most so long.
pub const DIAL_PAUSE_LONGEST: Duration = Duration::from_secs(2);
/// Addresses of one node's name that are tried.
pub const ADDRESSES_TRIED: usize = 8;
/// How long one of them is waited for before the next is tried beside it (RFC 8305 §8).
pub const ADDRESS_STAGGER: Duration = Duration::from_millis(250);
/// How often a silent connection between nodes is asked for a sign of life.
pub const PING_EVERY: Duration = Duration::from_secs(2);
/// How long that sign may take before the connection is dead: above what a full socket buffer takes on a slow link.
pub const PING_WAIT: Duration = Duration::from_secs(5);
/// How long a handshake on the cluster port may take.
pub const CLUSTER_HANDSHAKE: Duration = Duration::from_secs(10);
/// How long the calls in hand may take when a connection of the cluster port is being ended.
pub const LAST_CALLS_WAIT: Duration = Duration::from_secs(10);
/// Most connections to the cluster port: six lanes of a hundred and seventy nodes.
pub const CLUSTER_CONNECTIONS: usize = 1024;
/// Most of them from one source: nodes may stand behind one address.
pub const CLUSTER_CONNECTIONS_PER_SOURCE: usize = 256;
/// How long it may take to become a node.
pub const JOIN_WAIT: Duration = Duration::from_secs(15);
/// How long one that was answered may take to leave.
pub const JOIN_LEAVE: Duration = Duration::from_secs(1);
/// Most octets of what one says that wants to become a node, and of the answer: the addresses of a thousand nodes.
pub const JOIN_OCTETS: usize = 512 * 1024;
/// How long after a second node under one identity was last heard of that is warned of, and how often logs say so.
pub const RIVAL_REMEMBERED: Duration = Duration::from_secs(90);
/// How long a node may be without a connection before it is missed.
pub const MISSED_AFTER: Duration = Duration::from_millis(150);
/// Most that are let in at once.
pub const ADMISSIONS: usize = 8;
/// How often the log says at most that somebody was not let in.
pub const REFUSALS_TOLD: Duration = Duration::from_secs(10);
/// Longest file of the cluster's folder, in octets.
pub const CLUSTER_FILE_OCTETS: usize = 1 << 20;
/// How long a cluster's authority is good.
pub const AUTHORITY_LIFE: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);
/// How long a node's certificate is good. A node that was off for longer joins anew.
pub const CERTIFICATE_LIFE: Duration = Duration::from_secs(90 * 24 * 60 * 60);
/// How long before it is issued a certificate begins: clocks of nodes differ.
pub const CERTIFICATE_SKEW: Duration = Duration::from_secs(24 * 60 * 60);
/// How often a node looks whether its certificate is to be renewed, or not valid yet since its clock was set.
pub const RENEWAL_LOOKED_AT: Duration = Duration::from_secs(60);
/// The same after it could not be: it has a month.
pub const RENEWAL_RETRIED: Duration = Duration::from_secs(5 * 60);
/// How often a node looks who the others are although nothing told it that they have changed.
pub const ROSTER_LOOKED_AT: Duration = Duration::from_secs(10);
/// How long it waits after it could not look.
pub const ROSTER_RETRIED: Duration = Duration::from_secs(1);
/// How often a node looks whether its groups answer.
pub const GROUPS_ASKED: Duration = Duration::from_secs(1);
/// How long that may take before the node is not ready.
pub const GROUP_ANSWER_WAIT: Duration = Duration::from_secs(3);
/// How long a start waits before it asks a group again that did not answer.
pub const GROUP_ASKED_AGAIN: Duration = Duration::from_millis(100);
/// How often a start says that it waits for its groups.
pub const WAITING_TOLD: Duration = Duration::from_secs(10);
/// How long a command that changed the directory waits at most until it is in force on all nodes.
pub const IN_FORCE_WAIT: Duration = Duration::from_secs(2);
/// How long a node that is asked whether a change is in force there waits until it is: below [`IN_FORCE_WAIT`], so that
/// its answer is heard.
pub const IN_FORCE_HELD: Duration = Duration::from_millis(1500);
/// Questions of other nodes that wait so at once: some hundred octets each.
pub const IN_FORCE_HELD_TOGETHER: usize = 4096;
/// Most nodes that one token lets in.
pub const TOKEN_USES: u32 = 100;
/// Longest that a token is good.
pub const TOKEN_LIFE: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// How long a group that one node keeps may take to answer while no server runs: an election, and what its log holds.
pub const OFFLINE_GROUP_WAIT: Duration = Duration::from_secs(60);
/// How long a move listens for the heartbeats of servers that still run: three of them.
pub const MOVE_LISTENS: Duration = Duration::from_secs(15);
/// How often a move says how far it is, where that is no terminal.
pub const MOVE_TOLD: Duration = Duration::from_secs(5);
