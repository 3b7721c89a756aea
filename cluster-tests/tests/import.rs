//! A file of many accounts becomes accounts; what is wrong in it is named by line, and it may be given again.

use std::fmt::Write as _;

use sterna_cluster_tests::sterna::{DOMAIN, PASSWORD, Sterna, address};
use sterna_cluster_tests::tools::{run, run_with};

use crate::mail;

/// Of [`PASSWORD`], at the least cost.
const HASH: &str =
    "$argon2id$v=19$m=64,t=1,p=1$U3Rlcm5hQmVuY2htYXJrcw$hcqpOuNhyLepn10OT/JLVv87tJu18iNz1Hdk44BZmdA";

#[test]
fn a_file_of_accounts_is_imported_line_by_line() {
    const MANY: usize = 700;
    let server = Sterna::start(&["ann"]);
    server.cli(&["alias", "add", &address("sales"), &address("ann")]);
    let mut file = String::new();
    for number in 0..MANY {
        let quota = 1_000_000 + number;
        writeln!(
            file,
            "{{\"address\":\"many{number}@{DOMAIN}\",\"password_hash\":\"{HASH}\",\"quota_octets\":{quota}}}"
        )
        .expect("memory");
    }
    let wrong = [
        "",
        "{\"address\":\"ann@example.test\",\"name\":\"stays as she is\"}",
        "{\"address\":\"Many0@example.test\"}",
        "{\"address\":\"sales@example.test\"}",
        "{\"address\":\"x@elsewhere.test\"}",
        "{\"address\":\"no address\"}",
        "{\"address\":\"y@example.test\",\"password\":\"in the clear\"}",
        "{\"address\":\"z@example.test\",\"password_hash\":\"$1$abc$def\"}",
        "address;quota",
    ];
    file += &wrong.join("\n");
    let path = server.data().join("accounts.jsonl");
    std::fs::write(&path, &file).expect("written");
    let import = |arguments: &[&str], input: &[u8]| {
        let arguments = [&["account", "import"], arguments].concat();
        run_with(&mut server.command(&arguments), input)
    };
    let first = import(&[path.to_str().expect("a path")], b"").failed();
    assert!(first.stdout.contains("Accounts made: 700; there already: 2; refused: 6."), "{}", first.stdout);
    for (line, told) in [
        (704, "alias"),
        (705, "elsewhere.test not found"),
        (706, "address"),
        (707, "unknown field `password`"),
        (708, "password_hash"),
        (709, "expected"),
    ] {
        let found = first
            .stderr
            .lines()
            .any(|text| text.starts_with(&format!("line {line}: ")) && text.contains(told));
        assert!(found, "{line}: {told:?} not in\n{}", first.stderr);
    }
    let shown = server.cli(&["account", "show", &address("many699"), "--json"]).stdout;
    assert!(shown.contains("\"quota_octets\": 1000699"), "{shown}");
    let ann = server.cli(&["account", "show", &address("ann"), "--json"]).stdout;
    assert!(ann.contains("\"name\": \"\""), "{ann}");
    // Mail comes to one that was made so, and can be read.
    mail::deliver(&server, "many699", "to one of many");
    assert_eq!(mail::wait_for_messages(&server, "many699", 1).len(), 1, "{PASSWORD} logs in");

    let right: String = file.lines().take(MANY).fold(String::new(), |all, line| all + line + "\n");
    let again = import(&["-", "--json"], right.as_bytes()).succeeded();
    let told: serde_json::Value = serde_json::from_str(&again.stdout).expect("JSON");
    assert_eq!(told, serde_json::json!({ "made": 0, "existed": MANY, "refused": 0 }));
    let missing = run(&mut server.command(&["account", "import", "/nowhere/accounts"])).failed();
    assert!(missing.stderr.contains("/nowhere/accounts"), "{}", missing.stderr);
}
