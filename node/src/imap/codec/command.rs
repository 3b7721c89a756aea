//! What a client can ask for, as values (RFC 9051 §6 and the extensions that Sterna announces).
//! Mailbox names stay as the client wrote them: their encoding depends on the session.

use std::num::NonZeroU64;

use sterna_storage::types::{Flags, Keyword, ModSeq, Secret, SystemFlag, Timestamp};

use super::date::Day;
use super::sequence_set::SequenceSet;

/// A mailbox name in the client's encoding.
pub type RawName = Vec<u8>;

/// One command without its tag.
#[derive(Debug)]
pub enum Command {
    /// `CAPABILITY`.
    Capability,
    /// `NOOP`.
    Noop,
    /// `LOGOUT`.
    Logout,
    /// `ID` (RFC 2971): field and value pairs.
    Id(Vec<(String, Option<String>)>),
    /// `STARTTLS`.
    StartTls,
    /// `AUTHENTICATE`, with the initial response of SASL-IR as it stands on the wire.
    Authenticate {
        /// In upper case.
        mechanism: String,
        /// Base64, or `=` for an empty one.
        initial: Option<Vec<u8>>,
    },
    /// `LOGIN`.
    Login {
        /// The account's address or name.
        login: String,
        /// Its password.
        password: Secret<String>,
    },
    /// `ENABLE`: names in upper case.
    Enable(Vec<String>),
    /// `SELECT` or `EXAMINE`.
    Select {
        /// Which mailbox.
        mailbox: RawName,
        /// `EXAMINE`.
        read_only: bool,
        /// The `CONDSTORE` parameter.
        condstore: bool,
    },
    /// `CREATE`, with the `USE` attributes of RFC 6154 in upper case and without the backslash.
    Create {
        /// Which mailbox.
        mailbox: RawName,
        /// What it is for.
        special_use: Vec<String>,
    },
    /// `DELETE`.
    Delete(RawName),
    /// `RENAME`.
    Rename {
        /// The old name.
        from: RawName,
        /// The new one.
        to: RawName,
    },
    /// `SUBSCRIBE`.
    Subscribe(RawName),
    /// `UNSUBSCRIBE`.
    Unsubscribe(RawName),
    /// `LIST`.
    List(List),
    /// `LSUB` (RFC 3501).
    Lsub {
        /// What the pattern is relative to.
        reference: RawName,
        /// With wildcards.
        pattern: RawName,
    },
    /// `NAMESPACE`.
    Namespace,
    /// `STATUS`.
    Status {
        /// Which mailbox.
        mailbox: RawName,
        /// What of it.
        items: Vec<StatusItem>,
    },
    /// `APPEND` whose message literal is read apart from the command.
    Append(AppendHead),
    /// `IDLE`.
    Idle,
    /// `CHECK` (RFC 3501).
    Check,
    /// `CLOSE`.
    Close,
    /// `UNSELECT`.
    Unselect,
    /// `EXPUNGE`, or `UID EXPUNGE` of these.
    Expunge(Option<SequenceSet>),
    /// `SEARCH` or `UID SEARCH`.
    Search(Box<Search>),
    /// `FETCH` or `UID FETCH`.
    Fetch(Box<Fetch>),
    /// `STORE` or `UID STORE`.
    Store(Store),
    /// `COPY`, `MOVE` and their UID forms.
    Copy {
        /// Of which messages.
        set: SequenceSet,
        /// Whether the set holds UIDs.
        uid: bool,
        /// Where to.
        mailbox: RawName,
        /// Whether the originals go.
        remove: bool,
    },
}

/// The arguments of `APPEND` before its literal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppendHead {
    /// Where to.
    pub mailbox: RawName,
    /// Flags of the new message.
    pub flags: Flags,
    /// Its internal date, if not now.
    pub internal_date: Option<Timestamp>,
}

/// `STORE` (RFC 9051 §6.4.6, RFC 7162 §3.1.3).
#[derive(Debug)]
pub struct Store {
    /// Of which messages.
    pub set: SequenceSet,
    /// Whether the set holds UIDs.
    pub uid: bool,
    /// `FLAGS`, `+FLAGS` or `-FLAGS`.
    pub mode: StoreMode,
    /// `.SILENT`.
    pub silent: bool,
    /// The flags named.
    pub flags: Flags,
    /// Only messages whose MODSEQ is not above this.
    pub unchanged_since: Option<ModSeq>,
}

/// How `STORE` changes flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreMode {
    /// `FLAGS`.
    Replace,
    /// `+FLAGS`.
    Add,
    /// `-FLAGS`.
    Remove,
}

/// `LIST` with the options of RFC 5258, RFC 5819 and RFC 6154.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct List {
    /// What the patterns are relative to.
    pub reference: RawName,
    /// With wildcards; at least one.
    pub patterns: Vec<RawName>,
    /// Which mailboxes.
    pub select: ListSelection,
    /// What of them.
    pub returns: ListReturn,
    /// Whether any part of the extended syntax was used.
    pub extended: bool,
}

/// Selection options of `LIST`.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct ListSelection {
    /// Only subscribed names, existing or not.
    pub subscribed: bool,
    /// Also superiors whose inferiors match.
    pub recursive_match: bool,
    /// Only mailboxes with a special use.
    pub special_use: bool,
}

/// Return options of `LIST`.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct ListReturn {
    /// `\Subscribed`.
    pub subscribed: bool,
    /// `\HasChildren` and `\HasNoChildren`.
    pub children: bool,
    /// `\Sent` and the like; always told, as RFC 6154 allows.
    pub special_use: bool,
    /// A `STATUS` response for each mailbox, with these items; none if empty.
    pub status: Vec<StatusItem>,
}

/// What `STATUS` can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is the RFC's item of the same name")]
pub enum StatusItem {
    Messages,
    Recent,
    UidNext,
    UidValidity,
    Unseen,
    Deleted,
    Size,
    HighestModSeq,
    AppendLimit,
}

/// `FETCH`.
#[derive(Debug)]
pub struct Fetch {
    /// Of which messages.
    pub set: SequenceSet,
    /// Whether the set holds UIDs.
    pub uid: bool,
    /// What of them, in the client's order.
    pub items: Vec<FetchItem>,
    /// `CHANGEDSINCE` (RFC 7162 §3.1.4.1).
    pub changed_since: Option<ModSeq>,
}

/// One data item of `FETCH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FetchItem {
    /// `UID`.
    Uid,
    /// `FLAGS`.
    Flags,
    /// `INTERNALDATE`.
    InternalDate,
    /// `RFC822.SIZE`.
    Size,
    /// `MODSEQ`.
    ModSeq,
    /// `ENVELOPE`.
    Envelope,
    /// `BODY` (not extended) or `BODYSTRUCTURE`.
    Structure {
        /// `BODYSTRUCTURE`.
        extended: bool,
    },
    /// `BODY[…]`, `BODY.PEEK[…]` and the RFC822 forms of old.
    Section {
        /// Which octets.
        section: Section,
        /// The name under which they are returned.
        name: SectionName,
        /// Whether `\Seen` stays as it is.
        peek: bool,
        /// Which part of these octets.
        partial: Option<Partial>,
    },
    /// `BINARY[…]` or `BINARY.PEEK[…]` (RFC 3516): the part with its transfer encoding removed.
    Binary {
        /// The part; empty for the whole message.
        part: Vec<u32>,
        /// Whether `\Seen` stays as it is.
        peek: bool,
        /// Which of the decoded octets.
        partial: Option<Partial>,
    },
    /// `BINARY.SIZE[…]`.
    BinarySize {
        /// The part; empty for the whole message.
        part: Vec<u32>,
    },
}

/// Under which name a section is returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SectionName {
    /// `BODY[…]`.
    Body,
    /// `RFC822`.
    Rfc822,
    /// `RFC822.HEADER`.
    Rfc822Header,
    /// `RFC822.TEXT`.
    Rfc822Text,
}

/// `section-spec`: a part number, and what of that part.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Section {
    /// Empty for the message itself.
    pub part: Vec<u32>,
    /// What of it; all if `None`.
    pub text: Option<SectionText>,
}

/// `section-text`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SectionText {
    /// `HEADER`.
    Header,
    /// `HEADER.FIELDS` or `HEADER.FIELDS.NOT`.
    Fields {
        /// As the client wrote them.
        names: Vec<String>,
        /// `.NOT`.
        not: bool,
    },
    /// `TEXT`.
    Text,
    /// `MIME`.
    Mime,
}

/// `<offset.length>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Partial {
    /// The first octet, from 0.
    pub offset: u64,
    /// How many at most.
    pub length: NonZeroU64,
}

/// `SEARCH` (RFC 9051 §6.4.4, RFC 4731, RFC 5182).
#[derive(Debug)]
pub struct Search {
    /// Whether UIDs are to be returned.
    pub uid: bool,
    /// The `RETURN` options; `None` without `RETURN`.
    pub returns: Option<SearchReturn>,
    /// The charset of the texts, in upper case; UTF-8 if not named.
    pub charset: Option<String>,
    /// What messages must match.
    pub key: SearchKey,
}

/// `search-return-opts`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(clippy::struct_excessive_bools, reason = "the options are independent of each other")]
pub struct SearchReturn {
    /// `MIN`.
    pub min: bool,
    /// `MAX`.
    pub max: bool,
    /// `ALL`; also what `RETURN ()` means.
    pub all: bool,
    /// `COUNT`.
    pub count: bool,
    /// `SAVE`.
    pub save: bool,
}

/// `search-key`. Texts are in the command's charset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SearchKey {
    /// `ALL`.
    All,
    /// Message sequence numbers, or `$`.
    Sequence(SequenceSet),
    /// `UID`.
    Uid(SequenceSet),
    /// `SEEN`, `UNSEEN` and the like.
    System(SystemFlag),
    /// `KEYWORD`.
    Keyword(Keyword),
    /// `RECENT` (RFC 3501).
    Recent,
    /// `HEADER`, `FROM`, `SUBJECT` and the like; an empty text asks for the field alone.
    Header {
        /// The field's name in lower case.
        name: String,
        /// The substring.
        text: Vec<u8>,
    },
    /// `BODY`.
    Body(Vec<u8>),
    /// `TEXT`.
    Text(Vec<u8>),
    /// `BEFORE`: internal date earlier than the day.
    Before(Day),
    /// `ON`.
    On(Day),
    /// `SINCE`.
    Since(Day),
    /// `SENTBEFORE`.
    SentBefore(Day),
    /// `SENTON`.
    SentOn(Day),
    /// `SENTSINCE`.
    SentSince(Day),
    /// `LARGER`.
    Larger(u64),
    /// `SMALLER`.
    Smaller(u64),
    /// `MODSEQ` (RFC 7162 §3.1.5): equal or above.
    ModSeq(ModSeq),
    /// `NOT`.
    Not(Box<SearchKey>),
    /// `OR`.
    Or(Box<SearchKey>, Box<SearchKey>),
    /// All of these.
    And(Vec<SearchKey>),
}

impl SearchKey {
    /// Whether `test` holds for this key or one within it.
    pub fn any(&self, test: &impl Fn(&Self) -> bool) -> bool {
        let within = match self {
            Self::Not(key) => key.any(test),
            Self::Or(left, right) => left.any(test) || right.any(test),
            Self::And(keys) => keys.iter().any(|key| key.any(test)),
            _ => false,
        };
        within || test(self)
    }
}
