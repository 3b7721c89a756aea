//! Command lines (RFC 5321 §4.1.1) to commands.

use super::parameter::{MailParameters, RcptParameters, mail_parameters, rcpt_parameters};
use super::path::{ForwardPath, ReversePath, forward_path, reverse_path};

/// Longest name that a client may give itself, in octets (RFC 5321 §4.5.3.1.2 for domains).
const CLIENT_NAME_OCTETS: usize = 255;

/// What a client asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// `HELO name`
    Helo(String),
    /// `EHLO name`
    Ehlo(String),
    /// `LHLO name` (RFC 2033 §4.1)
    Lhlo(String),
    /// `MAIL FROM:<…> …`
    Mail(ReversePath, MailParameters),
    /// `RCPT TO:<…> …`
    Rcpt(ForwardPath, RcptParameters),
    /// `DATA`
    Data,
    /// `BDAT size [LAST]` (RFC 3030 §2)
    Bdat {
        /// Octets that follow the line.
        size_octets: u64,
        /// Whether the message ends with them.
        last: bool,
    },
    /// `RSET`
    Rset,
    /// `NOOP [text]`
    Noop,
    /// `QUIT`
    Quit,
    /// `VRFY text`
    Vrfy,
    /// `EXPN text`
    Expn,
    /// `HELP [text]`
    Help,
    /// `STARTTLS` (RFC 3207)
    StartTls,
    /// `AUTH mechanism [initial response]` (RFC 4954 §4)
    Auth {
        /// As the client wrote it.
        mechanism: String,
        /// Still in base64; `=` for an empty one.
        initial: Option<String>,
    },
}

/// Why a line is no command. All are the client's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SyntaxError {
    /// No command of that name.
    #[error("command not recognized")]
    UnknownCommand,
    /// A command without what it needs, or with what it does not take.
    #[error("{0}")]
    Arguments(&'static str),
    /// The path is none.
    #[error("bad address syntax: {0}")]
    Path(&'static str),
    /// A parameter's value is wrong.
    #[error("bad parameter: {0}")]
    Parameter(&'static str),
    /// A parameter that was not offered.
    #[error("parameter not recognized")]
    UnknownParameter,
    /// A control character, NUL among them, or octets that are not UTF-8, or UTF-8 where only ASCII may be.
    #[error("octets that no command has")]
    Octets,
}

impl Command {
    /// Reads a line, given without its CRLF.
    pub fn parse(line: &[u8]) -> Result<Self, SyntaxError> {
        let text = std::str::from_utf8(line).map_err(|_| SyntaxError::Octets)?;
        if text.chars().any(char::is_control) {
            return Err(SyntaxError::Octets);
        }
        let text = text.trim_end_matches(' ');
        let (verb, arguments) = text.split_once(' ').unwrap_or((text, ""));
        let arguments = arguments.trim_start_matches(' ');
        let verb = verb.to_ascii_uppercase();
        // RFC 6531 §3: only addresses may have more than ASCII.
        if !text.is_ascii() && !matches!(verb.as_str(), "MAIL" | "RCPT" | "VRFY" | "EXPN") {
            return Err(SyntaxError::Octets);
        }
        match verb.as_str() {
            "HELO" => client_name(arguments).map(Self::Helo),
            "EHLO" => client_name(arguments).map(Self::Ehlo),
            "LHLO" => client_name(arguments).map(Self::Lhlo),
            "MAIL" => mail(arguments),
            "RCPT" => rcpt(arguments),
            "BDAT" => bdat(arguments),
            "AUTH" => auth(arguments),
            "DATA" => alone(arguments, Self::Data),
            "RSET" => alone(arguments, Self::Rset),
            "QUIT" => alone(arguments, Self::Quit),
            "STARTTLS" => alone(arguments, Self::StartTls),
            "NOOP" => Ok(Self::Noop),
            "HELP" => Ok(Self::Help),
            "VRFY" => Ok(Self::Vrfy),
            "EXPN" => Ok(Self::Expn),
            _ => Err(SyntaxError::UnknownCommand),
        }
    }
}

fn alone(arguments: &str, command: Command) -> Result<Command, SyntaxError> {
    if arguments.is_empty() { Ok(command) } else { Err(SyntaxError::Arguments("no arguments expected")) }
}

/// A domain or address literal by the grammar; clients in use send host names with underscores and
/// worse, and nothing depends on it: any printable text without spaces is taken.
fn client_name(arguments: &str) -> Result<String, SyntaxError> {
    let fits = (1..=CLIENT_NAME_OCTETS).contains(&arguments.len())
        && arguments.bytes().all(|octet| octet.is_ascii_graphic() && !b"<>()\\\"".contains(&octet));
    if fits {
        Ok(arguments.to_owned())
    } else {
        Err(SyntaxError::Arguments("a domain or address literal expected"))
    }
}

fn behind<'a>(arguments: &'a str, tag: &str, missing: &'static str) -> Result<&'a str, SyntaxError> {
    match arguments.split_at_checked(tag.len()) {
        Some((head, rest)) if head.eq_ignore_ascii_case(tag) => Ok(rest),
        _ => Err(SyntaxError::Arguments(missing)),
    }
}

/// Parameters stand behind a space.
fn separated(rest: &str) -> Result<&str, SyntaxError> {
    let separated = rest.is_empty() || rest.starts_with(' ');
    if separated { Ok(rest) } else { Err(SyntaxError::Path("text behind the address")) }
}

/// `"MAIL FROM:" Reverse-path [SP Mail-parameters]`
fn mail(arguments: &str) -> Result<Command, SyntaxError> {
    let (path, rest) = reverse_path(behind(arguments, "FROM:", "MAIL FROM:<address> expected")?)?;
    Ok(Command::Mail(path, mail_parameters(separated(rest)?)?))
}

/// `"RCPT TO:" Forward-path [SP Rcpt-parameters]`
fn rcpt(arguments: &str) -> Result<Command, SyntaxError> {
    let (path, rest) = forward_path(behind(arguments, "TO:", "RCPT TO:<address> expected")?)?;
    Ok(Command::Rcpt(path, rcpt_parameters(separated(rest)?)?))
}

/// `"BDAT" SP chunk-size [ SP "LAST" ]`
fn bdat(arguments: &str) -> Result<Command, SyntaxError> {
    let wrong = SyntaxError::Arguments("BDAT size [LAST] expected");
    let (size, last) = match arguments.split_once(' ') {
        Some((size, word)) if word.trim_start_matches(' ').eq_ignore_ascii_case("LAST") => (size, true),
        Some(_) => return Err(wrong),
        None => (arguments, false),
    };
    if size.is_empty() || !size.bytes().all(|octet| octet.is_ascii_digit()) {
        return Err(wrong);
    }
    Ok(Command::Bdat { size_octets: size.parse().map_err(|_| wrong)?, last })
}

/// `"AUTH" SP mechanism [SP initial-response]`
fn auth(arguments: &str) -> Result<Command, SyntaxError> {
    let mut words = arguments.split(' ').filter(|word| !word.is_empty());
    let wrong = SyntaxError::Arguments("AUTH mechanism [initial-response] expected");
    let mechanism = words.next().ok_or(wrong)?.to_owned();
    let initial = words.next().map(str::to_owned);
    if words.next().is_some() { Err(wrong) } else { Ok(Command::Auth { mechanism, initial }) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn commands_are_read_in_any_case() {
        assert_eq!(Command::parse(b"ehlo [192.0.2.1]"), Ok(Command::Ehlo("[192.0.2.1]".into())));
        assert_eq!(Command::parse(b"HELO host_name  "), Ok(Command::Helo("host_name".into())));
        assert_eq!(Command::parse(b"Data"), Ok(Command::Data));
        assert_eq!(Command::parse(b"NOOP anything"), Ok(Command::Noop));
        let chunk = Command::Bdat { size_octets: 86, last: true };
        assert_eq!(Command::parse(b"BDAT 86 last"), Ok(chunk));
        let plain = Command::Auth { mechanism: "PLAIN".into(), initial: Some("=".into()) };
        assert_eq!(Command::parse(b"AUTH PLAIN ="), Ok(plain));
        assert!(matches!(Command::parse(b"mail from: <> SIZE=1"), Ok(Command::Mail(None, _))));
    }

    #[test]
    fn what_is_no_command_is_refused() {
        use SyntaxError as E;
        type Case = (&'static [u8], fn(&E) -> bool);
        let cases: [Case; 12] = [
            (b"", |e| matches!(e, E::UnknownCommand)),
            (b"GET / HTTP/1.1", |e| matches!(e, E::UnknownCommand)),
            (b"EHLO", |e| matches!(e, E::Arguments(_))),
            (b"EHLO a b", |e| matches!(e, E::Arguments(_))),
            (b"DATA now", |e| matches!(e, E::Arguments(_))),
            (b"MAIL <a@b.org>", |e| matches!(e, E::Arguments(_))),
            (b"MAIL FROM:<a@b.org>SIZE=1", |e| matches!(e, E::Path(_))),
            (b"RCPT TO:<a@b.org> X=1", |e| matches!(e, E::UnknownParameter)),
            (b"BDAT -1", |e| matches!(e, E::Arguments(_))),
            (b"BDAT 99999999999999999999999", |e| matches!(e, E::Arguments(_))),
            (b"NOOP \0", |e| matches!(e, E::Octets)),
            ("EHLO gr\u{fc}n".as_bytes(), |e| matches!(e, E::Octets)),
        ];
        for (line, expected) in cases {
            let error = Command::parse(line).expect_err("no command");
            assert!(expected(&error), "{line:?}: {error:?}");
        }
        assert_eq!(Command::parse(b"RCPT TO:<\xff@b.org>"), Err(E::Octets));
        assert_eq!(Command::parse(b"NOOP a\rb"), Err(E::Octets));
    }

    proptest! {
        #[test]
        fn nothing_panics(line in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = Command::parse(&line);
        }
    }
}
