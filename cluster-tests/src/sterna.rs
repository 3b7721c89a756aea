//! One server: the real binary as a process of its own, with its configuration, certificates and folder.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::certificates::{self, Certificates};
use crate::host::{free_port, wait_for};
use crate::tools::{Run, run_with};
use crate::{binary, tools};

/// The name by which the server greets.
pub const HOST_NAME: &str = "mx.example.test";
/// The domain that [`Sterna::start`] creates.
pub const DOMAIN: &str = "example.test";
/// The password of every account of the tests.
pub const PASSWORD: &str = "correct horse battery";

/// What listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Service {
    /// SMTP, port 25.
    Mx,
    /// SMTP with STARTTLS, port 587.
    Submission,
    /// SMTP under TLS, port 465.
    Submissions,
    /// LMTP.
    Lmtp,
    /// IMAP with STARTTLS, port 143.
    Imap,
    /// IMAP under TLS, port 993.
    Imaps,
    /// POP3 with STLS, port 110.
    Pop3,
    /// POP3 under TLS, port 995.
    Pop3s,
    /// The admin API and health.
    Http,
}

const SERVICES: [Service; 9] = [
    Service::Mx,
    Service::Submission,
    Service::Submissions,
    Service::Lmtp,
    Service::Imap,
    Service::Imaps,
    Service::Pop3,
    Service::Pop3s,
    Service::Http,
];

/// What a test may want otherwise.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Name servers to ask.
    pub name_server: Option<std::net::SocketAddr>,
    /// The port of foreign mail servers.
    pub outbound_port: Option<u16>,
    /// Further lines of the section `[smtp]`.
    pub smtp: String,
    /// Further lines of the section `[imap]`.
    pub imap: String,
    /// Further lines of the section `[log]`.
    pub log: String,
    /// What is logged (as `RUST_LOG`); a test's failure shows it, so by default much.
    pub log_filter: Option<String>,
    /// Further sections of the configuration.
    pub settings: String,
    /// Where the data goes; a temporary folder otherwise.
    pub data: Option<PathBuf>,
    /// Further variables of the server's environment.
    pub environment: Vec<(&'static str, &'static str)>,
    /// The limits of open files, soft and hard, under which it runs.
    pub open_files: Option<(u32, u32)>,
}

/// A running server; it is killed when dropped. If the test failed, its log is shown.
#[derive(Debug)]
pub struct Sterna {
    folder: TempDir,
    certificates: Certificates,
    ports: BTreeMap<Service, u16>,
    data: PathBuf,
    log_filter: String,
    environment: Vec<(&'static str, &'static str)>,
    open_files: Option<(u32, u32)>,
    child: Option<Child>,
}

impl Sterna {
    /// Starts with [`DOMAIN`] and these accounts in it.
    pub fn start(accounts: &[&str]) -> Self {
        Self::start_with(accounts, &Options::default())
    }

    /// Starts with options.
    pub fn start_with(accounts: &[&str], options: &Options) -> Self {
        let mut server = Self::prepare(options);
        server.run();
        server.cli(&["domain", "add", DOMAIN]);
        accounts.iter().for_each(|account| server.add_account(account));
        server
    }

    /// With options, and not yet started.
    pub fn prepare(options: &Options) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let certificates = certificates::generate(folder.path(), &["localhost", "127.0.0.1", HOST_NAME]);
        let ports = SERVICES.into_iter().map(|service| (service, free_port())).collect();
        let log_filter = options.log_filter.clone().unwrap_or_else(|| "info,sterna=debug".to_owned());
        let (environment, open_files) = (options.environment.clone(), options.open_files);
        let data = options.data.clone().unwrap_or_else(|| folder.path().join("data"));
        let server =
            Self { folder, certificates, ports, data, log_filter, environment, open_files, child: None };
        server.write_configuration(options);
        server
    }

    /// The port of a service on 127.0.0.1.
    pub fn port(&self, service: Service) -> u16 {
        self.ports[&service]
    }

    /// The certificate that clients must trust.
    pub fn authority(&self) -> &Path {
        &self.certificates.authority
    }

    /// Creates `name` in [`DOMAIN`].
    pub fn add_account(&self, name: &str) {
        let address = address(name);
        let arguments = ["account", "add", &address, "--password-stdin"];
        run_with(&mut self.command(&arguments), format!("{PASSWORD}\n").as_bytes()).succeeded();
    }

    /// Runs the command line against this server; it must succeed.
    #[track_caller]
    pub fn cli(&self, arguments: &[&str]) -> Run {
        tools::run(&mut self.command(arguments)).succeeded()
    }

    /// A command line against this server, not yet run.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary::sterna());
        command.args(arguments).arg("--config").arg(self.configuration()).env_remove("RUST_LOG");
        command
    }

    /// Ends it as a power loss would end the process: `kill -9`.
    pub fn kill(&mut self) {
        let mut child = self.child.take().expect("a running server");
        child.kill().expect("a child");
        child.wait().expect("a child");
    }

    /// Asks it to stop (SIGTERM).
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Lets it do nothing, and not even end, until [`Self::resume`] (SIGSTOP).
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on (SIGCONT).
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().expect("a running server");
        kill_process(Pid::from_child(child), signal).expect("a child");
    }

    /// Waits until it has ended.
    pub fn wait(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("a running server");
        wait_for("the server's end", || child.try_wait().expect("a child"))
    }

    /// Starts it again on the same folder and ports.
    pub fn run(&mut self) {
        self.launch();
        self.await_ready();
    }

    /// Starts its process, and waits for nothing.
    pub fn launch(&mut self) {
        assert!(self.child.is_none(), "it runs already");
        let log = OpenOptions::new().create(true).append(true).open(self.log_path()).expect("a log");
        let errors = log.try_clone().expect("a log");
        let mut command = self.command(&["serve"]);
        if let Some((soft, hard)) = self.open_files {
            let script = format!("ulimit -Sn {soft} && ulimit -Hn {hard} && exec \"$0\" \"$@\"");
            let mut shell = Command::new("sh");
            shell.args(["-c", &script]).arg(command.get_program()).args(command.get_args());
            command = shell;
        }
        command.env("RUST_LOG", &self.log_filter).envs(self.environment.iter().copied());
        command.stdin(Stdio::null()).stdout(log).stderr(errors);
        self.child = Some(command.spawn().expect("the binary runs"));
    }

    /// Waits until it is ready.
    pub fn await_ready(&mut self) {
        wait_for("the server", || {
            let child = self.child.as_mut().expect("just started");
            if let Some(status) = child.try_wait().expect("a child") {
                panic!("the server ended: {status}\n{}", self.log());
            }
            self.is_ready().then_some(())
        });
    }

    /// Whether it says that it is ready.
    pub fn is_ready(&self) -> bool {
        let answer = || -> std::io::Result<String> {
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port(Service::Http)))?;
            stream
                .write_all(b"GET /health/ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        };
        answer().is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("a running server").id()
    }

    /// All that it has logged.
    pub fn log(&self) -> String {
        fs::read(self.log_path()).map_or(String::new(), |log| String::from_utf8_lossy(&log).into_owned())
    }

    /// The configuration's path.
    pub fn configuration(&self) -> PathBuf {
        self.folder.path().join("sterna.toml")
    }

    /// Its data folder.
    pub fn data(&self) -> PathBuf {
        self.data.clone()
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    fn write_configuration(&self, options: &Options) {
        let listen = |key, service| format!("{key} = [\"127.0.0.1:{}\"]\n", self.port(service));
        let mut text = format!("[server]\nhost_name = \"{HOST_NAME}\"\ndata = {:?}\n", self.data);
        text += &format!("[log]\nlevel = \"info,sterna_node=debug,sterna_gateway=debug\"\n{}", options.log);
        let Certificates { certificate, key, .. } = &self.certificates;
        text += &format!("[tls]\ncertificate = {certificate:?}\nkey = {key:?}\n");
        text += "[smtp]\n";
        text += &listen("mx", Service::Mx);
        text += &listen("submission", Service::Submission);
        text += &listen("submissions", Service::Submissions);
        text += &listen("lmtp", Service::Lmtp);
        text += &format!("{}[imap]\n", options.smtp);
        text += &(listen("imap", Service::Imap) + &listen("imaps", Service::Imaps));
        text += &options.imap;
        text += "[pop3]\n";
        text += &(listen("pop3", Service::Pop3) + &listen("pop3s", Service::Pop3s));
        text += &format!("[http]\n{}", listen("listen", Service::Http));
        // Nothing of a test may ask the world's name servers: by default, one is named that does not answer.
        let name_server = options.name_server.unwrap_or_else(|| (Ipv4Addr::LOCALHOST, 9).into());
        text += &format!("[dns]\nservers = [\"{name_server}\"]\n");
        text += &format!("[outbound]\nport = {}\nloopback = true\n", options.outbound_port.unwrap_or(25));
        text += &options.settings;
        fs::write(self.configuration(), text).expect("a writable folder");
    }
}

impl Drop for Sterna {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            let log = self.log();
            let tail: Vec<&str> = log.lines().rev().take(60).collect();
            let tail: Vec<&str> = tail.into_iter().rev().collect();
            // Cargo shows the output of tests that failed.
            let _ = writeln!(std::io::stderr(), "--- the server's log ends with\n{}", tail.join("\n"));
        }
    }
}

/// `name` in [`DOMAIN`].
pub fn address(name: &str) -> String {
    format!("{name}@{DOMAIN}")
}
