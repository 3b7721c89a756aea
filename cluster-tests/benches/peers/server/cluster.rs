//! Sterna as three voters on this machine, over a bucket of the S3 service in this process.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use sterna_cluster_tests::s3::{ACCESS_KEY, S3Server, SECRET_KEY};
use sterna_cluster_tests::sterna::{Options, Sterna};
use sterna_cluster_tests::trio::Trio;
use sterna_storage::bodies::RequestKind;

use super::sterna::{PUTS_OFF, create_users, default_options, ports, restart, verify};
use super::target::{Ports, Server};
use crate::book::CLUSTER;

const BUCKET: &str = "mail";

/// The servers.
pub(crate) struct Cluster {
    trio: Trio,
    s3: S3Server,
    data: PathBuf,
}

impl Cluster {
    /// Starts them with so many users, data below `folder`.
    pub(crate) fn start(folder: &Path, users: usize) -> Result<Self> {
        let (s3, data) = (S3Server::start(&[BUCKET]), folder.join("cluster"));
        let base = default_options();
        let bodies = format!(
            "{}[bodies]\nstore = \"s3\"\nbucket = \"{BUCKET}\"\nendpoint = \"{}\"\nplain_http = true\n",
            base.settings,
            s3.endpoint()
        );
        let trio = Trio::start_each(&[], |place| Options {
            data: Some(data.join(place.to_string())),
            settings: bodies.clone(),
            environment: vec![("AWS_ACCESS_KEY_ID", ACCESS_KEY), ("AWS_SECRET_ACCESS_KEY", SECRET_KEY)],
            ..base.clone()
        });
        create_users(&trio.nodes[0], users)?;
        Ok(Self { trio, s3, data })
    }
}

impl Server for Cluster {
    fn name(&self) -> &'static str {
        CLUSTER
    }

    fn ports(&self) -> Ports {
        ports(&self.trio.nodes[0])
    }

    fn ports_of_nodes(&self) -> Vec<Ports> {
        self.trio.nodes.iter().map(ports).collect()
    }

    fn puts(&self) -> Option<u64> {
        Some(self.s3.plan().asked(RequestKind::Put))
    }

    fn roots(&self) -> Vec<u32> {
        self.trio.nodes.iter().map(Sterna::pid).collect()
    }

    fn imap_roots(&self) -> Vec<u32> {
        self.roots()
    }

    fn authority(&self) -> &Path {
        self.trio.nodes[0].authority()
    }

    fn data(&self) -> &Path {
        &self.data
    }

    fn puts_off(&self) -> Duration {
        PUTS_OFF
    }

    fn restart(&mut self) -> Result<Duration> {
        self.trio
            .nodes
            .iter_mut()
            .map(restart)
            .try_fold(Duration::ZERO, |longest, took| Ok(longest.max(took?)))
    }

    fn nodes(&self) -> Vec<&Sterna> {
        self.trio.nodes.iter().collect()
    }

    fn verify(&self) -> Result<()> {
        verify(&self.trio.nodes[0])
    }
}
