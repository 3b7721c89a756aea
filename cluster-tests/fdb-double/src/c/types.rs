//! What goes over the border to C: handles, octets and flags.

use std::ffi::{c_int, c_void};
use std::sync::Arc;

use crate::errors::Code;
use crate::future::Future;

/// A handle: a counted reference in a pointer's clothes.
pub(super) type Handle = *mut c_void;

/// Gives a reference away.
pub(super) fn into_handle<T>(value: Arc<T>) -> Handle {
    Arc::into_raw(value).cast_mut().cast()
}

/// Lends what a handle stands for.
///
/// # Safety
/// The handle came from [`into_handle`] of this type and has not been taken back.
pub(super) unsafe fn lend<T>(handle: Handle) -> Arc<T> {
    // SAFETY: promised by the caller; the count is raised first, so that the handle stays good.
    unsafe {
        Arc::increment_strong_count(handle.cast::<T>());
        Arc::from_raw(handle.cast::<T>())
    }
}

/// Takes a reference back.
///
/// # Safety
/// As [`lend`]; the handle is not used any more.
pub(super) unsafe fn take_back<T>(handle: Handle) -> Arc<T> {
    // SAFETY: promised by the caller.
    unsafe { Arc::from_raw(handle.cast::<T>()) }
}

/// A copy of what C points at.
///
/// # Safety
/// There are `length` octets at `octets`, or it is null.
pub(super) unsafe fn copied(octets: *const u8, length: c_int) -> Vec<u8> {
    if octets.is_null() || length <= 0 {
        return Vec::new();
    }
    // SAFETY: promised by the caller.
    unsafe { std::slice::from_raw_parts(octets, length as usize) }.to_vec()
}

/// Puts an answer where C wants it.
///
/// # Safety
/// `place` may be written to.
pub(super) unsafe fn put<T>(place: *mut T, value: T) {
    // SAFETY: promised by the caller; places need not be aligned.
    unsafe { place.write_unaligned(value) }
}

/// A result as an error code, nothing being 0.
pub(super) fn code(result: Result<(), Code>) -> Code {
    result.err().unwrap_or(0)
}

/// A future for C.
pub(super) fn promised(future: Arc<Future>) -> Handle {
    into_handle(future)
}

/// `FDBKeyValue`: its header packs it to four octets.
#[derive(Debug, Clone, Copy)]
#[repr(C, packed(4))]
pub(crate) struct RawPair {
    key: *const u8,
    key_length: c_int,
    value: *const u8,
    value_length: c_int,
}

// SAFETY: it points at octets of vectors that are kept beside it and never change.
unsafe impl Send for RawPair {}
// SAFETY: as above.
unsafe impl Sync for RawPair {}

impl RawPair {
    /// Points at both; good for as long as their octets stay where they are.
    pub(crate) fn new(key: &[u8], value: &[u8]) -> Self {
        let length = |octets: &[u8]| c_int::try_from(octets.len()).expect("a bounded length");
        Self {
            key: key.as_ptr(),
            key_length: length(key),
            value: value.as_ptr(),
            value_length: length(value),
        }
    }
}
