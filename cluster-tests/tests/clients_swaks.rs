//! swaks: STARTTLS, AUTH, TLS from the start, pipelining.

use std::process::Command;

use sterna_cluster_tests::sterna::{HOST_NAME, PASSWORD, Service, Sterna, address};
use sterna_cluster_tests::tools::{Run, run};

fn swaks(server: &Sterna, service: Service, arguments: &[&str]) -> Run {
    let mut command = Command::new("swaks");
    command.args(["--server", &format!("127.0.0.1:{}", server.port(service)), "--timeout", "30"]);
    command.args(["--from", &address("ann"), "--to", &address("bob")]);
    run(command.args(arguments))
}

/// AUTH as `ann`, with the server's certificate checked.
fn auth<'a>(server: &'a Sterna, mechanism: &'a str) -> Vec<String> {
    let login = address("ann");
    let authority = server.authority().to_str().expect("a UTF-8 path");
    ["--auth", mechanism, "--auth-user", &login, "--auth-password", PASSWORD, "--tls-ca-path", authority]
        .map(str::to_owned)
        .to_vec()
}

#[test]
fn starttls_auth_tls_and_pipelining() {
    let server = Sterna::start(&["ann", "bob"]);
    let with = |options: &[&str], mechanism: &str| {
        let mut arguments: Vec<String> = options.iter().map(|option| (*option).to_owned()).collect();
        arguments.extend(auth(&server, mechanism));
        arguments
    };
    let cases = [
        (Service::Submission, with(&["--tls", "--tls-verify"], "PLAIN")),
        (Service::Submission, with(&["--tls", "--pipeline"], "LOGIN")),
        (Service::Submissions, with(&["--tls-on-connect", "--pipeline"], "PLAIN")),
        (Service::Mx, vec!["--tls".to_owned(), "--pipeline".to_owned()]),
        (Service::Mx, vec!["--pipeline".to_owned()]),
    ];
    for (service, arguments) in &cases {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let session = swaks(&server, *service, &arguments).succeeded();
        assert!(session.stdout.contains(HOST_NAME), "{}", session.stdout);
    }
    let refused = swaks(&server, Service::Submission, &[]).failed();
    assert!(refused.stdout.contains("<** 530"), "{}", refused.stdout);
    // In the clear AUTH is neither offered nor taken, and 25 never takes it.
    let in_clear = with(&[], "PLAIN");
    swaks(&server, Service::Submission, &in_clear.iter().map(String::as_str).collect::<Vec<_>>()).failed();
    let on_mx = with(&["--tls"], "PLAIN");
    swaks(&server, Service::Mx, &on_mx.iter().map(String::as_str).collect::<Vec<_>>()).failed();
}
