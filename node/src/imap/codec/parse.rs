//! One whole command's octets to a [`Command`] (RFC 9051 §9 `command`).

use sterna_storage::types::{ModSeq, Secret};

use super::command::{Command, Store, StoreMode};
use super::cursor::{Cursor, Parse, SyntaxError, is_astring_char};
use crate::limits;

/// A command with the tag under which it is answered.
#[derive(Debug)]
pub struct Tagged {
    /// `None` if not even a tag could be read.
    pub tag: Option<String>,
    /// The command, or what is wrong with it.
    pub command: Result<Command, SyntaxError>,
    /// Whether the command's name is known: those who send unknown ones by the thousand are cut off.
    pub known: bool,
}

/// Reads one command: its lines and literals, with the final CRLF. An APPEND is given up to its
/// message literal.
pub fn command(octets: &[u8]) -> Tagged {
    let Some(line) = octets.strip_suffix(b"\r\n") else {
        let tag = tag(&mut Cursor::new(octets)).ok();
        return Tagged { tag, command: Err(SyntaxError("a command ends in CR LF")), known: false };
    };
    let mut cursor = Cursor::new(line);
    let tag = match tag(&mut cursor) {
        Ok(tag) => tag,
        Err(error) => return Tagged { tag: None, command: Err(error), known: false },
    };
    let mut known = true;
    let command = named(&mut cursor, &mut known).and_then(|command| cursor.end().map(|()| command));
    Tagged { tag: Some(tag), command, known }
}

/// The tag alone; for the framing, which answers before a command is whole.
pub fn tag(cursor: &mut Cursor<'_>) -> Parse<String> {
    let octets = cursor.take_while(|byte| is_astring_char(byte) && byte != b'+');
    if octets.is_empty() || octets.len() > limits::IMAP_TAG_OCTETS || cursor.peek() != Some(b' ') {
        return Err(SyntaxError("a tag and a command expected"));
    }
    cursor.space()?;
    Ok(String::from_utf8_lossy(octets).into_owned())
}

/// The arguments of an APPEND that ends in a literal's opening, if `line` is one: its tag, and
/// `None` where the literal is the mailbox's name.
pub fn append(line: &[u8]) -> Option<(String, Parse<Option<super::command::AppendHead>>)> {
    let mut cursor = Cursor::new(line);
    let tag = tag(&mut cursor).ok()?;
    cursor.take_word("APPEND ").then(|| (tag, cursor.append_head()))
}

fn named(cursor: &mut Cursor<'_>, known: &mut bool) -> Parse<Command> {
    let name = cursor.word()?;
    let bare = match name.as_str() {
        "CAPABILITY" => Some(Command::Capability),
        "NOOP" => Some(Command::Noop),
        "LOGOUT" => Some(Command::Logout),
        "STARTTLS" => Some(Command::StartTls),
        "NAMESPACE" => Some(Command::Namespace),
        "IDLE" => Some(Command::Idle),
        "CHECK" => Some(Command::Check),
        "CLOSE" => Some(Command::Close),
        "UNSELECT" => Some(Command::Unselect),
        "EXPUNGE" => Some(Command::Expunge(None)),
        _ => None,
    };
    if let Some(command) = bare {
        return Ok(command);
    }
    if !WITH_ARGUMENTS.contains(&name.as_str()) {
        *known = false;
        return Err(SyntaxError("unknown command"));
    }
    cursor.expect(b' ', "arguments expected")?;
    if name == "UID" {
        let name = cursor.word()?;
        cursor.space()?;
        return with_set(cursor, &name, true);
    }
    match name.as_str() {
        "SEARCH" | "FETCH" | "STORE" | "COPY" | "MOVE" => with_set(cursor, &name, false),
        "ID" | "AUTHENTICATE" | "LOGIN" | "ENABLE" => about_the_connection(cursor, &name),
        _ => about_mailboxes(cursor, &name),
    }
}

const WITH_ARGUMENTS: [&str; 21] = [
    "APPEND",
    "AUTHENTICATE",
    "COPY",
    "CREATE",
    "DELETE",
    "ENABLE",
    "EXAMINE",
    "FETCH",
    "ID",
    "LIST",
    "LOGIN",
    "LSUB",
    "MOVE",
    "RENAME",
    "SEARCH",
    "SELECT",
    "STATUS",
    "STORE",
    "SUBSCRIBE",
    "UID",
    "UNSUBSCRIBE",
];

fn with_set(cursor: &mut Cursor<'_>, name: &str, uid: bool) -> Parse<Command> {
    Ok(match name {
        "SEARCH" => Command::Search(Box::new(cursor.search(uid)?)),
        "FETCH" => Command::Fetch(Box::new(cursor.fetch(uid)?)),
        "STORE" => Command::Store(store(cursor, uid)?),
        "COPY" | "MOVE" => {
            let set = cursor.sequence_set()?;
            cursor.space()?;
            let mailbox = cursor.astring()?.into_owned();
            Command::Copy { set, uid, mailbox, remove: name == "MOVE" }
        }
        "EXPUNGE" if uid => Command::Expunge(Some(cursor.sequence_set()?)),
        _ => return Err(SyntaxError("unknown UID command")),
    })
}

fn store(cursor: &mut Cursor<'_>, uid: bool) -> Parse<Store> {
    let set = cursor.sequence_set()?;
    cursor.space()?;
    let mut unchanged_since = None;
    if cursor.peek() == Some(b'(') {
        cursor.list(|cursor| {
            if !cursor.take_word("UNCHANGEDSINCE ") {
                return Err(SyntaxError("unknown STORE modifier"));
            }
            unchanged_since = Some(ModSeq(cursor.number64()?));
            Ok(())
        })?;
        cursor.space()?;
    }
    let mode = match cursor.peek() {
        Some(b'+') => StoreMode::Add,
        Some(b'-') => StoreMode::Remove,
        _ => StoreMode::Replace,
    };
    if mode != StoreMode::Replace {
        let _sign = cursor.take(b'+') || cursor.take(b'-');
    }
    let item = cursor.word()?;
    let silent = item == "FLAGS.SILENT";
    if !silent && item != "FLAGS" {
        return Err(SyntaxError("STORE changes FLAGS only"));
    }
    cursor.space()?;
    let flags = cursor.flags(true)?;
    Ok(Store { set, uid, mode, silent, flags, unchanged_since })
}

fn about_the_connection(cursor: &mut Cursor<'_>, name: &str) -> Parse<Command> {
    Ok(match name {
        "ID" => Command::Id(id(cursor)?),
        "AUTHENTICATE" => {
            let mechanism = cursor.word()?;
            let initial =
                if cursor.take(b' ') { Some(cursor.take_while(|byte| byte > b' ').to_vec()) } else { None };
            Command::Authenticate { mechanism, initial }
        }
        "LOGIN" => {
            let login = cursor.text()?;
            cursor.space()?;
            let password = Secret::new(cursor.text()?);
            Command::Login { login, password }
        }
        _ => {
            let mut names = vec![cursor.word()?];
            while cursor.take(b' ') {
                names.push(cursor.word()?);
            }
            Command::Enable(names)
        }
    })
}

/// RFC 2971 §3.3: at most 30 pairs.
fn id(cursor: &mut Cursor<'_>) -> Parse<Vec<(String, Option<String>)>> {
    if cursor.take_word("NIL") {
        return Ok(Vec::new());
    }
    let text = |octets: std::borrow::Cow<'_, [u8]>| String::from_utf8_lossy(&octets).into_owned();
    let mut pairs = Vec::new();
    cursor.list(|cursor| {
        if pairs.len() >= limits::IMAP_ID_FIELDS {
            return Err(SyntaxError("too many ID fields"));
        }
        let field = text(cursor.string()?);
        cursor.space()?;
        pairs.push((field, cursor.nstring()?.map(text)));
        Ok(())
    })?;
    Ok(pairs)
}

fn about_mailboxes(cursor: &mut Cursor<'_>, name: &str) -> Parse<Command> {
    if name == "LIST" {
        return cursor.list_command().map(Command::List);
    }
    if name == "APPEND" {
        return Err(SyntaxError("APPEND expects its message as a literal"));
    }
    let mailbox = cursor.astring()?.into_owned();
    Ok(match name {
        "SELECT" => select(cursor, mailbox, false)?,
        "EXAMINE" => select(cursor, mailbox, true)?,
        "CREATE" => Command::Create { mailbox, special_use: create_uses(cursor)? },
        "DELETE" => Command::Delete(mailbox),
        "RENAME" => {
            cursor.space()?;
            Command::Rename { from: mailbox, to: cursor.astring()?.into_owned() }
        }
        "SUBSCRIBE" => Command::Subscribe(mailbox),
        "UNSUBSCRIBE" => Command::Unsubscribe(mailbox),
        "LSUB" => {
            cursor.space()?;
            Command::Lsub { reference: mailbox, pattern: cursor.list_mailbox()?.into_owned() }
        }
        "STATUS" => {
            cursor.space()?;
            Command::Status { mailbox, items: cursor.status_items()? }
        }
        _ => return Err(SyntaxError("unknown command")),
    })
}

fn select(cursor: &mut Cursor<'_>, mailbox: Vec<u8>, read_only: bool) -> Parse<Command> {
    let mut condstore = false;
    if cursor.take(b' ') {
        cursor.list(|cursor| match cursor.word()?.as_str() {
            "CONDSTORE" => {
                condstore = true;
                Ok(())
            }
            _ => Err(SyntaxError("unknown SELECT parameter")),
        })?;
    }
    Ok(Command::Select { mailbox, read_only, condstore })
}

/// `CREATE name (USE (\Sent))` (RFC 6154 §6).
fn create_uses(cursor: &mut Cursor<'_>) -> Parse<Vec<String>> {
    let mut uses = Vec::new();
    if cursor.take(b' ') {
        cursor.list(|cursor| {
            if !cursor.take_word("USE ") {
                return Err(SyntaxError("unknown CREATE parameter"));
            }
            uses = cursor.list(|cursor| {
                cursor.expect(b'\\', "a special use starts with \\")?;
                cursor.word()
            })?;
            Ok(())
        })?;
    }
    Ok(uses)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_valid(line: String) -> bool {
        command(format!("{line}\r\n").as_bytes()).command.is_ok()
    }

    fn many(count: usize, one: &str) -> String {
        vec![one; count].join(" ")
    }

    #[test]
    fn commands_are_taken_up_to_their_bounds_and_not_past_them() {
        let of_length = |octets| format!("{} NOOP", "t".repeat(octets));
        let items = |count| format!("t FETCH 1 ({})", many(count, "UID"));
        let part = |depth| format!("t FETCH 1 BODY[{}]", vec!["1"; depth].join("."));
        let nested = |depth| format!("t SEARCH {} SEEN", many(depth, "NOT"));
        let patterns = |count| format!("t LIST \"\" ({})", many(count, "a%"));
        let id = |count: usize| {
            let fields: Vec<String> = (0..count).map(|number| format!("\"f{number}\" \"v\"")).collect();
            format!("t ID ({})", fields.join(" "))
        };
        type Written<'a> = &'a dyn Fn(usize) -> String;
        let cases: [(&str, Written<'_>, usize); 6] = [
            ("tag", &of_length, limits::IMAP_TAG_OCTETS),
            ("items", &items, limits::IMAP_FETCH_ITEMS),
            ("part", &part, limits::IMAP_PART_DEPTH),
            ("nesting", &nested, limits::IMAP_SEARCH_DEPTH),
            ("patterns", &patterns, limits::IMAP_LIST_PATTERNS),
            ("fields", &id, limits::IMAP_ID_FIELDS),
        ];
        for (what, line, most) in cases {
            assert!(is_valid(line(most)), "{what}");
            assert!(!is_valid(line(most + 1)), "{what}");
        }
    }
}
