//! How a password gets in: typed without an echo, one line of standard input, or made here. Never an
//! argument, which every user of the machine could read.

use std::io::{self, BufRead, IsTerminal, Write};

use anyhow::{Context, bail};
use rand::seq::IndexedRandom;
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use sterna_storage::types::Secret;
use zeroize::Zeroizing;

use super::arguments::PasswordSource;

/// A password and whether it was made here, so that it must be shown.
pub(super) struct Obtained {
    pub(super) password: Option<Secret<String>>,
    pub(super) was_made: bool,
}

/// Letters and digits that are not mistaken for each other.
const ALPHABET: &[u8] = b"abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";

/// Length of a made password: 20 of 56 characters are 116 bits.
const MADE_CHARACTERS: usize = 20;

const PASSWORD: &str = "password";

/// Most octets read from standard input.
const LINE_OCTETS: u64 = 4096;

pub(super) fn obtain(source: &PasswordSource) -> anyhow::Result<Obtained> {
    let given = |password| Obtained { password: Some(password), was_made: false };
    if source.no_password {
        return Ok(Obtained { password: None, was_made: false });
    }
    if source.generate {
        return Ok(Obtained { password: Some(make()), was_made: true });
    }
    if source.password_stdin {
        return Ok(given(line(PASSWORD, io::stdin().lock())?));
    }
    if !io::stdin().is_terminal() {
        bail!("no terminal to ask for the password: use --password-stdin, --generate or --no-password");
    }
    let (first, second) = (ask("Password: ")?, ask("Again: ")?);
    if first.expose() != second.expose() {
        bail!("the two are not the same");
    }
    Ok(given(first))
}

fn make() -> Secret<String> {
    let mut random = rand::rng();
    let mut character = || char::from(*ALPHABET.choose(&mut random).expect("an alphabet has letters"));
    Secret::new((0..MADE_CHARACTERS).map(|_| character()).collect())
}

/// One line of input, without its end: the secret of that name.
pub(super) fn line(what: &str, input: impl BufRead) -> anyhow::Result<Secret<String>> {
    let mut line = Zeroizing::new(String::new());
    input.take(LINE_OCTETS).read_line(&mut line).with_context(|| format!("reading the {what}"))?;
    let password = line.trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        bail!("the {what} is empty");
    }
    Ok(Secret::new(password.to_owned()))
}

/// Asks on the terminal, which does not show what is typed.
fn ask(prompt: &str) -> anyhow::Result<Secret<String>> {
    let stdin = io::stdin();
    let mut stderr = io::stderr();
    write!(stderr, "{prompt}")?;
    stderr.flush()?;
    let before = tcgetattr(&stdin)?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    tcsetattr(&stdin, OptionalActions::Flush, &silent)?;
    let line = line(PASSWORD, stdin.lock());
    tcsetattr(&stdin, OptionalActions::Flush, &before)?;
    writeln!(stderr)?;
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_password_without_its_end() {
        assert_eq!(
            line(PASSWORD, &b"correct horse \r\nmore"[..]).expect("a line").expose(),
            "correct horse "
        );
        for bad in [&b"\n"[..], b"", b"\xff\n"] {
            assert!(line(PASSWORD, bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn made_passwords_are_long_and_differ() {
        let (one, other) = (make(), make());
        assert_eq!(one.expose().len(), MADE_CHARACTERS);
        assert_ne!(one.expose(), other.expose());
    }
}
