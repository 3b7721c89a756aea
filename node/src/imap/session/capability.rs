//! What the server announces (RFC 9051 §6.1.1): only what works, in each stage.

use std::fmt::Write as _;

/// What of a connection decides what is announced.
#[derive(Debug, Clone, Copy)]
pub struct Announced {
    /// Whether a login has taken place.
    pub logged_in: bool,
    /// Whether passwords may be sent: under TLS, or from a trusted network.
    pub may_log_in: bool,
    /// Whether STARTTLS can be given.
    pub may_start_tls: bool,
    /// `APPENDLIMIT`.
    pub append_limit_octets: u64,
}

// LITERAL+ includes what LITERAL- allows, and both must not be announced (RFC 7888 §5); IMAP4rev2
// implies LITERAL- anyway. BINARY stands for all of RFC 3516: FETCH is in IMAP4rev2, APPEND is not.
const ALWAYS: &str = "IMAP4rev2 IMAP4rev1 LITERAL+ SASL-IR ENABLE ID";
const LOGGED_IN: &str = "IDLE NAMESPACE UIDPLUS UNSELECT MOVE CHILDREN SPECIAL-USE CREATE-SPECIAL-USE \
     LIST-EXTENDED LIST-STATUS ESEARCH SEARCHRES BINARY CONDSTORE STATUS=SIZE";

/// The words after `CAPABILITY`.
pub fn list(announced: Announced) -> String {
    let mut list = String::from(ALWAYS);
    if announced.logged_in {
        write!(list, " {LOGGED_IN} APPENDLIMIT={}", announced.append_limit_octets)
            .expect("writing to memory cannot fail");
        return list;
    }
    if announced.may_start_tls {
        list.push_str(" STARTTLS");
    }
    // RFC 9051 §11.1: no mechanism that sends a password in the clear is announced before TLS.
    list.push_str(if announced.may_log_in { " AUTH=PLAIN AUTH=LOGIN" } else { " LOGINDISABLED" });
    list
}
