//! The bounds of this floor: the number, its unit, and why it is what it is.

use std::time::Duration;

/// Time for a TLS handshake as the server: a slow phone needs seconds, half a handshake must not stay.
pub const TLS_HANDSHAKE: Duration = Duration::from_secs(30);
/// Connections that the kernel keeps until they are accepted; what it allows may be less.
pub const LISTEN_BACKLOG: u32 = 1024;
/// Pause after accept failed for want of descriptors or memory.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Idle time after which TCP asks whether the peer is still there: below what NAT routers forget after.
pub const KEEPALIVE_IDLE: Duration = Duration::from_secs(240);
/// Time between such questions.
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(60);
/// Most that one read takes, in octets: a TLS record. It stands on the stack, and only while reading.
pub const READ_CHUNK_OCTETS: usize = 16 * 1024;

/// Deepest nesting of multiparts and attached messages that is parsed; what lies deeper is shown as one
/// opaque part. Real mail stays below ten; each level costs one boundary comparison per delimiter line.
pub const MIME_DEPTH: usize = 64;
/// Most parts of one message that are told apart; the rest stays within the body of its parent.
/// At about 100 octets a part the structure of the worst message stays near one megabyte.
pub const MIME_PARTS: usize = 10_000;
/// Most octets of one header section in which fields are looked for. Its extent is always exact.
pub const HEADER_OCTETS: usize = 1 << 20;
/// Most fields of one header section that are looked at.
pub const HEADER_FIELDS: usize = 10_000;
/// Most addresses of one header field that are kept.
pub const HEADER_ADDRESSES: usize = 10_000;
/// Most parameters of one Content-Type or Content-Disposition field that are kept.
pub const MIME_PARAMETERS: usize = 100;
/// Largest encoded summary kept beside a message, in octets (design §3); a larger one is derived from the body.
pub const SUMMARY_OCTETS: usize = 64 * 1024;
/// Longest PREVIEW in characters (RFC 8970 §3.2).
pub const PREVIEW_CHARACTERS: usize = 200;
/// How much of a plain text part is decoded to make a PREVIEW, in octets.
pub const PREVIEW_TEXT_OCTETS: usize = 4 * 1024;
/// How much of an HTML part is decoded to make a PREVIEW, in octets: style sheets come before the words.
pub const PREVIEW_HTML_OCTETS: usize = 64 * 1024;

/// Longest decoded SASL response, in octets: RFC 4616 §2 asks for three strings of 255 octets, and
/// tokens of other mechanisms are a few times as long.
pub const SASL_RESPONSE_OCTETS: usize = 4096;
/// Longest password that is hashed, in octets. RFC 4616 §2 asks for 255.
pub const PASSWORD_OCTETS: usize = 1024;
/// Longest login name that is looked up, in octets: the longest address.
pub const LOGIN_OCTETS: usize = 320;
/// Password checks that may wait for their turn; further ones are told to come again later. At some
/// 20 ms per check and core, the last of them waits a few seconds.
pub const PASSWORD_CHECKS_WAITING: usize = 256;
/// Most that a stored hash may ask for, so that an imported one cannot exhaust the machine: memory in KiB.
pub const PASSWORD_HASH_MEMORY_KIB: u32 = 256 << 10;
/// As above: passes over the memory.
pub const PASSWORD_HASH_PASSES: u32 = 16;
/// Successful logins that are remembered, each a few dozen octets.
pub const LOGINS_REMEMBERED: u64 = 100_000;
/// How long a successful login is remembered: clients that reconnect every few minutes are not hashed
/// each time.
pub const LOGIN_REMEMBERED: Duration = Duration::from_secs(5 * 60);
/// Wrong passwords of one login from one source before that source is locked for that login.
pub const LOGIN_FAILURES: usize = 5;
/// As above for a source from which the login succeeded lately: its owner mistypes, and its other
/// devices shall not be locked out with it.
pub const LOGIN_FAILURES_KNOWN_SOURCE: usize = 20;
/// Wrong logins of all names together from one source before it is locked (spraying).
pub const SOURCE_FAILURES: usize = 50;
/// How long a lock lasts, and how long a failure counts.
pub const LOGIN_LOCK: Duration = Duration::from_secs(15 * 60);
/// How long a source counts as known after a success.
pub const SOURCE_KNOWN: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// Most (login, source) pairs with failures that are remembered: 500,000 failures an hour, each of
/// another pair, fill a lock's time with 125,000.
pub const FAILING_PAIRS: usize = 200_000;
/// Most sources with failures that are remembered.
pub const FAILING_SOURCES: usize = 100_000;
/// Most (account, source) pairs with a success that are remembered.
pub const KNOWN_SOURCES: usize = 200_000;

/// Received fields above which a message goes in circles (RFC 5321 §6.3 asks for at least 100).
pub const HOPS: usize = 100;
/// Largest message that goes back whole in a delivery status notification, in octets: it stands in memory
/// while the notification is written. Of a larger one the header goes back.
pub const DSN_RETURN_OCTETS: usize = 1 << 20;
/// Domains whose signing keys are kept ready; each costs a few kilobytes.
pub const DKIM_SIGNERS: u64 = 1_000;

/// Longest line of another server's reply, in octets: RFC 5321 §4.5.3.1.5 says 512, some write more.
pub const PEER_REPLY_LINE_OCTETS: usize = 4096;
/// Longest reply of another server, all its lines, in octets: it is kept for reports.
pub const PEER_REPLY_OCTETS: usize = 16 * 1024;

/// Longest command line of an SMTP client, in octets without CRLF: RFC 5321 §4.5.3.1.4 says 512, and the
/// parameters of RFC 1870, 3461, 6531 add to it.
pub const COMMAND_LINE_OCTETS: usize = 4096;
/// Longest line of a client that may authenticate, in octets: RFC 4954 §4.
pub const LOGIN_LINE_OCTETS: usize = 12_288;
/// Time for the next command: RFC 5321 §4.5.3.2.7 says at least five minutes.
pub const COMMAND_WAIT: Duration = Duration::from_secs(5 * 60);
/// Time for the next piece of a message: RFC 5321 §4.5.3.2.5 lets clients take three minutes.
pub const MESSAGE_BLOCK_WAIT: Duration = Duration::from_secs(5 * 60);
/// Time for a message, however small.
pub const MESSAGE_WAIT: Duration = Duration::from_secs(10 * 60);
/// Slowest client whose message is waited for longer than that, in octets a second.
pub const MESSAGE_RATE_OCTETS_PER_SECOND: u64 = 1024;
/// Errors of a client (syntax, sequence) after which it is sent away: a working one makes none.
pub const CLIENT_ERRORS: u32 = 20;
/// Failed logins of one connection after which it is sent away.
pub const CONNECTION_LOGIN_FAILURES: u32 = 3;
/// Refused recipients of one connection after which it is sent away: it is guessing addresses.
pub const REFUSED_RECIPIENTS: u32 = 100;
/// Recipients past a transaction's limit, without a message between them, after which a client is sent away.
/// RFC 5321 §4.5.3.1.10 wants `452` for each; nobody has so many that comes back for them in good order.
pub const SURPLUS_RECIPIENTS: u32 = 10_000;
/// Commands without a message between them (NOOP, RSET, VRFY …) after which a client is sent away.
pub const IDLE_COMMANDS: u32 = 200;
/// Memory granted to a message of undeclared size at first, in octets: most are smaller.
pub const MESSAGE_MEMORY_FIRST_OCTETS: usize = 16 * 1024;
/// Most of a declared size that is granted before any of it has come, in octets: what is announced costs its
/// sender nothing, so a connection that only announces must not hold more than its share.
pub const MESSAGE_MEMORY_DECLARED_OCTETS: usize = 64 * 1024;
/// Memory granted beyond a message's size, in octets: what one read may bring, at its worst.
pub const MESSAGE_MEMORY_SLACK_OCTETS: usize = 16 * 1024;
/// Grant from which a message gets its whole address range at once, in octets, so that growing never
/// copies it: below this a copy costs less than the system call.
pub const MESSAGE_MEMORY_WHOLE_OCTETS: usize = 1024 * 1024;
/// How many times the largest message a message or a BDAT chunk that is too large may be and still be read
/// to its end, so that the client gets its answer in order.
pub const SKIPPED_FACTOR: u64 = 4;

/// Time for another server's reply to a command: RFC 5321 §4.5.3.2.1 to §4.5.3.2.3.
pub const CLIENT_COMMAND_WAIT: Duration = Duration::from_secs(5 * 60);
/// Time for another server's reply to DATA: RFC 5321 §4.5.3.2.4.
pub const CLIENT_DATA_WAIT: Duration = Duration::from_secs(2 * 60);
/// Time for another server to take a piece of a message: RFC 5321 §4.5.3.2.5.
pub const CLIENT_BLOCK_WAIT: Duration = Duration::from_secs(3 * 60);
/// Time for another server's reply to the final dot: RFC 5321 §4.5.3.2.6.
pub const CLIENT_END_WAIT: Duration = Duration::from_secs(10 * 60);

/// Most mail hosts of one domain that are tried; real domains have fewer than ten.
pub const MX_HOSTS: usize = 16;
/// Most addresses of one host that are tried.
pub const HOST_ADDRESSES: usize = 8;
/// Lookups of host addresses that run at once for one domain.
pub const DNS_PARALLEL: usize = 4;
/// Answers kept in the resolver's cache; a few hundred octets each.
pub const DNS_CACHE_ANSWERS: u64 = 16_384;
/// Longest time that an answer is kept, whatever its own time to live.
pub const DNS_CACHE_AGE: Duration = Duration::from_secs(24 * 60 * 60);
/// Longest time that "no such name" is kept: a record just published should soon be seen.
pub const DNS_CACHE_NEGATIVE_AGE: Duration = Duration::from_secs(5 * 60);

/// What one message may hold of the node's budget without counting as large, in octets: nearly all mail.
pub const SMALL_RESERVATION_OCTETS: usize = 1 << 20;
/// Time that a client's message waits for memory under the node's budget before it gets `452 4.3.1`.
pub const MEMORY_WAIT: Duration = Duration::from_secs(30);
/// Time for the last octets of a connection, and its close, to leave.
pub const CLOSE_WAIT: Duration = Duration::from_secs(5);

/// Message from which its summary is made on a thread of its own, in octets: parsing costs some
/// milliseconds per MiB, and others share the thread.
pub const SUMMARY_ASIDE_OCTETS: usize = 256 * 1024;
/// Copies of one message that are filed at the same time.
pub const LOCAL_DELIVERIES_TOGETHER: usize = 16;
/// Time after which the queue tries a local delivery again that has failed at once.
pub const LOCAL_RETRY_FIRST: Duration = Duration::from_secs(60);
/// First pause before an entry's outcome is written again after that has failed.
pub const QUEUE_WRITE_PAUSE: Duration = Duration::from_millis(200);
/// Time for a connection to another server to be made: longer than a lost packet or two.
pub const OUTBOUND_CONNECT_WAIT: Duration = Duration::from_secs(30);
/// Time for another server's answer to QUIT; the mail is already delivered.
pub const OUTBOUND_QUIT_WAIT: Duration = Duration::from_secs(5);
/// How much of a message is gathered before it is written to another server, in octets.
pub const OUTBOUND_WRITE_OCTETS: usize = 64 * 1024;
/// How long a connection to another server is kept for the next message.
pub const OUTBOUND_IDLE: Duration = Duration::from_secs(10);
/// Connections kept so; each costs some 40 KiB under TLS.
pub const OUTBOUND_IDLE_CONNECTIONS: usize = 100;
/// Messages over one connection; some servers ask for a new one after a hundred.
pub const OUTBOUND_TRANSACTIONS: u32 = 100;
/// Addresses that one run connects to; with dead hosts, a run takes minutes at most.
pub const OUTBOUND_CONNECTS: usize = 8;
/// Servers that one run offers the message to.
pub const OUTBOUND_SESSIONS: usize = 4;
/// Hosts and destinations of which something is remembered.
pub const HOSTS_REMEMBERED: usize = 10_000;
/// How long a host that could not be reached is left alone at first.
pub const HOST_DOWN_FIRST: Duration = Duration::from_secs(30);
/// How long at most: below the shortest interval of later retries.
pub const HOST_DOWN_LONGEST: Duration = Duration::from_secs(15 * 60);
/// How long it is remembered that a host's TLS does not work.
pub const NO_TLS_REMEMBERED: Duration = Duration::from_secs(60 * 60);
/// Entries that the queue's worker claims at once.
pub const QUEUE_CLAIMS: usize = 64;
/// Pause of the queue's worker after the store could not be read or written.
pub const QUEUE_PAUSE: Duration = Duration::from_secs(1);
/// Time that a queue entry waits for memory under the node's budget before it is tried another time.
pub const QUEUE_MEMORY_WAIT: Duration = Duration::from_secs(60);
/// Pause of an entry whose destination has too many deliveries waiting.
pub const QUEUE_BUSY_PAUSE: Duration = Duration::from_secs(5);
/// Destinations of one message that are tried at the same time.
pub const QUEUE_GROUPS_TOGETHER: usize = 8;
