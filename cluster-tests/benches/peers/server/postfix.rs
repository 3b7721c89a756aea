//! Postfix's configuration: takes mail for the users and hands it to Dovecot by LMTP. Its queue files are synced
//! before the `250`, as by default.

use std::fs;
use std::path::Path;

use anyhow::Result;

use super::target::Ports;

/// Writes everything below `folder`; the folder for `postfix -c` is `folder/etc`.
pub(super) fn write(folder: &Path, ports: Ports) -> Result<()> {
    fs::create_dir_all(folder.join("etc"))?;
    fs::create_dir_all(folder.join("spool"))?;
    let Ports { smtp, lmtp, .. } = ports;
    let folder_text = folder.display();
    let main = format!(
        "compatibility_level = 3.6
queue_directory = {folder_text}/spool
data_directory = {folder_text}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
shlib_directory = /usr/lib/postfix
meta_directory = /etc/postfix
mail_owner = postfix
setgid_group = postdrop
maillog_file = {folder_text}/log
maillog_file_prefixes = {folder_text}
inet_interfaces = loopback-only
inet_protocols = ipv4
myhostname = mx.example.test
mydomain = example.test
mydestination =
local_recipient_maps =
mynetworks =
virtual_mailbox_domains = example.test
virtual_mailbox_maps = static:ok
virtual_transport = lmtp:inet:127.0.0.1:{lmtp}
disable_dns_lookups = yes
smtpd_peername_lookup = no
message_size_limit = 104857600
virtual_mailbox_limit = 0
mailbox_size_limit = 0
default_process_limit = 300
in_flow_delay = 0
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
anvil_status_update_time = 3600s
lmtp_destination_concurrency_limit = 20
lmtp_destination_recipient_limit = 1
smtpd_relay_restrictions = reject_unauth_destination
alias_maps =
alias_database =
"
    );
    fs::write(folder.join("etc/main.cf"), main)?;
    fs::write(folder.join("etc/master.cf"), format!("127.0.0.1:{smtp} inet n - n - - smtpd\n{SERVICES}"))?;
    Ok(())
}

const SERVICES: &str = "\
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
local unix - n n - - local
virtual unix - n n - - virtual
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
";
