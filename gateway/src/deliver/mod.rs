//! From an accepted message to mailboxes and queue entries.
