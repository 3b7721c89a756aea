//! The states of RFC 9051 §3 and which commands are allowed in each.

use std::sync::Arc;

use sterna_storage::directory::Account;

use super::Selected;
use crate::imap::codec::command::Command;
use crate::imap::codec::mailbox_name::NameEncoding;
use crate::imap::status::Status;

/// What the client has switched on for the rest of the connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Enabled {
    /// `ENABLE IMAP4rev2`: UTF-8 names and ESEARCH.
    pub rev2: bool,
    /// A CONDSTORE enabling command (RFC 7162 §3.1): MODSEQ in each FETCH response.
    pub condstore: bool,
}

impl Enabled {
    /// How mailbox names are written.
    pub fn names(self) -> NameEncoding {
        if self.rev2 { NameEncoding::Utf8 } else { NameEncoding::ModifiedUtf7 }
    }
}

/// One client's session.
#[derive(Default)]
pub struct Session {
    /// Whose mail this is, once logged in.
    pub account: Option<Arc<Account>>,
    /// The mailbox that is open. Boxed: most connections of a server are idle, many without one.
    pub selected: Option<Box<Selected>>,
    /// What is switched on.
    pub enabled: Enabled,
}

/// The states of RFC 9051 §3, without Logout, which is the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Not authenticated.
    Greeted,
    /// Authenticated.
    LoggedIn,
    /// A mailbox is open.
    Selected,
}

impl Session {
    /// Where it stands.
    pub fn stage(&self) -> Stage {
        match (&self.account, &self.selected) {
            (None, _) => Stage::Greeted,
            (Some(_), None) => Stage::LoggedIn,
            (Some(_), Some(_)) => Stage::Selected,
        }
    }

    /// The account, where the stage has been checked.
    pub fn account(&self) -> &Arc<Account> {
        self.account.as_ref().expect("commands that need an account are refused before login")
    }

    /// The open mailbox, where the stage has been checked.
    pub fn selected(&mut self) -> &mut Selected {
        self.selected.as_mut().expect("commands that need a mailbox are refused before one is open")
    }

    /// Whether the command is allowed now.
    pub fn admits(&self, command: &Command) -> Result<(), Status> {
        let stage = self.stage();
        match needed(command) {
            Need::Nothing => Ok(()),
            Need::NoLogin if stage == Stage::Greeted => Ok(()),
            Need::NoLogin => Err(Status::bad("Already logged in")),
            Need::Login if stage >= Stage::LoggedIn => Ok(()),
            Need::Login => Err(Status::bad("Log in first")),
            Need::Mailbox if stage == Stage::Selected => Ok(()),
            Need::Mailbox => Err(Status::bad("No mailbox selected")),
        }
    }
}

enum Need {
    Nothing,
    NoLogin,
    Login,
    Mailbox,
}

fn needed(command: &Command) -> Need {
    match command {
        Command::Capability | Command::Noop | Command::Logout | Command::Id(_) => Need::Nothing,
        Command::StartTls | Command::Authenticate { .. } | Command::Login { .. } => Need::NoLogin,
        Command::Check
        | Command::Close
        | Command::Unselect
        | Command::Expunge(_)
        | Command::Search(_)
        | Command::Fetch(_)
        | Command::Store(_)
        | Command::Copy { .. } => Need::Mailbox,
        _ => Need::Login,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imap::codec::parse;

    #[test]
    fn nothing_of_a_mailbox_before_login() {
        let session = Session::default();
        for (line, admitted) in [
            ("a NOOP\r\n", true),
            ("a ID NIL\r\n", true),
            ("a LOGIN a b\r\n", true),
            ("a SELECT INBOX\r\n", false),
            ("a IDLE\r\n", false),
            ("a ENABLE CONDSTORE\r\n", false),
            ("a FETCH 1 FLAGS\r\n", false),
            ("a CLOSE\r\n", false),
        ] {
            let command = parse::command(line.as_bytes()).command.expect("valid");
            assert_eq!(session.admits(&command).is_ok(), admitted, "{line}");
        }
    }
}
