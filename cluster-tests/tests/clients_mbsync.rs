//! mbsync, two ways: a thousand messages up, flags and deletions both ways, and then nothing left to do.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sterna_cluster_tests::sterna::{PASSWORD, Service, Sterna, address};
use sterna_cluster_tests::tools::{Run, run};
use sterna_cluster_tests::wire::Wire;

const MESSAGES: usize = 1000;

struct Local {
    folder: tempfile::TempDir,
}

impl Local {
    fn new(server: &Sterna) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().display();
        for name in ["cur", "new", "tmp"] {
            fs::create_dir_all(folder.path().join("mail/inbox").join(name)).expect("a maildir");
        }
        let settings = format!(
            "IMAPAccount sterna\nHost localhost\nPort {port}\nUser {user}\nPass \"{PASSWORD}\"\nSSLType IMAPS\n\
             CertificateFile {authority}\n\n\
             IMAPStore far\nAccount sterna\n\n\
             MaildirStore near\nPath {path}/mail/\nInbox {path}/mail/inbox\nSubFolders Verbatim\n\n\
             Channel all\nFar :far:\nNear :near:\nPatterns INBOX Archive\nCreate Both\nExpunge Both\n\
             SyncState {path}/state/\nSync All\n",
            port = server.port(Service::Imaps),
            user = address("ann"),
            authority = server.authority().display(),
        );
        fs::create_dir(folder.path().join("state")).expect("a folder");
        fs::write(folder.path().join("mbsyncrc"), settings).expect("a writable folder");
        Self { folder }
    }

    fn inbox(&self) -> PathBuf {
        self.folder.path().join("mail/inbox/cur")
    }

    fn files(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        for name in ["cur", "new"] {
            let folder = self.folder.path().join("mail/inbox").join(name);
            files.extend(fs::read_dir(folder).expect("a maildir").map(|file| file.expect("a file").path()));
        }
        files.sort();
        files
    }

    fn sync(&self) -> Run {
        let mut command = Command::new("mbsync");
        run(command.arg("--config").arg(self.folder.path().join("mbsyncrc")).arg("--verbose").arg("all"))
            .succeeded()
    }
}

fn flagged(files: &[PathBuf], flag: char) -> usize {
    let has = |file: &&PathBuf| flags(file).is_some_and(|flags| flags.contains(flag));
    files.iter().filter(has).count()
}

fn flags(file: &Path) -> Option<String> {
    Some(file.file_name()?.to_str()?.split_once(":2,")?.1.to_owned())
}

/// Runs IMAP commands on INBOX; the lines before each one's OK.
fn imap(server: &Sterna, commands: &[&str]) -> Vec<String> {
    let mut wire = Wire::connect_tls(server.port(Service::Imaps), server.authority());
    wire.expect("* OK");
    let login = format!("LOGIN {} \"{PASSWORD}\"", address("ann"));
    let mut lines = Vec::new();
    for command in [login.as_str(), "SELECT INBOX"].iter().chain(commands) {
        wire.send_line(&format!("t {command}"));
        let answer = wire.expect_after("t ");
        assert!(answer.last().is_some_and(|line| line.starts_with("t OK")), "{command}: {answer:?}");
        lines.extend(answer);
    }
    lines
}

#[test]
fn a_thousand_messages_both_ways() {
    let server = Sterna::start(&["ann"]);
    let local = Local::new(&server);
    for number in 0..MESSAGES {
        let message = format!(
            "From: a@example.test\nTo: ann@example.test\nMessage-ID: <{number}@example.test>\n\
             Subject: number {number}\n\nMessage number {number}.\n"
        );
        fs::write(local.inbox().join(format!("{number}.test:2,")), message).expect("a writable folder");
    }
    local.sync();
    assert!(imap(&server, &[]).contains(&format!("* {MESSAGES} EXISTS")));

    // Here: ten are seen, ten go. There: twenty others are flagged, twenty go.
    let files = local.files();
    for file in &files[..10] {
        fs::rename(file, file.with_file_name(with_flag(file, 'S'))).expect("a rename");
    }
    files[10..20].iter().for_each(|file| fs::remove_file(file).expect("a file"));
    imap(
        &server,
        &["STORE 901:920 +FLAGS.SILENT (\\Flagged)", "STORE 951:970 +FLAGS.SILENT (\\Deleted)", "EXPUNGE"],
    );
    local.sync();
    let files = local.files();
    assert_eq!(files.len(), MESSAGES - 30);
    assert_eq!((flagged(&files, 'F'), flagged(&files, 'S')), (20, 10));
    let there = imap(&server, &["SEARCH RETURN (COUNT) SEEN", "SEARCH RETURN (COUNT) FLAGGED"]);
    assert!(there.contains(&format!("* {} EXISTS", MESSAGES - 30)), "{there:?}");
    let counts: Vec<&String> = there.iter().filter(|line| line.starts_with("* ESEARCH")).collect();
    assert!(counts[0].ends_with("COUNT 10") && counts[1].ends_with("COUNT 20"), "{counts:?}");

    // Both sides are the same now: nothing is moved or changed again.
    let before = local.files();
    let again = local.sync();
    assert_eq!(local.files(), before);
    let summary = again.all();
    let idle = "Far: +0 *0 #0";
    assert!(!summary.contains("Far:") || summary.contains(idle), "{summary}");
}

fn with_flag(file: &Path, flag: char) -> String {
    let name = file.file_name().and_then(|name| name.to_str()).expect("a UTF-8 name");
    let (base, flags) = name.split_once(":2,").unwrap_or((name, ""));
    let mut flags: Vec<char> = flags.chars().chain([flag]).collect();
    flags.sort_unstable();
    format!("{base}:2,{}", flags.into_iter().collect::<String>())
}
