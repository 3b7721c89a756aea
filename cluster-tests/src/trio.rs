//! Three servers that are one: a cluster of three voters of the real binary, on one machine and with one place for bodies.

use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::host::{free_port, wait_for};
use crate::network::Network;
use crate::sterna::{DOMAIN, Options, Sterna};
use crate::tools;

/// A cluster of three nodes.
#[derive(Debug)]
pub struct Trio {
    /// The nodes, in order.
    pub nodes: [Sterna; 3],
    /// Their numbers as members: 1, 2 and 3, until one is replaced.
    pub numbers: [u64; 3],
    _bodies: Option<TempDir>,
}

impl Trio {
    /// Founds it over a folder of bodies, lets the others join and vote, and makes [`DOMAIN`] and these accounts in it.
    pub fn start(accounts: &[&str]) -> Self {
        let bodies = tempfile::tempdir().expect("a temporary folder");
        let settings = format!("[bodies]\nfolder = {:?}\n", bodies.path());
        let trio = Self::start_with(accounts, &Options { settings, ..Options::default() });
        Self { _bodies: Some(bodies), ..trio }
    }

    /// The same with nodes that all have these options, which say where bodies lie.
    pub fn start_with(accounts: &[&str], options: &Options) -> Self {
        Self::start_each(accounts, |_| options.clone())
    }

    /// The same with options for each.
    pub fn start_each(accounts: &[&str], options: impl Fn(usize) -> Options) -> Self {
        Self::found(accounts, [0, 1, 2].map(|place| node(&options(place))))
    }

    /// The same with options for each; they call each other through the doors of a network.
    pub fn start_over(network: &Network, accounts: &[&str], options: impl Fn(usize) -> Options) -> Self {
        let at = |place| node_behind(&options(place), |port| network.open_door(place, port));
        Self::found(accounts, [0, 1, 2].map(at))
    }

    fn found(accounts: &[&str], mut nodes: [Sterna; 3]) -> Self {
        let [first, others @ ..] = &mut nodes;
        first.cli(&["cluster", "init"]);
        first.run();
        let join = join_command(first, 2);
        for (number, other) in (2..).zip(others) {
            other.cli(&join.iter().map(String::as_str).collect::<Vec<_>>());
            other.run();
            add(first, number);
        }
        first.cli(&["domain", "add", DOMAIN]);
        accounts.iter().for_each(|account| first.add_account(account));
        Self { nodes, numbers: [1, 2, 3], _bodies: None }
    }

    /// The node at `place` loses its disk, is removed, and joins with an empty folder; `by` is who is asked for that.
    /// It is not yet started again, nor a voter: [`Self::admit`] makes it one.
    pub fn replace(&mut self, place: usize, by: usize) {
        self.nodes[by].cli(&["cluster", "remove", &self.numbers[place].to_string()]);
        self.nodes[place].kill();
        // Not by this process, which may have to serve the disk.
        tools::run(Command::new("rm").arg("-rf").arg(self.nodes[place].data())).succeeded();
        let join = join_command(&self.nodes[by], 1);
        self.nodes[place].cli(&join.iter().map(String::as_str).collect::<Vec<_>>());
        self.numbers[place] = self.numbers.iter().max().expect("three") + 1;
    }

    /// The node at `place`, which runs, becomes a voter.
    pub fn admit(&self, place: usize, by: usize) {
        add(&self.nodes[by], self.numbers[place]);
    }

    /// How a node sees the cluster.
    pub fn status(&self, node: usize) -> Value {
        let status = self.nodes[node].cli(&["cluster", "status", "--json"]).stdout;
        serde_json::from_str(&status).expect("JSON")
    }

    /// The node that leads a group (its place here, not its number), as another one sees it.
    pub fn leader(&self, group: &str, seen_by: usize) -> usize {
        wait_for("a leader", || {
            let status = self.status(seen_by);
            let groups = status["groups"].as_array().expect("groups");
            let group = groups.iter().find(|one| one["name"] == group).expect("such a group");
            let leader = group["leader"].as_u64()?;
            self.numbers.iter().position(|number| *number == leader)
        })
    }
}

/// A node that belongs to no cluster yet and has not been started.
pub fn node(options: &Options) -> Sterna {
    node_behind(options, |port| port)
}

/// The same; it listens on a port that others reach through the one that `door` makes of it.
fn node_behind(options: &Options, door: impl FnOnce(u16) -> u16) -> Sterna {
    let port = free_port();
    let door = door(port);
    let cluster = format!("[cluster]\nlisten = [\"127.0.0.1:{port}\"]\naddress = \"127.0.0.1:{door}\"\n");
    let settings = format!("{}[metadata]\nengine = \"raft\"\n{cluster}", options.settings);
    Sterna::prepare(&Options { settings, ..options.clone() })
}

/// Makes a node a voter, by another one that is asked again as long as it says that the node is still copying.
pub fn add(by: &Sterna, number: u64) {
    wait_for("a node to copy the metadata", || {
        let added = tools::run(&mut by.command(&["cluster", "add", &number.to_string()]));
        if added.all().contains("still copying") { None } else { Some(added.succeeded()) }
    });
}

/// What a machine is told to join with, by this node, so many times.
pub fn join_command(node: &Sterna, uses: usize) -> Vec<String> {
    let command = node.cli(&["cluster", "token", "--uses", &uses.to_string()]).stdout;
    let mut words = command.split_whitespace();
    assert_eq!(words.next(), Some("sterna"), "no command: {command}");
    words.map(str::to_owned).collect()
}

/// Runs a command of the command line that must fail, and gives what it said.
pub fn refused(node: &Sterna, arguments: &[&str]) -> String {
    tools::run(&mut node.command(arguments)).failed().all()
}
