//! SASL exchanges without I/O: from a client's decoded lines to credentials. PLAIN (RFC 4616) and
//! LOGIN (draft-murchison-sasl-login-00, which no RFC replaced and every client still speaks).

use base64::Engine as _;
use base64::engine::GeneralPurpose;
use base64::engine::general_purpose::{GeneralPurposeConfig, STANDARD};
use sterna_storage::types::Secret;

use crate::limits;

/// A mechanism that a client may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    /// RFC 4616.
    Plain,
    /// User name and password, asked for one by one.
    Login,
}

impl Mechanism {
    /// All of them, in the order in which they are offered.
    pub const ALL: [Self; 2] = [Self::Plain, Self::Login];

    /// The mechanism of that name, in any case.
    pub fn named(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|mechanism| mechanism.as_str().as_bytes().eq_ignore_ascii_case(name))
    }

    /// The registered name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::Login => "LOGIN",
        }
    }
}

/// What a client claims to be, and its proof.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// Whom to act as; `None`: whoever logs in.
    pub authorization_id: Option<String>,
    /// Who logs in: an address, or a bare name of the default domain.
    pub login: String,
    /// The password, as typed.
    pub password: Secret<String>,
}

/// Why an exchange ended without credentials. All are the client's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SaslError {
    /// The client gave up with `*`.
    #[error("cancelled by the client")]
    Cancelled,
    /// A response that is not what the mechanism expects.
    #[error("malformed response")]
    Malformed,
    /// Longer than [`limits::SASL_RESPONSE_OCTETS`].
    #[error("response too long")]
    TooLong,
}

/// What comes next.
#[derive(Debug)]
pub enum Step {
    /// Send this (decoded) challenge, then pass the answer to [`Exchange::respond`].
    Challenge(&'static [u8]),
    /// The exchange is over; these remain to be verified.
    Credentials(Credentials),
    /// The exchange is over without credentials.
    Failed(SaslError),
}

/// An exchange under way. It holds at most one response.
#[derive(Debug)]
pub struct Exchange(State);

#[derive(Debug)]
enum State {
    Plain,
    LoginName,
    LoginPassword(String),
    Over,
}

impl Exchange {
    /// Begins, with the client's initial response if it sent one (decoded, may be empty).
    pub fn start(mechanism: Mechanism, initial: Option<&[u8]>) -> (Self, Step) {
        let mut exchange = Self(match mechanism {
            Mechanism::Plain => State::Plain,
            Mechanism::Login => State::LoginName,
        });
        let step = match (initial, mechanism) {
            (Some(initial), _) => exchange.respond(initial),
            (None, Mechanism::Plain) => Step::Challenge(b""),
            (None, Mechanism::Login) => Step::Challenge(b"Username:"),
        };
        (exchange, step)
    }

    /// Takes the client's (decoded) response.
    pub fn respond(&mut self, response: &[u8]) -> Step {
        let state = std::mem::replace(&mut self.0, State::Over);
        if response.len() > limits::SASL_RESPONSE_OCTETS {
            return Step::Failed(SaslError::TooLong);
        }
        match state {
            State::Plain => plain(response).map_or(Step::Failed(SaslError::Malformed), Step::Credentials),
            State::LoginName => match text(response) {
                Some(login) => {
                    self.0 = State::LoginPassword(login.to_owned());
                    Step::Challenge(b"Password:")
                }
                None => Step::Failed(SaslError::Malformed),
            },
            State::LoginPassword(login) => match text(response) {
                Some(password) => {
                    let password = Secret::new(password.to_owned());
                    Step::Credentials(Credentials { authorization_id: None, login, password })
                }
                None => Step::Failed(SaslError::Malformed),
            },
            State::Over => Step::Failed(SaslError::Malformed),
        }
    }
}

/// `[authzid] NUL authcid NUL passwd` (RFC 4616 §2).
fn plain(message: &[u8]) -> Option<Credentials> {
    let mut parts = message.split(|octet| *octet == 0);
    let (authorization_id, login, password) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let authorization_id = match authorization_id {
        b"" => None,
        id => Some(text(id)?.to_owned()),
    };
    let password = Secret::new(text(password)?.to_owned());
    Some(Credentials { authorization_id, login: text(login)?.to_owned(), password })
}

/// UTF-8 without NUL, not empty.
fn text(octets: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(octets).ok()?;
    (!text.is_empty() && !text.contains('\0')).then_some(text)
}

/// Decodes a client's line (RFC 4954 §4, RFC 9051 §6.2.2, RFC 5034 §4): base64, `=` for an empty
/// initial response, `*` to give up. `line` has no line end.
pub fn decode_line(line: &[u8]) -> Result<Vec<u8>, SaslError> {
    match line {
        b"*" => Err(SaslError::Cancelled),
        b"=" => Ok(Vec::new()),
        _ if line.len() > limits::SASL_RESPONSE_OCTETS.div_ceil(3) * 4 => Err(SaslError::TooLong),
        _ => LENIENT.decode(line).map_err(|_| SaslError::Malformed),
    }
}

/// Encodes a challenge for the wire.
pub fn encode_line(challenge: &[u8]) -> String {
    STANDARD.encode(challenge)
}

/// Some clients leave the padding away.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(base64::engine::DecodePaddingMode::Indifferent),
);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn credentials(step: Step) -> (Option<String>, String, String) {
        match step {
            Step::Credentials(given) => {
                (given.authorization_id, given.login, given.password.expose().clone())
            }
            other => panic!("no credentials: {other:?}"),
        }
    }

    #[test]
    fn plain_as_in_rfc_4616_section_4() {
        let (_, step) = Exchange::start(Mechanism::Plain, Some(b"\0tim\0tanstaaftanstaaf"));
        assert_eq!(credentials(step), (None, "tim".into(), "tanstaaftanstaaf".into()));
        let (mut exchange, step) = Exchange::start(Mechanism::Plain, None);
        assert!(matches!(step, Step::Challenge(b"")));
        let step = exchange.respond(b"Ursel\0Kurt\0xipj3plmq");
        assert_eq!(credentials(step), (Some("Ursel".into()), "Kurt".into(), "xipj3plmq".into()));
        assert!(matches!(exchange.respond(b"\0a\0b"), Step::Failed(SaslError::Malformed)));
    }

    #[test]
    fn login_asks_twice_or_takes_the_name_at_once() {
        let (mut exchange, step) = Exchange::start(Mechanism::Login, None);
        assert!(matches!(step, Step::Challenge(b"Username:")));
        assert!(matches!(exchange.respond(b"ann@example.org"), Step::Challenge(b"Password:")));
        let step = exchange.respond("gr\u{fc}n".as_bytes());
        assert_eq!(credentials(step), (None, "ann@example.org".into(), "gr\u{fc}n".into()));
        let (_, step) = Exchange::start(Mechanism::Login, Some(b"ann"));
        assert!(matches!(step, Step::Challenge(b"Password:")));
    }

    #[test]
    fn malformed_responses_fail() {
        for bad in [&b""[..], b"tim", b"\0tim", b"\0\0pass", b"\0tim\0", b"\0tim\0a\0b", b"\0tim\0\xff"] {
            let (_, step) = Exchange::start(Mechanism::Plain, Some(bad));
            assert!(matches!(step, Step::Failed(SaslError::Malformed)), "{bad:?}");
        }
        let long = vec![b'a'; limits::SASL_RESPONSE_OCTETS + 1];
        let (_, step) = Exchange::start(Mechanism::Login, Some(&long));
        assert!(matches!(step, Step::Failed(SaslError::TooLong)));
    }

    #[test]
    fn lines_are_base64_with_two_exceptions() {
        assert_eq!(decode_line(b"dGlt"), Ok(b"tim".to_vec()));
        assert_eq!((decode_line(b"dGk="), decode_line(b"dGk")), (Ok(b"ti".to_vec()), Ok(b"ti".to_vec())));
        assert_eq!((decode_line(b"="), decode_line(b"")), (Ok(Vec::new()), Ok(Vec::new())));
        assert_eq!(decode_line(b"*"), Err(SaslError::Cancelled));
        assert_eq!(decode_line(b"d G l t"), Err(SaslError::Malformed));
        assert_eq!(decode_line(&vec![b'A'; 1 << 20]), Err(SaslError::TooLong));
    }

    proptest! {
        #[test]
        fn any_line_is_answered(line: Vec<u8>, responses: Vec<Vec<u8>>) {
            if let Ok(decoded) = decode_line(&line) {
                prop_assert!(decoded.len() <= line.len());
            }
            for mechanism in Mechanism::ALL {
                let (mut exchange, mut step) = Exchange::start(mechanism, None);
                for response in &responses {
                    if !matches!(step, Step::Challenge(_)) {
                        break;
                    }
                    step = exchange.respond(response);
                }
                if let Step::Credentials(given) = step {
                    prop_assert!(!given.login.is_empty() && !given.password.expose().is_empty());
                }
            }
        }

        #[test]
        fn plain_gives_back_what_was_sent(login in "[^\0]{1,50}", password in "[^\0]{1,50}") {
            let message = format!("\0{login}\0{password}");
            let line = decode_line(encode_line(message.as_bytes()).as_bytes()).expect("own encoding");
            let (_, step) = Exchange::start(Mechanism::Plain, Some(&line));
            prop_assert_eq!(credentials(step), (None, login, password));
        }
    }
}
