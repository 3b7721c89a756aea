//! What is wrong with a configuration, and where.

use std::fmt;
use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::bounds::Wrong;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// Line of the file, from 1; `None` where it is not about a line.
    pub line: Option<usize>,
    /// The key by its path, `smtp.recipients`; empty where it is about no key.
    pub key: String,
    /// What is wrong with it.
    pub message: String,
}

/// Everything that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors {
    file: Option<String>,
    /// At least one.
    pub errors: Vec<ConfigError>,
}

impl ConfigErrors {
    pub(super) fn of_file(path: &Path, message: String) -> Self {
        let errors = vec![ConfigError { line: None, key: String::new(), message }];
        Self { file: None, errors }.within(path)
    }

    /// What the parser says: syntax, types, unknown keys.
    pub(super) fn of_toml(text: &str, error: &toml::de::Error) -> Self {
        let span = error.span().unwrap_or(0..0);
        let line = Some(line_of(text, span.start));
        let key = DeTable::parse(text).ok().and_then(|table| key_at(table.get_ref(), &span));
        let error = ConfigError { line, key: key.unwrap_or_default(), message: error.message().to_owned() };
        Self { file: None, errors: vec![error] }
    }

    /// What our checks say of keys.
    pub(super) fn of_keys(text: &str, wrong: Vec<Wrong>) -> Self {
        let table = DeTable::parse(text).ok();
        let locate = |key: &str| table.as_ref().and_then(|table| place_of(table.get_ref(), key));
        let error = |(key, message): Wrong| ConfigError {
            line: locate(key).map(|at| line_of(text, at)),
            key: key.to_owned(),
            message,
        };
        Self { file: None, errors: wrong.into_iter().map(error).collect() }
    }

    pub(super) fn within(self, path: &Path) -> Self {
        Self { file: Some(path.display().to_string()), ..self }
    }
}

impl std::error::Error for ConfigErrors {}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.errors.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            match &self.file {
                Some(file) => write!(f, "{file}")?,
                None => write!(f, "configuration")?,
            }
            if let Some(line) = error.line {
                write!(f, ":{line}")?;
            }
            if !error.key.is_empty() {
                write!(f, ": {}", error.key)?;
            }
            write!(f, ": {}", error.message.trim_end())?;
        }
        Ok(())
    }
}

fn line_of(text: &str, at: usize) -> usize {
    1 + text.as_bytes()[..at.min(text.len())].iter().filter(|octet| **octet == b'\n').count()
}

/// Where the key of that path stands, or the nearest table above it.
fn place_of(table: &DeTable<'_>, path: &str) -> Option<usize> {
    let (first, rest) = path.split_once('.').unwrap_or((path, ""));
    let (key, value) = table.iter().find(|(key, _)| key.get_ref() == first)?;
    let inner = match value.get_ref() {
        DeValue::Table(table) if !rest.is_empty() => place_of(table, rest),
        _ => None,
    };
    Some(inner.unwrap_or(key.span().start))
}

/// The path of the deepest key whose own place or value holds the span.
fn key_at(table: &DeTable<'_>, span: &Range<usize>) -> Option<String> {
    let holds = |outer: Range<usize>| outer.start <= span.start && span.end <= outer.end;
    for (key, value) in table.iter() {
        let name = key.get_ref();
        if holds(key.span()) {
            return Some(name.to_string());
        }
        if let Some(inner) = within_value(value, span) {
            return Some(format!("{name}.{inner}"));
        }
        if holds(value.span()) {
            return Some(name.to_string());
        }
    }
    None
}

/// A section's own span is its header alone, so its keys are looked at whatever that says.
fn within_value(value: &Spanned<DeValue<'_>>, span: &Range<usize>) -> Option<String> {
    match value.get_ref() {
        DeValue::Table(table) => key_at(table, span),
        _ => None,
    }
}
