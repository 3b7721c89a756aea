//! The state of one client's session, without a socket: what it may do now, what it has been told
//! of its mailbox, and what it must be told next.

pub mod capability;
pub mod recent;
pub mod selected;
mod state;

pub use selected::Selected;
pub use state::{Enabled, Session, Stage};
