//! What to paste and what to set: commands with `--cacert`, and the settings of a mail program.

use std::io;

use super::screen::Screen;
use super::stage::{Person, Stage};

/// Shows commands for a shell. None needs `-k`.
pub(super) fn commands(stage: &Stage, screen: Screen) -> io::Result<()> {
    let authority = stage.authority();
    let authority = authority.display();
    let (ann, bob, ports) = (&stage.people.ann, &stage.people.bob, stage.ports);
    screen.title("Try it: paste into another terminal")?;
    screen.line(format_args!(
        "  # Ann writes to Bob\n  \
         printf 'From: {ann}\\r\\nTo: {bob}\\r\\nSubject: by curl\\r\\n\\r\\nHello Bob\\r\\n' |\n    \
         curl --cacert {authority} --user '{ann}:{password}' --mail-from {ann} --mail-rcpt {bob} \\\n      \
         --upload-file - smtps://localhost:{port}",
        ann = ann.address,
        bob = bob.address,
        password = ann.password,
        port = ports.submissions,
    ))?;
    let curl = |person: &Person| {
        format!("curl --cacert {authority} --user '{}:{}'", person.address, person.password)
    };
    screen.line(format_args!("  # Bob reads: IMAP, with TLS and with STARTTLS"))?;
    screen.line(format_args!("  {} 'imaps://localhost:{}/INBOX;MAILINDEX=*'", curl(bob), ports.imaps))?;
    screen.line(format_args!("  {} --ssl-reqd 'imap://localhost:{}/INBOX?ALL'", curl(bob), ports.imap))?;
    screen.line("  # Bob reads: POP3")?;
    screen.line(format_args!("  {} pop3s://localhost:{}/1", curl(bob), ports.pop3s))?;
    screen.line("  # The administrator looks")?;
    let binary = std::env::current_exe()?;
    let configuration = stage.configuration();
    screen.line(format_args!("  {} account list --config {}", binary.display(), configuration.display()))
}

/// Shows what a mail program asks for.
pub(super) fn settings(stage: &Stage, screen: Screen) -> io::Result<()> {
    let ports = stage.ports;
    screen.title("Settings for a mail program (let it trust the certificate above)")?;
    screen.line("  server      localhost")?;
    screen
        .line(format_args!("  incoming    IMAP port {} (TLS) or {} (STARTTLS)", ports.imaps, ports.imap))?;
    screen
        .line(format_args!("              POP3 port {} (TLS) or {} (STARTTLS)", ports.pop3s, ports.pop3))?;
    let submission = ports.submission;
    screen.line(format_args!(
        "  outgoing    SMTP port {} (TLS) or {submission} (STARTTLS)",
        ports.submissions
    ))?;
    for person in stage.people.both() {
        screen.line(format_args!(
            "  {:<11} login {}, password {}",
            person.name, person.address, person.password
        ))?;
    }
    screen.line(format_args!("  other servers deliver at SMTP port {}", ports.mx))
}
