//! Command lines (RFC 1939 §9, RFC 2449 §3) as values. Only syntax: whether a command is allowed now,
//! and whether a message exists, is the session's matter.

/// One command, borrowing its arguments from the line.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Command<'a> {
    /// `AUTH` without arguments: clients older than RFC 2449 ask so for the mechanisms.
    Mechanisms,
    /// `AUTH mechanism [initial-response]` (RFC 5034 §4).
    Auth {
        /// As the client wrote it, in any case.
        mechanism: &'a str,
        /// Still in base64; `=` stands for an empty one.
        initial_response: Option<&'a str>,
    },
    /// `CAPA` (RFC 2449 §5).
    Capa,
    /// `DELE msg`.
    Dele(u32),
    /// `LIST [msg]`.
    List(Option<u32>),
    /// `NOOP`.
    Noop,
    /// `PASS string`: all that follows the first space, further spaces included (RFC 1939 §7).
    Pass(&'a str),
    /// `QUIT`.
    Quit,
    /// `RETR msg`.
    Retr(u32),
    /// `RSET`.
    Rset,
    /// `STAT`.
    Stat,
    /// `STLS` (RFC 2595 §4).
    Stls,
    /// `TOP msg n`.
    Top {
        /// The message-number.
        message: u32,
        /// How many lines of the body.
        lines: u64,
    },
    /// `UIDL [msg]`.
    Uidl(Option<u32>),
    /// `USER name`.
    User(&'a str),
}

/// Why a line is no command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// The keyword is not one of ours.
    #[error("unknown command")]
    Unknown,
    /// The keyword is known, its arguments are not what it takes.
    #[error("invalid arguments")]
    Arguments,
    /// Control characters, or octets that are no UTF-8.
    #[error("invalid characters")]
    Characters,
}

impl<'a> Command<'a> {
    /// Reads one line without its line end.
    pub fn parse(line: &'a [u8]) -> Result<Self, CommandError> {
        let line = std::str::from_utf8(line).map_err(|_| CommandError::Characters)?;
        if line.chars().any(|character| character.is_control()) {
            return Err(CommandError::Characters);
        }
        let (keyword, rest) = line.split_once(' ').unwrap_or((line, ""));
        let mut upper = [0; 4];
        let keyword = upper_case(keyword, &mut upper)?;
        if keyword == b"PASS" {
            return if rest.is_empty() { Err(CommandError::Arguments) } else { Ok(Self::Pass(rest)) };
        }
        // Several old clients leave a space at the end of the line.
        let mut arguments = Arguments(rest.trim_end_matches(' '));
        let command = Self::with_arguments(keyword, &mut arguments)?;
        if arguments.0.is_empty() { Ok(command) } else { Err(CommandError::Arguments) }
    }

    fn with_arguments(keyword: &[u8], arguments: &mut Arguments<'a>) -> Result<Self, CommandError> {
        Ok(match keyword {
            b"AUTH" => match arguments.next() {
                None => Self::Mechanisms,
                Some(mechanism) => Self::Auth { mechanism, initial_response: arguments.next() },
            },
            b"CAPA" => Self::Capa,
            b"DELE" => Self::Dele(arguments.message()?),
            b"LIST" => Self::List(arguments.optional_message()?),
            b"NOOP" => Self::Noop,
            b"QUIT" => Self::Quit,
            b"RETR" => Self::Retr(arguments.message()?),
            b"RSET" => Self::Rset,
            b"STAT" => Self::Stat,
            b"STLS" => Self::Stls,
            b"TOP" => Self::Top {
                message: arguments.message()?,
                lines: arguments.number()?.ok_or(CommandError::Arguments)?,
            },
            b"UIDL" => Self::Uidl(arguments.optional_message()?),
            b"USER" => Self::User(arguments.next().ok_or(CommandError::Arguments)?),
            _ => return Err(CommandError::Unknown),
        })
    }
}

/// Passwords never print.
impl std::fmt::Debug for Command<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Pass(_) => f.write_str("Pass(…)"),
            Self::Auth { mechanism, .. } => write!(f, "Auth({mechanism}, …)"),
            Self::Dele(message) => write!(f, "Dele({message})"),
            Self::List(message) => write!(f, "List({message:?})"),
            Self::Retr(message) => write!(f, "Retr({message})"),
            Self::Top { message, lines } => write!(f, "Top({message}, {lines})"),
            Self::Uidl(message) => write!(f, "Uidl({message:?})"),
            Self::User(name) => write!(f, "User({name:?})"),
            Self::Mechanisms => f.write_str("Mechanisms"),
            Self::Capa => f.write_str("Capa"),
            Self::Noop => f.write_str("Noop"),
            Self::Quit => f.write_str("Quit"),
            Self::Rset => f.write_str("Rset"),
            Self::Stat => f.write_str("Stat"),
            Self::Stls => f.write_str("Stls"),
        }
    }
}

/// Keywords are three or four letters in any case (RFC 1939 §3).
fn upper_case<'k>(keyword: &str, upper: &'k mut [u8; 4]) -> Result<&'k [u8], CommandError> {
    let upper = upper.get_mut(..keyword.len()).ok_or(CommandError::Unknown)?;
    upper.copy_from_slice(keyword.as_bytes());
    upper.make_ascii_uppercase();
    Ok(upper)
}

/// What has not been read of the arguments; they are separated by single spaces.
struct Arguments<'a>(&'a str);

impl<'a> Arguments<'a> {
    fn next(&mut self) -> Option<&'a str> {
        if self.0.is_empty() {
            return None;
        }
        let (argument, rest) = self.0.split_once(' ').unwrap_or((self.0, ""));
        self.0 = rest;
        Some(argument)
    }

    /// Digits only; a number beyond `u64` stands for the largest.
    fn number(&mut self) -> Result<Option<u64>, CommandError> {
        let Some(text) = self.next() else { return Ok(None) };
        if text.is_empty() || !text.bytes().all(|octet| octet.is_ascii_digit()) {
            return Err(CommandError::Arguments);
        }
        Ok(Some(text.parse().unwrap_or(u64::MAX)))
    }

    /// A message-number. One past `u32` stands for its largest, which no maildrop reaches: both are
    /// no such message, and not a matter of syntax.
    fn optional_message(&mut self) -> Result<Option<u32>, CommandError> {
        Ok(self.number()?.map(|number| u32::try_from(number).unwrap_or(u32::MAX)))
    }

    fn message(&mut self) -> Result<u32, CommandError> {
        self.optional_message()?.ok_or(CommandError::Arguments)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_each_command() {
        use Command::*;
        let auth = Auth { mechanism: "PLAIN", initial_response: Some("AGEAYg==") };
        for (line, command) in [
            ("AUTH", Mechanisms),
            ("auth PLAIN AGEAYg==", auth),
            ("AUTH LOGIN", Auth { mechanism: "LOGIN", initial_response: None }),
            ("capa", Capa),
            ("DELE 2", Dele(2)),
            ("LIST", List(None)),
            ("LIST ", List(None)),
            ("list 007", List(Some(7))),
            ("RETR 99999999999999999999999", Retr(u32::MAX)),
            ("PASS  two  words ", Pass(" two  words ")),
            ("top 1 0", Top { message: 1, lines: 0 }),
            ("UIDL 4", Uidl(Some(4))),
            ("USER ann@example.org", User("ann@example.org")),
            ("sTlS", Stls),
        ] {
            assert_eq!(Command::parse(line.as_bytes()), Ok(command), "{line}");
        }
    }

    #[test]
    fn refuses_what_is_no_command() {
        use CommandError::*;
        for (line, error) in [
            (&b""[..], Unknown),
            (b"XTND XMIT", Unknown),
            (b"NOOPS", Unknown),
            (b"RETR", Arguments),
            (b"RETR -1", Arguments),
            (b"RETR +1", Arguments),
            (b"RETR 1 2", Arguments),
            (b"RETR  1", Arguments),
            (b"STAT 1", Arguments),
            (b"TOP 1", Arguments),
            (b"USER", Arguments),
            (b"USER a b", Arguments),
            (b"PASS", Arguments),
            (b"USER a\0b", Characters),
            (b"USER a\rb", Characters),
            (b"USER \xff", Characters),
        ] {
            assert_eq!(Command::parse(line), Err(error), "{}", line.escape_ascii());
        }
    }

    #[test]
    fn passwords_do_not_print() {
        let shown =
            format!("{:?} {:?}", Command::parse(b"PASS geheim"), Command::parse(b"AUTH PLAIN geheim"));
        assert!(!shown.contains("geheim"), "{shown}");
    }

    proptest! {
        #[test]
        fn never_panics(line in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Command::parse(&line);
        }

        #[test]
        fn numbers_read_back(message: u32, lines: u64) {
            let line = format!("ToP {message} {lines}");
            prop_assert_eq!(Command::parse(line.as_bytes()), Ok(Command::Top { message, lines }));
        }
    }
}
