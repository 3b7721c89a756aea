//! Passwords guessed as fast as the server answers, from many addresses at once, over every protocol.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sterna_cluster_tests::crowd::source;
use sterna_cluster_tests::sterna::{PASSWORD, Service, address};
use sterna_cluster_tests::wire::Wire;

use super::scene::{IN_THE_CLEAR, Scene};

/// Tries of one thread; most meet a lock or are known to be wrong, as after a few minutes of any such attack.
const TRIES_OF_A_THREAD: usize = 2_500;
const THREADS: usize = 8;
/// Those who log in meanwhile.
const ACCOUNTS: [&str; 5] = ["ann", "cyd", "dan", "eve", "fay"];

/// A login that fails, over one protocol; whether the connection goes on.
fn guess(wire: &mut Wire, service: Service, number: usize) -> bool {
    // Half of them at an account that exists.
    let login = if number.is_multiple_of(2) {
        address("ann")
    } else {
        format!("nobody{}@example.test", number % 997)
    };
    let password = format!("guess {number}");
    let sent = match service {
        Service::Imap => wire.try_send(format!("a LOGIN {login} \"{password}\"\r\n").as_bytes()),
        _ => {
            let credentials = STANDARD.encode(format!("\0{login}\0{password}"));
            wire.try_send(format!("AUTH PLAIN {credentials}\r\n").as_bytes())
        }
    };
    if sent.is_err() {
        return false;
    }
    let Some(answer) = wire.line() else { return false };
    let is_refusal = match service {
        Service::Imap => {
            answer.starts_with("a NO [AUTHENTICATIONFAILED]") || answer.starts_with("a NO [UNAVAILABLE]")
        }
        Service::Pop3 => answer.starts_with("-ERR [AUTH]") || answer.starts_with("-ERR [SYS/TEMP]"),
        _ => answer.starts_with("535") || answer.starts_with("454"),
    };
    assert!(is_refusal || answer.starts_with("* BYE") || answer.starts_with("421"), "{answer}");
    is_refusal
}

fn connect(scene: &Scene, service: Service, number: usize) -> Wire {
    let port = scene.server.port(service);
    let mut wire = Wire::connect_from(source(number), port);
    if service == Service::Submissions {
        wire = wire.start_tls(scene.server.authority());
        wire.expect_reply("220");
        wire.ask("EHLO client.example", "250");
    } else {
        wire.line();
    }
    wire
}

/// Somebody logs in for the first time, and then again and again, from an address that was never seen; how long it
/// took.
fn honest(scene: &Scene, number: usize) -> Duration {
    let begin = Instant::now();
    let account = address(ACCOUNTS[number % ACCOUNTS.len()]);
    let mut wire = Wire::connect_from(source(100_000 + number), scene.server.port(Service::Imap));
    wire.expect("* OK");
    wire.send_line(&format!("a LOGIN {account} \"{PASSWORD}\""));
    wire.expect("a OK");
    begin.elapsed()
}

#[test]
fn tens_of_thousands_of_failed_logins() {
    let settings = IN_THE_CLEAR.to_owned() + "hash_memory_kib = 8192\nhash_passes = 1\n";
    let scene = Scene::begin("guessing", &settings);
    ACCOUNTS[1..].iter().for_each(|account| scene.server.add_account(account));
    let running = AtomicUsize::new(THREADS);
    let begin = Instant::now();
    let mut longest = Duration::ZERO;
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (scene, running) = (&scene, &running);
            scope.spawn(move || {
                let services = [Service::Imap, Service::Pop3, Service::Imap, Service::Submissions];
                let service = services[thread % services.len()];
                let mut number = 0;
                while number < TRIES_OF_A_THREAD {
                    // An address for a thousand tries: most of them meet its lock.
                    let mut wire = connect(scene, service, thread * 1_000 + number / 1_000);
                    while number < TRIES_OF_A_THREAD && guess(&mut wire, service, thread * 100_000 + number) {
                        number += 1;
                    }
                }
                running.fetch_sub(1, Ordering::Relaxed);
            });
        }
        let mut number = 0;
        while running.load(Ordering::Relaxed) > 0 {
            longest = longest.max(honest(&scene, number));
            number += 1;
        }
        scene.tell(&format!("{number} logins from new addresses meanwhile, the slowest in {longest:?}"));
    });
    let took = begin.elapsed();
    let rate = (TRIES_OF_A_THREAD * THREADS) as f64 / took.as_secs_f64();
    scene.tell(&format!("{} failed logins in {took:?}, {rate:.0} a second", TRIES_OF_A_THREAD * THREADS));
    scene.end();
}
