//! As much of an IMAP client as the test needs.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::str::FromStr;
use std::time::Duration;

use sterna_cluster_tests::sterna::{PASSWORD, address};

use super::ledger::{Numbers, Outcome, Place};
use super::text::{ACCOUNTS, Name};
use super::world::{Line, Refusal};

/// Flags by their names.
pub(super) type Flags = BTreeSet<String>;

/// A session.
pub(super) struct Imap<'l, 'w> {
    line: &'l mut Line<'w>,
    selected: Option<Place>,
}

/// A response with its literals: the text has `{n}` in their places.
#[derive(Debug)]
pub(super) struct Response {
    pub(super) text: String,
    pub(super) literals: Vec<Vec<u8>>,
}

/// What FETCH tells of a message.
#[derive(Debug)]
pub(super) struct Fetched {
    pub(super) uid: u32,
    pub(super) flags: Flags,
    pub(super) modseq: u64,
    pub(super) size_octets: u64,
    pub(super) text: String,
}

impl<'l, 'w> Imap<'l, 'w> {
    /// Logs in; the network of the test is trusted, so that no kill costs a handshake.
    pub(super) fn log_in(line: &'l mut Line<'w>, account: usize) -> io::Result<Self> {
        let greeting = line.line()?;
        if greeting.starts_with("* BYE") {
            return Err(Refusal::error(&greeting));
        }
        assert!(greeting.starts_with("* OK"), "{greeting}");
        let mut imap = Self { line, selected: None };
        imap.command(&format!("LOGIN {} \"{PASSWORD}\"", address(ACCOUNTS[account])))?;
        Ok(imap)
    }

    /// A command that must succeed: its untagged responses, then the tagged one.
    pub(super) fn command(&mut self, command: &str) -> io::Result<Vec<Response>> {
        self.line.send(format!("t {command}\r\n").as_bytes())?;
        self.answers(command)
    }

    fn answers(&mut self, command: &str) -> io::Result<Vec<Response>> {
        let mut responses = Vec::new();
        loop {
            let response = self.response()?;
            let is_last = response.text.starts_with("t ");
            let is_bye = command != "LOGOUT" && response.text.starts_with("* BYE");
            if is_bye || response.text.starts_with("t NO [UNAVAILABLE]") {
                return Err(Refusal::error(&response.text));
            }
            assert!(!is_last || response.text.starts_with("t OK"), "{command}: {}", response.text);
            responses.push(response);
            if is_last {
                return Ok(responses);
            }
        }
    }

    fn response(&mut self) -> io::Result<Response> {
        let mut response = Response { text: self.line.line()?, literals: Vec::new() };
        loop {
            let literal = response.text.strip_suffix('}').and_then(|text| text.rsplit_once('{'));
            let Some(octets) = literal.and_then(|(_, octets)| octets.parse().ok()) else {
                return Ok(response);
            };
            response.literals.push(self.line.octets(octets)?);
            let more = self.line.line()?;
            response.text += &more;
        }
    }

    /// Waits in IDLE until something is told or `patience` is over; what was told.
    pub(super) fn idle(&mut self, patience: Duration) -> io::Result<Vec<String>> {
        self.line.send(b"t IDLE\r\n")?;
        let mut told = Vec::new();
        loop {
            let line = self.line.line()?;
            if line.starts_with('+') {
                break;
            }
            told.push(line);
        }
        told.extend(self.line.line_within(patience)?);
        self.line.send(b"DONE\r\n")?;
        told.extend(self.answers("IDLE")?.into_iter().map(|response| response.text));
        Ok(told)
    }

    /// Selects, unless it is selected.
    pub(super) fn select(&mut self, place: Place) -> io::Result<()> {
        if self.selected != Some(place) {
            self.select_anew(place)?;
        }
        Ok(())
    }

    /// Selects; the lines that came.
    pub(super) fn select_anew(&mut self, place: Place) -> io::Result<Vec<String>> {
        let answers = self.command(&format!("SELECT {}", place.mailbox))?;
        self.selected = Some(place);
        Ok(answers.into_iter().map(|response| response.text).collect())
    }

    /// The other lines that came with a search for everything, and how many messages it found.
    pub(super) fn search_all(&mut self) -> io::Result<(Vec<String>, usize)> {
        let answers = self.command("UID SEARCH ALL")?;
        let (found, others): (Vec<String>, Vec<String>) = answers
            .into_iter()
            .map(|response| response.text)
            .partition(|line| line.starts_with("* SEARCH") || line.starts_with("* ESEARCH"));
        let found = found.first().expect("a SEARCH response");
        Ok((others, found.split(' ').skip(2).count()))
    }

    /// Appends; gives UIDVALIDITY and the UID. The ledger knows the attempt if `is_known`.
    pub(super) fn append(
        &mut self,
        place: Place,
        flags: &Flags,
        name: &Name,
        is_known: bool,
    ) -> io::Result<(u32, u32)> {
        let text = name.text();
        let flags: Vec<_> = flags.iter().map(String::as_str).collect();
        let head = format!("t APPEND {} ({}) {{{}+}}\r\n", place.mailbox, flags.join(" "), text.len());
        self.line.send(head.as_bytes())?;
        self.line.send(text.as_bytes())?;
        if is_known {
            self.line.world.ledger.turn(name, Outcome::Doubtful);
        }
        self.line.send(b"\r\n")?;
        let answers = self.answers("APPEND")?;
        let code: Vec<u32> = code(&answers, "APPENDUID ").split(' ').map(number).collect();
        Ok((code[0], code[1]))
    }

    /// An APPEND that must be refused; the tagged response.
    pub(super) fn refused_append(&mut self, place: Place, name: &Name) -> io::Result<String> {
        self.line.send(format!("t APPEND {} {{{}}}\r\n", place.mailbox, name.text().len()).as_bytes())?;
        let answer = self.line.line()?;
        assert!(answer.starts_with("t NO"), "{answer}");
        Ok(answer)
    }

    /// The mailbox's counters by name; the numbers among them are held against the ledger.
    pub(super) fn status(&mut self, place: Place) -> io::Result<HashMap<String, u64>> {
        let floor = self.line.world.ledger.floor(place);
        let items = "MESSAGES UIDNEXT UIDVALIDITY UNSEEN DELETED SIZE HIGHESTMODSEQ";
        let answers = self.command(&format!("STATUS {} ({items})", place.mailbox))?;
        let told =
            answers.iter().find(|answer| answer.text.starts_with("* STATUS ")).expect("a STATUS response");
        let list = told.text.rsplit_once(" (").expect("a list").1.trim_end_matches(')');
        let words: Vec<&str> = list.split(' ').collect();
        let counters: HashMap<String, u64> =
            words.chunks_exact(2).map(|pair| (pair[0].to_owned(), number(pair[1]))).collect();
        let now = Numbers {
            uid_validity: counters["UIDVALIDITY"] as u32,
            uid_next: counters["UIDNEXT"] as u32,
            highest_modseq: counters["HIGHESTMODSEQ"],
        };
        self.line.world.ledger.told(place, floor, now);
        Ok(counters)
    }

    /// Flags and subject of these messages, and whether they are what they were.
    pub(super) fn look(&mut self, place: Place, set: &str) -> io::Result<Vec<(u32, Flags, Name)>> {
        self.select(place)?;
        let command = format!("UID FETCH {set} (UID FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])");
        let mut messages = Vec::new();
        for fetched in self.command(&command)?.iter().filter_map(fetched) {
            let name = Name::of(&fetched.text).unwrap_or_else(|error| panic!("{place:?}: {error}"));
            self.line.world.ledger.saw(place, fetched.uid, &name);
            messages.push((fetched.uid, fetched.flags, name));
        }
        Ok(messages)
    }

    /// All messages, whole, in the order in which they come.
    pub(super) fn fetch_all(&mut self, place: Place) -> io::Result<Vec<Fetched>> {
        self.select(place)?;
        let answers = self.command("UID FETCH 1:* (UID FLAGS MODSEQ RFC822.SIZE BODY.PEEK[])")?;
        Ok(answers.iter().filter_map(fetched).collect())
    }
}

/// A FETCH response with a UID and a literal; other FETCH responses tell of somebody else's change.
fn fetched(response: &Response) -> Option<Fetched> {
    let text = response.text.strip_prefix("* ")?;
    let (_, items) = text.split_once(" FETCH (")?;
    let literal = response.literals.first()?;
    let until = |start: &str, end: &[char]| {
        let (_, rest) = items.split_once(start)?;
        rest.split(end).next().filter(|item| !item.is_empty())
    };
    let flags = until("FLAGS (", &[')']).unwrap_or_default();
    // \Recent is a session's, not the message's.
    let flags = flags.split(' ').filter(|flag| !flag.is_empty() && *flag != "\\Recent").map(str::to_owned);
    Some(Fetched {
        uid: number(until("UID ", &[' ', ')'])?),
        flags: flags.collect(),
        modseq: until("MODSEQ (", &[')']).map_or(0, number),
        size_octets: until("RFC822.SIZE ", &[' ', ')']).map_or(0, number),
        text: String::from_utf8_lossy(literal).into_owned(),
    })
}

/// What stands behind `label` in a response code.
pub(super) fn code<'a>(answers: &'a [Response], label: &str) -> &'a str {
    let codes = answers.iter().filter_map(|answer| answer.text.split_once(label));
    codes.map(|(_, rest)| rest.split(']').next().expect("one part")).next().unwrap_or_default()
}

/// A set of UIDs, in its order.
pub(super) fn uids(set: &str) -> Vec<u32> {
    let part = |part: &str| match part.split_once(':') {
        Some((first, last)) => number(first)..=number(last),
        None => number(part)..=number(part),
    };
    set.split(',').flat_map(part).collect()
}

fn number<T: FromStr>(text: &str) -> T {
    text.parse().unwrap_or_else(|_| panic!("not a number: {text:?}"))
}
