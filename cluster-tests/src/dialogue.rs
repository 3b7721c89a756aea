//! Plays dialogues of real clients, written down as files in `dialogues/`, over a real socket.
//!
//! `@connect <service> [tls]` opens a connection, `@tls` does the handshake now. `C:` lines that follow each other are
//! sent in one piece. `S:` lines are matched one by one, `*` standing for any text; `S: ...` for any
//! number of lines before the one that follows. `{plain:a:b}` is base64 of NUL a NUL b, `{base64:a}` of a;
//! `#` is a comment.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::sterna::{Service, Sterna};
use crate::wire::Wire;

/// Plays the file against `server`.
pub fn play(server: &Sterna, file: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("dialogues").join(file);
    let script = fs::read_to_string(&path).expect("a dialogue");
    let mut stage = Stage { server, wire: None, to_send: Vec::new(), skip: false };
    for (number, line) in script.lines().enumerate() {
        let place = format!("{file}:{}", number + 1);
        if let Some(text) = line.strip_prefix("C:") {
            stage.to_send.extend_from_slice(expanded(text.strip_prefix(' ').unwrap_or(text)).as_bytes());
            stage.to_send.extend_from_slice(b"\r\n");
        } else if let Some(pattern) = line.strip_prefix("S:") {
            stage.flush();
            stage.match_line(pattern.strip_prefix(' ').unwrap_or(pattern), &place);
        } else if let Some(instruction) = line.strip_prefix('@') {
            stage.flush();
            stage.instruct(instruction, &place);
        } else {
            assert!(line.is_empty() || line.starts_with('#'), "{place}: not a dialogue's line");
        }
    }
    stage.flush();
}

struct Stage<'s> {
    server: &'s Sterna,
    wire: Option<Wire>,
    to_send: Vec<u8>,
    // The last pattern was `...`.
    skip: bool,
}

impl Stage<'_> {
    fn flush(&mut self) {
        if !self.to_send.is_empty() {
            let wire = self.wire.as_mut().expect("@connect comes first");
            wire.send(&self.to_send);
            self.to_send.clear();
        }
    }

    fn match_line(&mut self, pattern: &str, place: &str) {
        if pattern == "..." {
            self.skip = true;
            return;
        }
        let skip = std::mem::take(&mut self.skip);
        let wire = self.wire.as_mut().expect("@connect comes first");
        wire.await_now(format!("at {place}"));
        loop {
            let line = wire.line().unwrap_or_else(|| panic!("{place}: closed instead of {pattern:?}"));
            if matches(&line, pattern) {
                return;
            }
            assert!(skip, "{place}: {line:?} instead of {pattern:?}");
        }
    }

    fn instruct(&mut self, instruction: &str, place: &str) {
        let words: Vec<&str> = instruction.split(' ').collect();
        let authority = self.server.authority();
        self.wire = match words.as_slice() {
            ["connect", service] => Some(Wire::connect(self.server.port(service_named(service)))),
            ["connect", service, "tls"] => {
                Some(Wire::connect_tls(self.server.port(service_named(service)), authority))
            }
            ["tls"] => self.wire.take().map(|wire| wire.start_tls(authority)),
            other => panic!("{place}: unknown instruction {other:?}"),
        };
    }
}

fn service_named(name: &str) -> Service {
    match name {
        "mx" => Service::Mx,
        "submission" => Service::Submission,
        "submissions" => Service::Submissions,
        "imap" => Service::Imap,
        "imaps" => Service::Imaps,
        "pop3" => Service::Pop3,
        "pop3s" => Service::Pop3s,
        other => panic!("unknown service {other}"),
    }
}

/// Replaces what stands in braces.
fn expanded(text: &str) -> String {
    let Some((before, rest)) = text.split_once('{') else { return text.to_owned() };
    let Some((inside, after)) = rest.split_once('}') else { return text.to_owned() };
    let replaced = match inside.split_once(':') {
        Some(("plain", pair)) => {
            let (login, password) = pair.split_once(':').expect("login and password");
            STANDARD.encode(format!("\0{login}\0{password}"))
        }
        Some(("base64", text)) => STANDARD.encode(text),
        _ => format!("{{{inside}}}"),
    };
    format!("{before}{replaced}{}", expanded(after))
}

/// Whether the line is the pattern, `*` standing for any text.
fn matches(line: &str, pattern: &str) -> bool {
    match pattern.split_once('*') {
        None => line == pattern,
        Some((start, rest)) => line.strip_prefix(start).is_some_and(|line| {
            (0..=line.len()).any(|at| line.is_char_boundary(at) && matches(&line[at..], rest))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_and_braces() {
        assert!(matches("250-SIZE 1000", "250-SIZE *") && matches("a OK [X] done", "a OK*done"));
        assert!(!matches("250 SIZE", "250-*") && !matches("a", "a b*"));
        assert_eq!(expanded("AUTH PLAIN {plain:tim:x} {12+}"), "AUTH PLAIN AHRpbQB4 {12+}");
        assert_eq!(expanded("{base64:ann}"), "YW5u");
    }
}
