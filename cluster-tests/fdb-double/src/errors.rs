//! FoundationDB's error codes: those that a client of this interface meets.

/// An error code; 0 is none.
pub(crate) type Code = i32;

macro_rules! codes {
    ($($name:ident = $code:literal $text:literal;)*) => {
        $(pub(crate) const $name: Code = $code;)*

        /// What the code means, ending in a NUL for C.
        pub(crate) fn text(code: Code) -> &'static str {
            match code {
                0 => "Success\0",
                $($code => concat!($text, "\0"),)*
                _ => "An unknown error\0",
            }
        }
    };
}

codes! {
    TRANSACTION_TOO_OLD = 1007 "Transaction is too old to perform reads or be committed";
    FUTURE_VERSION = 1009 "Request for future version";
    NOT_COMMITTED = 1020 "Transaction not committed due to conflict with another transaction";
    COMMIT_UNKNOWN_RESULT = 1021 "Transaction may or may not have committed";
    TRANSACTION_CANCELLED = 1025 "Operation aborted because the transaction was cancelled";
    TRANSACTION_TIMED_OUT = 1031 "Operation aborted because the transaction timed out";
    TOO_MANY_WATCHES = 1032 "Too many watches currently set";
    WATCHES_DISABLED = 1034 "Watches cannot be set if read your writes is disabled";
    ACCESSED_UNREADABLE = 1036 "Read or wrote an unreadable key";
    PROCESS_BEHIND = 1037 "Storage process does not have recent mutations";
    DATABASE_LOCKED = 1038 "Database is locked";
    CLUSTER_VERSION_CHANGED = 1039 "Cluster has been upgraded to a new protocol version";
    COMMIT_PROXY_MEMORY = 1042 "Commit proxy commit memory limit exceeded";
    BATCH_THROTTLED = 1051 "Batch GRV request rate limit exceeded";
    GRV_PROXY_MEMORY = 1078 "GRV proxy GRV request queue is full";
    OPERATION_CANCELLED = 1101 "Asynchronous operation cancelled";
    TAG_THROTTLED = 1213 "Transaction tag is being throttled";
    NO_CLUSTER_FILE = 1515 "No cluster file found in current directory or default location";
    CLIENT_INVALID_OPERATION = 2000 "Invalid API call";
    KEY_OUTSIDE_LEGAL_RANGE = 2004 "Key outside legal range";
    INVERTED_RANGE = 2005 "Range begin key larger than end key";
    INVALID_OPTION_VALUE = 2006 "Option set with an invalid value";
    INVALID_OPTION = 2007 "Option not valid in this context";
    NETWORK_NOT_SETUP = 2008 "Action not possible before the network is configured";
    NETWORK_ALREADY_SETUP = 2009 "Network can be configured only once";
    READ_VERSION_ALREADY_SET = 2010 "Transaction already has a read version set";
    VERSION_INVALID = 2011 "Version not valid";
    RANGE_LIMITS_INVALID = 2012 "Range limits not valid";
    USED_DURING_COMMIT = 2017 "Operation issued while a commit was outstanding";
    INVALID_MUTATION_TYPE = 2018 "Unrecognized atomic mutation type";
    NO_COMMIT_VERSION = 2021 "Transaction is read-only and therefore does not have a commit version";
    NETWORK_CANNOT_BE_RESTARTED = 2025 "Network can only be started once";
    TRANSACTION_TOO_LARGE = 2101 "Transaction exceeds byte limit";
    KEY_TOO_LARGE = 2102 "Key length exceeds limit";
    VALUE_TOO_LARGE = 2103 "Value length exceeds limit";
    CONNECTION_STRING_INVALID = 2104 "Connection string invalid";
    UNSUPPORTED_OPERATION = 2108 "Operation is not supported";
    API_VERSION_UNSET = 2200 "API version is not set";
    API_VERSION_ALREADY_SET = 2201 "API version may be set only once";
    API_VERSION_NOT_SUPPORTED = 2203 "API version not supported";
    EXACT_MODE_WITHOUT_LIMITS = 2210 "EXACT streaming mode requires limits, but none were given";
}

/// Whether the transaction may have been committed.
pub(crate) fn is_maybe_committed(code: Code) -> bool {
    matches!(code, COMMIT_UNKNOWN_RESULT | CLUSTER_VERSION_CHANGED)
}

/// Whether it was not, and may be tried again.
pub(crate) fn is_retryable_not_committed(code: Code) -> bool {
    matches!(
        code,
        TRANSACTION_TOO_OLD
            | FUTURE_VERSION
            | NOT_COMMITTED
            | PROCESS_BEHIND
            | DATABASE_LOCKED
            | COMMIT_PROXY_MEMORY
            | BATCH_THROTTLED
            | GRV_PROXY_MEMORY
            | TAG_THROTTLED
    )
}

/// What `fdb_error_predicate` tells.
pub(crate) fn predicate(test: i32, code: Code) -> bool {
    match test {
        50_000 => is_maybe_committed(code) || is_retryable_not_committed(code),
        50_001 => is_maybe_committed(code),
        50_002 => is_retryable_not_committed(code),
        _ => false,
    }
}
