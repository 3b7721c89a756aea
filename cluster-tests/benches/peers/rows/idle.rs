//! How long after the `250` to a message a client that idles on its mailbox is told of it.

use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};

use super::Stage;
use super::stage::WATCHER;
use crate::book::percentile;
use crate::client::imap::Imap;
use crate::client::smtp::Smtp;
use crate::client::text::{Kind, Order, random};
use crate::host::meter::pause;
use crate::server::address;

/// Most messages in one run; slow servers get fewer, by the time of a run.
const MESSAGES: u64 = 200;
/// Pause before the next message, so that no two are told together.
const GAP: Duration = Duration::from_millis(10);
const OCTETS: usize = 4_096;

pub(super) fn measure(stage: &mut Stage<'_>) -> Result<()> {
    stage.settle();
    stage.runs(once)
}

fn once(stage: &mut Stage<'_>) -> Result<()> {
    let mut watcher = stage.imap(WATCHER)?;
    let known = watcher.select("INBOX")?;
    watcher.idle()?;
    let mut sender = Smtp::connect(stage.server.ports().smtp)?;
    let (told, tells) = channel();
    let meter = stage.meter();
    let waits = std::thread::scope(|scope| {
        scope.spawn(move || watch(watcher, known, |news| told.send(news).is_ok()));
        let (mut random, mut message, to) = (random(0), Vec::new(), address(WATCHER));
        let deadline = Instant::now() + stage.time() * 2;
        let mut waits = Vec::new();
        for number in 0..MESSAGES {
            let order = Order { kind: Kind::Text, octets: OCTETS, to: &to, number };
            stage.library.write(&order, &mut random, &mut message);
            sender.send(std::slice::from_ref(&to), &message)?;
            let accepted = Instant::now();
            let news = tells.recv_timeout(Duration::from_secs(60)).context("the watcher was not told")?;
            let (when, exists) = news?;
            if exists != known + number + 1 {
                return Err(anyhow!("{exists} messages instead of {}", known + number + 1));
            }
            // Who is told before the sender waited no time.
            waits.push(when.saturating_duration_since(accepted).as_secs_f64() * 1_000.0);
            if Instant::now() > deadline {
                break;
            }
            pause(GAP);
        }
        // The watcher ends when it is told of one more.
        drop(tells);
        sender.send(&[to], &message)?;
        Ok(waits)
    });
    let (mut waits, load) = (waits?, meter.read());
    for (key, part) in [("idle-p50", 0.5), ("idle-p99", 0.99)] {
        let value = percentile(&mut waits, part).context("no message was sent")?;
        stage.record(key, value, load);
    }
    Ok(())
}

/// Tells of each message when it comes, as long as somebody listens.
fn watch(mut watcher: Imap, mut known: u64, tell: impl Fn(Result<(Instant, u64)>) -> bool) {
    loop {
        let news = watcher.await_more_than(known).map(|exists| (Instant::now(), exists));
        known = news.as_ref().map_or(known, |news| news.1);
        let has_ended = news.is_err();
        if !tell(news) || has_ended {
            // Closing the connection says as much as these words would.
            let _ = watcher.done();
            return;
        }
    }
}
