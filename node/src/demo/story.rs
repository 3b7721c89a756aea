//! The story: start, two accounts, a message there and back, and then whatever its viewer does.

use std::io;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};

use super::cluster;
use super::keys::Keys;
use super::screen::{Screen, duration};
use super::server::{Server, cli};
use super::stage::{DOMAIN, Folder, People, Person, Ports, Stage};
use super::{certificates, guide, mail};

/// What `sterna demo` takes.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Arguments {
    /// Keep the data in this folder. Without it a temporary folder is used, and removed at the end.
    #[arg(long, value_name = "FOLDER")]
    pub data: Option<PathBuf>,
    /// Three servers that are one, over an S3 service of the demo's own
    #[arg(long)]
    pub cluster: bool,
}

/// Runs the demo until Ctrl-C, or SIGTERM.
pub async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let screen = Screen::new();
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let folder = Folder::make(arguments.data.as_deref())?;
    let mut servers = Vec::new();
    let ending = tokio::select! {
        told = async {
            match arguments.cluster {
                true => cluster::tell(&folder, screen, &mut servers).await,
                false => tell(&folder, screen, &mut servers).await,
            }
        } => told,
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
    };
    let stopped = futures::future::join_all(servers.into_iter().map(Server::stop)).await;
    screen.line(format_args!("\nStopped; the data folder is {}.", folder.fate()))?;
    stopped.into_iter().collect::<anyhow::Result<()>>().and(ending)
}

fn show_stage(stage: &Stage, screen: Screen) -> io::Result<()> {
    screen.title("Sterna demo")?;
    screen.line(format_args!("  data folder   {}", stage.data().display()))?;
    screen.line(format_args!("  certificate   {}", stage.authority().display()))?;
    screen.line(format_args!("  server's log  {}", stage.log().display()))
}

/// All that there is to see of one server. Returns once the viewer has seen enough, or if something goes wrong.
async fn tell(folder: &Folder, screen: Screen, servers: &mut Vec<Server>) -> anyhow::Result<()> {
    let begin = Instant::now();
    let stage = &Stage::set(
        &folder.path,
        Ports::free(&mut Vec::new())?,
        People::new(),
        &certificates::generate()?,
        "",
    )?;
    show_stage(stage, screen)?;
    let (server, took) = Server::start(stage).await?;
    servers.push(server);
    let server = &mut servers[0];
    screen.line(format_args!("  server started in {}", duration(took)))?;
    create_accounts(stage, screen).await?;
    there_and_back(stage, screen).await?;
    guide::commands(stage, screen)?;
    guide::settings(stage, screen)?;
    screen.title(format_args!("Ready in {}", duration(begin.elapsed())))?;
    let mut keys = Keys::new();
    loop {
        screen.line("Press k to kill the server (SIGKILL) and start it again, Ctrl-C to end.")?;
        let is_wanted = tokio::select! {
            ended = server.ended() => anyhow::bail!("the server ended by itself: {}", ended?),
            is_wanted = keys.want_another() => is_wanted,
        };
        if !is_wanted {
            return Ok(());
        }
        kill_and_restart(stage, screen, server).await?;
    }
}

pub(super) async fn create_accounts(stage: &Stage, screen: Screen) -> anyhow::Result<()> {
    screen.title("One domain, two accounts")?;
    screen.line(format_args!("  $ sterna domain add {DOMAIN}"))?;
    cli(stage, &["domain", "add", DOMAIN], "").await?;
    for Person { address, password, .. } in stage.people.both() {
        screen.line(format_args!("  $ sterna account add {address} --password-stdin"))?;
        cli(stage, &["account", "add", address, "--password-stdin"], &format!("{password}\n")).await?;
    }
    Ok(())
}

/// The message, and the way it went.
async fn there_and_back(stage: &Stage, screen: Screen) -> anyhow::Result<()> {
    screen.title("Ann sends to Bob: SMTP submission under TLS")?;
    let queue_id = mail::send(stage, screen).await?;
    screen.title("Bob reads: IMAP under TLS")?;
    let message = mail::read(stage, Some(screen)).await.context("reading the message back")?;
    screen.title(format_args!("How message {queue_id} went, by its trace fields"))?;
    trace_fields(&message).try_for_each(|line| screen.line(format_args!("  {line}")))?;
    screen.title("And by the server's log")?;
    let log = std::fs::read_to_string(stage.log())?;
    let mut about = log.lines().filter(|line| line.contains(&queue_id));
    about.try_for_each(|line| screen.line(format_args!("  {line}")))?;
    Ok(())
}

/// The fields that delivery adds (RFC 5321 §4.4), with their continuation lines.
fn trace_fields(message: &str) -> impl Iterator<Item = &str> {
    const TRACE: [&str; 3] = ["Return-Path:", "Delivered-To:", "Received:"];
    let mut within = false;
    message.lines().take_while(|line| !line.is_empty()).filter(move |line| {
        if !line.starts_with([' ', '\t']) {
            within = TRACE.iter().any(|field| line.starts_with(field));
        }
        within
    })
}

async fn kill_and_restart(stage: &Stage, screen: Screen, server: &mut Server) -> anyhow::Result<()> {
    server.kill().await?;
    screen.title("Killed (SIGKILL); starting again")?;
    let (again, took) = Server::start(stage).await?;
    *server = again;
    mail::read(stage, Some(screen)).await.context("the message is lost")?;
    screen.title(format_args!("Back in {}; the mail is still there", duration(took)))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trace_fields_come_with_their_continuations() {
        let message = "Received: a\r\n\tb\r\nSubject: c\r\n d\r\nReturn-Path: <e>\r\n\r\nReceived: not";
        let found: Vec<&str> = trace_fields(message).collect();
        assert_eq!(found, ["Received: a", "\tb", "Return-Path: <e>"]);
    }
}
