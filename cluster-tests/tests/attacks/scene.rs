//! A server with a neighbour to be served, and what it may cost to serve it meanwhile.

use std::time::Instant;

use sterna_cluster_tests::console::tell;
use sterna_cluster_tests::neighbour::Neighbour;
use sterna_cluster_tests::process::Process;
use sterna_cluster_tests::sterna::{Options, Sterna};

/// Most that the server may ever have resident, in octets: a debug build with its caches full, and room for what
/// clients make it hold. Without bounds each of these attacks takes far more.
const RESIDENT_OCTETS: u64 = 400 << 20;

/// Logins without TLS, as from a webmail server: what is attacked here is not the cipher.
pub(super) const IN_THE_CLEAR: &str = "[login]\ntrusted_networks = [\"127.0.0.0/8\"]\n";

/// An attack under way.
pub(super) struct Scene {
    pub(super) server: Sterna,
    pub(super) process: Process,
    neighbour: Option<Neighbour>,
    name: &'static str,
    begin: Instant,
}

impl Scene {
    /// Begins with the accounts `ann`, who attacks or is attacked, and `bob`, the neighbour.
    pub(super) fn begin(name: &'static str, settings: &str) -> Self {
        Self::with(name, &Options { settings: settings.to_owned(), ..Options::default() })
    }

    pub(super) fn with(name: &'static str, options: &Options) -> Self {
        let server = Sterna::start_with(&["ann", "bob"], options);
        let process = Process(server.pid());
        let neighbour = Some(Neighbour::of(&server, "bob"));
        Self { server, process, neighbour, name, begin: Instant::now() }
    }

    /// Something to be told beside what [`Scene::end`] tells.
    pub(super) fn tell(&self, what: &str) {
        tell(&format!("{}: {what}", self.name));
    }

    /// Ends: the neighbour was served in time, and the server kept within its memory.
    #[track_caller]
    pub(super) fn end(mut self) {
        let served = self.neighbour.take().expect("ended once").stop();
        let (now, peak) = (self.process.resident_octets() >> 20, self.process.peak_octets() >> 20);
        self.tell(&format!(
            "{:?} in all, {} rounds served, longest wait {:?}, resident {now} MiB, at most {peak} MiB",
            self.begin.elapsed(),
            served.rounds,
            served.longest
        ));
        assert!(peak << 20 <= RESIDENT_OCTETS, "{peak} MiB were resident");
    }
}
