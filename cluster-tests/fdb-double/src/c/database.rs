//! Databases.

use std::ffi::{CStr, OsStr, c_char, c_int};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use super::types::{Handle, code, copied, into_handle, lend, promised, put, take_back};
use crate::cluster::Database;
use crate::errors::{self, Code};
use crate::future::Future;
use crate::transaction::Transaction;

#[unsafe(no_mangle)]
unsafe extern "C" fn fdb_create_database(cluster_file: *const c_char, out: *mut Handle) -> Code {
    let name = if cluster_file.is_null() {
        None
    } else {
        // SAFETY: a string of C's.
        Some(unsafe { CStr::from_ptr(cluster_file) }.to_bytes().to_vec())
    };
    let file = name.as_deref().map(|name| Path::new(OsStr::from_bytes(name)));
    match Database::open(file) {
        Ok(database) => {
            // SAFETY: C's place for the answer.
            unsafe { put(out, into_handle(database)) };
            0
        }
        Err(code) => code,
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdb_database_destroy(database: Handle) {
    // SAFETY: a database's handle, which is given up here.
    drop(unsafe { take_back::<Database>(database) });
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdb_database_set_option(
    database: Handle,
    option: u32,
    value: *const u8,
    length: c_int,
) -> Code {
    // SAFETY: a database's handle, and octets of C's.
    let (database, value) = unsafe { (lend::<Database>(database), copied(value, length)) };
    code(database.options.lock().set_default(option, &value))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdb_database_create_transaction(database: Handle, out: *mut Handle) -> Code {
    // SAFETY: a database's handle.
    let database: Arc<Database> = unsafe { lend(database) };
    // SAFETY: C's place for the answer.
    unsafe { put(out, into_handle(Transaction::new(database))) };
    0
}

#[unsafe(no_mangle)]
extern "C" fn fdb_database_get_main_thread_busyness(_: Handle) -> f64 {
    0.0
}

#[unsafe(no_mangle)]
extern "C" fn fdb_database_get_client_status(_: Handle) -> Handle {
    promised(Future::failing(errors::UNSUPPORTED_OPERATION))
}
