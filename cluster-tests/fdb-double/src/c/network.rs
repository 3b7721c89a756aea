//! Errors, the version of the interface, the network thread.

use std::ffi::{c_char, c_int};
use std::sync::atomic::{AtomicI32, Ordering};

use super::types::code;
use crate::errors::{self, Code};
use crate::network;

/// What is spoken here: that of FoundationDB 7.3.
const API_VERSION: c_int = 730;

static SELECTED: AtomicI32 = AtomicI32::new(0);

#[unsafe(no_mangle)]
extern "C" fn fdb_get_error(code: Code) -> *const c_char {
    errors::text(code).as_ptr().cast()
}

#[unsafe(no_mangle)]
extern "C" fn fdb_error_predicate(test: c_int, code: Code) -> c_int {
    errors::predicate(test, code).into()
}

#[unsafe(no_mangle)]
extern "C" fn fdb_get_max_api_version() -> c_int {
    API_VERSION
}

#[unsafe(no_mangle)]
extern "C" fn fdb_select_api_version_impl(runtime: c_int, header: c_int) -> Code {
    if runtime != API_VERSION || header != API_VERSION {
        return errors::API_VERSION_NOT_SUPPORTED;
    }
    match SELECTED.swap(runtime, Ordering::SeqCst) {
        0 => 0,
        _ => errors::API_VERSION_ALREADY_SET,
    }
}

#[unsafe(no_mangle)]
extern "C" fn fdb_network_set_option(_option: u32, _value: *const u8, _length: c_int) -> Code {
    0
}

#[unsafe(no_mangle)]
extern "C" fn fdb_setup_network() -> Code {
    if SELECTED.load(Ordering::SeqCst) == 0 {
        return errors::API_VERSION_UNSET;
    }
    code(network::set_up())
}

#[unsafe(no_mangle)]
extern "C" fn fdb_run_network() -> Code {
    code(network::run())
}

#[unsafe(no_mangle)]
extern "C" fn fdb_stop_network() -> Code {
    code(network::stop())
}
