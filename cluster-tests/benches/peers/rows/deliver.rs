//! Mail by SMTP from many connections, counted until the last message is visible.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::Stage;
use crate::client::crew::crew;
use crate::client::imap::Imap;
use crate::client::smtp::Smtp;
use crate::client::text::{Kind, Order, random};
use crate::host::meter::pause;
use crate::server::address;

/// Longest wait for the last message.
const VISIBLE_WITHIN: Duration = Duration::from_secs(180);

/// What to send.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parcel {
    pub(crate) kind: Kind,
    /// Octets of each message.
    pub(crate) octets: usize,
    /// Connections that send.
    pub(crate) connections: usize,
}

/// How it went.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Delivered {
    pub(crate) messages: u64,
    pub(crate) octets: u64,
    /// From the first octet sent until the last acknowledgement.
    pub(crate) accepted_s: f64,
    /// From the first octet sent until the last message was visible.
    pub(crate) visible_s: f64,
}

/// Sends to `users` in turn for the time of a run, waits until all of it is in their INBOXes, and checks that it is
/// there once.
pub(crate) fn deliver(stage: &Stage<'_>, users: &[usize], parcel: Parcel) -> Result<Delivered> {
    let mut readers = users.iter().map(|user| stage.imap(*user)).collect::<Result<Vec<_>>>()?;
    let before = counts(&mut readers)?;
    let nodes = stage.server.ports_of_nodes();
    let sender = |number: usize| Smtp::connect(nodes[number % nodes.len()].smtp);
    let senders = (0..parcel.connections).map(sender).collect::<Result<Vec<_>>>()?;
    let time = stage.time();
    let shift = crew(senders, |number, sender| send(stage, sender, (number, users), parcel, time))?;
    let mut sent = vec![0; users.len()];
    let (mut octets, mut accepted_s) = (0, 0.0_f64);
    for (each, sent_octets, ended) in shift.told {
        sent.iter_mut().zip(each).for_each(|(all, one)| *all += one);
        octets += sent_octets;
        accepted_s = accepted_s.max((ended - shift.began).as_secs_f64());
    }
    let due: Vec<u64> = before.iter().zip(&sent).map(|(before, sent)| before + sent).collect();
    await_counts(&mut readers, &due)?;
    let visible_s = shift.began.elapsed().as_secs_f64();
    let messages = sent.iter().sum();
    let found = counts(&mut readers)?;
    if found != due {
        let (found, due) = (found.iter().sum::<u64>(), due.iter().sum::<u64>());
        bail!("{messages} messages were accepted, {found} are there instead of {due}");
    }
    Ok(Delivered { messages, octets, accepted_s, visible_s })
}

/// Sends until the time is over: messages for each user, octets, when the last was accepted.
fn send(
    stage: &Stage<'_>,
    mut sender: Smtp,
    (number, users): (usize, &[usize]),
    parcel: Parcel,
    time: Duration,
) -> Result<(Vec<u64>, u64, Instant)> {
    let deadline = Instant::now() + time;
    let mut random = random(number as u64);
    let (mut sent, mut octets, mut message) = (vec![0; users.len()], 0, Vec::new());
    // Each begins elsewhere, so that not all write to the same user at the same time.
    let mut turn = number * users.len() / parcel.connections;
    while Instant::now() < deadline {
        let place = turn % users.len();
        let to = address(users[place]);
        let order = Order { kind: parcel.kind, octets: parcel.octets, to: &to, number: turn as u64 };
        stage.library.write(&order, &mut random, &mut message);
        sender.send(&[to], &message)?;
        sent[place] += 1;
        octets += message.len() as u64;
        turn += 1;
    }
    let ended = Instant::now();
    sender.quit()?;
    Ok((sent, octets, ended))
}

fn counts(readers: &mut [Imap]) -> Result<Vec<u64>> {
    readers.iter_mut().map(|reader| reader.count("INBOX")).collect()
}

fn await_counts(readers: &mut [Imap], due: &[u64]) -> Result<()> {
    let deadline = Instant::now() + VISIBLE_WITHIN;
    for (reader, due) in readers.iter_mut().zip(due) {
        loop {
            let count = reader.count("INBOX")?;
            if count >= *due {
                break;
            }
            if Instant::now() > deadline {
                bail!("{} of {due} messages are visible after {VISIBLE_WITHIN:?}", count);
            }
            pause(Duration::from_millis(10));
        }
    }
    Ok(())
}
