//! Transactions.

use std::ffi::c_int;
use std::sync::Arc;

use super::types::{Handle, code, copied, lend, promised, put, take_back};
use crate::errors::{self, Code};
use crate::future::Future;
use crate::transaction::Transaction;
use crate::view::{Limits, Selector};

/// # Safety
/// A transaction's handle.
unsafe fn transaction(handle: Handle) -> Arc<Transaction> {
    // SAFETY: promised by the caller.
    unsafe { lend(handle) }
}

/// # Safety
/// There are so many octets of each.
unsafe fn pair(one: (*const u8, c_int), other: (*const u8, c_int)) -> (Vec<u8>, Vec<u8>) {
    // SAFETY: promised by the caller.
    unsafe { (copied(one.0, one.1), copied(other.0, other.1)) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdb_transaction_destroy(tr: Handle) {
    // SAFETY: a transaction's handle, which is given up here.
    unsafe { take_back::<Transaction>(tr) }.reset();
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdb_transaction_cancel(tr: Handle) {
    // SAFETY: a transaction's handle.
    unsafe { transaction(tr) }.cancel();
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdb_transaction_reset(tr: Handle) {
    // SAFETY: a transaction's handle.
    unsafe { transaction(tr) }.reset();
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdb_transaction_set_option(
    tr: Handle,
    option: u32,
    value: *const u8,
    length: c_int,
) -> Code {
    // SAFETY: a transaction's handle, and octets of C's.
    let (transaction, value) = unsafe { (transaction(tr), copied(value, length)) };
    code(transaction.set_option(option, &value))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdb_transaction_set_read_version(tr: Handle, version: i64) {
    // SAFETY: a transaction's handle.
    unsafe { transaction(tr) }.set_read_version(version);
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdb_transaction_get_read_version(tr: Handle) -> Handle {
    // SAFETY: a transaction's handle.
    promised(unsafe { transaction(tr) }.read_version())
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdb_transaction_get(
    tr: Handle,
    key: *const u8,
    length: c_int,
    snapshot: c_int,
) -> Handle {
    // SAFETY: a transaction's handle, and octets of C's.
    let (transaction, key) = unsafe { (transaction(tr), copied(key, length)) };
    promised(transaction.get(key, snapshot != 0))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdb_transaction_get_key(
    tr: Handle,
    key: *const u8,
    length: c_int,
    or_equal: c_int,
    offset: c_int,
    snapshot: c_int,
) -> Handle {
    // SAFETY: a transaction's handle, and octets of C's.
    let (transaction, key) = unsafe { (transaction(tr), copied(key, length)) };
    promised(transaction.get_key(Selector { key, or_equal: or_equal != 0, offset }, snapshot != 0))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdb_transaction_get_range(
    tr: Handle,
    begin: *const u8,
    begin_length: c_int,
    begin_or_equal: c_int,
    begin_offset: c_int,
    end: *const u8,
    end_length: c_int,
    end_or_equal: c_int,
    end_offset: c_int,
    limit: c_int,
    target_octets: c_int,
    mode: c_int,
    iteration: c_int,
    snapshot: c_int,
    reverse: c_int,
) -> Handle {
    // SAFETY: a transaction's handle.
    let transaction = unsafe { transaction(tr) };
    // SAFETY: octets of C's.
    let (begin, end) = unsafe { pair((begin, begin_length), (end, end_length)) };
    let begin = Selector { key: begin, or_equal: begin_or_equal != 0, offset: begin_offset };
    let end = Selector { key: end, or_equal: end_or_equal != 0, offset: end_offset };
    promised(match Limits::new(limit, target_octets, mode, iteration) {
        Ok(limits) => transaction.get_range((begin, end), limits, (snapshot != 0, reverse != 0)),
        Err(code) => Future::failing(code),
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdb_transaction_set(
    tr: Handle,
    key: *const u8,
    key_length: c_int,
    value: *const u8,
    value_length: c_int,
) {
    // SAFETY: a transaction's handle, and octets of C's.
    let (transaction, (key, value)) =
        unsafe { (transaction(tr), pair((key, key_length), (value, value_length))) };
    transaction.set(key, value);
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdb_transaction_atomic_op(
    tr: Handle,
    key: *const u8,
    key_length: c_int,
    operand: *const u8,
    operand_length: c_int,
    operation: u32,
) {
    // SAFETY: a transaction's handle, and octets of C's.
    let (transaction, (key, operand)) =
        unsafe { (transaction(tr), pair((key, key_length), (operand, operand_length))) };
    transaction.atomic(key, operand, operation);
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdb_transaction_clear(tr: Handle, key: *const u8, length: c_int) {
    // SAFETY: a transaction's handle, and octets of C's.
    let (transaction, key) = unsafe { (transaction(tr), copied(key, length)) };
    transaction.clear(key);
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdb_transaction_clear_range(
    tr: Handle,
    begin: *const u8,
    begin_length: c_int,
    end: *const u8,
    end_length: c_int,
) {
    // SAFETY: a transaction's handle, and octets of C's.
    let (transaction, range) = unsafe { (transaction(tr), pair((begin, begin_length), (end, end_length))) };
    transaction.clear_range(range);
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdb_transaction_watch(tr: Handle, key: *const u8, length: c_int) -> Handle {
    // SAFETY: a transaction's handle, and octets of C's.
    let (transaction, key) = unsafe { (transaction(tr), copied(key, length)) };
    promised(transaction.watch(key))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdb_transaction_add_conflict_range(
    tr: Handle,
    begin: *const u8,
    begin_length: c_int,
    end: *const u8,
    end_length: c_int,
    kind: u32,
) -> Code {
    // SAFETY: a transaction's handle, and octets of C's.
    let (transaction, range) = unsafe { (transaction(tr), pair((begin, begin_length), (end, end_length))) };
    if range.0 > range.1 {
        return errors::INVERTED_RANGE;
    }
    match kind {
        0 | 1 => transaction.add_conflict(range, kind == 1),
        _ => return errors::CLIENT_INVALID_OPERATION,
    }
    0
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdb_transaction_commit(tr: Handle) -> Handle {
    // SAFETY: a transaction's handle.
    promised(unsafe { transaction(tr) }.commit())
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdb_transaction_get_committed_version(tr: Handle, out: *mut i64) -> Code {
    // SAFETY: a transaction's handle, and C's place for the answer.
    unsafe { put(out, transaction(tr).committed_version()) };
    0
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdb_transaction_get_versionstamp(tr: Handle) -> Handle {
    // SAFETY: a transaction's handle.
    promised(unsafe { transaction(tr) }.versionstamp())
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdb_transaction_get_approximate_size(tr: Handle) -> Handle {
    // SAFETY: a transaction's handle.
    promised(unsafe { transaction(tr) }.approximate_size())
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdb_transaction_on_error(tr: Handle, code: Code) -> Handle {
    // SAFETY: a transaction's handle.
    promised(unsafe { transaction(tr) }.on_error(code))
}

// What the double does not do. The bindings link to it; Sterna does not call it.

fn unsupported() -> Handle {
    promised(Future::failing(errors::UNSUPPORTED_OPERATION))
}

#[unsafe(no_mangle)]
extern "C" fn fdb_transaction_get_addresses_for_key(_: Handle, _: *const u8, _: c_int) -> Handle {
    unsupported()
}

#[unsafe(no_mangle)]
extern "C" fn fdb_transaction_get_estimated_range_size_bytes(
    _: Handle,
    _: *const u8,
    _: c_int,
    _: *const u8,
    _: c_int,
) -> Handle {
    unsupported()
}

#[unsafe(no_mangle)]
extern "C" fn fdb_transaction_get_range_split_points(
    _: Handle,
    _: *const u8,
    _: c_int,
    _: *const u8,
    _: c_int,
    _: i64,
) -> Handle {
    unsupported()
}

#[unsafe(no_mangle)]
extern "C" fn fdb_transaction_get_mapped_range(
    _: Handle,
    _: *const u8,
    _: c_int,
    _: c_int,
    _: c_int,
    _: *const u8,
    _: c_int,
    _: c_int,
    _: c_int,
    _: *const u8,
    _: c_int,
    _: c_int,
    _: c_int,
    _: c_int,
    _: c_int,
    _: c_int,
    _: c_int,
) -> Handle {
    unsupported()
}
