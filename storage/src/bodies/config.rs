//! The body store's settings.

use std::time::Duration;

/// How bodies are staged, packed, cached and collected. The defaults suit one machine with a local folder
/// as well as a cluster with a bucket.
#[derive(Debug, Clone)]
pub struct BodiesConfig {
    /// A body up to this many octets is committed with the metadata and packed later; a longer one goes to an
    /// object of its own as it comes.
    pub staging_octets: usize,
    /// Most octets of longer bodies that are kept with the metadata while the object store is away. Beyond
    /// it such bodies are refused with `Full`; shorter ones are still staged.
    pub away_octets: u64,
    /// A segment is written once this many staged octets wait.
    pub segment_octets: usize,
    /// A segment is written at the latest so long after its first body was staged.
    pub segment_age: Duration,
    /// Length of the parts in which a long body is uploaded, in octets. S3 asks for 5 MiB at least.
    pub part_octets: usize,
    /// Memory for all long bodies being written at the same time, in octets: each takes two parts. Past it
    /// writers wait, for `patience` at most.
    pub upload_octets: usize,
    /// Memory for opened frames, in octets.
    pub cache_octets: u64,
    /// How long writing to the object store is tried before the caller is told `Unavailable`.
    pub patience: Duration,
    /// How long an object to which nothing refers any more is kept: longer than the slowest reader, backup
    /// or stand-by may need.
    pub grace: Duration,
    /// How long an upload may take from its first octet to the commit of its record. One that takes
    /// longer is given up: its commit fails.
    pub upload_life: Duration,
    /// Whether this node is the only one, as with the `local` engine: then it packs and collects at once, without
    /// waiting for the lease of an earlier run to stand still.
    pub exclusive: bool,
    /// How often the collector looks for work.
    pub collect_interval: Duration,
}

impl Default for BodiesConfig {
    fn default() -> Self {
        Self {
            staging_octets: 256 << 10,
            away_octets: 1 << 30,
            segment_octets: 8 << 20,
            segment_age: Duration::from_secs(60),
            part_octets: 5 << 20,
            upload_octets: 128 << 20,
            cache_octets: 48 << 20,
            patience: Duration::from_secs(10),
            grace: Duration::from_secs(60 * 60),
            upload_life: Duration::from_secs(4 * 60 * 60),
            exclusive: false,
            collect_interval: Duration::from_secs(60),
        }
    }
}
