//! The figures: what each is called, in which unit, and what is to be reached.

/// What is to be reached, all by medians.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Goal {
    /// So many times the best peer's figure.
    TimesPeer(f64),
    /// No more than so many times the best peer's figure.
    AtMostTimesPeer(f64),
    /// So many times another figure of Sterna's own.
    TimesOwn(&'static str, f64),
    /// No more than this.
    AtMost(f64),
    /// It is stated.
    Stated,
}

/// One figure.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Figure {
    /// Its name in the machine-readable report.
    pub(crate) key: &'static str,
    /// What it is.
    pub(crate) title: &'static str,
    /// In which unit.
    pub(crate) unit: &'static str,
    /// What is to be reached.
    pub(crate) goal: Goal,
}

const fn figure(key: &'static str, title: &'static str, unit: &'static str, goal: Goal) -> Figure {
    Figure { key, title, unit, goal }
}

const RATE: &str = "messages/s";

/// All of them, in the order of the report.
pub(crate) const FIGURES: [Figure; 57] = [
    figure("disk-1", "disk: 4 kB write and fdatasync, 1 thread", "writes/s", Goal::Stated),
    figure("disk-16", "the same, 16 threads", "writes/s", Goal::Stated),
    figure("disk-64", "the same, 64 threads", "writes/s", Goal::Stated),
    figure("smtp", "SMTP to visible in INBOX, 4 kB, 64 connections", RATE, Goal::TimesPeer(3.0)),
    figure("smtp-accepted", "of this: accepted", RATE, Goal::Stated),
    figure("smtp-one", "the same, into one mailbox", RATE, Goal::TimesOwn("smtp", 0.5)),
    figure("smtp-cpu", "server CPU per SMTP message until quiet", "ms", Goal::AtMost(1.0)),
    figure("append", "APPEND 4 kB, 16 connections, durable", RATE, Goal::TimesPeer(1.5)),
    figure("flags-small", "FETCH (UID FLAGS) of 10 k", RATE, Goal::TimesPeer(3.0)),
    figure("flags-big", "FETCH (UID FLAGS) of 100 k", RATE, Goal::TimesPeer(3.0)),
    figure("envelope", "FETCH envelope and structure of 10 k, warm", RATE, Goal::TimesPeer(3.0)),
    figure("envelope-first", "the same, first after a restart", RATE, Goal::Stated),
    figure("bodies-1", "FETCH bodies, 4 kB, 1 connection, warm", RATE, Goal::TimesPeer(1.0)),
    figure("bodies-4", "FETCH bodies, 4 kB, 4 connections, warm", RATE, Goal::TimesPeer(1.0)),
    figure("bodies-first", "FETCH bodies, first after a restart", RATE, Goal::TimesPeer(1.0)),
    figure("select", "cold SELECT of 100 k, after a restart", "ms", Goal::AtMostTimesPeer(1.0)),
    figure("select-disk", "the same, read from the disk", "ms", Goal::AtMostTimesPeer(1.0)),
    figure("store-one", "STORE one by one", RATE, Goal::TimesPeer(1.5)),
    figure("store-all", "STORE 10 k at once", RATE, Goal::TimesPeer(1.5)),
    figure("store-four", "STORE one by one, 4 connections in one mailbox", RATE, Goal::TimesPeer(1.5)),
    figure("search", "SEARCH TEXT over 10 k", "ms", Goal::Stated),
    figure("idle-p50", "IDLE: told after the 250, half of them", "ms", Goal::Stated),
    figure("idle-p99", "IDLE: told after the 250, 99 %", "ms", Goal::AtMost(50.0)),
    figure("memory-plain", "memory per idle IMAP connection, in the clear", "KiB", Goal::AtMost(12.0)),
    figure("memory-tls", "memory per idle IMAP connection, under TLS", "KiB", Goal::AtMost(30.0)),
    figure("written-text", "written per octet of mail, 20 kB text", "octets", Goal::AtMost(3.5)),
    figure("written-text-disk", "the same, by the disk's own count", "octets", Goal::Stated),
    figure("written-attachment", "written per octet of mail, 20 kB base64", "octets", Goal::AtMost(3.5)),
    figure("written-attachment-disk", "the same, by the disk's own count", "octets", Goal::Stated),
    figure(
        "cluster-smtp",
        "SMTP to visible in INBOX, 4 kB, 64 connections: one server to three voters",
        RATE,
        Goal::AtMostTimesPeer(3.0),
    ),
    figure("cluster-written", "written per octet of mail and voter, 20 kB text", "octets", Goal::Stated),
    figure("cluster-puts", "writes to the bucket per 1,000 messages of 20 kB", "PUTs", Goal::Stated),
    figure("cluster-read-first", "FETCH packed bodies, first after a restart", RATE, Goal::Stated),
    figure("cluster-read-again", "the same, once more", RATE, Goal::Stated),
    figure(
        "config-p50",
        "a change until it is in force on all three voters, half of them",
        "ms",
        Goal::Stated,
    ),
    figure("config-p99", "the same, 99 %", "ms", Goal::AtMost(100.0)),
    figure("config-most", "the same, the longest", "ms", Goal::Stated),
    figure("rss-fresh", "memory, fresh", "MB", Goal::AtMost(40.0)),
    figure("rss-loaded", "memory, after the loads above", "MB", Goal::AtMost(150.0)),
    figure(
        "million-rss",
        "memory with 1,000,000 messages in 1,000 mailboxes, idle",
        "MB",
        Goal::AtMost(300.0),
    ),
    figure("million-rss-restarted", "the same, after a restart", "MB", Goal::Stated),
    figure("million-rate", "filling those, LMTP", RATE, Goal::Stated),
    figure("million-disk", "disk taken per message of those", "octets", Goal::Stated),
    figure("million-octets", "octets of such a message", "octets", Goal::Stated),
    figure("million-restart", "time to stop and start with those", "ms", Goal::Stated),
    figure("directory-import", "making 1,000,000 accounts from a file", "accounts/s", Goal::Stated),
    figure(
        "directory-disk",
        "disk taken per account of those, its mailboxes included",
        "octets",
        Goal::Stated,
    ),
    figure("directory-start", "start with those, until ready", "ms", Goal::AtMost(10_000.0)),
    figure("directory-rss", "memory after that start", "MB", Goal::Stated),
    figure("directory-known-p50", "RCPT of any of those, half of them", "ms", Goal::Stated),
    figure("directory-known-p99", "the same, 99 %", "ms", Goal::Stated),
    figure(
        "directory-unknown-p50",
        "RCPT of addresses that do not exist there, half of them",
        "ms",
        Goal::Stated,
    ),
    figure("directory-unknown-p99", "the same, 99 %", "ms", Goal::Stated),
    figure("directory-rss-asked", "memory after those", "MB", Goal::Stated),
    figure("compress-text", "zstd makes a 20 kB text message smaller by", "times", Goal::Stated),
    figure("compress-attachment", "zstd makes a 20 kB base64 message smaller by", "times", Goal::Stated),
    figure("fill", "filling the mailbox of 10 k", RATE, Goal::Stated),
];

impl Figure {
    /// Whether more is better.
    pub(crate) fn more_is_better(&self) -> bool {
        self.unit.ends_with("/s") || self.unit == "times"
    }

    /// What is to be reached, in words.
    pub(crate) fn goal_text(&self) -> String {
        match self.goal {
            Goal::TimesPeer(times) => format!("≥ {times}×"),
            Goal::AtMostTimesPeer(times) => format!("≤ {times}×"),
            Goal::TimesOwn(other, times) => format!("≥ {times}× {other}"),
            Goal::AtMost(most) => format!("≤ {most} {}", self.unit),
            Goal::Stated => String::new(),
        }
    }
}
