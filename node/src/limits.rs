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
