//! curl: smtp, imap and pop3, always with `--cacert` and never with `-k`.

use std::process::Command;

use sterna_cluster_tests::sterna::{PASSWORD, Service, Sterna, address};
use sterna_cluster_tests::tools::{Run, run_with};

const MESSAGE: &str =
    "From: ann@example.test\r\nTo: bob@example.test\r\nSubject: by curl\r\n\r\nHello.\r\n.\r\n";

fn curl(server: &Sterna, account: &str, arguments: &[&str], input: &str) -> Run {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--cacert"]).arg(server.authority());
    command.args(["--user", &format!("{}:{PASSWORD}", address(account))]).args(arguments);
    run_with(&mut command, input.as_bytes())
}

#[test]
fn a_message_by_smtp_read_by_imap_and_pop3() {
    let server = Sterna::start(&["ann", "bob"]);
    let url =
        |scheme: &str, service, path: &str| format!("{scheme}://localhost:{}{path}", server.port(service));
    let envelope =
        ["--mail-from", "ann@example.test", "--mail-rcpt", "bob@example.test", "--upload-file", "-"];

    for (scheme, service) in [("smtps", Service::Submissions), ("smtp", Service::Submission)] {
        let to = url(scheme, service, "/client.example");
        let arguments = [&envelope[..], &["--ssl-reqd", &to]].concat();
        curl(&server, "ann", &arguments, MESSAGE).succeeded();
    }
    let in_clear = url("smtp", Service::Submission, "");
    curl(&server, "ann", &[&envelope[..], &[&in_clear]].concat(), MESSAGE).failed();

    let body = curl(&server, "bob", &[&url("imaps", Service::Imaps, "/INBOX;MAILINDEX=1")], "").succeeded();
    assert!(body.stdout.ends_with("\r\nSubject: by curl\r\n\r\nHello.\r\n.\r\n"), "{}", body.stdout);
    let imap = url("imap", Service::Imap, "/INBOX?SUBJECT%20curl");
    let found = curl(&server, "bob", &["--ssl-reqd", &imap], "").succeeded();
    assert_eq!(found.stdout.trim_end(), "* SEARCH 1 2");
    // curl must know the size before it says APPEND, so the message is a file.
    let file = server.authority().with_file_name("message");
    std::fs::write(&file, MESSAGE).expect("a writable folder");
    let file = file.to_str().expect("a UTF-8 path");
    let append = url("imaps", Service::Imaps, "/Archive");
    curl(&server, "bob", &["--upload-file", file, &append], "").succeeded();
    let request = ["--request", "EXAMINE Archive", &url("imaps", Service::Imaps, "/")].map(str::to_owned);
    let request: Vec<&str> = request.iter().map(String::as_str).collect();
    let examined = curl(&server, "bob", &request, "").succeeded();
    assert!(examined.stdout.contains("* 1 EXISTS"), "{}", examined.stdout);

    let listed = curl(&server, "bob", &[&url("pop3s", Service::Pop3s, "/")], "").succeeded();
    assert_eq!(listed.stdout.lines().count(), 2, "{}", listed.stdout);
    let pop3 = url("pop3", Service::Pop3, "/1");
    let retrieved = curl(&server, "bob", &["--ssl-reqd", &pop3], "").succeeded();
    assert_eq!(retrieved.stdout, body.stdout);
    curl(&server, "bob", &[&pop3], "").failed();
    // One line is the whole answer, which `--head` tells curl.
    let first = url("pop3s", Service::Pop3s, "/1");
    curl(&server, "bob", &["--request", "DELE", "--head", &first], "").succeeded();
    let listed = curl(&server, "bob", &[&url("pop3s", Service::Pop3s, "/")], "").succeeded();
    assert_eq!(listed.stdout.lines().count(), 1, "{}", listed.stdout);
}
