//! What lies between the nodes of a cluster: each is called through a door of its own, which can lose what goes from
//! one node to another, delay it, or break connections.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

/// The network; clones are the same one. Its doors stay open until the process ends.
#[derive(Debug, Clone, Default)]
pub struct Network(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// The nodes' processes, by place.
    processes: BTreeMap<u32, usize>,
    /// What is wrong from one place to another.
    troubles: BTreeMap<(usize, usize), Trouble>,
    open: Vec<Open>,
    opened: u64,
}

/// What is wrong with one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// Nothing arrives, and nobody is told.
    Cut,
    /// What arrives comes so much later.
    Slow(Duration),
}

/// A connection from one process to a place.
#[derive(Debug)]
struct Open {
    number: u64,
    from: u32,
    to: usize,
    ends: [TcpStream; 2],
}

impl Network {
    /// Opens the door of a place, behind which its node listens on `port`; gives the port of the door.
    pub fn open_door(&self, place: usize, port: u16) -> u16 {
        let door = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port on loopback");
        let address = door.local_addr().expect("it listens");
        let network = self.clone();
        thread::spawn(move || {
            for caller in door.incoming().flatten() {
                // A node that is down refuses, and so does its door.
                if let Ok(node) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) {
                    network.join(&address, place, [caller, node]);
                }
            }
        });
        address.port()
    }

    /// From now on this process is the node of this place.
    pub fn set_process(&self, place: usize, process: u32) {
        let mut state = self.lock();
        state.processes.retain(|_, other| *other != place);
        state.processes.insert(process, place);
    }

    /// Something is wrong from one place to another, until [`Self::heal`].
    pub fn trouble(&self, from: usize, to: usize, trouble: Trouble) {
        self.lock().troubles.insert((from, to), trouble);
    }

    /// Nothing is wrong any more: what was held back arrives.
    pub fn heal(&self) {
        self.lock().troubles.clear();
        self.0.changed.notify_all();
    }

    /// Breaks all connections of a place.
    pub fn reset(&self, place: usize) {
        let mut state = self.lock();
        let State { processes, open, .. } = &mut *state;
        open.retain(|one| {
            let is_of_place = one.to == place || processes.get(&one.from) == Some(&place);
            if is_of_place {
                // Either end may be gone already.
                let _ = one.ends.iter().try_for_each(|end| end.shutdown(Shutdown::Both));
            }
            !is_of_place
        });
    }

    fn join(&self, door: &SocketAddr, to: usize, ends: [TcpStream; 2]) {
        let joined = || -> io::Result<()> {
            let from = owner(ends[0].peer_addr()?.port(), door.port()).unwrap_or(0);
            for end in &ends {
                end.set_nodelay(true)?;
            }
            let [caller, node] = [&ends[0], &ends[1]].map(TcpStream::try_clone);
            let (caller, node) = (caller?, node?);
            let back = [node.try_clone()?, caller.try_clone()?];
            let mut state = self.lock();
            state.opened += 1;
            let number = state.opened;
            state.open.push(Open { number, from, to, ends });
            drop(state);
            let (there, here) = (self.clone(), self.clone());
            thread::spawn(move || {
                there.carry([caller, node], from, to, false);
                there.lock().open.retain(|one| one.number != number);
            });
            thread::spawn(move || here.carry(back, from, to, true));
            Ok(())
        };
        // A caller that is gone before it was heard needs nothing.
        let _ = joined();
    }

    /// Carries octets from the first stream to the second until either ends.
    fn carry(&self, [mut source, mut sink]: [TcpStream; 2], from: u32, to: usize, is_back: bool) {
        let mut octets = vec![0; 64 * 1024];
        while let Ok(count @ 1..) = source.read(&mut octets) {
            self.pass(from, to, is_back);
            if sink.write_all(&octets[..count]).is_err() {
                break;
            }
        }
        // Either may be gone already.
        let _ = source.shutdown(Shutdown::Both);
        let _ = sink.shutdown(Shutdown::Both);
    }

    /// Returns when what goes this way arrives.
    fn pass(&self, from: u32, to: usize, is_back: bool) {
        let trouble = |state: &State| {
            let from = *state.processes.get(&from)?;
            let way = if is_back { (to, from) } else { (from, to) };
            state.troubles.get(&way).copied()
        };
        let is_cut = |state: &mut State| trouble(state) == Some(Trouble::Cut);
        let state = self.0.changed.wait_while(self.lock(), is_cut).expect(POISONED);
        if let Some(Trouble::Slow(delay)) = trouble(&state) {
            drop(state);
            #[expect(clippy::disallowed_methods, reason = "not a wait for anything: the delay itself")]
            thread::sleep(delay);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().expect(POISONED)
    }
}

const POISONED: &str = "nobody panics while holding the state";

/// The process whose socket on loopback has this port and is connected to that one.
fn owner(port: u16, peer: u16) -> Option<u32> {
    let table = fs::read_to_string("/proc/net/tcp").ok()?;
    let (local, remote) = (format!("0100007F:{port:04X}"), format!("0100007F:{peer:04X}"));
    let inode = table.lines().find_map(|line| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        (columns.get(1..3)? == [&local, &remote]).then(|| columns.get(9).copied()).flatten()
    })?;
    let socket = format!("socket:[{inode}]");
    let processes = fs::read_dir("/proc").ok()?.flatten();
    processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()).find(|process| {
        let descriptors = fs::read_dir(format!("/proc/{process}/fd")).into_iter().flatten().flatten();
        descriptors
            .filter_map(|entry| fs::read_link(entry.path()).ok())
            .any(|target| target.to_str() == Some(&socket))
    })
}
