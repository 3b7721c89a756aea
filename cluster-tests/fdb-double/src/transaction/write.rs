//! Writes. What is wrong with one is told by the next read or the commit.

use std::sync::Arc;

use super::state::{State, Transaction};
use crate::atomic::{Operation, VALUE_OCTETS};
use crate::errors::{self, Code};
use crate::history::{Mutation, Range, after};
use crate::view::END;

/// Longest key that there can be.
const KEY_OCTETS: usize = 10_000;

impl Transaction {
    /// `fdb_transaction_set`.
    pub(crate) fn set(self: &Arc<Self>, key: Vec<u8>, value: Vec<u8>) {
        self.act(move |state| write_key(state, Mutation::Set(key.clone(), value.clone()), &key, &value));
    }

    /// `fdb_transaction_clear`.
    pub(crate) fn clear(self: &Arc<Self>, key: Vec<u8>) {
        self.act(move |state| {
            // A key that is too long cannot be there.
            if key.len() > KEY_OCTETS {
                return Ok(());
            }
            write_key(state, Mutation::Clear(key.clone()), &key, &[])
        });
    }

    /// `fdb_transaction_clear_range`.
    pub(crate) fn clear_range(self: &Arc<Self>, (begin, end): Range) {
        self.act(move |state| {
            if begin > end {
                return Err(errors::INVERTED_RANGE);
            }
            check_range(state, &begin, &end)?;
            let range = (cut(begin), cut(end));
            if range.0 < range.1 {
                conflict(state, range.clone());
                write(state, Mutation::ClearRange(range));
            }
            Ok(())
        });
    }

    /// `fdb_transaction_atomic_op`.
    pub(crate) fn atomic(self: &Arc<Self>, key: Vec<u8>, operand: Vec<u8>, operation: u32) {
        self.act(move |state| match operation {
            14 => {
                let (template, at) = placed(&key)?;
                check_write(state, &key, &operand)?;
                // What it conflicts with is known when it commits.
                write(state, Mutation::StampedKey(template, at, operand));
                Ok(())
            }
            15 => {
                let (value, at) = placed(&operand)?;
                write_key(state, Mutation::StampedValue(key.clone(), value, at), &key, &operand)
            }
            number => {
                let operation = Operation::numbered(number)?;
                write_key(state, Mutation::Atomic(key.clone(), operation, operand.clone()), &key, &operand)
            }
        });
    }

    /// `fdb_transaction_add_conflict_range`.
    pub(crate) fn add_conflict(self: &Arc<Self>, (begin, end): Range, writes: bool) {
        self.act(move |state| {
            check_range(state, &begin, &end)?;
            let range = (cut(begin), cut(end));
            if range.0 < range.1 {
                let ranges = if writes { &mut state.write_conflicts } else { &mut state.read_conflicts };
                ranges.push(range);
            }
            Ok(())
        });
    }

    /// `fdb_transaction_set_read_version`.
    pub(crate) fn set_read_version(self: &Arc<Self>, version: i64) {
        self.act(move |state| match (version, state.read_version) {
            (..=0, _) => Err(errors::VERSION_INVALID),
            (_, Some(_)) => Err(errors::READ_VERSION_ALREADY_SET),
            _ => {
                state.read_version = Some(version);
                Ok(())
            }
        });
    }
}

fn write_key(state: &mut State, mutation: Mutation, key: &[u8], value: &[u8]) -> Result<(), Code> {
    check_write(state, key, value)?;
    conflict(state, (key.to_vec(), after(key)));
    write(state, mutation);
    Ok(())
}

fn write(state: &mut State, mutation: Mutation) {
    if !state.options.own_writes_unseen {
        state.overlay.push(&mutation);
    }
    state.mutations.push(mutation);
}

fn conflict(state: &mut State, range: Range) {
    if !std::mem::take(&mut state.options.next_write_without_conflict) {
        state.write_conflicts.push(range);
    }
}

fn check_write(state: &State, key: &[u8], value: &[u8]) -> Result<(), Code> {
    match () {
        () if key >= END && !state.options.system_keys => Err(errors::KEY_OUTSIDE_LEGAL_RANGE),
        () if key.len() > KEY_OCTETS => Err(errors::KEY_TOO_LARGE),
        () if value.len() > VALUE_OCTETS => Err(errors::VALUE_TOO_LARGE),
        () => Ok(()),
    }
}

fn check_range(state: &State, begin: &[u8], end: &[u8]) -> Result<(), Code> {
    let outside = (begin > END || end > END) && !state.options.system_keys;
    if outside { Err(errors::KEY_OUTSIDE_LEGAL_RANGE) } else { Ok(()) }
}

/// No key is longer than the longest: a longer border stands for the one just behind it.
fn cut(mut key: Vec<u8>) -> Vec<u8> {
    key.truncate(KEY_OCTETS + 1);
    key
}

/// What holds a versionstamp ends in four octets that say where, little-endian.
fn placed(octets: &[u8]) -> Result<(Vec<u8>, usize), Code> {
    let (template, at) = octets.split_last_chunk::<4>().ok_or(errors::CLIENT_INVALID_OPERATION)?;
    let at = u32::from_le_bytes(*at) as usize;
    if at + 10 > template.len() { Err(errors::CLIENT_INVALID_OPERATION) } else { Ok((template.to_vec(), at)) }
}
