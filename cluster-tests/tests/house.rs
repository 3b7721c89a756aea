//! The house rules that no compiler checks: every file says what it is, rooms are no god rooms, and
//! floors hold within a package.

use std::fs;
use std::path::{Path, PathBuf};

const PACKAGES: [&str; 6] =
    ["storage", "storage/fdb-client", "gateway", "node", "cluster-tests", "cluster-tests/fdb-double"];

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
    // Except in rooms of tests, which keep there what all of them begin with.
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
    offenders(sources(&["storage", "storage/fdb-client"]).into_iter().flat_map(|(path, text)| {
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
fn whoever_speaks_c_says_so_in_every_package_that_may() {
    let manifest = |package: &str| {
        fs::read_to_string(root().join(package).join("Cargo.toml")).expect("every package has one")
    };
    let may: Vec<_> =
        PACKAGES.into_iter().filter(|one| !manifest(one).contains("[lints]\nworkspace = true")).collect();
    assert_eq!(may, ["storage/fdb-client", "cluster-tests/fdb-double"], "all others forbid `unsafe`");
    let lax = may.into_iter().filter(|one| !manifest(one).contains("undocumented_unsafe_blocks = \"deny\""));
    offenders(lax.map(|one| format!("{one}: does not deny undocumented_unsafe_blocks")));
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

/// Who reads the wall clock, and what for. What is stored and grows old does so by the store's own clock
/// (`docs/decisions/0014`).
const WALL_CLOCK: [(&str, &str); 21] = [
    ("storage/src/types/time.rs", "reads it"),
    ("storage/src/types/ids.rs", "ids of the queue, which tell people when"),
    ("storage/src/kv/clock.rs", "founds the store's clock"),
    ("storage/src/directory/domain.rs", "when a domain was made, for people"),
    ("storage/src/directory/account.rs", "when an account was made, for people"),
    ("storage/src/mailstore/deliver.rs", "SAVEDATE"),
    ("storage/src/mailstore/append.rs", "SAVEDATE"),
    ("storage/src/mailstore/transfer.rs", "SAVEDATE"),
    ("storage/src/mailstore/mailboxes.rs", "UIDVALIDITY, which ascends in any case"),
    (
        "storage/src/bodies/objects/check.rs",
        "what a trial of the bucket left, by the bucket's own wall clock; no mail",
    ),
    ("gateway/src/deliver/intake.rs", "Received, INTERNALDATE"),
    ("gateway/src/deliver/local.rs", "when an attempt failed, for reports"),
    ("gateway/src/queue/round.rs", "when an attempt failed, for reports"),
    ("gateway/src/queue/notice.rs", "the date of a report"),
    ("node/src/admin/cluster.rs", "tokens that expire; when a node was removed, for people"),
    ("node/src/admin/domain.rs", "when a DKIM key was made"),
    ("node/src/admin/queue.rs", "the store's times told to people"),
    ("node/src/imap/cmd/append.rs", "INTERNALDATE"),
    ("node/src/cli/cluster.rs", "certificates"),
    ("node/src/migrate/installation.rs", "certificates"),
    ("node/src/cluster/", "certificates, tokens"),
];

#[test]
fn nothing_stored_grows_old_by_a_wall_clock() {
    let words = ["Timestamp::now", "SystemTime::now", "Utc::now"];
    let is_test =
        |path: &str| !path.contains("/src/") || path.contains("/tests/") || path.ends_with("tests.rs");
    let found = sources(&["storage", "gateway", "node"]).into_iter().filter(|(path, text)| {
        let code = text.split("#[cfg(test)]\nmod tests").next().expect("at least one part");
        !is_test(path) && words.iter().any(|word| code.contains(word))
    });
    let found: Vec<String> = found.map(|(path, _)| path).collect();
    let unknown = found.iter().filter(|path| !WALL_CLOCK.iter().any(|(known, _)| path.starts_with(known)));
    offenders(unknown.map(|path| format!("{path}: reads the wall clock and says nowhere what for")));
    let idle = WALL_CLOCK.iter().filter(|(known, _)| !found.iter().any(|path| path.starts_with(known)));
    offenders(idle.map(|(known, _)| format!("{known}: reads no wall clock any more")));
}

/// The constants of a floor's `limits.rs`: name and expression.
fn constants(floor: &str) -> Vec<(String, String)> {
    let text = fs::read_to_string(root().join(floor).join("src/limits.rs")).expect("each floor has one");
    let whole = text.split("\npub const ").skip(1).filter_map(|rest| rest.split_once(": "));
    whole
        .map(|(name, rest)| {
            let value = rest.split_once(" = ").and_then(|(_, rest)| rest.split_once(';'));
            (name.to_owned(), value.expect("a value").0.split_whitespace().collect::<Vec<_>>().join(" "))
        })
        .collect()
}

/// The rows of the table under the floor's heading of `docs/limits.md`: name, value, and the last cell.
fn rows(floor: &str) -> Vec<(String, String, String)> {
    let page = fs::read_to_string(root().join("docs/limits.md")).expect("the page of limits");
    let section =
        page.split("\n## ").find(|section| section.lines().next() == Some(floor)).expect("a heading");
    let cells = |line: &str| -> Vec<String> {
        line.trim_matches('|').split('|').map(|cell| cell.trim().trim_matches('`').to_owned()).collect()
    };
    let row = |line: &str| match cells(line).as_slice() {
        [name, value, _, test] => (name.clone(), value.clone(), test.clone()),
        other => panic!("a row has four cells: {other:?}"),
    };
    section.lines().filter(|line| line.starts_with("| `")).map(row).collect()
}

#[test]
fn every_limit_is_told_with_its_value_and_what_goes_past_it() {
    let sources: String = sources(&PACKAGES).into_iter().map(|(_, text)| text).collect();
    let transcript = |name: &str| {
        let folders =
            ["gateway/tests/transcripts/smtp", "node/tests/transcripts/imap", "node/tests/transcripts/pop3"];
        folders.iter().any(|folder| root().join(folder).join(name).is_file())
    };
    let mut wrong = Vec::new();
    for floor in ["storage", "gateway", "node"] {
        let (constants, rows) = (constants(floor), rows(floor));
        for (name, value) in &constants {
            let told = rows.iter().filter(|row| row.0 == *name && row.1 == *value).count();
            if told != 1 {
                wrong.push(format!("{floor}: {name} = {value} is told {told} times"));
            }
        }
        for (name, _, test) in &rows {
            let is_known = constants.iter().any(|constant| constant.0 == *name);
            let is_told = test.starts_with("grain") || test.starts_with("pace") || test.starts_with("none: ");
            let is_there = sources.contains(&format!("fn {test}(")) || transcript(test);
            if !is_known || !is_told && !is_there {
                wrong.push(format!("{floor}: {name}: no such constant, or no such test: {test:?}"));
            }
        }
    }
    offenders(wrong.into_iter());
}
