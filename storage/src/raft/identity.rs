//! Who a folder belongs to: the group, the node, and the folder's incarnation, a number drawn when it was made. A node
//! that starts with an empty folder under an old id has another incarnation, and the group takes no vote of it: the
//! lost one may have voted.

use std::fs;
use std::io::Write;
use std::path::Path;

use bytes::Bytes;

use super::transport::NodeId;
use super::wire::{self, wire_fields};
use crate::{Error, Result, folder};

/// What the file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) group: String,
    pub(super) node: u64,
    pub(super) incarnation: u64,
}

wire_fields!(Identity { group, node, incarnation });

const FORMAT: u8 = 1;
const NAME: &str = "identity";

/// The folder's identity, which is made if the folder is new. `Invalid` if it is another's; `Corrupt` if it is
/// damaged, or missing where there is data.
pub(super) fn open(path: &Path, group: &str, node: NodeId) -> Result<Identity> {
    let file = path.join(NAME);
    let identity = match fs::read(&file) {
        Ok(octets) => read(&octets.into())?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => make(path, group, node)?,
        Err(error) => return Err(error.into()),
    };
    if identity.group != group || identity.node != node.0 {
        let text = format!(
            "{} belongs to node {} of group {}, not to node {node} of group {group}",
            path.display(),
            identity.node,
            identity.group
        );
        return Err(Error::Invalid(text.into()));
    }
    Ok(identity)
}

fn make(path: &Path, group: &str, node: NodeId) -> Result<Identity> {
    if path.join("log").exists() || path.join("anchor").exists() {
        return Err(Error::Corrupt(format!("{} has data and no identity", path.display()).into()));
    }
    // 0 stands for nobody.
    let incarnation = rand::random::<u64>().max(1);
    let identity = Identity { group: group.to_owned(), node: node.0, incarnation };
    let record = wire::encode(FORMAT, &identity);
    let unfinished = path.join("identity.new");
    let mut file = fs::File::create(&unfinished)?;
    file.write_all(&crc32c::crc32c(&record).to_le_bytes())?;
    file.write_all(&record)?;
    file.sync_all()?;
    fs::rename(&unfinished, path.join(NAME))?;
    folder::sync(path)?;
    Ok(identity)
}

fn read(octets: &Bytes) -> Result<Identity> {
    let damaged = || Error::Corrupt("identity of the folder".into());
    let crc = octets.first_chunk::<4>().ok_or_else(damaged)?;
    let record = octets.slice(4..);
    if crc32c::crc32c(&record) != u32::from_le_bytes(*crc) {
        return Err(damaged());
    }
    wire::decode(FORMAT, &record)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_keeps_its_incarnation_and_belongs_to_one_node_of_one_group() {
        let folder = tempfile::tempdir().expect("a folder");
        let first = open(folder.path(), "mail", NodeId(3)).expect("opens");
        assert_eq!(open(folder.path(), "mail", NodeId(3)).expect("opens"), first);
        assert!(matches!(open(folder.path(), "mail", NodeId(4)), Err(Error::Invalid(_))));
        assert!(matches!(open(folder.path(), "config", NodeId(3)), Err(Error::Invalid(_))));
        let other = tempfile::tempdir().expect("a folder");
        assert_ne!(open(other.path(), "mail", NodeId(3)).expect("opens").incarnation, first.incarnation);
        fs::create_dir(other.path().join("log")).expect("makes");
        fs::remove_file(other.path().join(NAME)).expect("removes");
        assert!(matches!(open(other.path(), "mail", NodeId(3)), Err(Error::Corrupt(_))));
        fs::write(folder.path().join(NAME), b"12345").expect("writes");
        assert!(matches!(open(folder.path(), "mail", NodeId(3)), Err(Error::Corrupt(_))));
    }
}
