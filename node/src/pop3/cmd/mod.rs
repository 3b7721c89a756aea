//! What each command does: one file each, RFC grammar in its doc.

mod auth;
mod capa;
mod dele;
mod dispatch;
mod list;
mod noop;
mod pass;
mod quit;
mod retr;
mod rset;
mod stat;
mod stls;
mod user;

pub(super) use auth::respond;
pub(super) use dispatch::run;
pub(super) use list::next_part;
pub(super) use pass::{opened, refusal};
pub(super) use quit::updated;
pub(super) use retr::{failed, follows};
