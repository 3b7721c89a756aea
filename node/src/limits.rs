//! The bounds of this floor: the number, its unit, and why it is what it is.

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
/// Deepest nesting of search keys: the parser and the matcher recurse.
pub const IMAP_SEARCH_DEPTH: usize = 32;
/// Most patterns in one LIST: each is matched against each mailbox.
pub const IMAP_LIST_PATTERNS: usize = 64;
/// Most fields in ID (RFC 2971 §3.3).
pub const IMAP_ID_FIELDS: usize = 30;
/// Longest string written in quotes, in octets: some clients' quoted strings are bounded (RFC 2683 §3.4.1);
/// longer ones are literals.
pub const IMAP_QUOTED_OCTETS: usize = 1_000;
