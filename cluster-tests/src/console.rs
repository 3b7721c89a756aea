//! What a test is asked for by its environment, and what it tells whoever looks on.

use std::io::Write as _;

/// A number that the environment says.
pub fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// Also when the test goes well, which cargo's capture would hide.
pub fn tell(text: &str) {
    // Nobody may look on.
    let _ = writeln!(std::io::stderr(), "{text}");
}
