//! All clients at once, around what befalls the servers meanwhile; and the other server that mail goes out to.

use std::collections::HashMap;
use std::thread;

use sterna_cluster_tests::dns::NameServer;
use sterna_cluster_tests::host::{free_port, loopback_address};
use sterna_cluster_tests::sink::Sink;
use sterna_cluster_tests::sterna::{Options, Service};

use super::appender::Appender;
use super::editor::{Editor, Edits};
use super::idler::Idler;
use super::sender::{FAR, Sender};
use super::text::ACCOUNTS;
use super::world::{Alarm, World};

/// Clients of each kind, beside an editor for each account.
#[derive(Debug, Clone, Copy)]
pub(super) struct Crowd {
    pub(super) mx_senders: usize,
    pub(super) submitters: usize,
    pub(super) appenders: usize,
    pub(super) idlers: usize,
}

impl Crowd {
    /// Lets all of them work while `meanwhile` runs, and until they have finished; gives what each editor knows.
    pub(super) fn around<T>(
        self,
        world: &World,
        meanwhile: impl FnOnce() -> T,
    ) -> (T, HashMap<usize, Edits>) {
        thread::scope(|scope| {
            let _alarm = Alarm(world);
            let mut editors: Vec<_> =
                (0..ACCOUNTS.len()).map(|account| Editor::new(world, account)).collect();
            editors.last_mut().expect("the bulk editor").fill();
            let mx = (0..self.mx_senders).map(|client| (Service::Mx, client));
            let submission = (0..self.submitters).map(|client| (Service::Submissions, client));
            for (service, client) in mx.chain(submission) {
                scope.spawn(move || guarded(world, || Sender::new(world, service, client).run()));
            }
            for client in 0..self.appenders {
                scope.spawn(move || guarded(world, || Appender::new(world, client).run()));
            }
            for client in 0..self.idlers {
                scope.spawn(move || guarded(world, || Idler::new(world, client).run()));
            }
            let work = editors.into_iter().map(|editor| scope.spawn(move || guarded(world, || editor.run())));
            let editors: Vec<_> = work.collect();
            let outcome = meanwhile();
            world.end();
            let edits = editors.into_iter().map(|editor| editor.join().expect("an editor that ends well"));
            (outcome, edits.collect())
        })
    }
}

fn guarded<T>(world: &World, work: impl FnOnce() -> T) -> T {
    let _alarm = Alarm(world);
    work()
}

/// Another server, which takes everything, and the name server that knows it.
pub(super) struct Far {
    pub(super) sink: Sink,
    names: NameServer,
    port: u16,
}

impl Far {
    pub(super) fn start() -> Self {
        let names = NameServer::start();
        let (remote, port) = (loopback_address(), free_port());
        names.add_mx(FAR, 10, "mx.far.test");
        names.add_address("mx.far.test", remote);
        Self { sink: Sink::taking(remote, port), names, port }
    }

    /// Of a server whose mail goes there, and for which nothing waits long.
    pub(super) fn options(&self) -> Options {
        Options {
            name_server: Some(self.names.address()),
            outbound_port: Some(self.port),
            settings: SETTINGS.to_owned(),
            ..Options::default()
        }
    }
}

const SETTINGS: &str = "\
    [login]\ntrusted_networks = [\"127.0.0.0/8\"]\nhash_memory_kib = 8192\nhash_passes = 1\n\
    [queue]\nfirst_retry_seconds = 1\nlongest_retry_seconds = 1\n\
    [bodies]\nstaging_octets = 65536\nsegment_octets = 1048576\nsegment_age_seconds = 1\ngrace_seconds = 60\n";
