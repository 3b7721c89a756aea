//! Inbound policy of port 25 and of LMTP.
