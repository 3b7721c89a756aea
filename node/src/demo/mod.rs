//! `sterna demo`: one command that shows the whole path.
