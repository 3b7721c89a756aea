//! A transaction, as its client sees it: [`state`] (what it holds), [`read`], [`write`], and [`end`] (commit,
//! retries, timeouts). Every call is carried out on the network thread, in the order of the calls.

mod end;
mod read;
mod state;
mod write;

pub(crate) use state::Transaction;
