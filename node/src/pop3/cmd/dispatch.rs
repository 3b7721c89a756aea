//! From the command to its file, by state: a command in the wrong state is an error (RFC 1939 §3).

use bytes::BytesMut;

use super::{auth, capa, dele, list, noop, pass, quit, retr, rset, stat, stls, user};
use crate::pop3::codec::{Command, err};
use crate::pop3::maildrop::NoMessage;
use crate::pop3::session::{ListingKind, Session, State, Step};

/// Runs one command.
pub(in crate::pop3) fn run(session: &mut Session, command: Command<'_>, output: &mut BytesMut) -> Step {
    match (command, &session.state) {
        (Command::Capa, _) => capa::capa(session, output),
        (Command::Quit, _) => quit::quit(session, output),
        (_, State::Authorization { .. }) => authorize(session, command, output),
        _ => transact(session, command, output).unwrap_or_else(|error| {
            err(output, None, error);
            Step::Continue
        }),
    }
}

/// The commands of the AUTHORIZATION state.
fn authorize(session: &mut Session, command: Command<'_>, output: &mut BytesMut) -> Step {
    match command {
        Command::Mechanisms => auth::mechanisms(session, output),
        Command::Auth { mechanism, initial_response } => {
            auth::auth(session, mechanism, initial_response, output)
        }
        Command::Stls => stls::stls(session, output),
        Command::User(name) => user::user(session, name, output),
        Command::Pass(password) => pass::pass(session, password, output),
        _ => session.error("log in first", output),
    }
}

/// The commands of the TRANSACTION state.
fn transact(session: &mut Session, command: Command<'_>, output: &mut BytesMut) -> Result<Step, NoMessage> {
    let State::Transaction(maildrop) = &mut session.state else {
        return Ok(session.error("command not possible now", output));
    };
    match command {
        Command::Dele(message) => dele::dele(maildrop, message, output),
        Command::List(message) => list::list(maildrop, ListingKind::Sizes, message, output),
        Command::Uidl(message) => list::list(maildrop, ListingKind::UniqueIds, message, output),
        Command::Retr(message) => retr::retr(maildrop, message, None),
        Command::Top { message, lines } => retr::retr(maildrop, message, Some(lines)),
        Command::Stat => Ok(stat::stat(maildrop, output)),
        Command::Rset => Ok(rset::rset(maildrop, output)),
        Command::Noop => Ok(noop::noop(output)),
        _ => Ok(session.error("you are logged in already", output)),
    }
}
