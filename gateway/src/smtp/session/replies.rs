//! The replies that need no policy, in one place. Codes: RFC 5321 §4.2.3, RFC 3463, RFC 4954 §6.

use super::super::codec::{EnhancedCode as E, Reply, SyntaxError, TextFault};

macro_rules! replies {
    ($($name:ident = $code:literal ($class:literal, $subject:literal, $detail:literal) $text:literal;)*) => {
        $(pub(crate) const $name: Reply = Reply::new($code, E($class, $subject, $detail), $text);)*
    };
}

replies! {
    OK = 250 (2, 0, 0) "OK";
    SENDER_OK = 250 (2, 1, 0) "OK";
    RECIPIENT_OK = 250 (2, 1, 5) "OK";
    READY_FOR_TLS = 220 (2, 0, 0) "Ready to start TLS";
    LOGGED_IN = 235 (2, 7, 0) "Authentication successful";
    HELP = 214 (2, 0, 0) "See RFC 5321";
    CANNOT_VERIFY = 252 (2, 5, 0) "Cannot verify, but will take mail and try to deliver it";
    BYE = 221 (2, 0, 0) "Bye";
    IDLE_TOO_LONG = 421 (4, 4, 2) "Timed out, closing the connection";
    SHUTTING_DOWN = 421 (4, 3, 2) "Shutting down, try again";
    TOO_MANY_ERRORS = 421 (4, 7, 0) "Too many errors, closing the connection";
    TOO_MANY_COMMANDS = 421 (4, 7, 0) "Too many commands without mail, closing the connection";
    NO_MEMORY = 452 (4, 3, 1) "Not enough memory for the message now, try again";
    TOO_MANY_RECIPIENTS = 452 (4, 5, 3) "Too many recipients, send the rest in another transaction";
    TOO_MANY_REFUSED = 421 (4, 7, 0) "Too many recipients refused, closing the connection";
    LINE_TOO_LONG = 500 (5, 5, 2) "Line too long";
    LINE_WITHOUT_CRLF = 500 (5, 5, 2) "Lines end in CRLF";
    UNKNOWN_COMMAND = 500 (5, 5, 1) "Command not recognized";
    BAD_OCTETS = 500 (5, 5, 2) "Octets that no command has";
    RESPONSE_TOO_LONG = 500 (5, 5, 6) "Authentication response too long";
    BAD_RESPONSE = 501 (5, 5, 2) "Cannot read the authentication response";
    CANCELLED = 501 (5, 7, 0) "Authentication cancelled";
    NOT_IMPLEMENTED = 502 (5, 5, 1) "Command not implemented";
    HELLO_FIRST = 503 (5, 5, 1) "Introduce yourself first";
    SENDER_FIRST = 503 (5, 5, 1) "MAIL first";
    NESTED_MAIL = 503 (5, 5, 1) "Sender already given";
    NOT_AMID_CHUNKS = 503 (5, 5, 1) "Not between BDAT commands";
    NOT_AMID_MAIL = 503 (5, 5, 1) "Not during a mail transaction";
    ALREADY_TLS = 503 (5, 5, 1) "TLS is active already";
    ALREADY_LOGGED_IN = 503 (5, 5, 1) "Authenticated already";
    UNKNOWN_MECHANISM = 504 (5, 5, 4) "Authentication mechanism not supported";
    TLS_FIRST = 530 (5, 7, 0) "STARTTLS first";
    LOGIN_FIRST = 530 (5, 7, 0) "Authentication required";
    ENCRYPTION_FIRST = 538 (5, 7, 11) "Encryption required for authentication";
    TOO_LARGE = 552 (5, 3, 4) "Message too large";
    NEEDS_SMTPUTF8 = 553 (5, 6, 7) "Address needs SMTPUTF8";
    NO_RECIPIENTS = 554 (5, 5, 1) "No valid recipients";
    BARE_LINE_ENDING = 554 (5, 6, 0) "Message has a CR or LF that is no CRLF (RFC 5321 2.3.8)";
    NUL_OCTET = 554 (5, 6, 0) "Message has a NUL octet";
    NO_EXTENSIONS = 555 (5, 5, 4) "Parameters need EHLO";
    UNKNOWN_PARAMETER = 555 (5, 5, 4) "Parameter not recognized";
}

/// What a line that is no command is answered with.
pub(crate) fn syntax(error: SyntaxError) -> Reply {
    match error {
        SyntaxError::UnknownCommand => UNKNOWN_COMMAND,
        SyntaxError::Octets => BAD_OCTETS,
        SyntaxError::UnknownParameter => UNKNOWN_PARAMETER,
        SyntaxError::Path(_) => Reply::composed(501, E(5, 1, 3), sentence(&error.to_string())),
        SyntaxError::Arguments(_) | SyntaxError::Parameter(_) => {
            Reply::composed(501, E(5, 5, 4), sentence(&error.to_string()))
        }
    }
}

/// What a message whose text is wrong is answered with.
pub(crate) fn text_fault(fault: TextFault) -> Reply {
    match fault {
        TextFault::BareLineEnding => BARE_LINE_ENDING,
        TextFault::Nul => NUL_OCTET,
    }
}

fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or(String::new(), |first| first.to_uppercase().chain(characters).collect())
}
