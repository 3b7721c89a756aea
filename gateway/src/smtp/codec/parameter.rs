//! Parameters of MAIL and RCPT (RFC 5321 §4.1.2 `esmtp-param`): SIZE (RFC 1870), BODY (RFC 6152),
//! SMTPUTF8 (RFC 6531), AUTH (RFC 4954 §5), RET, ENVID, NOTIFY, ORCPT (RFC 3461 §4).

use serde::{Deserialize, Serialize};

use super::SyntaxError;

/// Longest ENVID before encoding (RFC 3461 §4.4); as xtext it may be three times as long.
const ENVELOPE_ID_OCTETS: usize = 100 * 3;
/// Longest ORCPT with its type (RFC 3461 §4.2).
const ORIGINAL_RECIPIENT_OCTETS: usize = 500;

/// What the sender says of the message's octets (RFC 6152).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum BodyKind {
    /// `7BIT`, and what is meant where nothing is said.
    #[default]
    SevenBit,
    /// `8BITMIME`.
    EightBitMime,
}

/// How much of the message a failure report returns (RFC 3461 §4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Return {
    /// All of it.
    Full,
    /// Its header.
    Headers,
}

/// Parameters of MAIL.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MailParameters {
    /// Declared size in octets.
    pub size_octets: Option<u64>,
    /// Kind of body.
    pub body: BodyKind,
    /// Addresses and header may be UTF-8.
    pub smtp_utf8: bool,
    /// RET.
    pub return_content: Option<Return>,
    /// ENVID, as xtext.
    pub envelope_id: Option<String>,
}

/// Which reports a recipient's sender wants (RFC 3461 §4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notify {
    /// On success.
    pub success: bool,
    /// On failure.
    pub failure: bool,
    /// On delay.
    pub delay: bool,
}

impl Notify {
    /// `NOTIFY=NEVER`.
    pub const NEVER: Self = Self { success: false, failure: false, delay: false };
}

/// Parameters of RCPT.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RcptParameters {
    /// NOTIFY; `None` where nothing is said: reports on failure and delay.
    pub notify: Option<Notify>,
    /// ORCPT: `address-type;xtext`.
    pub original_recipient: Option<String>,
}

/// `SP keyword[=value]` pairs behind a path.
fn pairs(text: &str) -> impl Iterator<Item = (&str, Option<&str>)> {
    let parameters = text.split(' ').filter(|parameter| !parameter.is_empty());
    parameters.map(|parameter| match parameter.split_once('=') {
        Some((keyword, value)) => (keyword, Some(value)),
        None => (parameter, None),
    })
}

/// Sets what may be set once.
fn once<T>(slot: &mut Option<T>, value: T) -> Result<(), SyntaxError> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(SyntaxError::Parameter("given twice")),
    }
}

/// Reads what stands behind MAIL's path.
pub fn mail_parameters(text: &str) -> Result<MailParameters, SyntaxError> {
    let (mut size_octets, mut body, mut smtp_utf8, mut auth) = (None, None, None, None);
    let mut parameters = MailParameters::default();
    for (keyword, value) in pairs(text) {
        match (keyword.to_ascii_uppercase().as_str(), value) {
            ("SIZE", Some(value)) => once(&mut size_octets, size(value)?)?,
            ("BODY", Some(value)) => once(&mut body, body_kind(value)?)?,
            ("SMTPUTF8", None) => once(&mut smtp_utf8, true)?,
            ("RET", Some(value)) => once(&mut parameters.return_content, returned(value)?)?,
            ("ENVID", Some(value)) => once(&mut parameters.envelope_id, envelope_id(value)?)?,
            // Who claims to have written it: read, and not believed (RFC 4954 §5).
            ("AUTH", Some(value)) if value == "<>" || is_xtext(value) => once(&mut auth, ())?,
            ("SIZE" | "BODY" | "SMTPUTF8" | "RET" | "ENVID" | "AUTH", _) => {
                return Err(SyntaxError::Parameter("value"));
            }
            _ => return Err(SyntaxError::UnknownParameter),
        }
    }
    parameters.size_octets = size_octets;
    parameters.body = body.unwrap_or_default();
    parameters.smtp_utf8 = smtp_utf8.unwrap_or(false);
    Ok(parameters)
}

/// Reads what stands behind RCPT's path.
pub fn rcpt_parameters(text: &str) -> Result<RcptParameters, SyntaxError> {
    let mut parameters = RcptParameters::default();
    for (keyword, value) in pairs(text) {
        match (keyword.to_ascii_uppercase().as_str(), value) {
            ("NOTIFY", Some(value)) => once(&mut parameters.notify, notify(value)?)?,
            ("ORCPT", Some(value)) => {
                once(&mut parameters.original_recipient, original_recipient(value)?)?;
            }
            ("NOTIFY" | "ORCPT", None) => return Err(SyntaxError::Parameter("value")),
            _ => return Err(SyntaxError::UnknownParameter),
        }
    }
    Ok(parameters)
}

/// `size-value ::= 1*20DIGIT` (RFC 1870 §5); what does not fit is the greatest number.
fn size(value: &str) -> Result<u64, SyntaxError> {
    let digits = (1..=20).contains(&value.len()) && value.bytes().all(|octet| octet.is_ascii_digit());
    if digits { Ok(value.parse().unwrap_or(u64::MAX)) } else { Err(SyntaxError::Parameter("SIZE")) }
}

fn body_kind(value: &str) -> Result<BodyKind, SyntaxError> {
    match value.to_ascii_uppercase().as_str() {
        "7BIT" => Ok(BodyKind::SevenBit),
        "8BITMIME" => Ok(BodyKind::EightBitMime),
        _ => Err(SyntaxError::Parameter("BODY")),
    }
}

fn returned(value: &str) -> Result<Return, SyntaxError> {
    match value.to_ascii_uppercase().as_str() {
        "FULL" => Ok(Return::Full),
        "HDRS" => Ok(Return::Headers),
        _ => Err(SyntaxError::Parameter("RET")),
    }
}

fn envelope_id(value: &str) -> Result<String, SyntaxError> {
    let fits = !value.is_empty() && value.len() <= ENVELOPE_ID_OCTETS && is_xtext(value);
    if fits { Ok(value.to_owned()) } else { Err(SyntaxError::Parameter("ENVID")) }
}

/// `"NEVER" / 1#( "SUCCESS" / "FAILURE" / "DELAY" )`
fn notify(value: &str) -> Result<Notify, SyntaxError> {
    if value.eq_ignore_ascii_case("NEVER") {
        return Ok(Notify::NEVER);
    }
    let mut notify = Notify::NEVER;
    for word in value.split(',') {
        match word.to_ascii_uppercase().as_str() {
            "SUCCESS" => notify.success = true,
            "FAILURE" => notify.failure = true,
            "DELAY" => notify.delay = true,
            _ => return Err(SyntaxError::Parameter("NOTIFY")),
        }
    }
    Ok(notify)
}

/// `addr-type ";" xtext`; RFC 6533 allows UTF-8 in the type `utf-8`.
fn original_recipient(value: &str) -> Result<String, SyntaxError> {
    let (kind, address) = value.split_once(';').ok_or(SyntaxError::Parameter("ORCPT"))?;
    let atom = |octet: u8| octet.is_ascii_alphanumeric() || octet == b'-';
    let utf8 = kind.eq_ignore_ascii_case("utf-8");
    let fits = value.len() <= ORIGINAL_RECIPIENT_OCTETS
        && !kind.is_empty()
        && kind.bytes().all(atom)
        && !address.is_empty()
        && (is_xtext(address) || utf8 && !address.contains(|c: char| c.is_control() || c == ' '));
    if fits { Ok(value.to_owned()) } else { Err(SyntaxError::Parameter("ORCPT")) }
}

/// `xtext = *( xchar / "+" 2HEXDIG )` (RFC 3461 §4).
fn is_xtext(text: &str) -> bool {
    let mut octets = text.bytes();
    while let Some(octet) = octets.next() {
        let hex = |octet: Option<u8>| matches!(octet, Some(b'0'..=b'9' | b'A'..=b'F'));
        let fits = match octet {
            b'+' => hex(octets.next()) && hex(octets.next()),
            b'=' => false,
            b'!'..=b'~' => true,
            _ => false,
        };
        if !fits {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn parameters_of_mail_are_read() {
        let given = mail_parameters(" size=1000 BODY=8bitmime SMTPUTF8 RET=HDRS ENVID=QQ314159 AUTH=<>");
        let expected = MailParameters {
            size_octets: Some(1000),
            body: BodyKind::EightBitMime,
            smtp_utf8: true,
            return_content: Some(Return::Headers),
            envelope_id: Some("QQ314159".into()),
        };
        assert_eq!(given, Ok(expected));
        assert_eq!(mail_parameters(" SIZE=99999999999999999999").map(|p| p.size_octets), Ok(Some(u64::MAX)));
    }

    #[test]
    fn parameters_of_rcpt_are_read() {
        let given = rcpt_parameters(" NOTIFY=SUCCESS,delay ORCPT=rfc822;Bob+2Bx@Example.com");
        let notify = Notify { success: true, failure: false, delay: true };
        let original_recipient = Some("rfc822;Bob+2Bx@Example.com".to_owned());
        assert_eq!(given, Ok(RcptParameters { notify: Some(notify), original_recipient }));
        assert_eq!(rcpt_parameters(" NOTIFY=NEVER").map(|p| p.notify), Ok(Some(Notify::NEVER)));
    }

    #[test]
    fn what_is_wrong_is_refused() {
        let long = format!(" ENVID={}", "a".repeat(301));
        for bad in [
            " SIZE",
            " SIZE=",
            " SIZE=1x",
            " SIZE=1 SIZE=1",
            " BODY=BINARYMIME",
            " SMTPUTF8=1",
            " RET=X",
            " ENVID=",
            " ENVID=a=b",
            " ENVID=+2b",
            " AUTH",
            " FOO=1",
            " FOO",
            &long,
        ] {
            assert!(mail_parameters(bad).is_err(), "{bad}");
        }
        for bad in [
            " NOTIFY=NEVER,DELAY",
            " NOTIFY=",
            " NOTIFY",
            " ORCPT=x",
            " ORCPT=;a",
            " ORCPT=rfc822;",
            " SIZE=1",
            " NOTIFY=DELAY NOTIFY=DELAY",
            " ORCPT=rfc822;a=b",
        ] {
            assert!(rcpt_parameters(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(text in "\\PC{0,80}") {
            let _ = (mail_parameters(&text), rcpt_parameters(&text));
        }
    }
}
