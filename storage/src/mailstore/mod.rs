//! Mailboxes and messages over the transaction interface.
