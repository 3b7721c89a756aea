//! Three nodes that are one server: they form a cluster, survive the loss of any one, and know when they are too few.

use sterna_cluster_tests::host::wait_for;
use sterna_cluster_tests::s3::S3Server;
use sterna_cluster_tests::sterna::{Options, Sterna, address};
use sterna_cluster_tests::tools;
use sterna_cluster_tests::trio::{Trio, add, join_command, node, refused};
use sterna_cluster_tests::wire::Wire;

use crate::bucket::{scene, whole};
use crate::mail;

/// Delivers one message as a mail server does: a temporary failure, or none at all, is tried again.
fn deliver(server: &Sterna, account: &str, subject: &str) {
    wait_for("a message to be taken", || {
        let mut wire: Wire = mail::greet(server);
        let steps = [
            ("MAIL FROM:<someone@elsewhere.test>".to_owned(), "250"),
            (format!("RCPT TO:<{}>", address(account)), "250"),
            ("DATA".to_owned(), "354"),
            (format!("Subject: {subject}\r\n\r\nHello.\r\n."), "250"),
        ];
        for (line, expected) in steps {
            wire.send_line(&line);
            let reply = wire.line()?;
            assert!(reply.starts_with(expected) || reply.starts_with('4'), "{line}: {reply}");
            if !reply.starts_with(expected) {
                return None;
            }
        }
        Some(())
    });
}

fn assert_has(server: &Sterna, account: &str, subjects: &[String]) {
    let messages = mail::wait_for_messages(server, account, subjects.len());
    for subject in subjects {
        let line = format!("Subject: {subject}\r\n");
        assert!(messages.iter().any(|message| message.contains(&line)), "{subject}");
    }
}

#[test]
fn a_message_sent_on_one_node_is_read_on_another_whichever_is_killed() {
    let mut trio = Trio::start(&["ann"]);
    let mut sent = Vec::new();
    let mut send = |trio: &Trio, at: usize, read_at: usize, subject: String| {
        deliver(&trio.nodes[at], "ann", &subject);
        sent.push(subject);
        assert_has(&trio.nodes[read_at], "ann", &sent);
    };
    send(&trio, 0, 1, "first".into());
    for killed in 0..3 {
        let (one, other) = ((killed + 1) % 3, (killed + 2) % 3);
        trio.nodes[killed].kill();
        send(&trio, one, other, format!("without node {}", killed + 1));
        trio.nodes[killed].run();
        send(&trio, killed, one, format!("with node {} again", killed + 1));
    }
    // And the one that leads, whichever that is.
    let leader = trio.leader("mail", 0);
    trio.nodes[leader].kill();
    send(&trio, (leader + 1) % 3, (leader + 2) % 3, "without the leader".into());
}

#[test]
fn a_minority_is_not_ready_and_becomes_so_again() {
    let mut trio = Trio::start(&["ann"]);
    trio.nodes[1].kill();
    trio.nodes[2].kill();
    wait_for("the minority to know", || (!trio.nodes[0].is_ready()).then_some(()));
    let status = trio.status(0);
    assert!(status["warning"].as_str().is_some_and(|told| told.contains("does not answer")), "{status}");
    trio.nodes[1].launch();
    trio.nodes[1].await_ready();
    wait_for("the majority to know", || trio.nodes[0].is_ready().then_some(()));
    deliver(&trio.nodes[0], "ann", "two are enough");
    assert_has(&trio.nodes[1], "ann", &["two are enough".into()]);
}

#[test]
fn a_leader_that_is_asked_to_stop_hands_over_and_ends_well() {
    let mut trio = Trio::start(&["ann"]);
    let leader = trio.leader("mail", 0);
    let (one, other) = ((leader + 1) % 3, (leader + 2) % 3);
    trio.nodes[leader].terminate();
    assert_eq!(trio.nodes[leader].wait().code(), Some(0));
    assert_ne!(trio.leader("mail", one), leader);
    assert!(!trio.nodes[leader].log().contains("was not handed over"), "{}", trio.nodes[leader].log());
    deliver(&trio.nodes[one], "ann", "at once");
    assert_has(&trio.nodes[other], "ann", &["at once".into()]);
}

#[test]
fn a_change_tells_on_how_many_nodes_it_is_in_force() {
    let mut trio = Trio::start(&["ann"]);
    trio.nodes[0].cli(&["cluster", "transfer", "1"]);
    let ann = address("ann");
    let rename = |node: &Sterna, name: &str| node.cli(&["account", "set", &ann, "--name", name]).stdout;
    let name_on = |node: &Sterna| {
        let shown = node.cli(&["account", "show", &ann, "--json"]).stdout;
        let shown: serde_json::Value = serde_json::from_str(&shown).expect("JSON");
        shown["name"].as_str().expect("a name").to_owned()
    };
    wait_for("all nodes", || {
        rename(&trio.nodes[0], "Ann").contains("In force on 3 of 3 nodes.").then_some(())
    });
    assert_eq!(trio.nodes.iter().map(name_on).collect::<Vec<_>>(), ["Ann"; 3]);
    let line = format!("{{\"address\":\"{}\"}}", address("bob"));
    let import = tools::run_with(&mut trio.nodes[1].command(&["account", "import", "-"]), line.as_bytes());
    let told = import.succeeded().stdout;
    assert!(told.contains("Accounts made: 1;") && told.contains("In force on 3 of 3 nodes."), "{told}");
    trio.nodes[2].pause();
    let told = rename(&trio.nodes[1], "Anna");
    assert!(told.contains("is changed.") && told.contains("In force on 2 of 3 nodes: "), "{told}");
    assert!(told.contains("node 3") && !told.contains("node 1") && !told.contains("node 2"), "{told}");
    assert_eq!(name_on(&trio.nodes[0]), "Anna");
    trio.nodes[2].resume();
    wait_for("all nodes again", || {
        let changed = trio.nodes[0].cli(&["account", "set", &ann, "--enable", "--json"]).stdout;
        let changed: serde_json::Value = serde_json::from_str(&changed).expect("JSON");
        assert_eq!((&changed["name"], &changed["in_force"]["of_nodes"]), (&"Anna".into(), &3.into()));
        (changed["in_force"]["on_nodes"] == 3).then_some(())
    });
    trio.nodes[1].kill();
    let told = rename(&trio.nodes[2], "Annabel");
    assert!(told.contains("In force on 2 of 3 nodes: node 2 cannot be reached"), "{told}");
}

#[test]
fn nodes_are_moved_to_the_lead_and_removed() {
    let trio = Trio::start(&[]);
    trio.nodes[0].cli(&["cluster", "transfer", "2"]);
    assert_eq!((trio.leader("mail", 0), trio.leader("config", 2)), (1, 1));
    trio.nodes[1].cli(&["cluster", "remove", "3"]);
    let status = trio.status(0);
    assert_eq!(status["nodes"][2]["state"], "removed", "{status}");
    assert_eq!(status["groups"][0]["voters"], serde_json::json!([1, 2]), "{status}");
    wait_for("the removed node to know", || (!trio.nodes[2].is_ready()).then_some(()));
    let told = refused(&trio.nodes[0], &["cluster", "add", "3"]);
    assert!(told.contains("was removed"), "{told}");
    let told = refused(&trio.nodes[0], &["cluster", "remove", "9"]);
    assert!(told.contains("not found"), "{told}");
}

#[test]
fn the_last_voter_goes_on_alone_when_told_so() {
    let mut trio = Trio::start(&["ann"]);
    deliver(&trio.nodes[2], "ann", "before");
    assert_has(&trio.nodes[0], "ann", &["before".into()]);
    trio.nodes.iter_mut().for_each(Sterna::kill);
    let seen = trio.nodes[0].cli(&["cluster", "recover"]).stdout;
    assert!(seen.contains("--accept-loss"), "{seen}");
    trio.nodes[0].cli(&["cluster", "recover", "--accept-loss"]);
    trio.nodes[0].run();
    assert_has(&trio.nodes[0], "ann", &["before".into()]);
    deliver(&trio.nodes[0], "ann", "alone");
    assert_has(&trio.nodes[0], "ann", &["before".into(), "alone".into()]);
}

#[test]
fn a_machine_that_is_no_node_says_so_and_tokens_are_good_once() {
    let mut trio = Trio::start(&[]);
    let spent = trio.nodes[0].cli(&["cluster", "token"]).stdout;
    let words: Vec<&str> = spent.split_whitespace().skip(1).collect();
    let told = refused(&trio.nodes[1], &words);
    assert!(told.contains("belongs to node 2"), "{told}");
    trio.nodes[2].kill();
    let data = trio.nodes[2].data();
    std::fs::remove_dir_all(data.join("cluster")).expect("removed");
    let told = refused(&trio.nodes[2], &["serve"]);
    assert!(told.contains("no node of a cluster yet"), "{told}");
    let told = refused(&trio.nodes[2], &words);
    assert!(told.contains("is what a node of a cluster had"), "{told}");
    std::fs::remove_dir_all(data.join("groups")).expect("removed");
    trio.nodes[2].cli(&words);
    let told = refused(&trio.nodes[2], &words);
    assert!(told.contains("belongs to node 4"), "{told}");
    trio.nodes[2].run();
    trio.nodes[0].cli(&["cluster", "add", "4"]);
    // Nobody else comes in by it; a machine that was started too early joins all the same.
    let late = node(&Options { settings: "[bodies]\nfolder = \"/nowhere\"\n".into(), ..Options::default() });
    let told = refused(&late, &["serve"]);
    assert!(told.contains("no node of a cluster yet"), "{told}");
    let told = refused(&late, &words);
    assert!(told.contains("unknown, used up or expired"), "{told}");
    let fresh = trio.nodes[1].cli(&["cluster", "token"]).stdout;
    let [_, cluster, join, at, token, authority] = fresh.split_whitespace().collect::<Vec<_>>()[..] else {
        panic!("no command: {fresh}");
    };
    tools::run_with(&mut late.command(&[cluster, join, at, "-", authority]), token.as_bytes()).succeeded();
}

#[test]
fn a_voter_that_lost_its_disk_has_no_vote_under_its_old_number() {
    let mut trio = Trio::start(&["ann"]);
    trio.nodes[2].kill();
    std::fs::remove_dir_all(trio.nodes[2].data().join("groups")).expect("removed");
    trio.nodes[2].launch();
    trio.nodes[2].await_ready();
    wait_for("the empty folder to be found out", || {
        let groups = trio.status(2)["groups"].clone();
        let told = |group: &serde_json::Value| {
            group["trouble"]
                .as_str()
                .is_some_and(|told| told.contains("start with an empty folder under a new id"))
        };
        groups.as_array().is_some_and(|groups| groups.iter().all(told)).then_some(())
    });
    deliver(&trio.nodes[2], "ann", "it asks the others");
    assert_has(&trio.nodes[0], "ann", &["it asks the others".into()]);
    // Of three voters one is left: the empty one gives it no majority.
    trio.nodes[1].kill();
    wait_for("the last voter to know", || (!trio.nodes[0].is_ready()).then_some(()));
    trio.nodes[1].launch();
    trio.nodes[1].await_ready();
    wait_for("the majority to know", || trio.nodes[0].is_ready().then_some(()));
    trio.replace(2, 0);
    trio.nodes[2].run();
    trio.admit(2, 0);
    assert_eq!(trio.status(2)["groups"][1]["voters"], serde_json::json!([1, 2, 4]));
    assert_has(&trio.nodes[2], "ann", &["it asks the others".into()]);
}

#[test]
fn a_copied_folder_is_named_in_both_logs_and_does_no_harm() {
    let bodies = tempfile::tempdir().expect("a temporary folder");
    let settings = format!("[bodies]\nfolder = {:?}\n", bodies.path());
    let options = Options { settings, ..Options::default() };
    let mut trio = Trio::start_with(&["ann"], &options);
    let mut copy = node(&options);
    trio.nodes[2].kill();
    let copied =
        std::process::Command::new("cp").arg("-a").args([trio.nodes[2].data(), copy.data()]).status();
    assert!(copied.expect("cp runs").success());
    trio.nodes[2].run();
    copy.launch();
    wait_for("both to be told", || {
        let told = "two nodes run with the identity";
        let is_warned = trio.status(2)["warning"].as_str().is_some_and(|warning| warning.contains(told));
        (is_warned && copy.log().contains(told)).then_some(())
    });
    assert!(!copy.is_ready(), "nobody answers it");
    deliver(&trio.nodes[2], "ann", "the first stays");
    assert_has(&trio.nodes[0], "ann", &["the first stays".into()]);
}

/// The reply to a recipient, on a connection of its own.
fn told_of(server: &Sterna, recipient: &str) -> String {
    let mut wire = mail::greet(server);
    wire.ask("MAIL FROM:<someone@elsewhere.test>", "250");
    wire.send_line(&format!("RCPT TO:<{recipient}>"));
    wire.expect("")
}

/// What each group's members are, as a node sees it: voters and learners of `config`, then of `mail`.
fn members(trio: &Trio, seen_by: usize) -> serde_json::Value {
    let status = trio.status(seen_by);
    let groups = status["groups"].as_array().expect("groups");
    groups.iter().map(|group| serde_json::json!([group["voters"], group["learners"]])).collect()
}

#[test]
fn a_node_with_a_copy_goes_on_while_it_is_cut_off() {
    let bodies = tempfile::tempdir().expect("a temporary folder");
    let settings = format!("[bodies]\nfolder = {:?}\n", bodies.path());
    let options = Options { settings, ..Options::default() };
    let trio = Trio::start_with(&["ann"], &options);
    let mut fourth = node(&options);
    fourth.cli(&join_command(&trio.nodes[1], 1).iter().map(String::as_str).collect::<Vec<_>>());
    fourth.run();
    trio.nodes[1].cli(&["cluster", "add", "4", "--copy"]);
    assert_eq!(members(&trio, 0), serde_json::json!([[[1, 2, 3], [4]], [[1, 2, 3], []]]));
    // Its mail goes elsewhere: none of the other group is asked.
    let [team, ann] = ["team", "ann"].map(address);
    fourth.cli(&["alias", "add", &team, "far@elsewhere.test"]);
    assert!(told_of(&fourth, &address("nobody")).starts_with("550"));
    trio.nodes.iter().for_each(Sterna::pause);
    wait_for("the node to know", || fourth.log().contains("this node is cut off").then_some(()));
    assert!(told_of(&fourth, &team).starts_with("250"));
    for unknown in [&address("nobody"), "someone@foreign.test"] {
        let told = told_of(&fourth, unknown);
        assert!(told.starts_with("451"), "{unknown}: {told}");
    }
    let mut wire = mail::log_in_to_submit(&fourth, "ann");
    wire.ask(&format!("MAIL FROM:<{ann}>"), "250");
    wire.ask("RCPT TO:<someone@foreign.test>", "250");
    wire.ask(&format!("RCPT TO:<{team}>"), "250");
    wire.ask(&format!("RCPT TO:<{}>", address("nobody")), "451");
    trio.nodes.iter().for_each(Sterna::resume);
    wait_for("the directory to answer", || {
        told_of(&fourth, &address("nobody")).starts_with("550").then_some(())
    });
    add(&trio.nodes[0], 4);
    assert_eq!(members(&trio, 0), serde_json::json!([[[1, 2, 3, 4], []], [[1, 2, 3, 4], []]]));
    trio.nodes[0].cli(&["cluster", "remove", "4"]);
    assert_eq!(members(&trio, 0), serde_json::json!([[[1, 2, 3], []], [[1, 2, 3], []]]));
}

#[test]
fn a_copy_is_taken_out_with_its_node() {
    let bodies = tempfile::tempdir().expect("a temporary folder");
    let settings = format!("[bodies]\nfolder = {:?}\n", bodies.path());
    let options = Options { settings, ..Options::default() };
    let (mut founder, mut other) = (node(&options), node(&options));
    founder.cli(&["cluster", "init"]);
    founder.run();
    other.cli(&join_command(&founder, 1).iter().map(String::as_str).collect::<Vec<_>>());
    other.run();
    founder.cli(&["cluster", "add", "2", "--copy"]);
    let learners = || {
        let status = founder.cli(&["cluster", "status", "--json"]).stdout;
        let status: serde_json::Value = serde_json::from_str(&status).expect("JSON");
        status["groups"][0]["learners"].clone()
    };
    assert_eq!(learners(), serde_json::json!([2]));
    founder.cli(&["cluster", "remove", "2"]);
    assert_eq!(learners(), serde_json::json!([]));
}

#[test]
fn nodes_share_a_bucket() {
    let s3 = S3Server::start(&[scene::BUCKET]);
    let mut trio = Trio::start_with(&["ann"], &whole::options(&s3, ""));
    let subjects: Vec<String> = (0..20).map(|number| format!("number {number}")).collect();
    for (number, subject) in subjects.iter().enumerate() {
        deliver(&trio.nodes[number % 3], "ann", subject);
    }
    wait_for("packing", || {
        let status = tools::run(&mut trio.nodes[2].command(&["bodies", "status", "--json"]));
        let status: serde_json::Value = serde_json::from_str(&status.stdout).ok()?;
        (status["staged"] == 0).then_some(())
    });
    trio.nodes.iter().for_each(|node| assert_has(node, "ann", &subjects));
    let leader = trio.leader("mail", 0);
    trio.nodes[leader].kill();
    assert_has(&trio.nodes[(leader + 1) % 3], "ann", &subjects);
    wait_for("a whole bucket", || {
        let verified = tools::run(&mut trio.nodes[(leader + 2) % 3].command(&["bodies", "verify", "--read"]));
        verified.status.success().then_some(())
    });
}

#[test]
fn nodes_keep_bodies_in_one_place() {
    let mut trio = Trio::start(&[]);
    trio.nodes[1].kill();
    let elsewhere = tempfile::tempdir().expect("a temporary folder");
    let path = trio.nodes[1].configuration();
    let right = std::fs::read_to_string(&path).expect("a configuration");
    let other = format!("folder = {:?} # ", elsewhere.path());
    std::fs::write(&path, right.replacen("folder = ", &other, 1)).expect("written");
    let told = refused(&trio.nodes[1], &["serve"]);
    assert!(told.contains("is not where this cluster keeps bodies"), "{told}");
    assert!(!elsewhere.path().join("cluster").exists(), "it was not marked");
    std::fs::write(&path, right.replacen("\"raft\"", "\"local\"", 1)).expect("written");
    let told = refused(&trio.nodes[1], &["serve"]);
    assert!(told.contains("cluster.listen"), "{told}");
    std::fs::write(&path, right).expect("written");
    trio.nodes[1].run();
}
