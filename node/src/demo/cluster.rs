//! The story of three servers that are one: a message is accepted on one and read on another while the first is killed.

use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::bucket::{self, Bucket};
use super::keys::Keys;
use super::screen::{Screen, duration};
use super::server::{Server, cli};
use super::stage::{Folder, People, Ports, Stage};
use super::story::create_accounts;
use super::{certificates, guide, mail};

/// Longest that the others may take to answer when one was killed, before the demo gives up.
const PATIENCE: Duration = Duration::from_secs(30);
/// Time between two attempts to read.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
/// How many there are. Any one of them may be lost.
const NODES: usize = 3;

/// All that there is to see of a cluster. Returns once the viewer has seen enough, or if something goes wrong.
pub(super) async fn tell(folder: &Folder, screen: Screen, servers: &mut Vec<Server>) -> anyhow::Result<()> {
    let begin = Instant::now();
    screen.title("Sterna demo: three servers that are one")?;
    screen.line(format_args!("  data folders  {}/node1 to node{NODES}", folder.path.display()))?;
    let bucket = Bucket::start(&folder.path.join("bucket")).await?;
    screen.line(format_args!("  S3 service    {} (in this process)", bucket.endpoint))?;
    let stages = stages(folder, &bucket)?;
    form(&stages, screen, servers).await?;
    create_accounts(&stages[0], screen).await?;
    screen.title("Ann sends to Bob on node 1: SMTP submission under TLS")?;
    mail::send(&stages[0], screen).await?;
    lose(0, &stages, screen, servers).await?;
    guide::commands(&stages[1], screen)?;
    guide::settings(&stages[1], screen)?;
    screen.title(format_args!("Ready in {}", duration(begin.elapsed())))?;
    let (mut keys, mut down) = (Keys::new(), 0);
    loop {
        screen.line("Press k to start the node that is down and kill the next one, Ctrl-C to end.")?;
        if !keys.want_another().await {
            return Ok(());
        }
        let took;
        (servers[down], took) = Server::start(&stages[down]).await?;
        screen.title(format_args!("Node {} is back in {}", down + 1, duration(took)))?;
        down = (down + 1) % NODES;
        lose(down, &stages, screen, servers).await?;
    }
}

/// What each node is started with.
fn stages(folder: &Folder, bucket: &Bucket) -> anyhow::Result<Vec<Stage>> {
    let (people, certificates) = (People::new(), certificates::generate()?);
    // Until all are found, so that no two nodes have the same.
    let mut held = Vec::new();
    let stage = |number| {
        let ports = Ports::free(&mut held)?;
        let port = ports.cluster;
        let more = format!(
            "[metadata]\nengine = \"raft\"\n\
             [cluster]\nlisten = [\"127.0.0.1:{port}\"]\naddress = \"127.0.0.1:{port}\"\n\
             [bodies]\nstore = \"s3\"\nbucket = \"{}\"\nendpoint = \"{}\"\nplain_http = true\n",
            bucket::NAME,
            bucket.endpoint,
        );
        let folder = folder.path.join(format!("node{number}"));
        let mut stage = Stage::set(&folder, ports, people.clone(), &certificates, &more)?;
        stage.environment = vec![
            ("AWS_ACCESS_KEY_ID", bucket.access_key.clone()),
            ("AWS_SECRET_ACCESS_KEY", bucket.secret_key.clone()),
        ];
        Ok(stage)
    };
    (1..=NODES).map(stage).collect()
}

/// The first one founds the cluster; the others join it, and vote.
async fn form(stages: &[Stage], screen: Screen, servers: &mut Vec<Server>) -> anyhow::Result<()> {
    screen.title("A cluster is founded, and joined")?;
    let say = |number, command: &str| screen.line(format_args!("  node{number}$ sterna {command}"));
    say(1, "cluster init")?;
    cli(&stages[0], &["cluster", "init"], "").await?;
    servers.push(started(1, &stages[0], screen).await?);
    let token = format!("cluster token --uses {}", NODES - 1);
    say(1, &token)?;
    let join = cli(&stages[0], &token.split(' ').collect::<Vec<_>>(), "").await?;
    let join = join.trim().strip_prefix("sterna ").context("no command to join with")?;
    for (number, stage) in (2..).zip(&stages[1..]) {
        say(number, join)?;
        cli(stage, &join.split(' ').collect::<Vec<_>>(), "").await?;
        servers.push(started(number, stage, screen).await?);
        let add = format!("cluster add {number}");
        say(1, &add)?;
        cli(&stages[0], &add.split(' ').collect::<Vec<_>>(), "").await?;
    }
    say(1, "cluster status")?;
    let status = cli(&stages[0], &["cluster", "status"], "").await?;
    Ok(status.lines().try_for_each(|line| screen.line(format_args!("  {line}")))?)
}

async fn started(number: usize, stage: &Stage, screen: Screen) -> anyhow::Result<Server> {
    let (server, took) = Server::start(stage).await?;
    screen.line(format_args!("  node {number} started in {}", duration(took)))?;
    Ok(server)
}

/// Kills one, and reads the message on the next.
async fn lose(number: usize, stages: &[Stage], screen: Screen, servers: &mut [Server]) -> anyhow::Result<()> {
    servers[number].kill().await?;
    let killed = Instant::now();
    let next = (number + 1) % NODES;
    screen.title(format_args!("Node {} is killed (SIGKILL); Bob reads on node {}", number + 1, next + 1))?;
    while let Err(error) = mail::read(&stages[next], None).await {
        if killed.elapsed() > PATIENCE {
            return Err(error.context("the message is lost"));
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
    screen.line(format_args!("  it answers {} after the kill", duration(killed.elapsed())))?;
    mail::read(&stages[next], Some(screen)).await.map(drop)
}
