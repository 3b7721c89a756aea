//! The demo's server: this very binary as a process of its own, so that it can be killed.

use std::fs::OpenOptions;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use super::stage::Stage;

/// Longest that a start may take before the demo gives up.
const PATIENCE: Duration = Duration::from_secs(30);
/// Time between two looks whether the server is ready.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// The running server. It does not outlive the demo.
pub(super) struct Server {
    child: Child,
}

impl Server {
    /// Starts it, and waits until it is ready; how long that took.
    pub(super) async fn start(stage: &Stage) -> anyhow::Result<(Self, Duration)> {
        let begin = Instant::now();
        let log = OpenOptions::new().create(true).append(true).open(stage.log())?;
        let mut command = command(stage, &["serve"])?;
        // In a process group of its own: Ctrl-C is for the demo, which then asks the server to stop.
        command.process_group(0).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).kill_on_drop(true);
        let mut server = Self { child: command.spawn().context("cannot start the server")? };
        while !is_ready(stage.ports.http).await {
            if let Some(status) = server.child.try_wait()? {
                let log = std::fs::read_to_string(stage.log()).unwrap_or_default();
                bail!("the server ended: {status}\n{log}");
            }
            if begin.elapsed() > PATIENCE {
                bail!("the server is not ready; its log is {}", stage.log().display());
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
        Ok((server, begin.elapsed()))
    }

    /// `kill -9`: no chance to write anything more.
    pub(super) async fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill().await.context("cannot kill the server")
    }

    /// Asks it to stop, and waits until it has.
    pub(super) async fn stop(mut self) -> anyhow::Result<()> {
        if let Some(pid) = self.child.id().and_then(|id| rustix::process::Pid::from_raw(id.cast_signed())) {
            rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        }
        self.child.wait().await?;
        Ok(())
    }

    /// Waits until it ends by itself, which it should not.
    pub(super) async fn ended(&mut self) -> std::io::Result<std::process::ExitStatus> {
        self.child.wait().await
    }
}

/// Runs one command line against the server, giving it `input`; what it prints.
pub(super) async fn cli(stage: &Stage, arguments: &[&str], input: &str) -> anyhow::Result<String> {
    let mut command = command(stage, arguments)?;
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let mut stdin = child.stdin.take().context("a pipe")?;
    stdin.write_all(input.as_bytes()).await?;
    drop(stdin);
    let output = child.wait_with_output().await?;
    if !output.status.success() {
        bail!("sterna {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn command(stage: &Stage, arguments: &[&str]) -> anyhow::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(arguments).arg("--config").arg(stage.configuration());
    command.envs(stage.environment.iter().map(|(name, value)| (name, value)));
    Ok(command)
}

async fn is_ready(http_port: u16) -> bool {
    let ask = async {
        let mut stream = TcpStream::connect(("127.0.0.1", http_port)).await?;
        stream
            .write_all(b"GET /health/ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            .await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        std::io::Result::Ok(answer)
    };
    ask.await.is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
}
