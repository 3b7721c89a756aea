//! Which command goes where; and those that do next to nothing: RSET, NOOP, QUIT, VRFY, EXPN, HELP
//! (RFC 5321 §4.1.1.5 to §4.1.1.10).

use std::time::Instant;

use super::super::codec::Command;
use super::super::session::{Session, State, Step, replies};

impl<A> Session<A> {
    /// Does what the command says. `ascii`: whether its line had nothing else.
    pub(in crate::smtp) fn command(
        &mut self,
        command: Command,
        ascii: bool,
        now: Instant,
    ) -> Option<Step<A>> {
        let makes_mail = matches!(
            command,
            Command::Mail(..) | Command::Rcpt(..) | Command::Data | Command::Bdat { .. } | Command::Quit
        );
        if !makes_mail && self.is_idling() {
            return None;
        }
        match command {
            Command::Ehlo(name) => self.ehlo(name),
            Command::Helo(name) => self.helo(name),
            Command::Lhlo(name) => self.lhlo(name),
            Command::StartTls => self.starttls(),
            Command::Auth { mechanism, initial } => self.auth(&mechanism, initial.as_deref()),
            Command::Mail(sender, parameters) => self.mail(sender, parameters, ascii),
            Command::Rcpt(path, parameters) => self.rcpt(path, parameters, ascii),
            Command::Data => self.data_command(now),
            Command::Bdat { size_octets, last } => self.bdat(size_octets, last, now),
            Command::Rset => {
                self.reset();
                self.say(&replies::OK)
            }
            Command::Noop => self.say(&replies::OK),
            // RFC 5321 §3.5.3, §7.3: neither confirms nor denies.
            Command::Vrfy => self.say(&replies::CANNOT_VERIFY),
            Command::Expn => self.say(&replies::NOT_IMPLEMENTED),
            Command::Help => self.say(&replies::HELP),
            Command::Quit => {
                self.reply(&replies::BYE);
                self.reset();
                self.state = State::Closing;
                None
            }
        }
    }

    pub(super) fn say(&mut self, reply: &super::super::codec::Reply) -> Option<Step<A>> {
        self.reply(reply);
        None
    }
}
