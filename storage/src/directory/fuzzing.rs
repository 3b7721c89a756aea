//! What must hold of whatever the directory reads back.

use bytes::Bytes;

use super::change::Change;
use super::key;
use super::stored::{
    AccountRecord, AddressRecord, DeletedAccountRecord, DomainRecord, NameRecord, SettingsRecord,
};
use crate::Result;
use crate::fuzzing::{Check, record, stable};

pub(crate) const CHECKS: &[Check] = &[
    record::<DomainRecord>,
    record::<AccountRecord>,
    record::<NameRecord>,
    record::<AddressRecord>,
    record::<DeletedAccountRecord>,
    record::<SettingsRecord>,
    record::<Change>,
    name,
];

fn name(octets: &Bytes) -> Result<()> {
    stable(octets, |octets| Ok(key::name(&key::read_name(octets)?)))
}
