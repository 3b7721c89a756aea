//! Octets as people write them.

use std::fmt;
use std::str::FromStr;

/// A number of octets: `1048576`, `500MB` (powers of ten), `20GiB` (powers of two).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Octets(pub u64);

const UNITS: [(&str, u64); 9] = [
    ("kb", 1000),
    ("mb", 1_000_000),
    ("gb", 1_000_000_000),
    ("tb", 1_000_000_000_000),
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
    ("tib", 1 << 40),
    ("", 1),
];

impl FromStr for Octets {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no number of octets as 1048576, 500MB or 20GiB");
        let digits = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
        let number: u64 = text[..digits].parse().map_err(|_| wrong())?;
        let unit = text[digits..].trim().to_ascii_lowercase();
        let (_, factor) = UNITS.into_iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
        number.checked_mul(factor).map(Self).ok_or_else(wrong)
    }
}

impl fmt::Display for Octets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
        let mut value = self.0 as f64;
        let mut unit = 0;
        while value >= 1000.0 && unit + 1 < UNITS.len() {
            value /= 1000.0;
            unit += 1;
        }
        match unit {
            0 => write!(f, "{} B", self.0),
            _ => write!(f, "{value:.1} {}", UNITS[unit]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_and_written() {
        for (text, octets) in [("0", 0), ("1GB", 1_000_000_000), ("20GiB", 20 << 30), ("5 mb", 5_000_000)] {
            assert_eq!(text.parse(), Ok(Octets(octets)), "{text}");
        }
        for bad in ["", "GB", "-1", "1.5GB", "1PB", "99999999999999999999", "18446744073709551615kb"] {
            assert!(bad.parse::<Octets>().is_err(), "{bad}");
        }
        assert_eq!(Octets(999).to_string(), "999 B");
        assert_eq!(Octets(1_500_000).to_string(), "1.5 MB");
    }
}
