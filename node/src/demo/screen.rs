//! What the demo shows. Standard output is its interface; nothing is logged.

use std::fmt::Display;
use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

/// Standard output, with emphasis where it is a terminal.
#[derive(Debug, Clone, Copy)]
pub(super) struct Screen {
    is_terminal: bool,
}

impl Screen {
    pub(super) fn new() -> Self {
        Self { is_terminal: io::stdout().is_terminal() }
    }

    /// A step of the story.
    pub(super) fn title(self, text: impl Display) -> io::Result<()> {
        self.line(format_args!("\n{}", self.styled("1", text)))
    }

    /// A line of its own.
    pub(super) fn line(self, text: impl Display) -> io::Result<()> {
        let mut output = io::stdout().lock();
        writeln!(output, "{text}")?;
        output.flush()
    }

    /// What the client of a dialogue says.
    pub(super) fn client_says(self, text: &str) -> io::Result<()> {
        self.line(format_args!("  C: {}", self.styled("36", text)))
    }

    /// What the server answers.
    pub(super) fn server_says(self, text: &str) -> io::Result<()> {
        self.line(format_args!("  S: {}", self.styled("32", text)))
    }

    fn styled(self, code: &str, text: impl Display) -> String {
        if self.is_terminal { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_string() }
    }
}

/// Seconds with one decimal, or milliseconds below one.
pub(super) fn duration(time: Duration) -> String {
    match time.as_millis() {
        millis @ 0..1000 => format!("{millis} ms"),
        millis => format!("{}.{} s", millis / 1000, millis % 1000 / 100),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_short() {
        assert_eq!(duration(Duration::from_millis(80)), "80 ms");
        assert_eq!(duration(Duration::from_millis(1290)), "1.2 s");
    }
}
