//! How far long work is: a bar that is written over on a terminal; elsewhere a line now and then.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use crate::limits;

/// Cells of the bar.
const CELLS: u64 = 24;
/// How often a terminal is written to.
const DRAWN_EVERY: Duration = Duration::from_millis(100);

/// On standard error.
pub(super) struct Bar {
    is_terminal: bool,
    every: Duration,
    drawn: Option<Instant>,
    last: String,
}

impl Bar {
    pub(super) fn new() -> Self {
        let is_terminal = io::stderr().is_terminal();
        let every = if is_terminal { DRAWN_EVERY } else { limits::MOVE_TOLD };
        Self { is_terminal, every, drawn: None, last: String::new() }
    }

    /// Draws if it is time to. `part` is what is done and all there is, where that is known.
    pub(super) fn draw(&mut self, what: &str, part: Option<(u64, u64)>, words: &str) -> io::Result<()> {
        self.last = line(what, part, words);
        if self.drawn.is_some_and(|drawn| drawn.elapsed() < self.every) {
            return Ok(());
        }
        self.drawn = Some(Instant::now());
        self.write()
    }

    fn write(&mut self) -> io::Result<()> {
        let mut out = io::stderr();
        let line = std::mem::take(&mut self.last);
        match self.is_terminal {
            // Over the line before, and whatever of it is longer goes.
            true => write!(out, "\r{line}\x1b[K"),
            false => writeln!(out, "{line}"),
        }
    }

    /// Draws what was not drawn yet; whatever comes next has a line of its own.
    pub(super) fn end(&mut self) -> io::Result<()> {
        if !self.last.is_empty() {
            self.write()?;
        }
        let is_open = self.drawn.take().is_some() && self.is_terminal;
        if is_open { writeln!(io::stderr()) } else { Ok(()) }
    }
}

fn line(what: &str, part: Option<(u64, u64)>, words: &str) -> String {
    let Some((done, all)) = part else { return format!("{what}: {words}") };
    let of = |whole: u64| {
        (u128::from(done.min(all)) * u128::from(whole)).checked_div(all.into()).unwrap_or(whole.into())
    };
    let full = of(CELLS) as usize;
    let bar = format!("{}{}", "#".repeat(full), "-".repeat(CELLS as usize - full));
    format!("{what}: [{bar}] {:3} %  {words}", of(100))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_shows_the_part_that_is_done() {
        assert_eq!(line("a", None, "7 of them"), "a: 7 of them");
        assert_eq!(line("a", Some((0, 10)), "x"), format!("a: [{}]   0 %  x", "-".repeat(24)));
        assert_eq!(
            line("a", Some((5, 10)), "x"),
            format!("a: [{}{}]  50 %  x", "#".repeat(12), "-".repeat(12))
        );
        for whole in [(10, 10), (11, 10), (0, 0), (u64::MAX, u64::MAX)] {
            assert_eq!(line("a", Some(whole), "x"), format!("a: [{}] 100 %  x", "#".repeat(24)));
        }
    }
}
