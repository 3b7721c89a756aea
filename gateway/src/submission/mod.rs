//! Inbound policy of ports 587 and 465.
