//! Listeners with permits, TLS, drain, and the octet budget of all sessions.
