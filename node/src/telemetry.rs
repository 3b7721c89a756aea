//! Logs: plain or JSON lines on standard error. Nothing here sees passwords or bodies; types that hold
//! them print nothing.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

use crate::config::{LogFormat, LogSection};

/// It tells of each heartbeat that a node which is away does not answer; what matters of it is said by who asks it.
const QUIET: &str = "openraft=error";

/// Starts logging for the process. `RUST_LOG` goes before the configured level.
pub fn start(config: &LogSection) -> anyhow::Result<()> {
    let filter = match std::env::var("RUST_LOG") {
        Ok(directives) if !directives.is_empty() => filter(&directives)?,
        _ => filter(&config.level)?,
    };
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    let started = match config.format {
        LogFormat::Plain => lines.with_ansi(io::stderr().is_terminal()).try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| anyhow::anyhow!("logging was started already: {error}"))
}

/// What a later directive says goes before an earlier one for the same target.
fn filter(directives: &str) -> Result<EnvFilter, ParseError> {
    if directives.trim() == "off" {
        return EnvFilter::try_new(directives);
    }
    EnvFilter::try_new(format!("{QUIET},{directives}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_of_consensus_speaks_only_where_it_is_named() {
        let said = |level: &str| filter(level).expect("valid").to_string();
        assert!(said("debug").contains("openraft=error"), "{}", said("debug"));
        assert_eq!(said("off"), "off");
        let named = said("info,openraft=debug");
        assert!(named.contains("openraft=debug") && !named.contains("openraft=error"), "{named}");
    }
}
