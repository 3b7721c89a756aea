//! STLS (RFC 2595 §4): only in AUTHORIZATION state, and once.

use bytes::BytesMut;

use crate::pop3::codec::ok;
use crate::pop3::session::{Session, Step};

pub(super) fn stls(session: &mut Session, output: &mut BytesMut) -> Step {
    if session.facts.is_secure {
        return session.error("TLS is active already", output);
    }
    if !session.facts.offers_tls {
        return session.error("TLS is not available", output);
    }
    ok(output, "begin TLS negotiation");
    Step::StartTls
}
