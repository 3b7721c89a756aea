//! What Thunderbird, Outlook and Apple Mail say, word by word, over real sockets. The dialogues are in `dialogues/`.

use sterna_cluster_tests::dialogue::play;
use sterna_cluster_tests::sterna::Sterna;

use crate::mail;

/// One server with three messages for ann; the dialogues leave them where they are.
fn play_all(files: &[&str]) {
    let server = Sterna::start(&["ann", "bob"]);
    for number in 1..=3 {
        mail::deliver(&server, "ann", &format!("number {number}"));
    }
    files.iter().for_each(|file| play(&server, file));
}

#[test]
fn thunderbird() {
    play_all(&["thunderbird-smtp.txt", "thunderbird-imap.txt"]);
}

#[test]
fn outlook() {
    play_all(&["outlook-smtp.txt", "outlook-imap.txt", "outlook-pop3.txt"]);
}

#[test]
fn apple_mail() {
    play_all(&["apple-mail-smtp.txt", "apple-mail-imap.txt"]);
}
