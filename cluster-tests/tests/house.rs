//! The house rules that no compiler checks: every file says what it is, rooms are no god rooms, and
//! floors hold within a package.

use std::fs;
use std::path::{Path, PathBuf};

const PACKAGES: [&str; 4] = ["storage", "gateway", "node", "cluster-tests"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package lies in the workspace").to_owned()
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn sources(packages: &[&str]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for package in packages {
        for room in ["src", "tests", "benches"] {
            rust_files(&root().join(package).join(room), &mut found);
        }
    }
    found.sort();
    assert!(!found.is_empty(), "no sources found below {}", root().display());
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).expect("a source file is UTF-8");
        (path.strip_prefix(root()).expect("below the root").display().to_string(), text)
    };
    found.into_iter().map(read).collect()
}

fn offenders(found: impl Iterator<Item = String>) {
    let found: Vec<String> = found.collect();
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn every_file_opens_with_what_it_promises() {
    let silent = sources(&PACKAGES).into_iter().filter(|(_, text)| !text.starts_with("//!"));
    offenders(silent.map(|(path, _)| format!("{path}: does not open with //!")));
}

#[test]
fn mod_files_are_contents_pages() {
    let with_logic = sources(&PACKAGES).into_iter().filter(|(path, text)| {
        // What all tests of a folder start from may stand where they are listed.
        path.ends_with("/mod.rs")
            && !path.ends_with("/tests/mod.rs")
            && text.lines().any(|line| line.trim_start().starts_with("fn ") || line.starts_with("impl"))
    });
    offenders(with_logic.map(|(path, _)| format!("{path}: holds logic")));
}

#[test]
fn storage_knows_no_protocol() {
    let words = ["smtp", "imap", "pop3", "hyper::", "axum", "tokio::net"];
    let code = |line: &str| !line.trim_start().starts_with("//");
    offenders(sources(&["storage"]).into_iter().flat_map(|(path, text)| {
        let hits = text.lines().enumerate().filter(|(_, line)| {
            let lower = line.to_ascii_lowercase();
            code(line) && words.iter().any(|word| lower.contains(word))
        });
        hits.map(|(number, line)| format!("{path}:{}: {}", number + 1, line.trim())).collect::<Vec<_>>()
    }));
}

#[test]
fn gateway_knows_nothing_of_what_is_above() {
    let words = ["imap::", "pop3::", "axum", "sterna_node"];
    offenders(sources(&["gateway"]).into_iter().flat_map(|(path, text)| {
        let hits = text.lines().enumerate().filter(|(_, line)| words.iter().any(|word| line.contains(word)));
        hits.map(|(number, line)| format!("{path}:{}: {}", number + 1, line.trim())).collect::<Vec<_>>()
    }));
}

#[test]
fn whatever_is_left_to_do_names_its_issue() {
    let marks = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X:")];
    offenders(sources(&PACKAGES).into_iter().flat_map(|(path, text)| {
        let hits = text
            .lines()
            .enumerate()
            .filter(|(_, line)| marks.iter().any(|mark| line.contains(mark)) && !line.contains("issue "));
        hits.map(|(number, line)| format!("{path}:{}: {}", number + 1, line.trim())).collect::<Vec<_>>()
    }));
}
