//! Python's own mail libraries.

use sterna_cluster_tests::sterna::{PASSWORD, Service, Sterna, address};
use sterna_cluster_tests::tools::{python, run};

#[test]
fn smtplib_then_imaplib_then_poplib() {
    let server = Sterna::start(&["ann", "bob"]);
    let port = |service| server.port(service).to_string();
    let authority = server.authority();

    let mut smtp = python("smtplib_session.py");
    smtp.args([port(Service::Submission), port(Service::Submissions)]).arg(authority);
    run(smtp.args([&address("ann"), PASSWORD, &address("bob")])).succeeded();

    let mut imap = python("imaplib_session.py");
    imap.args([port(Service::Imap), port(Service::Imaps)]).arg(authority);
    run(imap.args([&address("bob"), PASSWORD, "smtplib over STARTTLS"])).succeeded();

    let mut pop3 = python("poplib_session.py");
    pop3.args([port(Service::Pop3), port(Service::Pop3s)]).arg(authority);
    run(pop3.args([&address("bob"), PASSWORD])).succeeded();
}
