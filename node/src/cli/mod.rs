//! The command line, a client of the admin API.
