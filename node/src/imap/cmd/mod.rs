//! What each command does, over the mail store. One command, one file; `call` is what they all get,
//! `dispatch` picks the file.

mod append;
mod binary;
pub(crate) mod call;
mod close;
mod copy;
mod create;
mod delete;
pub(crate) mod dispatch;
mod enable;
mod expunge;
mod fetch;
mod fetch_facts;
mod id;
mod list;
mod list_pattern;
mod lsub;
mod namespace;
mod noop;
mod rename;
mod search;
mod search_key;
mod section;
mod select;
mod status;
mod store;
mod subscribe;

pub(crate) use append::{admit as admit_append, run as append};
