//! The bounds of this floor: the number, its unit, and why it is what it is.

/// Longest POP3 line in octets, without its line end. RFC 2449 §4 asks for 255; a base64 response to
/// AUTH may hold a login and a password of some kilobytes.
pub const POP3_LINE_OCTETS: usize = 4096;

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
