//! Reply lines: `+OK` and `-ERR` with the extended response codes of RFC 2449 §8 and RFC 3206.

use std::fmt::{Display, Write as _};

use bytes::BytesMut;

/// Why a command failed, for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponseCode {
    /// The credentials are at fault, or policy forbids to use them here (RFC 3206 §4).
    Auth,
    /// Another session has the maildrop (RFC 2449 §8.1.2).
    InUse,
    /// Trouble of ours that passes (RFC 3206 §3).
    SysTemp,
    /// Trouble of ours that needs an operator (RFC 3206 §3).
    SysPerm,
}

impl ResponseCode {
    fn text(self) -> &'static str {
        match self {
            Self::Auth => "[AUTH] ",
            Self::InUse => "[IN-USE] ",
            Self::SysTemp => "[SYS/TEMP] ",
            Self::SysPerm => "[SYS/PERM] ",
        }
    }
}

/// Writes `+OK text`; at most 512 octets are the caller's care (RFC 1939 §3): no peer's text gets in.
pub fn ok(output: &mut BytesMut, text: impl Display) {
    write!(output, "+OK {text}\r\n").expect("a buffer takes any text");
}

/// Writes `-ERR [code] text`.
pub fn err(output: &mut BytesMut, code: Option<ResponseCode>, text: impl Display) {
    let code = code.map_or("", ResponseCode::text);
    write!(output, "-ERR {code}{text}\r\n").expect("a buffer takes any text");
}

/// Ends a multi-line reply whose last line is complete.
pub fn terminate(output: &mut BytesMut) {
    output.extend_from_slice(b".\r\n");
}
