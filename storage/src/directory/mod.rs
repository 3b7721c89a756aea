//! Domains, accounts, aliases, credentials and keys; watchable.
