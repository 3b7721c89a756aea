//! The client's one network thread: started with the first engine, stopped when the process ends.

use std::error::Error as _;
use std::ffi::c_int;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use foundationdb::FdbError;
use foundationdb::api::{FdbApiBuilder, NetworkAutoStop};

use crate::forward::Loaded;

/// What the system calls the library.
const LIBRARY: &str = if cfg!(target_os = "macos") { "libfdb_c.dylib" } else { "libfdb_c.so" };
/// The interface that is spoken: what version 7.3 brought.
const API_VERSION: i32 = foundationdb_sys::FDB_API_VERSION as i32;

/// Why FoundationDB cannot be spoken to. The texts are for the operator.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// There is no such library, or it is another one.
    #[error(
        "FoundationDB's client library cannot be loaded: {reason}. Looked for: {looked_for}. Install the \
         package foundationdb-clients, version 7.3 or later (its file is {LIBRARY}), or name the file"
    )]
    Missing {
        /// A file, or a name that the system looks for.
        looked_for: String,
        /// In the system's words.
        reason: String,
    },
    /// The library does not speak the interface of 7.3.
    #[error(
        "FoundationDB's client library {library} is too old: it speaks API version {offered}, and {API_VERSION} \
         is needed. Install the package foundationdb-clients, version 7.3 or later"
    )]
    TooOld {
        /// As it was looked for.
        library: String,
        /// Newest version that it knows.
        offered: i32,
    },
    /// A process loads one library.
    #[error(
        "this process has loaded FoundationDB's client library {loaded}, and cannot load {asked} beside it"
    )]
    Other {
        /// What the first engine asked for.
        loaded: String,
        /// What this one asks for.
        asked: String,
    },
    /// The library refused, or its network has been stopped: it starts once per process.
    #[error("FoundationDB's client does not start: {0}")]
    Refused(String),
}

static STATE: Mutex<State> = Mutex::new(State::Unloaded);

enum State {
    Unloaded,
    Running { library: PathBuf, _network: NetworkAutoStop },
    // It cannot be tried twice.
    Over(String),
}

/// Loads the client library (`None`: the system's) and starts its network thread, unless an earlier call
/// has. The thread is stopped when the process exits.
pub fn start(library: Option<&Path>) -> Result<(), StartError> {
    let library = library.unwrap_or(Path::new(LIBRARY));
    let mut state = STATE.lock().unwrap_or_else(PoisonError::into_inner);
    match &*state {
        State::Running { library: loaded, .. } if loaded == library => return Ok(()),
        State::Running { library: loaded, .. } => {
            let (loaded, asked) = (loaded.display().to_string(), library.display().to_string());
            return Err(StartError::Other { loaded, asked });
        }
        State::Over(reason) => return Err(StartError::Refused(reason.clone())),
        State::Unloaded => {}
    }
    let loaded = Loaded::open(library).map_err(|error| missing(library, &error))?;
    let offered = loaded.api_version();
    if offered < API_VERSION {
        return Err(StartError::TooOld { library: library.display().to_string(), offered });
    }
    loaded.install();
    match boot() {
        Ok(network) => *state = State::Running { library: library.to_owned(), _network: network },
        Err(error) => {
            let reason = format!("{error} ({})", error.code());
            *state = State::Over(reason.clone());
            return Err(StartError::Refused(reason));
        }
    }
    Ok(())
}

fn missing(library: &Path, error: &libloading::Error) -> StartError {
    let is_name = library.components().count() == 1;
    let place = if is_name { " where the system keeps libraries" } else { "" };
    let looked_for = format!("{}{place}", library.display());
    let cause = error.source().map_or_else(String::new, |cause| format!(": {cause}"));
    StartError::Missing { looked_for, reason: format!("{error}{cause}") }
}

fn boot() -> Result<NetworkAutoStop, FdbError> {
    let network = FdbApiBuilder::default().set_runtime_version(API_VERSION).build()?;
    // SAFETY: what is asked for is that the network is stopped before the process exits: `stop_at_exit`
    // does, being registered before the first thread runs.
    unsafe {
        if atexit(stop_at_exit) != 0 {
            return Err(FdbError::from_code(1500));
        }
        network.boot()
    }
}

// SAFETY: the C standard's own declaration.
unsafe extern "C" {
    /// Calls the function when the process exits. 0 if it will.
    fn atexit(function: extern "C" fn()) -> c_int;
}

/// The library's own destructors run later: those registered last are called first, and it was loaded
/// before this was registered.
extern "C" fn stop_at_exit() {
    let mut state = STATE.lock().unwrap_or_else(PoisonError::into_inner);
    *state = State::Over("the process is ending".into());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_no_library_is_told_what_to_install() {
        let folder = tempfile::tempdir().expect("a folder");
        let nowhere = folder.path().join("libfdb_c.so");
        let said = start(Some(&nowhere)).expect_err("there is none").to_string();
        for word in [nowhere.to_str().expect("a name"), "foundationdb-clients", "7.3", "cannot open"] {
            assert!(said.contains(word), "{word} is not in: {said}");
        }
        std::fs::write(&nowhere, "no library").expect("written");
        let said = start(Some(&nowhere)).expect_err("it is none").to_string();
        assert!(said.contains("foundationdb-clients"), "{said}");
        let said = missing(Path::new(LIBRARY), &libloading::Error::DlOpenUnknown).to_string();
        assert!(said.contains("libfdb_c.so where the system keeps libraries"), "{said}");
    }
}
