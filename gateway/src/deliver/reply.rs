//! What an error of storage is to an SMTP client: generic to the peer, detail to the log. The one place.

use sterna_storage::Error;

use crate::smtp::codec::{EnhancedCode as E, Reply};

/// Another try may succeed; nothing was kept.
pub const TRY_AGAIN: Reply = Reply::new(451, E(4, 3, 0), "Temporary failure, try again");
/// There is no room on this system now; nothing was kept.
pub const NO_ROOM: Reply = Reply::new(452, E(4, 3, 1), "Not enough storage now, try again");
/// The recipient's mailbox is full.
pub const MAILBOX_FULL: Reply = Reply::new(452, E(4, 2, 2), "Mailbox full");
/// No such recipient.
pub const NO_SUCH_USER: Reply = Reply::new(550, E(5, 1, 1), "No such user here");

/// The reply for a message or recipient that could not be taken because of `error`.
pub fn of(error: &Error) -> Reply {
    match error {
        Error::OverQuota(_) => MAILBOX_FULL,
        Error::NotFound(_) => NO_SUCH_USER,
        Error::TooLarge(_) => Reply::new(552, E(5, 3, 4), "Message too large"),
        Error::Overloaded(_) | Error::Full(_) => NO_ROOM,
        Error::Closed => Reply::new(451, E(4, 3, 2), "Shutting down, try again"),
        _ => TRY_AGAIN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_from_other_trouble() {
        let full = Error::from(std::io::Error::from_raw_os_error(28));
        assert_eq!((of(&full).code(), of(&full).enhanced()), (452, Some(E(4, 3, 1))));
        assert_eq!(of(&Error::Unavailable("bucket away".into())).code(), 451);
        assert_eq!(of(&Error::OverQuota("account".into())).enhanced(), Some(E(4, 2, 2)));
        assert!(!of(&Error::Corrupt("x".into())).text().contains('x'), "detail stays in the log");
    }
}
