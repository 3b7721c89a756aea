//! Dovecot 2.3's configuration: IMAP and LMTP for users with passwords in the clear. Its defaults decide what is
//! durable: `mail_fsync = optimized` syncs each message before it is acknowledged, and not changes of flags.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::Result;

use super::peer::PeerKind;
use super::target::{PASSWORD, Ports};
use sterna_cluster_tests::certificates::Certificates;

/// The user and group that mailboxes belong to: a number that needs no entry in `/etc/passwd`.
pub(super) const OWNER: u32 = 5000;

/// Writes everything below `folder`; the path of the configuration is `folder/dovecot.conf`.
pub(super) fn write(
    folder: &Path,
    kind: PeerKind,
    ports: Ports,
    certificates: &Certificates,
    users: usize,
) -> Result<()> {
    let mut passwords = String::new();
    for user in 0..users {
        writeln!(passwords, "user{user}:{{PLAIN}}{PASSWORD}::::::")?;
    }
    fs::write(folder.join("passwd"), passwords)?;
    let location = match kind {
        PeerKind::Maildir => "maildir:~/Maildir",
        PeerKind::Sdbox | PeerKind::Hibernating => "sdbox:~/sdbox",
    };
    let mut text = common(folder, location, ports, certificates);
    text += if kind == PeerKind::Hibernating { HIBERNATING } else { TUNED };
    fs::write(folder.join("dovecot.conf"), text)?;
    Ok(())
}

fn common(folder: &Path, location: &str, ports: Ports, certificates: &Certificates) -> String {
    let Ports { lmtp, imap, imaps, .. } = ports;
    let (folder, certificate, key) =
        (folder.display(), certificates.certificate.display(), certificates.key.display());
    format!(
        "base_dir = {folder}/run
state_dir = {folder}/state
instance_name = sterna-benchmark
log_path = {folder}/log
protocols = imap lmtp
listen = 127.0.0.1
disable_plaintext_auth = no
auth_mechanisms = plain login
auth_username_format = %n
auth_cache_size = 10M
auth_failure_delay = 0
ssl = yes
ssl_cert = <{certificate}
ssl_key = <{key}
mail_location = {location}
first_valid_uid = 100
mail_max_userip_connections = 0
default_process_limit = 4096
default_client_limit = 8192
default_vsz_limit = 2G
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%n {folder}/passwd
}}
userdb {{
  driver = static
  args = uid={OWNER} gid={OWNER} home={folder}/mail/%n
}}
namespace inbox {{
  inbox = yes
}}
protocol lmtp {{
  postmaster_address = postmaster@example.test
}}
service imap-login {{
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = {imaps}
    ssl = yes
  }}
  # One process for many logins, as its manual advises for busy servers.
  service_count = 0
  process_min_avail = 2
  process_limit = 8
  client_limit = 4000
}}
service lmtp {{
  inet_listener lmtp {{
    port = {lmtp}
  }}
  process_min_avail = 4
}}
service imap {{
  process_limit = 4096
}}
service auth {{
  client_limit = 16000
}}
service anvil {{
  client_limit = 9000
}}
service stats {{
  client_limit = 9000
}}
"
    )
}

/// Processes wait for the next session.
const TUNED: &str = "service imap {
  service_count = 256
  process_min_avail = 4
}
";

/// Connections in IDLE are handed to one process that holds them all.
const HIBERNATING: &str = "imap_hibernate_timeout = 3s
service imap {
  unix_listener imap-master {
    user = dovecot
    mode = 0600
  }
}
service imap-hibernate {
  client_limit = 5000
  unix_listener imap-hibernate {
    user = root
    group = dovecot
    mode = 0666
  }
}
";
