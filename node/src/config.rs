//! The configuration: a typed value, complete and checked before any port is bound. Every error
//! names its key and line. `sterna.example.toml` beside this package explains every setting.

mod bodies;
mod bounds;
mod error;
mod sections;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use serde::Deserialize;
use sterna_storage::types::DomainName;

pub use bodies::{BodiesSection, CredentialsSource, StoreKind};
pub use error::{ConfigError, ConfigErrors};
pub use sections::{
    ClusterSection, DnsSection, HttpSection, ImapSection, LimitsSection, LogFormat, LogSection, LoginSection,
    MetadataEngine, MetadataSection, OutboundSection, Pop3Section, QueueSection, ServerSection, SmtpSection,
    TlsSection,
};

/// Everything that can be set.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Name and folder.
    pub server: ServerSection,
    /// Where mailboxes, the queue and the directory are kept.
    pub metadata: MetadataSection,
    /// What is logged, and how.
    pub log: LogSection,
    /// Certificates.
    pub tls: TlsSection,
    /// SMTP in, and LMTP.
    pub smtp: SmtpSection,
    /// IMAP.
    pub imap: ImapSection,
    /// POP3.
    pub pop3: Pop3Section,
    /// Admin API and health.
    pub http: HttpSection,
    /// The other nodes.
    pub cluster: ClusterSection,
    /// Who is let in.
    pub login: LoginSection,
    /// Name servers.
    pub dns: DnsSection,
    /// SMTP out.
    pub outbound: OutboundSection,
    /// When deliveries are tried again.
    pub queue: QueueSection,
    /// How message bodies are kept.
    pub bodies: BodiesSection,
    /// What bounds everybody.
    pub limits: LimitsSection,
}

impl Config {
    /// Reads and checks a file. Relative paths in it are taken from the file's own folder.
    pub fn load(path: &Path) -> Result<Self, ConfigErrors> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| ConfigErrors::of_file(path, format!("cannot be read: {error}")))?;
        let mut config = Self::parse(&text).map_err(|errors| errors.within(path))?;
        let folder = path.parent().unwrap_or(Path::new("."));
        config.anchor(folder);
        Ok(config)
    }

    /// Reads and checks a text. Paths are left as they stand.
    pub fn parse(text: &str) -> Result<Self, ConfigErrors> {
        let config: Self = toml::from_str(text).map_err(|error| ConfigErrors::of_toml(text, &error))?;
        let wrong = bounds::check(&config);
        if wrong.is_empty() { Ok(config) } else { Err(ConfigErrors::of_keys(text, wrong)) }
    }

    /// What is allowed and still not as it should be, in words for the log.
    pub fn warnings(&self) -> Vec<String> {
        bounds::doubtful(self)
    }

    fn anchor(&mut self, folder: &Path) {
        let paths = [
            &mut self.tls.certificate,
            &mut self.tls.key,
            &mut self.http.token_file,
            &mut self.metadata.cluster_file,
            &mut self.metadata.client_library,
        ];
        let paths = paths.into_iter().flatten().chain([&mut self.server.data]);
        for path in paths.chain(self.bodies.paths()) {
            *path = folder.join(&*path);
        }
    }

    /// The name by which this server greets: the one set, else the machine's, else `localhost`.
    pub fn host_name(&self) -> DomainName {
        let of_machine = || std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
        let named = || of_machine()?.trim().parse().ok();
        let unnamed = || "localhost".parse().expect("a domain name");
        self.server.host_name.clone().or_else(named).unwrap_or_else(unnamed)
    }

    /// The file with the admin API's token.
    pub fn token_file(&self) -> PathBuf {
        self.http.token_file.clone().unwrap_or_else(|| self.server.data.join("admin.token"))
    }
}
