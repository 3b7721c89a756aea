//! Entries, due index and claims of the outbound queue: durability only.
