//! NOOP and CHECK (RFC 9051 §6.1.2, RFC 3501 §6.4.1): the client asks what is new.

use super::call::Call;
use crate::imap::session::selected::Expunges;
use crate::imap::status::{Outcome, Status};

/// Tells everything that was acknowledged to anyone before.
pub(super) async fn run(call: &mut Call<'_>, done: &'static str) -> Outcome {
    call.refresh(Expunges::Told).await?;
    Ok(Status::ok(done))
}
