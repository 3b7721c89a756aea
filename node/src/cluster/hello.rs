//! What stands around the calls on a connection: the paths of the lanes, the versions of what is spoken, and the hello
//! by which each side tells its own before the first call.

use std::error::Error;
use std::ops::RangeInclusive;

use hyper::StatusCode;
use serde::{Deserialize, Deserializer, Serialize};
use sterna_storage::cluster::NodeAddress;
use sterna_storage::raft::Lane;

use super::identity::Identity;
use super::identity::Incarnation;
use crate::limits;

/// The versions of the calls that this release speaks. A release speaks those of the one before it as well.
pub(super) const WIRE: RangeInclusive<u32> = 1..=1;

/// Where the hello goes.
pub(super) const HELLO: &str = "/hello";
/// Where one asks to become a node.
pub(super) const JOIN: &str = "/join";

/// Tells a node, beside an answer, that another one was seen under its identity, and where.
pub(super) const RIVAL: &str = "sterna-rival";

const LANES: [Lane; 6] =
    [Lane::Votes, Lane::Log, Lane::Snapshots, Lane::Transactions, Lane::Watches, Lane::Changes];

/// Where the calls of a lane go.
pub(super) fn path(lane: Lane) -> &'static str {
    match lane {
        Lane::Votes => "/votes",
        Lane::Log => "/log",
        Lane::Snapshots => "/snapshots",
        Lane::Transactions => "/transactions",
        Lane::Watches => "/watches",
        Lane::Changes => "/changes",
    }
}

/// The lane of a path.
pub(super) fn lane(path: &str) -> Option<Lane> {
    LANES.into_iter().find(|lane| self::path(*lane) == path)
}

/// Whether an answer with that status says that nothing was done.
pub(super) fn is_refusal(status: StatusCode) -> bool {
    status.is_client_error() || status == StatusCode::SERVICE_UNAVAILABLE
}

/// The first words of each side, as JSON. Fields that a release does not know are ignored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Hello {
    /// The lowest version that it speaks.
    wire_lowest: u32,
    /// The highest.
    wire_highest: u32,
    /// Its release, for people.
    #[serde(deserialize_with = "printable")]
    release: String,
    /// Which run it is.
    pub(super) incarnation: Incarnation,
    /// Where it is called, if it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) address: Option<NodeAddress>,
}

impl Hello {
    /// This node's.
    pub(super) fn new(incarnation: Incarnation) -> Self {
        let release = env!("CARGO_PKG_VERSION").to_owned();
        Self { wire_lowest: *WIRE.start(), wire_highest: *WIRE.end(), release, incarnation, address: None }
    }

    /// The same; it is called there.
    pub(super) fn at(self, address: Option<NodeAddress>) -> Self {
        Self { address, ..self }
    }

    /// From the other side's octets.
    pub(super) fn read(octets: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(octets).map_err(|error| format!("no hello: {}", where_wrong(&error)))
    }

    pub(super) fn write(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("numbers and texts are JSON")
    }

    /// Whether there is a version that both speak; the reason names both if there is none.
    pub(super) fn agrees(&self) -> Result<(), String> {
        if self.wire_lowest <= *WIRE.end() && *WIRE.start() <= self.wire_highest {
            return Ok(());
        }
        Err(format!(
            "it runs release {} and speaks wire versions {} to {}, this node release {} and {} to {}: upgrade one release at a time",
            self.release,
            self.wire_lowest,
            self.wire_highest,
            env!("CARGO_PKG_VERSION"),
            WIRE.start(),
            WIRE.end(),
        ))
    }

    #[cfg(test)]
    pub(super) fn of_release(release: &str, wire: RangeInclusive<u32>) -> Self {
        let (wire_lowest, wire_highest) = wire.into_inner();
        let release = release.to_owned();
        Self { wire_lowest, wire_highest, release, incarnation: Incarnation::random(), address: None }
    }
}

/// A release's name goes into logs.
fn printable<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let mut release = String::deserialize(deserializer)?;
    release.retain(|character| character.is_ascii_alphanumeric() || "+-.".contains(character));
    release.truncate(32);
    Ok(release)
}

/// Where JSON from outside is wrong, and nothing of what stands there: that may be a secret, and endless.
pub(super) fn where_wrong(error: &serde_json::Error) -> String {
    format!("not understood at line {}, column {}", error.line(), error.column())
}

/// Another node's reason, as it is passed on to people.
pub(super) fn told(octets: &[u8]) -> String {
    let text = String::from_utf8_lossy(octets);
    text.chars().filter(|character| !character.is_control()).take(limits::REFUSAL_CHARACTERS).collect()
}

/// What two nodes with one identity are told.
pub(super) fn rivalry(identity: Identity, other: &str) -> String {
    format!(
        "two nodes run with the identity {identity}, the other one at {other}: one folder is a copy; stop one of them, and let it join anew"
    )
}

/// An error with its causes.
pub(super) fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn versions_are_compared_and_named() {
        let own = Hello::new(Incarnation::random());
        assert_eq!(Hello::read(&own.write()), Ok(own.clone()));
        assert_eq!(own.agrees(), Ok(()));
        let newer = Hello::of_release("9.1.0\r\n!", 8..=9);
        let told = Hello::read(&newer.write()).expect("well-formed").agrees().expect_err("no common version");
        assert!(told.contains("release 9.1.0 and speaks wire versions 8 to 9"), "{told}");
        let upgraded = Hello::of_release("0.2.0", 1..=2);
        assert_eq!(upgraded.agrees(), Ok(()));
    }

    #[test]
    fn a_newer_hello_may_say_more() {
        let mut value = serde_json::to_value(Hello::new(Incarnation::random())).expect("JSON");
        value["mood"] = "good".into();
        assert!(Hello::read(value.to_string().as_bytes()).is_ok());
    }

    #[test]
    fn lanes_have_paths() {
        for lane in LANES {
            assert_eq!(super::lane(path(lane)), Some(lane));
        }
        assert_eq!(super::lane("/"), None);
    }

    proptest! {
        #[test]
        fn any_octets_are_a_hello_or_none(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Hello::read(&octets).map(|hello| hello.agrees());
        }

        #[test]
        fn any_json_is_a_hello_or_none(lowest: u32, highest: u32, release in "\\PC{0,80}") {
            let hello = Hello::of_release(&release, lowest..=highest);
            let read = Hello::read(&hello.write()).expect("well-formed");
            prop_assert!(read.release.len() <= 32 && read.release.is_ascii());
            let _ = read.agrees();
        }
    }
}
