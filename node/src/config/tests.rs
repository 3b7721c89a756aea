//! Errors with their lines, and the example that explains every setting.

use super::*;

const EXAMPLE: &str = include_str!("../../sterna.example.toml");

/// `line key: message` of everything that is wrong.
fn wrong(text: &str) -> Vec<(Option<usize>, String, String)> {
    let errors = Config::parse(text).expect_err("must be refused").errors;
    errors.into_iter().map(|error| (error.line, error.key, error.message)).collect()
}

#[track_caller]
fn assert_wrong(text: &str, line: usize, key: &str, message: &str) {
    let errors = wrong(text);
    let found =
        errors.iter().any(|(at, name, said)| *at == Some(line) && name == key && said.contains(message));
    assert!(found, "line {line}, {key}: {message} not among {errors:?}");
}

#[test]
fn the_example_explains_the_defaults() {
    assert_eq!(Config::parse(EXAMPLE).expect("valid"), Config::default());
    assert_eq!(Config::parse("").expect("valid"), Config::default());
}

#[test]
fn what_the_example_leaves_out_is_valid_too() {
    let filled: Vec<&str> = EXAMPLE
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(setting) if setting.contains(" = ") && !setting.contains(": ") => setting,
            _ => line,
        })
        .collect();
    let config = Config::parse(&filled.join("\n")).expect("valid");
    assert_eq!(config.host_name().as_str(), "mail.example.org");
    assert_eq!(config.token_file(), Path::new("/etc/sterna/admin.token"));
    assert_eq!(config.tls.key.as_deref(), Some(Path::new("/etc/sterna/privkey.pem")));
}

#[test]
fn errors_name_line_and_key() {
    assert_wrong("[smtp]\n\nrecipients = 5\n", 3, "smtp.recipients", "5 is not within 100 and 10000");
    assert_wrong("[smtp]\nrecipient = 500\n", 2, "smtp.recipient", "unknown field `recipient`");
    assert_wrong("# x\n[stmp]\n", 2, "stmp", "unknown field `stmp`");
    assert_wrong("[smtp]\nmx = [\"127.0.0.1:25\",\n \"nowhere\"]\n", 3, "smtp.mx", "invalid socket address");
    assert_wrong("[smtp]\nmx = 25\n", 2, "smtp.mx", "expected");
    assert_wrong("[log]\nformat = \"xml\"\n", 2, "log.format", "unknown variant `xml`");
    assert_wrong("[log]\nlevel = \"loud\"\n", 2, "log.level", "loud");
    assert_wrong("[server]\nhost_name = \"a b\"\n", 2, "server.host_name", "domain name");
    assert_wrong(
        "[login]\ntrusted_networks = [\"10.0.0.1/8\"]\n",
        2,
        "login.trusted_networks",
        "a network is",
    );
    assert_wrong("[limits]\nsession_octets = -1\n", 2, "limits.session_octets", "expected");
    assert_wrong("[login]\ncut_off_seconds = 604801\n", 2, "login.cut_off_seconds", "within 0 and 604800");
    assert_wrong("[tls]\nkey = \"k.pem\"\n", 2, "tls.key", "needs tls.certificate");
    assert_wrong("[metadata]\nengine = \"raft\"\n", 2, "metadata.engine", "needs cluster.listen");
    let port = "[cluster]\nlisten = [\"[::]:8426\"]\n";
    assert_wrong(port, 2, "cluster.listen", "of no use");
    assert_wrong(
        &format!("{port}[metadata]\nengine = \"raft\"\n"),
        2,
        "cluster.listen",
        "needs cluster.address",
    );
    let node = "[metadata]\nengine = \"raft\"\n[cluster]\nlisten = [\"[::]:8426\"]\naddress = \"a:8426\"\n";
    assert_wrong(node, 2, "metadata.engine", "needs a bucket, or a bodies.folder");
    assert!(Config::parse(&format!("{node}[bodies]\nfolder = \"/mail\"\n")).is_ok());
    assert_wrong("[cluster]\naddress = \"nowhere\"\n", 2, "cluster.address", "HOST:PORT");
    assert_wrong("[metadata]\nengine = \"fdb\"\n", 2, "metadata.engine", "unknown variant `fdb`");
    assert_wrong("[metadata]\nprefix = \"Mail\"\n", 2, "metadata.prefix", "a-z");
    let shared = "[metadata]\nengine = \"foundationdb\"\n";
    assert_wrong(shared, 2, "metadata.engine", "needs a bucket, or a bodies.folder");
    let twice = "[imap]\nimap = [\"127.0.0.1:25\"]\n[smtp]\nmx = [\"127.0.0.1:25\"]\n";
    assert_wrong(twice, 2, "imap.imap", "used twice");
    let syntax = wrong("[smtp]\nmx = [\n");
    assert_eq!(syntax.len(), 1);
    assert!(syntax[0].0 >= Some(2), "{syntax:?}");
}

#[test]
fn a_bucket_that_cannot_be_reached_so_is_named() {
    let section = |lines: &str| format!("[bodies]\nstore = \"s3\"\n{lines}");
    let named = |lines: &str| section(&format!("bucket = \"mail\"\n{lines}"));
    assert_wrong(&section(""), 1, "bodies.bucket", "is needed");
    assert_wrong(&named(""), 1, "bodies.region", "is needed");
    assert_wrong(&named("endpoint = \"http://s3\"\n"), 4, "bodies.endpoint", "bodies.plain_http");
    assert_wrong(&named("region = \"r\"\nprefix = \"a//b\"\n"), 5, "bodies.prefix", "is no path");
    assert_wrong(&named("region = \"r\"\nproxy = \"http://a:b@c\"\n"), 5, "bodies.proxy", "password");
    assert_wrong(&named("region = \"r\"\ncredentials = \"file\"\n"), 5, "bodies.credentials", "_file");
    assert_wrong("[bodies]\nstore = \"ftp\"\n", 2, "bodies.store", "unknown variant `ftp`");
    let right = Config::parse(&named("endpoint = \"https://s3.example\"\n")).expect("valid");
    let bucket = right.bodies.bucket().expect("a bucket");
    assert!(bucket.path_style && bucket.proxy.is_none() && !bucket.plain_http);
    let unused = Config::parse("[bodies]\nbucket = \"mail\"\n").expect("allowed").warnings();
    assert!(matches!(&unused[..], [one] if one.contains("bodies.store")), "{unused:?}");
}

#[test]
fn everything_that_is_out_of_bounds_is_told_at_once() {
    let text = "[queue]\nfirst_retry_seconds = 0\nlifetime_seconds = 0\n[bodies]\nstaging_octets = 1\n";
    let lines: Vec<_> = wrong(text).into_iter().map(|(line, ..)| line).collect();
    assert_eq!(lines, [Some(2), Some(3), Some(5)]);
}

#[test]
fn a_silence_shorter_than_the_standards_allow_is_warned_of() {
    let warnings = |seconds: u64, more: &str| {
        let text = format!("[limits]\ncommand_timeout_seconds = {seconds}\n{more}");
        Config::parse(&text).expect("allowed").warnings()
    };
    assert_eq!(warnings(1800, ""), [""; 0]);
    assert!(matches!(&warnings(1799, "")[..], [imap] if imap.contains("RFC 9051") && imap.contains("1800")));
    let both = warnings(599, "");
    assert!(both.len() == 2 && both[1].contains("POP3") && both[1].contains("600 (RFC 1939 §3)"), "{both:?}");
    assert_eq!(warnings(599, "[pop3]\npop3 = []\npop3s = []\n").len(), 1);
}

#[test]
fn settings_of_an_engine_that_is_not_used_are_warned_of() {
    let file = "cluster_file = \"fdb.cluster\"\n";
    let bodies = "[bodies]\nfolder = \"/mail\"\n";
    let used = format!("[metadata]\nengine = \"foundationdb\"\n{file}{bodies}");
    let used = Config::parse(&used).expect("valid");
    assert_eq!(used.metadata.engine, MetadataEngine::FoundationDb);
    assert_eq!(used.metadata.foundationdb().cluster_file.as_deref(), Some(Path::new("fdb.cluster")));
    assert_eq!(used.warnings(), [""; 0]);
    let unused = Config::parse(&format!("[metadata]\n{file}")).expect("allowed").warnings();
    assert!(matches!(&unused[..], [warning] if warning.contains("metadata.engine")), "{unused:?}");
}

#[test]
fn ports_may_be_left_to_the_system_many_times() {
    let text = "[imap]\nimap = [\"127.0.0.1:0\"]\n[smtp]\nmx = [\"127.0.0.1:0\"]\n";
    assert!(Config::parse(text).is_ok());
}

#[test]
fn files_are_named_and_paths_are_taken_from_their_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("sterna.toml");
    std::fs::write(&path, "[server]\ndata = \"data\"\n[metadata]\ncluster_file = \"c\"\n").expect("written");
    let config = Config::load(&path).expect("valid");
    assert_eq!(config.server.data, folder.path().join("data"));
    assert_eq!(config.metadata.cluster_file, Some(folder.path().join("c")));
    assert_eq!(config.token_file(), folder.path().join("data/admin.token"));
    std::fs::write(&path, "[smtp]\nrecipients = 5\n").expect("written");
    let said = Config::load(&path).expect_err("refused").to_string();
    assert_eq!(said, format!("{}:2: smtp.recipients: 5 is not within 100 and 10000", path.display()));
    let missing = Config::load(Path::new("/nowhere/sterna.toml")).expect_err("refused").to_string();
    assert!(missing.starts_with("/nowhere/sterna.toml: cannot be read"), "{missing}");
}
