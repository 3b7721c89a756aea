//! What became of a change of the directory on the nodes of a cluster.

use serde::{Deserialize, Serialize};

/// What came of a change.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Changed<T> {
    /// The thing as it is now.
    #[serde(flatten)]
    pub what: T,
    /// Where the change is in force; absent on a server that is no node of a cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_force: Option<InForceView>,
}

/// Nothing to tell of what was changed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Gone {}

/// What went with a domain.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DeletedView {
    /// Accounts.
    pub deleted_accounts: u64,
}

/// On how many nodes of the cluster a change is in force.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct InForceView {
    /// So many have told that it is.
    pub on_nodes: usize,
    /// All.
    pub of_nodes: usize,
    /// How long after the change that was known.
    pub milliseconds: f64,
    /// The others.
    pub not_yet: Vec<NotYetView>,
}

/// A node of which it is not known that a change is in force there.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NotYetView {
    /// Its number.
    pub node: u64,
    /// Why not.
    pub reason: String,
}

impl InForceView {
    /// For people.
    pub fn sentence(&self) -> String {
        let reasons: Vec<&str> = self.not_yet.iter().map(|one| one.reason.as_str()).collect();
        let colon = if reasons.is_empty() { "" } else { ": " };
        format!("In force on {} of {} nodes{colon}{}.", self.on_nodes, self.of_nodes, reasons.join("; "))
    }
}
