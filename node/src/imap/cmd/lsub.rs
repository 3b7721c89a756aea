//! LSUB (RFC 3501 §6.3.9), for clients that know no LIST (SUBSCRIBED).

use super::call::Call;
use super::list::{Names, patterns};
use crate::imap::codec::writer;
use crate::imap::status::{Outcome, Status};

/// Lists subscribed names. A level that is not subscribed itself is told, as `\Noselect`, where `%`
/// matches it and hides a subscribed name below.
pub(super) async fn run(call: &mut Call<'_>, reference: &[u8], pattern: &[u8]) -> Outcome {
    let encoding = call.session.enabled.names();
    if pattern.is_empty() {
        call.out.buffer.extend_from_slice(b"* LSUB (\\Noselect) \"/\" \"\"\r\n");
        return Ok(Status::ok("LSUB completed"));
    }
    let patterns = patterns(reference, &[pattern.to_vec()], encoding);
    let names = Names::read(call).await?;
    let matched = names.matching(&patterns).await;
    for (name, node) in names.0.iter().filter(|(name, _)| matched.contains(name)) {
        let hides = || names.any_below(name, |other, below| below.subscribed && !matched.contains(other));
        let attributes = match node.subscribed {
            true => "",
            false if pattern.contains(&b'%') && hides() => "\\Noselect",
            false => continue,
        };
        writer::text(call.out.buffer, format_args!("* LSUB ({attributes}) \"/\" "));
        writer::mailbox(call.out.buffer, name.as_str(), encoding);
        call.out.buffer.extend_from_slice(b"\r\n");
        call.out.drain().await?;
    }
    Ok(Status::ok("LSUB completed"))
}
