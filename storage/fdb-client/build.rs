//! Gives the linker a library of FoundationDB's name with nothing in it: the functions themselves are
//! this crate's, and look for the real library when the program runs.

use std::path::PathBuf;
use std::{env, fs};

fn main() {
    let folder = PathBuf::from(env::var_os("OUT_DIR").expect("cargo tells where to write"));
    fs::write(folder.join("libfdb_c.a"), "!<arch>\n").expect("the build folder can be written to");
    println!("cargo:rustc-link-search=native={}", folder.display());
    println!("cargo:rerun-if-changed=build.rs");
}
