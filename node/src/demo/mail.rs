//! The two dialogues of the story: a message is submitted, and read again.

use std::path::Path;

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::client::Client;
use super::screen::Screen;
use super::stage::{Person, Stage};

/// The subject by which the message is found again.
pub(super) const SUBJECT: &str = "A message across Sterna";

/// Sends it from Ann to Bob over submission (RFC 8314: TLS from the start). The queue id in the server's answer.
pub(super) async fn send(stage: &Stage, screen: Screen) -> anyhow::Result<String> {
    let (ann, bob) = (&stage.people.ann, &stage.people.bob);
    let mut client = Client::connect(stage.ports.submissions, &stage.authority(), Some(screen)).await?;
    reply(&mut client, "220").await?;
    client.say("EHLO localhost").await?;
    reply(&mut client, "250").await?;
    let credentials = STANDARD.encode(format!("\0{}\0{}", ann.address, ann.password));
    client.say_as(&format!("AUTH PLAIN {credentials}"), "AUTH PLAIN ********").await?;
    reply(&mut client, "235").await?;
    client.say(&format!("MAIL FROM:<{}>", ann.address)).await?;
    reply(&mut client, "250").await?;
    client.say(&format!("RCPT TO:<{}>", bob.address)).await?;
    reply(&mut client, "250").await?;
    client.say("DATA").await?;
    reply(&mut client, "354").await?;
    client.say(&format!("From: {} <{}>", ann.name, ann.address)).await?;
    client.say(&format!("To: {} <{}>", bob.name, bob.address)).await?;
    client.say(&format!("Subject: {SUBJECT}")).await?;
    client.say("").await?;
    client.say("Once you read 250, this is on the disk.").await?;
    client.say(".").await?;
    let accepted = reply(&mut client, "250").await?;
    client.say("QUIT").await?;
    reply(&mut client, "221").await?;
    queue_id(&accepted).with_context(|| format!("no queue id in {accepted:?}"))
}

/// Reads Bob's INBOX over IMAP; what is in the message with [`SUBJECT`].
pub(super) async fn read(stage: &Stage, screen: Option<Screen>) -> anyhow::Result<String> {
    let mut client = log_in(stage.ports.imaps, &stage.authority(), &stage.people.bob, screen).await?;
    client.say("b SELECT INBOX").await?;
    tagged(&mut client, "b").await?;
    client.say(&format!("c UID SEARCH SUBJECT \"{SUBJECT}\"")).await?;
    let found = tagged(&mut client, "c").await?;
    let last = found.iter().find_map(|line| line.strip_prefix("* SEARCH ")?.split(' ').next_back());
    let uid = last.context("the message is not there")?.to_owned();
    client.say(&format!("d UID FETCH {uid} (FLAGS BODY.PEEK[])")).await?;
    let line = client.hear().await?;
    let octets = line.rsplit_once('{').and_then(|(_, count)| count.trim_end_matches('}').parse().ok());
    let message = client.hear_octets(octets.with_context(|| format!("no literal in {line:?}"))?).await?;
    tagged(&mut client, "d").await?;
    client.say("e LOGOUT").await?;
    tagged(&mut client, "e").await?;
    Ok(message)
}

async fn log_in(
    port: u16,
    authority: &Path,
    person: &Person,
    screen: Option<Screen>,
) -> anyhow::Result<Client> {
    let mut client = Client::connect(port, authority, screen).await?;
    client.hear().await?;
    let login = |password| format!("a LOGIN {} {password}", person.address);
    client.say_as(&login(person.password.as_str()), &login("********")).await?;
    tagged(&mut client, "a").await?;
    Ok(client)
}

/// An SMTP reply, whose code must be `code`; its last line.
async fn reply(client: &mut Client, code: &str) -> anyhow::Result<String> {
    loop {
        let line = client.hear().await?;
        if !line.starts_with(code) {
            bail!("{line:?} instead of {code}");
        }
        if line.as_bytes().get(3) != Some(&b'-') {
            return Ok(line);
        }
    }
}

/// The untagged lines before an IMAP command's OK.
async fn tagged(client: &mut Client, tag: &str) -> anyhow::Result<Vec<String>> {
    let mut lines = Vec::new();
    loop {
        let line = client.hear().await?;
        match line.strip_prefix(tag) {
            Some(rest) if rest.starts_with(" OK") => return Ok(lines),
            Some(_) => bail!("the server refuses: {line}"),
            None => lines.push(line),
        }
    }
}

/// The word of 16 letters and digits in the answer to DATA.
fn queue_id(reply: &str) -> Option<String> {
    let words = reply.split(|character: char| !character.is_ascii_alphanumeric());
    let mut ids = words.filter(|word| word.parse::<sterna_storage::types::QueueId>().is_ok());
    ids.next_back().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_queue_id_is_found_in_the_reply() {
        let id = sterna_storage::types::QueueId::new(sterna_storage::types::Timestamp::now()).to_string();
        assert_eq!(queue_id(&format!("250 2.0.0 accepted as {id}")), Some(id));
        assert_eq!(queue_id("250 2.0.0 accepted"), None);
    }
}
