//! The API over a real socket, as a client sees it.

mod cluster;

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use sterna_gateway::login::{Authenticator, LoginConfig};
use sterna_gateway::net::{Drain, Listener, Mode, Permits};
use sterna_storage::bodies::{Bodies, BodiesConfig};
use sterna_storage::directory::Directory;
use sterna_storage::kv::{Database, Memory};
use sterna_storage::mailstore::{MailStore, MailStoreConfig, MailboxName, NewMessage};
use sterna_storage::queue::{Queue, QueueConfig};
use sterna_storage::types::{AccountId, Flags, Secret, Timestamp};

use super::{Admin, handler};
use crate::cluster::Membership;
use crate::health::Health;
use crate::limits;

const TOKEN: &str = "a-token-of-some-length";

struct Server {
    base: String,
    client: Client<HttpConnector, Full<Bytes>>,
    admin: Arc<Admin>,
    drain: Drain,
    _folder: tempfile::TempDir,
}

impl Server {
    async fn start() -> Self {
        Self::start_in(None).await
    }

    async fn start_in(cluster: Option<Arc<Membership>>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let database = Database::new(Memory::new());
        let directory = Directory::open(database.clone()).await.expect("opens");
        let config = LoginConfig { hash_memory_kib: 64, hash_passes: 1, ..LoginConfig::default() };
        let objects = Bodies::local_folder(folder.path()).await.expect("a folder");
        let key = Secret::new([7; 32]);
        let settings = BodiesConfig::default();
        let bodies = Bodies::open(database.clone(), objects, key, settings).await.expect("opens");
        let drain = Drain::new();
        let admin = Arc::new(Admin {
            authenticator: Authenticator::new(directory.clone(), &config).expect("valid costs"),
            mail: MailStore::new(database.clone(), bodies.clone(), MailStoreConfig::default()),
            queue: Queue::open(database, bodies.clone(), QueueConfig::default()).await.expect("opens"),
            bodies,
            directory,
            cluster,
            health: Health::new(drain.clone()),
            host_name: "mx.example.net".parse().expect("name"),
            password_characters: 12,
            token: Secret::new(TOKEN.to_owned()),
        });
        let address = "127.0.0.1:0".parse().expect("address");
        let listener = Listener::bind(address, Mode::Plain, Permits::new(10, 10), b"").expect("a port");
        let base = format!("http://{}", listener.local_address().expect("bound"));
        tokio::spawn(listener.serve(drain.clone(), handler(admin.clone(), drain.clone())));
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self { base, client, admin, drain, _folder: folder }
    }

    async fn raw(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: String,
    ) -> (StatusCode, String) {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        if let Some(token) = token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        let request =
            request.header("Content-Type", "application/json").body(Full::from(body)).expect("request");
        let response = self.client.request(request).await.expect("an answer");
        let status = response.status();
        let body = response.into_body().collect().await.expect("a whole answer").to_bytes();
        (status, String::from_utf8(body.to_vec()).expect("UTF-8"))
    }

    async fn call(&self, method: Method, path: &str, body: Value) -> (StatusCode, Value) {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let (status, text) = self.raw(method, &format!("/api/v1{path}"), Some(TOKEN), body).await;
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    /// Must succeed.
    async fn ok(&self, method: Method, path: &str, body: Value) -> Value {
        let (status, answer) = self.call(method, path, body).await;
        assert!(status.is_success(), "{path}: {status} {answer}");
        answer
    }

    /// Must fail with that status and kind.
    async fn fails(&self, method: Method, path: &str, body: Value, (status, kind): (u16, &str)) {
        let (found, answer) = self.call(method, path, body.clone()).await;
        assert_eq!(
            (found.as_u16(), &answer["error"]["kind"]),
            (status, &json!(kind)),
            "{path} {body}: {answer}"
        );
        assert!(answer["error"]["message"].as_str().is_some_and(|message| !message.is_empty()));
    }
}

#[tokio::test]
async fn nothing_without_the_token_but_health() {
    let server = Server::start().await;
    for token in [None, Some(""), Some("a-token-of-some-lengtX"), Some("a-token")] {
        for path in ["/api/v1/domains", "/api/v1/settings", "/api/v1/nothing"] {
            let (status, text) = server.raw(Method::GET, path, token, String::new()).await;
            assert_eq!(status, StatusCode::UNAUTHORIZED, "{path} {token:?}");
            assert!(text.contains("unauthorized"), "{text}");
        }
    }
    let (status, _) = server.raw(Method::GET, "/health/live", None, String::new()).await;
    assert_eq!(status, StatusCode::OK);
    let ready = async || server.raw(Method::GET, "/health/ready", None, String::new()).await.0;
    assert_eq!(ready().await, StatusCode::SERVICE_UNAVAILABLE);
    server.admin.health.serving();
    assert_eq!(ready().await, StatusCode::OK);
    server.fails(Method::GET, "/nothing", Value::Null, (404, "not_found")).await;
}

#[tokio::test]
async fn domains_come_with_keys_and_records() {
    let server = Server::start().await;
    let made = server.ok(Method::POST, "/domains", json!({ "name": "Example.ORG" })).await;
    assert_eq!(made["name"], "example.org");
    assert_eq!(made["dkim"].as_array().map(Vec::len), Some(2));
    assert!(!made.to_string().contains("private"), "{made}");
    server.fails(Method::POST, "/domains", json!({ "name": "example.org" }), (409, "exists")).await;
    server.fails(Method::POST, "/domains", json!({ "name": "a b" }), (422, "invalid")).await;
    server.fails(Method::POST, "/domains", json!({ "nam": "b.example" }), (422, "invalid")).await;
    server.fails(Method::GET, "/domains/b.example", Value::Null, (404, "not_found")).await;
    server.fails(Method::GET, "/domains?limits=5", Value::Null, (400, "invalid")).await;

    let records = server.ok(Method::GET, "/domains/example.org/dns", Value::Null).await;
    let values: Vec<String> = records
        .as_array()
        .expect("a list")
        .iter()
        .map(|record| format!("{} {} {}", record["name"], record["type"], record["value"]))
        .collect();
    for expected in [
        r#""example.org" "MX" "10 mx.example.net.""#,
        r#""example.org" "TXT" "v=spf1 mx -all""#,
        r#""_imaps._tcp.example.org" "SRV" "0 1 993 mx.example.net.""#,
    ] {
        assert!(values.iter().any(|value| value == expected), "{expected} not in {values:#?}");
    }
    for key in ["rsa1._domainkey.example.org", "ed1._domainkey.example.org"] {
        let start = format!("\"{key}\" \"TXT\" \"v=DKIM1; k=");
        assert!(values.iter().any(|value| value.starts_with(&start)), "{key} not in {values:#?}");
    }

    let key = json!({ "selector": "ed2", "algorithm": "ed25519" });
    let with = server.ok(Method::POST, "/domains/example.org/dkim", key).await;
    assert_eq!(with["dkim"].as_array().map(Vec::len), Some(3));
    server.ok(Method::DELETE, "/domains/example.org/dkim/ed1", Value::Null).await;
    server.fails(Method::DELETE, "/domains/example.org/dkim/ed1", Value::Null, (404, "not_found")).await;
}

#[tokio::test]
async fn changes_tell_null_from_absent() {
    let server = Server::start().await;
    let new = json!({ "name": "example.org", "contact": "a@b.example", "quota_octets": 5 });
    server.ok(Method::POST, "/domains", new).await;
    let path = "/domains/example.org";
    let domain = server.ok(Method::PATCH, path, json!({ "quota_octets": null, "enabled": false })).await;
    assert_eq!((&domain["quota_octets"], &domain["enabled"]), (&Value::Null, &json!(false)));
    assert_eq!(domain["contact"], "a@b.example");
    server.ok(Method::PATCH, path, json!({ "enabled": true })).await;
    let settings = server.ok(Method::PATCH, "/settings", json!({ "postmaster": "a@b.example" })).await;
    assert_eq!(
        (&settings["default_domain"], &settings["postmaster"]),
        (&json!("example.org"), &json!("a@b.example"))
    );
    let settings = server.ok(Method::PATCH, "/settings", json!({ "postmaster": null })).await;
    assert_eq!(settings["postmaster"], Value::Null);
}

#[tokio::test]
async fn accounts_live_and_log_in() {
    let server = Server::start().await;
    server.ok(Method::POST, "/domains", json!({ "name": "example.org" })).await;
    let new = json!({ "address": "ann@example.org", "name": "Ann", "password": "correct horse battery" });
    let made = server.ok(Method::POST, "/accounts", new.clone()).await;
    assert_eq!((&made["has_password"], &made["keep_copy"]), (&json!(true), &json!(true)));
    assert!(!made.to_string().contains("argon2"), "{made}");
    server.fails(Method::POST, "/accounts", new, (409, "exists")).await;
    let short = json!({ "address": "bob@example.org", "password": "short" });
    server.fails(Method::POST, "/accounts", short, (400, "invalid")).await;
    let hash = json!({ "address": "bob@example.org", "password_hash": "$1$abc$def" });
    server.fails(Method::POST, "/accounts", hash, (400, "invalid")).await;
    server.fails(Method::POST, "/accounts", json!({ "address": "x@else.example" }), (404, "not_found")).await;

    let source = std::net::Ipv4Addr::LOCALHOST.into();
    let login = async |password: &str| {
        let password = Secret::new(password.to_owned());
        server.admin.authenticator.verify("ann", &password, source).await.is_ok()
    };
    assert!(login("correct horse battery").await);
    let change = json!({ "password": "another password", "forward": ["x@else.example"], "keep_copy": false });
    server.ok(Method::PATCH, "/accounts/ann@example.org", change).await;
    assert!(!login("correct horse battery").await && login("another password").await);
    let route = server.ok(Method::GET, "/resolve/ann@example.org", Value::Null).await;
    assert_eq!(route, json!({ "local": true, "accounts": [], "forwards": ["x@else.example"] }));

    server.ok(Method::DELETE, "/accounts/ann@example.org", Value::Null).await;
    server.fails(Method::GET, "/accounts/ann@example.org", Value::Null, (404, "not_found")).await;
    server.fails(Method::GET, "/accounts/ann", Value::Null, (400, "invalid")).await;
}

#[tokio::test]
async fn an_account_tells_what_it_holds() {
    let server = Server::start().await;
    server.ok(Method::POST, "/domains", json!({ "name": "example.org" })).await;
    let new = json!({ "address": "ann@example.org", "quota_octets": 1000 });
    let id = server.ok(Method::POST, "/accounts", new).await["id"].as_u64().expect("a number");
    let held = async || {
        let shown = server.ok(Method::GET, "/accounts/ann@example.org", Value::Null).await;
        assert_eq!((&shown["address"], &shown["quota_octets"]), (&json!("ann@example.org"), &json!(1000)));
        (shown["used_octets"].as_u64(), shown["messages"].as_u64())
    };
    assert_eq!(held().await, (Some(0), Some(0)));
    let Admin { directory, mail, bodies, .. } = &*server.admin;
    let account = directory.account(AccountId(id)).await.expect("reads").expect("exists");
    let prefix = Bytes::from_static(b"Delivered-To: ann@example.org\r\n");
    let body = bodies.write(account.domain, b"Subject: x\r\n\r\n".as_slice()).await.expect("stages");
    let message = NewMessage {
        body: body.into(),
        prefix,
        summary: Bytes::new(),
        flags: Flags::default(),
        internal_date: Timestamp::now(),
    };
    let (inbox, size) = (mail.mailbox(account.id, &MailboxName::inbox()).await.expect("exists").id, 31 + 14);
    let messages = vec![message; 3];
    let limits = sterna_storage::mailstore::Limits::default();
    mail.append(account.id, inbox, messages, limits).await.expect("files");
    assert_eq!(held().await, (Some(3 * size), Some(3)));
}

#[tokio::test]
async fn lists_are_paged_and_a_domain_goes_with_its_accounts_only_if_told() {
    let server = Server::start().await;
    server.ok(Method::POST, "/domains", json!({ "name": "example.org" })).await;
    for number in 0..5 {
        server.ok(Method::POST, "/accounts", json!({ "address": format!("u{number}@example.org") })).await;
    }
    let alias = json!({ "address": "all@example.org", "targets": ["u0@example.org", "x@else.example"] });
    server.ok(Method::POST, "/aliases", alias).await;
    server.ok(Method::PUT, "/aliases/all@example.org", json!(["u1@example.org"])).await;
    server.ok(Method::POST, "/alias-domains", json!({ "name": "b.example", "target": "example.org" })).await;
    let page = server.ok(Method::GET, "/domains/example.org/accounts?limit=3", Value::Null).await;
    assert_eq!(page["items"].as_array().map(Vec::len), Some(3));
    let after = page["next"].as_str().expect("more");
    let rest =
        server.ok(Method::GET, &format!("/domains/example.org/accounts?after={after}"), Value::Null).await;
    assert_eq!((rest["items"].as_array().map(Vec::len), rest.get("next")), (Some(2), None));
    let aliases = server.ok(Method::GET, "/domains/example.org/aliases", Value::Null).await;
    assert_eq!(aliases["items"][0]["targets"], json!(["u1@example.org"]));
    let names = server.ok(Method::GET, "/alias-domains", Value::Null).await;
    assert_eq!(names["items"], json!([{ "name": "b.example", "target": "example.org" }]));

    let lines = async |path: &str| {
        let (_, text) =
            server.raw(Method::DELETE, &format!("/api/v1{path}"), Some(TOKEN), String::new()).await;
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect::<Vec<Value>>()
    };
    let refused = lines("/domains/example.org").await;
    assert_eq!(refused.last().expect("a line")["error"]["kind"], "invalid");
    let told = lines("/domains/example.org?accounts=true").await;
    assert_eq!(told, [json!({ "done": 5 }), json!({ "result": { "deleted_accounts": 5 } })]);
    let domains = server.ok(Method::GET, "/domains", Value::Null).await;
    assert_eq!(domains["items"], json!([]));
}

#[tokio::test]
async fn requests_are_bounded() {
    let server = Server::start().await;
    let long = json!({ "name": "x".repeat(limits::ADMIN_REQUEST_OCTETS) });
    server.fails(Method::POST, "/domains", long, (413, "too_large")).await;
    server.fails(Method::POST, "/domains", Value::String("{".into()), (422, "invalid")).await;
}

#[tokio::test]
async fn a_drain_ends_idle_connections() {
    let server = Server::start().await;
    server.ok(Method::GET, "/domains", Value::Null).await;
    assert!(server.drain.run(std::time::Duration::from_secs(60)).await, "the kept connection ended");
}
