//! Finds the `sterna` binary: the one that `STERNA_BIN` names, or the one that cargo builds beside the tests.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The path of the binary. Without `STERNA_BIN` it is built first (once per process), in the same profile and
/// target folder as the tests.
///
/// It is built by the very command that builds all tests: under `cargo test` there is nothing left to do then, where
/// `cargo build` would compile every dependency again with other features.
pub fn sterna() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| match env::var_os("STERNA_BIN") {
        Some(path) => path.into(),
        None => build(),
    })
}

fn build() -> PathBuf {
    // …/target/<profile>/deps/main-<hash>
    let test = env::current_exe().expect("a test knows its path");
    let profile_folder = test.parent().and_then(Path::parent).expect("tests stand in target/<profile>/deps");
    let target_folder = profile_folder.parent().expect("a profile's folder stands in the target folder");
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["test", "--workspace", "--no-run", "--quiet"]);
    cargo.arg("--target-dir").arg(target_folder).current_dir(env!("CARGO_MANIFEST_DIR"));
    if profile_folder.file_name().is_some_and(|name| name == "release") {
        cargo.arg("--release");
    }
    let status = cargo.status().expect("cargo runs");
    assert!(status.success(), "building the binary failed");
    profile_folder.join("sterna")
}
