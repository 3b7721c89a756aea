//! A message on its way in: its memory, its bounds, and how long it may take.

use std::time::{Duration, Instant};

use super::super::codec::{DataDecoder, Reply};
use super::replies;
use crate::limits::{
    MESSAGE_BLOCK_WAIT, MESSAGE_MEMORY_DECLARED_OCTETS, MESSAGE_MEMORY_FIRST_OCTETS,
    MESSAGE_MEMORY_SLACK_OCTETS, MESSAGE_MEMORY_WHOLE_OCTETS, MESSAGE_RATE_OCTETS_PER_SECOND, MESSAGE_WAIT,
    SKIPPED_FACTOR,
};

/// Under way from DATA or the first BDAT to the end of the message.
#[derive(Debug)]
pub(crate) struct Transfer {
    pub(crate) decoder: DataDecoder,
    pub(crate) message: Vec<u8>,
    /// What the budget has granted; `message` never holds more.
    pub(crate) granted_octets: usize,
    /// Why the message is read to its end and thrown away.
    pub(crate) refusal: Option<Reply>,
    received_octets: u64,
    started: Instant,
    last_block: Instant,
    limit_octets: usize,
}

/// What became of a piece of input.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// That many octets were taken; more may come.
    Octets(usize),
    /// That many octets were taken, and the message ended with them.
    End(usize),
    /// Nothing was taken: the budget must first grant so many octets in all.
    NeedMemory(usize),
}

impl Transfer {
    pub(crate) fn new(decoder: DataDecoder, limit_octets: usize, now: Instant) -> Self {
        Self {
            decoder,
            message: Vec::new(),
            granted_octets: 0,
            refusal: None,
            received_octets: 0,
            started: now,
            last_block: now,
            limit_octets,
        }
    }

    /// What to ask of the budget first: the declared size if it is small, or a small message's. More is asked for as
    /// it comes.
    pub(crate) fn first_grant(&self, declared_octets: Option<u64>) -> usize {
        let declared = declared_octets.and_then(|octets| usize::try_from(octets).ok());
        let first =
            declared.map_or(MESSAGE_MEMORY_FIRST_OCTETS, |octets| octets.min(MESSAGE_MEMORY_DECLARED_OCTETS));
        first.min(self.limit_octets) + MESSAGE_MEMORY_SLACK_OCTETS
    }

    /// The budget granted so many octets in all.
    pub(crate) fn granted(&mut self, octets: usize) {
        self.granted_octets = octets;
        // Past some size the whole address range is taken at once: memory is used as it is filled,
        // and the message is never copied to a larger place again.
        let capacity = match octets > MESSAGE_MEMORY_WHOLE_OCTETS {
            true => self.limit_octets + MESSAGE_MEMORY_SLACK_OCTETS,
            false => octets,
        };
        self.message.reserve_exact(capacity - self.message.len());
    }

    /// From now on the message is read to its end and not kept.
    pub(crate) fn refuse(&mut self, reply: Reply) {
        self.refusal.get_or_insert(reply);
        self.message = Vec::new();
        self.granted_octets = 0;
    }

    /// Takes from `input` what memory there is for.
    pub(crate) fn take(&mut self, input: &[u8], now: Instant) -> Taken {
        // The decoder gives at most two octets for one, and one that it held back.
        let room = self.granted_octets.saturating_sub(self.message.len() + 1) / 2;
        if self.refusal.is_none() && room < input.len().min(MESSAGE_MEMORY_SLACK_OCTETS / 4) {
            let most = self.limit_octets + MESSAGE_MEMORY_SLACK_OCTETS;
            let least = MESSAGE_MEMORY_FIRST_OCTETS.min(self.limit_octets) + MESSAGE_MEMORY_SLACK_OCTETS;
            return Taken::NeedMemory((self.granted_octets * 2).max(least).min(most));
        }
        let length = if self.refusal.is_some() { input.len() } else { room.min(input.len()) };
        let decoded = self.decoder.decode(&input[..length], &mut self.message);
        self.received_octets += decoded.consumed as u64;
        self.last_block = now;
        if self.refusal.is_some() {
            self.message.clear();
        } else if self.message.len() > self.limit_octets {
            self.refuse(replies::TOO_LARGE);
        }
        match decoded.ended {
            true => Taken::End(decoded.consumed),
            false => Taken::Octets(decoded.consumed),
        }
    }

    /// When a client that sends no more, or next to nothing, is given up (RFC 5321 §4.5.3.2.5).
    pub(crate) fn deadline(&self) -> Instant {
        let fair = Duration::from_secs(self.received_octets / MESSAGE_RATE_OCTETS_PER_SECOND);
        (self.last_block + MESSAGE_BLOCK_WAIT).min(self.started + MESSAGE_WAIT + fair)
    }

    /// How many more octets are read, whether or not they are kept.
    pub(crate) fn readable_octets(&self) -> usize {
        let most = (self.limit_octets as u64).saturating_mul(SKIPPED_FACTOR);
        usize::try_from(most.saturating_sub(self.received_octets)).unwrap_or(usize::MAX)
    }

    /// What the message is answered with if it cannot be handed on.
    pub(crate) fn verdict(&mut self) -> Result<(), Reply> {
        match (self.refusal.take(), self.decoder.fault()) {
            (Some(reply), _) => Err(reply),
            (None, Some(fault)) => Err(replies::text_fault(fault)),
            (None, None) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::codec::LineEndings;
    use super::*;

    fn receive(message: &[u8], declared: Option<u64>, limit: usize) -> (Transfer, usize) {
        let now = Instant::now();
        let mut transfer = Transfer::new(DataDecoder::for_data(LineEndings::Strict), limit, now);
        transfer.granted(transfer.first_grant(declared));
        let (mut at, mut grants) = (0, 0);
        loop {
            match transfer.take(&message[at..message.len().min(at + 16 * 1024)], now) {
                Taken::Octets(octets) => at += octets,
                Taken::End(_) => return (transfer, grants),
                Taken::NeedMemory(octets) => {
                    assert!(octets > transfer.granted_octets, "a grant makes room");
                    transfer.granted(octets);
                    grants += 1;
                }
            }
            assert!(transfer.message.len() <= transfer.granted_octets || transfer.refusal.is_some());
        }
    }

    #[test]
    fn a_small_declared_size_is_granted_once_and_any_other_in_few_steps() {
        let mut wire = b"0123456789\r\n".repeat(250_000);
        let size = wire.len();
        wire.extend_from_slice(b".\r\n");
        let (transfer, grants) = receive(&[&wire[..36_000], b".\r\n"].concat(), Some(36_000), 50 << 20);
        assert_eq!((transfer.message.len(), grants), (36_000, 0));
        let (transfer, grants) = receive(&wire, Some(size as u64), 50 << 20);
        assert_eq!(transfer.message.len(), size);
        assert!(grants < 10, "{grants}");
        let (transfer, _) = receive(b".\r\n", Some(50 << 20), 50 << 20);
        assert!(transfer.granted_octets <= MESSAGE_MEMORY_DECLARED_OCTETS + MESSAGE_MEMORY_SLACK_OCTETS);
        let (transfer, grants) = receive(&wire, None, 50 << 20);
        assert_eq!(transfer.message.len(), size);
        assert!(grants < 10, "{grants}");
    }

    #[test]
    fn what_passes_the_limit_is_read_and_not_kept() {
        let mut wire = b"0123456789\r\n".repeat(10_000);
        wire.extend_from_slice(b".\r\n");
        let (mut transfer, _) = receive(&wire, Some(10), 12 * 9_999);
        assert_eq!(
            (transfer.verdict(), transfer.message.capacity() < 64 * 1024),
            (Err(replies::TOO_LARGE), true)
        );
        let (mut transfer, _) = receive(&wire, Some(10), 12 * 10_000);
        assert_eq!((transfer.verdict(), transfer.message.len()), (Ok(()), 12 * 10_000));
    }

    #[test]
    fn what_nothing_was_granted_yet_is_asked_for() {
        let now = Instant::now();
        let mut transfer = Transfer::new(DataDecoder::for_chunks(LineEndings::Strict), 1000, now);
        let Taken::NeedMemory(octets) = transfer.take(b"text", now) else {
            panic!("no memory, and it was used")
        };
        transfer.granted(octets);
        assert_eq!(transfer.take(b"text", now), Taken::Octets(4));
    }

    #[test]
    fn an_octet_a_minute_is_not_enough() {
        let start = Instant::now();
        let mut transfer = Transfer::new(DataDecoder::for_data(LineEndings::Strict), 1000, start);
        transfer.granted(transfer.first_grant(None));
        let mut now = start;
        while now < transfer.deadline() {
            assert_eq!(transfer.take(b"a", now), Taken::Octets(1));
            now += Duration::from_secs(60);
        }
        assert!(now - start <= MESSAGE_WAIT + Duration::from_secs(60));
    }
}
