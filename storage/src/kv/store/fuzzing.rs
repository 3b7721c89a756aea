//! What must hold of whatever the engine reads back: log entries, places, and keys of its own.

use bytes::Bytes;

use super::entry::{Batch, Builder, Write};
use super::values::{self, Stored};
use crate::Result;
use crate::fuzzing::{Check, stable};
use crate::kv::engine::{Mutation, Version};
use crate::kv::key::{KeyReader, KeyWriter};

pub(crate) const CHECKS: &[Check] = &[entry, value, key];

fn entry(octets: &Bytes) -> Result<()> {
    let batch = Batch::decode(octets)?;
    for write in batch.transactions.iter().flatten() {
        if let Write::Set(_, value, at) = write {
            assert_eq!(&octets[*at..*at + value.len()], value);
        }
    }
    // A transaction's values are all inline or none is: what mixes them was not written by the builder.
    let Some(written) = again(&batch) else { return Ok(()) };
    let read = Batch::decode(&written).expect("own form");
    assert_eq!(again(&read).expect("not mixed"), written);
    assert_eq!((read.first, read.last()), (batch.first, batch.last()));
    Ok(())
}

fn again(batch: &Batch) -> Option<Bytes> {
    let mut builder = Builder::new(&[], batch.first);
    for (number, writes) in (0..).zip(&batch.transactions) {
        let inline = writes.iter().any(|write| matches!(write, Write::SetInline(..)));
        if inline && writes.iter().any(|write| matches!(write, Write::Set(..))) {
            return None;
        }
        let mutations: Vec<Mutation> = writes.iter().map(mutation).collect();
        builder.push(&mutations, Version(batch.first.0 + number), inline);
    }
    Some(builder.finish())
}

fn mutation(write: &Write) -> Mutation {
    match write.clone() {
        Write::Set(key, value, _) | Write::SetInline(key, value) => Mutation::Set(key, value),
        Write::Clear(key) => Mutation::Clear(key),
        Write::ClearRange(range) => Mutation::ClearRange(range),
        Write::Add(key, delta) => Mutation::Add(key, delta),
        Write::Max(key, value) => Mutation::Max(key, value),
        Write::Min(key, value) => Mutation::Min(key, value),
    }
}

fn value(octets: &Bytes) -> Result<()> {
    stable(octets, |octets| {
        Ok(match values::decode(octets)? {
            Stored::Inline(value) => values::inline(&value).into(),
            Stored::Place(place) => {
                assert_eq!(values::place_of(&values::place_key(place.position)), Some(place.position));
                Bytes::copy_from_slice(&place.encode())
            }
        })
    })
}

/// The parts of a key: a text, octets, a number.
fn key(octets: &Bytes) -> Result<()> {
    stable(octets, |octets| {
        let mut reader = KeyReader::new(octets, 1)?;
        let (text, part, number) = (reader.text()?, reader.octets()?, reader.u64()?);
        Ok(KeyWriter::new(1).text(&text).octets(&part).u64(number).finish())
    })
}
