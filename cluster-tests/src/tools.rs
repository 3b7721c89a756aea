//! Runs other people's programs, within a time.

use std::fs::File;
use std::io::Write as _;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Longest run of any program: two-way synchronisation of a thousand messages included.
const DEADLINE: Duration = Duration::from_secs(240);

/// What a program did.
#[derive(Debug)]
pub struct Run {
    /// How it ended.
    pub status: ExitStatus,
    /// All that it wrote to standard output.
    pub stdout: String,
    /// All that it wrote to standard error.
    pub stderr: String,
}

impl Run {
    /// Asserts that it ended well.
    #[track_caller]
    pub fn succeeded(self) -> Self {
        assert!(
            self.status.success(),
            "{}\n--- stdout\n{}--- stderr\n{}",
            self.status,
            self.stdout,
            self.stderr
        );
        self
    }

    /// Asserts that it did not.
    #[track_caller]
    pub fn failed(self) -> Self {
        assert!(
            !self.status.success(),
            "it succeeded\n--- stdout\n{}--- stderr\n{}",
            self.stdout,
            self.stderr
        );
        self
    }

    /// Both outputs, for a look at what a program says wherever it says it.
    pub fn all(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }
}

/// Runs `command` to its end, giving it `input`.
#[track_caller]
pub fn run_with(command: &mut Command, input: &[u8]) -> Run {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (stdout, stderr) = (folder.path().join("stdout"), folder.path().join("stderr"));
    let create = |path| File::create(path).expect("a writable folder");
    command.stdin(Stdio::piped()).stdout(create(&stdout)).stderr(create(&stderr));
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let mut stdin = child.stdin.take().expect("a pipe");
    // A program that ends without reading its input is judged by its exit status.
    let _ = stdin.write_all(input);
    drop(stdin);
    let deadline = Instant::now() + DEADLINE;
    let status = loop {
        if let Some(status) = child.try_wait().expect("a child") {
            break status;
        }
        if Instant::now() > deadline {
            child.kill().expect("a child");
            child.wait().expect("a child");
            panic!("{command:?} did not end\n{}", text(&stderr));
        }
        std::thread::park_timeout(Duration::from_millis(10));
    };
    Run { status, stdout: text(&stdout), stderr: text(&stderr) }
}

/// Runs `command` to its end.
#[track_caller]
pub fn run(command: &mut Command) -> Run {
    run_with(command, b"")
}

fn text(path: &std::path::Path) -> String {
    String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned()
}

/// A Python script of `clients/`, to be given arguments.
pub fn python(script: &str) -> Command {
    let mut command = Command::new("python3");
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/clients/").to_owned() + script);
    command
}
