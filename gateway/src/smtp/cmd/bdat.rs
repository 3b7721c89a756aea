//! BDAT (RFC 3030 §2): the message in chunks of declared length, without dots or line ends to look for.
//!
//! ```text
//! bdat = "BDAT" SP chunk-size [ SP "LAST" ] CRLF *OCTET
//! ```

use std::time::Instant;

use super::super::codec::{DataDecoder, EnhancedCode, Reply};
use super::super::session::transfer::Transfer;
use super::super::session::{Session, State, Step, replies};
use crate::limits::SKIPPED_FACTOR;

impl<A> Session<A> {
    /// A chunk that is refused is read all the same, and then answered: its octets follow without
    /// waiting (RFC 3030 §2).
    pub(super) fn bdat(&mut self, size_octets: u64, last: bool, now: Instant) -> Option<Step<A>> {
        let limit = self.config.message_octets as u64;
        if size_octets > limit.saturating_mul(SKIPPED_FACTOR) {
            self.close_with(&replies::TOO_LARGE);
            return None;
        }
        let so_far = self.transfer.as_ref().map_or(0, |transfer| transfer.message.len() as u64);
        let skipped = match &self.transaction {
            None => Some(replies::SENDER_FIRST),
            Some(transaction) if transaction.recipients.is_empty() => Some(replies::NO_RECIPIENTS),
            Some(_) if so_far + size_octets > limit => Some(replies::TOO_LARGE),
            Some(_) => None,
        };
        if self.transfer.is_none() {
            let decoder = DataDecoder::for_chunks(self.config.line_endings());
            self.transfer = Some(Box::new(Transfer::new(decoder, self.config.message_octets, now)));
        }
        // Not always the first chunk: that may be empty.
        let has_memory = self.transfer.as_ref().is_some_and(|transfer| transfer.granted_octets > 0);
        let ask = skipped.is_none() && !has_memory && size_octets > 0;
        self.state = State::Chunk { left_octets: size_octets, size_octets, last, skipped };
        let declared = self.transaction.as_ref().and_then(|transaction| transaction.parameters.size_octets);
        let octets =
            self.transfer.as_ref().map(|transfer| transfer.first_grant(declared.or(Some(size_octets))));
        octets.filter(|_| ask).and_then(|octets| self.ask_for_memory(octets, true))
    }

    /// The last octet of a chunk was read.
    pub(in crate::smtp) fn chunk_ended(&mut self) -> Option<Step<A>> {
        let State::Chunk { size_octets, last, skipped, .. } =
            std::mem::replace(&mut self.state, State::Commands)
        else {
            return None;
        };
        let refused = self.transfer.as_ref().and_then(|transfer| transfer.refusal.clone());
        if let Some(reply) = skipped.or(refused) {
            // The transaction failed; chunks that are still to come find none (RFC 3030 §2).
            let recipients = self.transaction.as_ref().map_or(0, |transaction| transaction.recipients.len());
            self.replies_due = if last { self.replies_to(recipients) } else { 1 };
            self.reset();
            self.message_answered(&[reply]);
            self.count_error();
            return None;
        }
        if !last {
            let text = format!("{size_octets} octets received");
            return self.say(&Reply::composed(250, EnhancedCode(2, 0, 0), text));
        }
        if let Some(transfer) = &mut self.transfer {
            let transfer = &mut **transfer;
            transfer.decoder.finish(&mut transfer.message);
        }
        self.message_ended()
    }
}
