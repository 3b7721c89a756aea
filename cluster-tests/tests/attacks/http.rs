//! The admin API under clients that send heads slowly, bodies without end, and too many connections.

use sterna_cluster_tests::crowd::Crowd;
use sterna_cluster_tests::sterna::Service;
use sterna_cluster_tests::wire::Wire;

use super::scene::Scene;

#[test]
fn the_admin_api_is_no_way_in() {
    let scene = Scene::begin("admin API", "");
    let port = scene.server.port(Service::Http);
    let mut crowd = Crowd::default();
    let head: &[u8] = b"POST /api/v1/accounts HTTP/1.1\r\nHost: x\r\nX-Slow: ";
    crowd.join(port, (300, 0..1), false, &[head]);
    for _ in 0..5 {
        crowd.say(b"x");
        assert!(scene.server.is_ready());
        scene.server.cli(&["domain", "list"]);
    }
    let chunk = vec![b'x'; 64 * 1024];
    let floods: [(&str, &[&str]); 3] = [
        // The body is not read before the token is.
        ("POST /api/v1/accounts HTTP/1.1\r\nHost: x\r\nContent-Length: 4000000000\r\n\r\n", &["401", "413"]),
        (
            "POST /api/v1/accounts HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n",
            &["401", "413"],
        ),
        ("GET / HTTP/1.1\r\nHost: x\r\nX-Long: ", &["431", "400"]),
    ];
    for (request, answers) in floods {
        let mut wire = Wire::connect(port);
        wire.send(request.as_bytes());
        let mut sent = 0;
        while sent < 64 << 20 && wire.try_send(&chunk).is_ok() {
            sent += chunk.len();
        }
        assert!(sent < 64 << 20, "all of it was taken: {request}");
        let said = wire.until_closed();
        let is_error = answers.iter().any(|code| said.starts_with(&format!("HTTP/1.1 {code}")));
        assert!(said.is_empty() || is_error, "{request}: {said}");
    }
    scene.server.cli(&["domain", "list"]);
    scene.end();
    drop(crowd);
}
