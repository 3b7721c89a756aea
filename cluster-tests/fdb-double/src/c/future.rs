//! Futures.

use std::ffi::{c_char, c_int, c_void};

use super::types::{Handle, RawPair, lend, put, take_back};
use crate::errors::{self, Code};
use crate::future::{Future, Output};

type Callback = Option<unsafe extern "C" fn(Handle, *mut c_void)>;

/// What a callback is called with.
struct Waiter {
    function: unsafe extern "C" fn(Handle, *mut c_void),
    future: Handle,
    parameter: *mut c_void,
}

// SAFETY: who registers a callback agrees that the network thread calls it with its parameter.
unsafe impl Send for Waiter {}

impl Waiter {
    fn call(self) {
        // SAFETY: function and parameter were given for this; the handle may have been destroyed meanwhile, as
        // FoundationDB's own may: callbacks use it as a name.
        unsafe { (self.function)(self.future, self.parameter) }
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdb_future_destroy(future: Handle) {
    // SAFETY: a future's handle, which is given up here.
    unsafe { take_back::<Future>(future) }.cancel();
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdb_future_is_ready(future: Handle) -> c_int {
    // SAFETY: a future's handle.
    unsafe { lend::<Future>(future) }.result().is_some().into()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdb_future_set_callback(
    future: Handle,
    callback: Callback,
    parameter: *mut c_void,
) -> Code {
    let Some(function) = callback else { return errors::CLIENT_INVALID_OPERATION };
    let waiter = Waiter { function, future, parameter };
    // SAFETY: a future's handle.
    unsafe { lend::<Future>(future) }.call(Box::new(move || waiter.call()));
    0
}

/// Looks at a result. It stays where it is for as long as the future lives, so that `read` may lend it out.
///
/// # Safety
/// A future's handle.
unsafe fn with(future: Handle, read: impl FnOnce(&Output) -> bool) -> Code {
    // SAFETY: promised by the caller.
    match unsafe { lend::<Future>(future) }.result() {
        Some(Ok(output)) if read(output) => 0,
        Some(Err(code)) => *code,
        // Another kind of result, or none yet.
        Some(Ok(_)) | None => errors::CLIENT_INVALID_OPERATION,
    }
}

fn length(octets: &[u8]) -> c_int {
    c_int::try_from(octets.len()).expect("a bounded length")
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdb_future_get_error(future: Handle) -> Code {
    // SAFETY: a future's handle.
    unsafe { with(future, |_| true) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdb_future_get_int64(future: Handle, out: *mut i64) -> Code {
    let read = |output: &Output| {
        let Output::Number(number) = output else { return false };
        // SAFETY: C's place for the answer.
        unsafe { put(out, *number) };
        true
    };
    // SAFETY: a future's handle.
    unsafe { with(future, read) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdb_future_get_key(future: Handle, key: *mut *const u8, size: *mut c_int) -> Code {
    let read = |output: &Output| {
        let Output::Key(octets) = output else { return false };
        // SAFETY: C's places for the answer.
        unsafe {
            put(key, octets.as_ptr());
            put(size, length(octets));
        }
        true
    };
    // SAFETY: a future's handle.
    unsafe { with(future, read) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdb_future_get_value(
    future: Handle,
    present: *mut c_int,
    value: *mut *const u8,
    size: *mut c_int,
) -> Code {
    let read = |output: &Output| {
        let Output::Value(found) = output else { return false };
        let octets = found.as_deref().unwrap_or_default();
        // SAFETY: C's places for the answer.
        unsafe {
            put(present, found.is_some().into());
            put(value, octets.as_ptr());
            put(size, length(octets));
        }
        true
    };
    // SAFETY: a future's handle.
    unsafe { with(future, read) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdb_future_get_keyvalue_array(
    future: Handle,
    pairs: *mut *const RawPair,
    count: *mut c_int,
    more: *mut c_int,
) -> Code {
    let read = |output: &Output| {
        let Output::Pairs { raw, more: has_more, .. } = output else { return false };
        // SAFETY: C's places for the answer.
        unsafe {
            put(pairs, raw.as_ptr());
            put(count, c_int::try_from(raw.len()).expect("a bounded number"));
            put(more, (*has_more).into());
        }
        true
    };
    // SAFETY: a future's handle.
    unsafe { with(future, read) }
}

// What no future of the double holds: its makers fail with `unsupported_operation`.

#[unsafe(no_mangle)]
extern "C" fn fdb_future_get_key_array(_: Handle, _: *mut *const c_void, _: *mut c_int) -> Code {
    errors::UNSUPPORTED_OPERATION
}

#[unsafe(no_mangle)]
extern "C" fn fdb_future_get_string_array(_: Handle, _: *mut *mut *const c_char, _: *mut c_int) -> Code {
    errors::UNSUPPORTED_OPERATION
}

#[unsafe(no_mangle)]
extern "C" fn fdb_future_get_mappedkeyvalue_array(
    _: Handle,
    _: *mut *const c_void,
    _: *mut c_int,
    _: *mut c_int,
) -> Code {
    errors::UNSUPPORTED_OPERATION
}
