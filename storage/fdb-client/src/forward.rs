//! The C functions that the `foundationdb` crate is linked against. Each calls its namesake in the
//! library that was loaded; their types are compared with the crate's own declarations.

use std::ffi::{c_char, c_int};
use std::path::Path;
use std::sync::OnceLock;

use foundationdb_sys::{
    FDBCallback, FDBConflictRangeType, FDBDatabase, FDBDatabaseOption, FDBFuture, FDBKey, FDBKeyValue,
    FDBMappedKeyValue, FDBMutationType, FDBNetworkOption, FDBStreamingMode, FDBTransaction,
    FDBTransactionOption, fdb_bool_t, fdb_error_t,
};
use libloading::Library;

/// What was loaded. Set once and never unloaded: FoundationDB's threads run in it.
static FUNCTIONS: OnceLock<Functions> = OnceLock::new();

/// A library that was loaded and can be given up again.
pub(crate) struct Loaded {
    functions: Functions,
    library: Library,
}

impl Loaded {
    /// The library of that file, or of that name from where the system looks for libraries.
    pub(crate) fn open(library: &Path) -> Result<Self, libloading::Error> {
        // SAFETY: loading runs the library's initialisers. It is FoundationDB's, or whatever else the
        // operator named in its place and thereby trusts like the program itself.
        let library = unsafe { Library::new(library) }?;
        // SAFETY: the types are those of FoundationDB's header (compared below), which its library keeps to.
        let functions = unsafe { Functions::of(&library) }?;
        Ok(Self { functions, library })
    }

    /// Newest version of the interface that it knows.
    pub(crate) fn api_version(&self) -> i32 {
        // SAFETY: may be called at any time, and the library is still loaded.
        unsafe { (self.functions.fdb_get_max_api_version)() }
    }

    /// From now on the `foundationdb` crate calls this one. Once per process.
    pub(crate) fn install(self) {
        std::mem::forget(self.library);
        assert!(FUNCTIONS.set(self.functions).is_ok(), "a library is installed once");
    }
}

fn functions() -> &'static Functions {
    FUNCTIONS.get().expect("the library is loaded before anything of the foundationdb crate is called")
}

macro_rules! forwarded {
    ($(fn $name:ident($($argument:ident: $type:ty),*) $(-> $result:ty)?;)*) => {
        struct Functions {
            $($name: unsafe extern "C" fn($($type),*) $(-> $result)?,)*
        }

        impl Functions {
            /// # Safety
            /// The library's functions have the types listed here.
            unsafe fn of(library: &Library) -> Result<Self, libloading::Error> {
                Ok(Self {
                    $(
                        // SAFETY: promised by the caller.
                        $name: *unsafe { library.get(concat!(stringify!($name), "\0").as_bytes()) }?,
                    )*
                })
            }
        }

        $(
            const _: unsafe extern "C" fn($($type),*) $(-> $result)? = foundationdb_sys::$name;

            /// # Safety
            /// As FoundationDB's function of that name.
            #[unsafe(no_mangle)]
            unsafe extern "C" fn $name($($argument: $type),*) $(-> $result)? {
                // SAFETY: the caller keeps to the same contract, and the arguments go on as they came.
                unsafe { (functions().$name)($($argument),*) }
            }
        )*
    };
}

forwarded! {
    fn fdb_get_error(code: fdb_error_t) -> *const c_char;
    fn fdb_error_predicate(predicate: c_int, code: fdb_error_t) -> fdb_bool_t;
    fn fdb_select_api_version_impl(runtime: c_int, header: c_int) -> fdb_error_t;
    fn fdb_get_max_api_version() -> c_int;

    fn fdb_network_set_option(option: FDBNetworkOption, value: *const u8, length: c_int) -> fdb_error_t;
    fn fdb_setup_network() -> fdb_error_t;
    fn fdb_run_network() -> fdb_error_t;
    fn fdb_stop_network() -> fdb_error_t;

    fn fdb_future_destroy(future: *mut FDBFuture);
    fn fdb_future_is_ready(future: *mut FDBFuture) -> fdb_bool_t;
    fn fdb_future_set_callback(
        future: *mut FDBFuture, callback: FDBCallback, parameter: *mut std::ffi::c_void
    ) -> fdb_error_t;
    fn fdb_future_get_error(future: *mut FDBFuture) -> fdb_error_t;
    fn fdb_future_get_int64(future: *mut FDBFuture, out: *mut i64) -> fdb_error_t;
    fn fdb_future_get_key(future: *mut FDBFuture, key: *mut *const u8, length: *mut c_int) -> fdb_error_t;
    fn fdb_future_get_value(
        future: *mut FDBFuture, present: *mut fdb_bool_t, value: *mut *const u8, length: *mut c_int
    ) -> fdb_error_t;
    fn fdb_future_get_key_array(
        future: *mut FDBFuture, keys: *mut *const FDBKey, count: *mut c_int
    ) -> fdb_error_t;
    fn fdb_future_get_string_array(
        future: *mut FDBFuture, strings: *mut *mut *const c_char, count: *mut c_int
    ) -> fdb_error_t;
    fn fdb_future_get_keyvalue_array(
        future: *mut FDBFuture, pairs: *mut *const FDBKeyValue, count: *mut c_int, more: *mut fdb_bool_t
    ) -> fdb_error_t;
    fn fdb_future_get_mappedkeyvalue_array(
        future: *mut FDBFuture, pairs: *mut *const FDBMappedKeyValue, count: *mut c_int,
        more: *mut fdb_bool_t
    ) -> fdb_error_t;

    fn fdb_create_database(cluster_file: *const c_char, database: *mut *mut FDBDatabase) -> fdb_error_t;
    fn fdb_database_destroy(database: *mut FDBDatabase);
    fn fdb_database_set_option(
        database: *mut FDBDatabase, option: FDBDatabaseOption, value: *const u8, length: c_int
    ) -> fdb_error_t;
    fn fdb_database_create_transaction(
        database: *mut FDBDatabase, transaction: *mut *mut FDBTransaction
    ) -> fdb_error_t;
    fn fdb_database_get_main_thread_busyness(database: *mut FDBDatabase) -> f64;
    fn fdb_database_get_client_status(database: *mut FDBDatabase) -> *mut FDBFuture;

    fn fdb_transaction_destroy(transaction: *mut FDBTransaction);
    fn fdb_transaction_cancel(transaction: *mut FDBTransaction);
    fn fdb_transaction_reset(transaction: *mut FDBTransaction);
    fn fdb_transaction_set_option(
        transaction: *mut FDBTransaction, option: FDBTransactionOption, value: *const u8, length: c_int
    ) -> fdb_error_t;
    fn fdb_transaction_set_read_version(transaction: *mut FDBTransaction, version: i64);
    fn fdb_transaction_get_read_version(transaction: *mut FDBTransaction) -> *mut FDBFuture;
    fn fdb_transaction_get(
        transaction: *mut FDBTransaction, key: *const u8, length: c_int, snapshot: fdb_bool_t
    ) -> *mut FDBFuture;
    fn fdb_transaction_get_key(
        transaction: *mut FDBTransaction, key: *const u8, length: c_int, or_equal: fdb_bool_t,
        offset: c_int, snapshot: fdb_bool_t
    ) -> *mut FDBFuture;
    fn fdb_transaction_get_addresses_for_key(
        transaction: *mut FDBTransaction, key: *const u8, length: c_int
    ) -> *mut FDBFuture;
    fn fdb_transaction_get_range(
        transaction: *mut FDBTransaction,
        begin: *const u8, begin_length: c_int, begin_or_equal: fdb_bool_t, begin_offset: c_int,
        end: *const u8, end_length: c_int, end_or_equal: fdb_bool_t, end_offset: c_int,
        limit: c_int, target_octets: c_int, mode: FDBStreamingMode, iteration: c_int,
        snapshot: fdb_bool_t, reverse: fdb_bool_t
    ) -> *mut FDBFuture;
    fn fdb_transaction_get_mapped_range(
        transaction: *mut FDBTransaction,
        begin: *const u8, begin_length: c_int, begin_or_equal: fdb_bool_t, begin_offset: c_int,
        end: *const u8, end_length: c_int, end_or_equal: fdb_bool_t, end_offset: c_int,
        mapper: *const u8, mapper_length: c_int,
        limit: c_int, target_octets: c_int, mode: FDBStreamingMode, iteration: c_int,
        snapshot: fdb_bool_t, reverse: fdb_bool_t
    ) -> *mut FDBFuture;
    fn fdb_transaction_set(
        transaction: *mut FDBTransaction, key: *const u8, key_length: c_int, value: *const u8,
        value_length: c_int
    );
    fn fdb_transaction_atomic_op(
        transaction: *mut FDBTransaction, key: *const u8, key_length: c_int, operand: *const u8,
        operand_length: c_int, operation: FDBMutationType
    );
    fn fdb_transaction_clear(transaction: *mut FDBTransaction, key: *const u8, length: c_int);
    fn fdb_transaction_clear_range(
        transaction: *mut FDBTransaction, begin: *const u8, begin_length: c_int, end: *const u8,
        end_length: c_int
    );
    fn fdb_transaction_watch(
        transaction: *mut FDBTransaction, key: *const u8, length: c_int
    ) -> *mut FDBFuture;
    fn fdb_transaction_add_conflict_range(
        transaction: *mut FDBTransaction, begin: *const u8, begin_length: c_int, end: *const u8,
        end_length: c_int, kind: FDBConflictRangeType
    ) -> fdb_error_t;
    fn fdb_transaction_commit(transaction: *mut FDBTransaction) -> *mut FDBFuture;
    fn fdb_transaction_get_committed_version(transaction: *mut FDBTransaction, out: *mut i64) -> fdb_error_t;
    fn fdb_transaction_get_versionstamp(transaction: *mut FDBTransaction) -> *mut FDBFuture;
    fn fdb_transaction_get_approximate_size(transaction: *mut FDBTransaction) -> *mut FDBFuture;
    fn fdb_transaction_get_estimated_range_size_bytes(
        transaction: *mut FDBTransaction, begin: *const u8, begin_length: c_int, end: *const u8,
        end_length: c_int
    ) -> *mut FDBFuture;
    fn fdb_transaction_get_range_split_points(
        transaction: *mut FDBTransaction, begin: *const u8, begin_length: c_int, end: *const u8,
        end_length: c_int, octets: i64
    ) -> *mut FDBFuture;
    fn fdb_transaction_on_error(transaction: *mut FDBTransaction, code: fdb_error_t) -> *mut FDBFuture;
}
