//! A client as most are: it delivers a message, logs in under TLS, selects, fetches what it delivered, and leaves;
//! again and again while something else goes on. What it has to wait for is what the others' doings cost it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::sterna::{PASSWORD, Service, Sterna, address};
use crate::wire::Wire;

/// Longest that any single answer may take. Far more than it ever does: two cores are shared with what attacks,
/// with the other tests, and perhaps with a compiler.
pub const SERVED_WITHIN: Duration = Duration::from_secs(20);

/// How it went.
#[derive(Debug, Clone, Copy)]
pub struct Served {
    /// Rounds from the first command to the last.
    pub rounds: u32,
    /// Longest wait for an answer.
    pub longest: Duration,
}

/// A neighbour at work on a thread of its own.
#[derive(Debug)]
pub struct Neighbour {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Served>,
}

/// Where and as whom.
struct Place {
    mx: u16,
    imaps: u16,
    authority: std::path::PathBuf,
    account: String,
}

impl Neighbour {
    /// Begins, as `account` of [`crate::sterna::DOMAIN`].
    pub fn of(server: &Sterna, account: &str) -> Self {
        let place = Place {
            mx: server.port(Service::Mx),
            imaps: server.port(Service::Imaps),
            authority: server.authority().to_owned(),
            account: address(account),
        };
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            let mut served = Served { rounds: 0, longest: Duration::ZERO };
            while served.rounds == 0 || !stopped.load(Ordering::Relaxed) {
                place.round(&mut served);
            }
            served
        });
        Self { stop, thread }
    }

    /// Ends after the round in hand; at least one was made. Panics if it was not served in time.
    #[track_caller]
    pub fn stop(self) -> Served {
        self.stop.store(true, Ordering::Relaxed);
        match self.thread.join() {
            Ok(served) => served,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

impl Place {
    fn round(&self, served: &mut Served) {
        let subject = format!("Subject: round {}", served.rounds);
        let mut wire = Wire::connect(self.mx);
        let mut timed = |what: &str, answer: &mut dyn FnMut()| {
            let begin = Instant::now();
            answer();
            let took = begin.elapsed();
            assert!(took < SERVED_WITHIN, "{what} took {took:?}");
            served.longest = served.longest.max(took);
        };
        timed("the greeting", &mut || drop(wire.expect_reply("220")));
        timed("EHLO", &mut || drop(wire.ask("EHLO neighbour.example", "250")));
        timed("MAIL", &mut || drop(wire.ask("MAIL FROM:<neighbour@elsewhere.test>", "250")));
        timed("RCPT", &mut || drop(wire.ask(&format!("RCPT TO:<{}>", self.account), "250")));
        timed("DATA", &mut || drop(wire.ask("DATA", "354")));
        timed("the message", &mut || drop(wire.ask(&format!("{subject}\r\n\r\nHello.\r\n."), "250")));
        timed("QUIT", &mut || drop(wire.ask("QUIT", "221")));
        let mut wire: Option<Wire> = None;
        timed("the handshake", &mut || wire = Some(Wire::connect_tls(self.imaps, &self.authority)));
        let mut wire = wire.expect("just connected");
        let login = format!("t LOGIN {} \"{PASSWORD}\"", self.account);
        timed("the greeting", &mut || drop(wire.expect("* OK")));
        for command in
            [login.as_str(), "t SELECT INBOX", "t FETCH * (FLAGS BODY.PEEK[HEADER])", "t NOOP", "t LOGOUT"]
        {
            let mut lines = Vec::new();
            timed(command, &mut || {
                wire.send_line(command);
                lines = wire.expect_after("t ");
            });
            assert!(lines.last().is_some_and(|last| last.starts_with("t OK")), "{command}: {lines:?}");
            if command.contains("FETCH") {
                assert!(lines.contains(&subject), "what was delivered is there: {lines:?}");
            }
        }
        served.rounds += 1;
    }
}
