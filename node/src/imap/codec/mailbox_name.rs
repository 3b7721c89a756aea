//! Mailbox names on the wire: UTF-8 once IMAP4rev2 is enabled (RFC 9051 §5.1), modified UTF-7
//! before (RFC 3501 §5.1.3, RFC 9051 appendix A.1). What is a valid name is the mail store's matter.

use base64::Engine as _;
use base64::alphabet::IMAP_MUTF7;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &IMAP_MUTF7,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(base64::engine::DecodePaddingMode::RequireNone),
);

/// How names are written in a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameEncoding {
    /// `&ZeVnLIqe-`: what IMAP4rev1 clients use.
    ModifiedUtf7,
    /// As it is.
    Utf8,
}

/// The name is not valid in the session's encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a valid mailbox name")]
pub struct NameError;

/// Reads a name as the client wrote it.
pub fn decode(octets: &[u8], encoding: NameEncoding) -> Result<String, NameError> {
    let text = std::str::from_utf8(octets).map_err(|_| NameError)?;
    // Clients that send raw UTF-8 without having enabled IMAP4rev2 are understood.
    match encoding {
        NameEncoding::ModifiedUtf7 if text.is_ascii() && text.contains('&') => decode_utf7(text),
        _ => Ok(text.to_owned()),
    }
}

/// Writes a name as the client reads it.
pub fn encode(name: &str, encoding: NameEncoding) -> String {
    match encoding {
        NameEncoding::Utf8 => name.to_owned(),
        NameEncoding::ModifiedUtf7 => encode_utf7(name),
    }
}

fn decode_utf7(text: &str) -> Result<String, NameError> {
    let mut name = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((plain, shifted)) = rest.split_once('&') {
        name.push_str(plain);
        let (encoded, after) = shifted.split_once('-').ok_or(NameError)?;
        if encoded.is_empty() {
            name.push('&');
        } else {
            push_shifted(&mut name, encoded)?;
            // `&U,BTFw-&ZeVnLIqe-` holds a superfluous shift.
            if after.starts_with('&') && !after.starts_with("&-") {
                return Err(NameError);
            }
        }
        rest = after;
    }
    name.push_str(rest);
    Ok(name)
}

fn push_shifted(name: &mut String, encoded: &str) -> Result<(), NameError> {
    let octets = BASE64.decode(encoded).map_err(|_| NameError)?;
    if octets.len() % 2 != 0 {
        return Err(NameError);
    }
    let units = octets.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
    for character in char::decode_utf16(units) {
        let character = character.map_err(|_| NameError)?;
        if matches!(character, ' '..='~') {
            return Err(NameError);
        }
        name.push(character);
    }
    Ok(())
}

fn encode_utf7(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    let mut rest = name;
    while let Some(first) = rest.chars().next() {
        if first == '&' {
            text.push_str("&-");
            rest = &rest[1..];
            continue;
        }
        let represents_itself = |character: char| matches!(character, ' '..='~');
        let plain =
            rest.find(|character| !represents_itself(character) || character == '&').unwrap_or(rest.len());
        text.push_str(&rest[..plain]);
        rest = &rest[plain..];
        let shifted = rest.find(represents_itself).unwrap_or(rest.len());
        if shifted > 0 {
            let octets: Vec<u8> = rest[..shifted].encode_utf16().flat_map(u16::to_be_bytes).collect();
            text.push('&');
            BASE64.encode_string(octets, &mut text);
            text.push('-');
            rest = &rest[shifted..];
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_examples_of_the_rfc() {
        let encoded = "~peter/mail/&U,BTFw-/&ZeVnLIqe-";
        let name = decode(encoded.as_bytes(), NameEncoding::ModifiedUtf7).expect("valid");
        assert_eq!(name, "~peter/mail/台北/日本語");
        assert_eq!(encode(&name, NameEncoding::ModifiedUtf7), encoded);
        assert_eq!(encode("a&b", NameEncoding::ModifiedUtf7), "a&-b");
        for bad in ["&Jjo!", "&U,BTFw-&ZeVnLIqe-", "&AGE-", "&", "&AA-", "&2AA-"] {
            assert_eq!(decode(bad.as_bytes(), NameEncoding::ModifiedUtf7), Err(NameError), "{bad}");
        }
        assert_eq!(decode(b"&Jjo-!", NameEncoding::ModifiedUtf7).as_deref(), Ok("☺!"));
        assert_eq!(decode(b"R&D", NameEncoding::Utf8).as_deref(), Ok("R&D"));
    }

    proptest! {
        #[test]
        fn every_name_reads_back(name in any::<String>()) {
            let encoded = encode(&name, NameEncoding::ModifiedUtf7);
            prop_assert!(encoded.bytes().all(|byte| matches!(byte, b' '..=b'~')));
            prop_assert_eq!(decode(encoded.as_bytes(), NameEncoding::ModifiedUtf7), Ok(name));
        }

        #[test]
        fn what_is_accepted_has_one_form(octets in "[&A-Za-z0-9+,/-]{0,24}") {
            if let Ok(name) = decode(octets.as_bytes(), NameEncoding::ModifiedUtf7) {
                let again = encode(&name, NameEncoding::ModifiedUtf7);
                prop_assert_eq!(decode(again.as_bytes(), NameEncoding::ModifiedUtf7), Ok(name));
            }
        }
    }
}
