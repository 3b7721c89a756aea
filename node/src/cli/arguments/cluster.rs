//! What can be typed behind `sterna cluster`.

use std::str::FromStr;

use clap::Subcommand;
use sterna_storage::cluster::{Fingerprint, NodeAddress, Token};

/// Where a token comes from.
#[derive(Debug, Clone)]
pub enum TokenSource {
    /// It was typed.
    Given(Token),
    /// One line of standard input.
    Standard,
}

impl FromStr for TokenSource {
    type Err = sterna_storage::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "-" { Ok(Self::Standard) } else { text.parse().map(Self::Given) }
    }
}

/// `sterna cluster`
#[derive(Debug, Subcommand)]
pub enum ClusterCommand {
    /// Make a new cluster, of which this machine is the first node; before its first start
    Init,
    /// Make a token that lets new nodes in, and print the command that uses it
    Token {
        /// Nodes that it lets in
        #[arg(long, default_value_t = 1, value_name = "NODES")]
        uses: u32,
        /// Hours for which it is good
        #[arg(long, default_value_t = 24)]
        hours: u32,
    },
    /// Make this machine a node of a cluster; before its first start
    Join {
        /// Any node of the cluster
        #[arg(value_name = "HOST:PORT")]
        node: NodeAddress,
        /// As `sterna cluster token` printed it; `-` reads it as one line from standard input, for arguments can be
        /// read by every user of the machine
        token: TokenSource,
        /// The hash of the cluster's authority, as printed beside the token
        #[arg(value_name = "CA-HASH")]
        authority: Fingerprint,
    },
    /// Show the nodes, and who keeps the metadata
    Status,
    /// Let a node keep the metadata too
    Add {
        /// Its number
        node: u64,
        /// A copy of the directory alone, without a vote: what the node reads while it is cut off from the others
        #[arg(long)]
        copy: bool,
    },
    /// Take a node out for good; its number is not given again
    Remove {
        /// Its number
        node: u64,
    },
    /// Hand the lead to a node
    Transfer {
        /// Its number
        node: u64,
    },
    /// Show what this machine has after the other voters are lost for good, and go on alone; while its server is stopped
    Recover {
        /// Go on alone: what only the lost ones had is lost
        #[arg(long)]
        accept_loss: bool,
    },
}
