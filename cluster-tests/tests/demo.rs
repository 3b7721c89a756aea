//! `sterna demo`, as its viewer sees it: the story, a command to paste, `k`, and Ctrl-C.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use sterna_cluster_tests::host::PATIENCE;
use sterna_cluster_tests::tools::run;
use sterna_cluster_tests::{binary, host};

/// The demo, killed if the test fails.
struct Demo {
    child: Child,
    keys: ChildStdin,
    lines: Receiver<String>,
    shown: Vec<String>,
}

impl Demo {
    fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(binary::sterna());
        command.arg("demo").args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the binary runs");
        let keys = child.stdin.take().expect("a pipe");
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            // Ends with the demo, or with the test.
            output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line).ok())
        });
        Self { child, keys, lines, shown: Vec::new() }
    }

    /// Waits for a line that contains `text`.
    fn expect(&mut self, text: &str) -> String {
        loop {
            let Ok(line) = self.lines.recv_timeout(PATIENCE) else {
                panic!("{text:?} did not come after\n{}", self.shown.join("\n"));
            };
            self.shown.push(line.clone());
            if line.contains(text) {
                return line;
            }
        }
    }

    /// It says so, and ends well.
    fn ends(&mut self) {
        self.expect("Stopped");
        let status = host::wait_for("the demo's end", || self.child.try_wait().expect("a child"));
        assert_eq!(status.code(), Some(0));
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // It has ended, unless the test failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_story_k_and_the_end() {
    let mut demo = Demo::start(&[]);
    let folder = demo.expect("data folder").split_whitespace().last().expect("a path").to_owned();
    demo.expect("C: MAIL FROM:<ann@demo.test>");
    demo.expect("S: 250");
    demo.expect("C: a LOGIN bob@demo.test ********");
    demo.expect("S: Subject: A message across Sterna");
    demo.expect("Received:");
    demo.expect("Ready in");
    let commands: Vec<String> = demo.shown.clone();
    assert!(!commands.iter().any(|line| line.contains("curl") && line.contains(" -k")), "{commands:?}");
    let read = commands.iter().find(|line| line.contains("pop3s://")).expect("a command to paste");
    let message = run(Command::new("sh").args(["-c", read])).succeeded().stdout;
    assert!(message.contains("Subject: A message across Sterna"), "{message}");
    paste_the_first(&commands);

    demo.keys.write_all(b"k").expect("a pipe");
    demo.expect("Killed");
    demo.expect("S: Subject: A message across Sterna");
    demo.expect("still there");
    assert!(std::path::Path::new(&folder).exists());

    let pid = rustix::process::Pid::from_child(&demo.child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("a child");
    demo.ends();
    assert!(!std::path::Path::new(&folder).exists(), "the temporary folder stays behind");
}

#[test]
fn ctrl_c_over_a_pipe_is_the_end_too() {
    let mut demo = Demo::start(&[]);
    // As any key, it waits until the story is told; another one before it changes nothing.
    demo.keys.write_all(b"x\x03").expect("a pipe");
    demo.ends();
    assert!(demo.shown.iter().any(|line| line.contains("Ready in")), "{:?}", demo.shown);
}

#[test]
fn three_servers_show_that_any_may_be_killed() {
    let mut demo = Demo::start(&["--cluster"]);
    demo.expect("sterna cluster init");
    demo.expect("sterna cluster add 3");
    demo.expect("S: 250");
    demo.expect("Node 1 is killed (SIGKILL); Bob reads on node 2");
    demo.expect("S: Subject: A message across Sterna");
    demo.expect("Ready in");
    demo.keys.write_all(b"k").expect("a pipe");
    demo.expect("Node 1 is back");
    demo.expect("Node 2 is killed (SIGKILL); Bob reads on node 3");
    demo.expect("S: Subject: A message across Sterna");
    demo.keys.write_all(b"\x03").expect("a pipe");
    demo.ends();
}

/// The command that sends, which goes over several lines.
fn paste_the_first(lines: &[String]) {
    let start = lines.iter().position(|line| line.contains("printf")).expect("a command to paste");
    let end = lines[start..].iter().position(|line| line.contains("smtps://")).expect("its end");
    run(Command::new("sh").args(["-c", &lines[start..=start + end].join("\n")])).succeeded();
}
