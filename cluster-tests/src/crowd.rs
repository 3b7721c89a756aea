//! Many connections of one process, from many loopback addresses: what an attacker with many machines has.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::host::PATIENCE;
use crate::process;

/// Connections that are being made at once.
const TOGETHER: usize = 64;

/// One of the many addresses of loopback; 127.0.0.1 is left to those that behave.
pub fn source(number: usize) -> Ipv4Addr {
    let number = u32::try_from(number).expect("loopback has 2^24 addresses");
    Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 1, 0, 1)) + number)
}

/// Connections held together. They close when it is dropped.
#[derive(Debug)]
pub struct Crowd {
    runtime: Runtime,
    streams: Vec<TcpStream>,
    greetings: Vec<String>,
}

impl Default for Crowd {
    fn default() -> Self {
        process::raise_descriptors();
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).enable_all().build().expect("a runtime");
        Self { runtime, streams: Vec::new(), greetings: Vec::new() }
    }
}

impl Crowd {
    /// Connects `count` times to `port` of 127.0.0.1, in turn from the `sources`. Each says the `words` in their
    /// order, all but the first after it was answered; before the first it waits for a greeting if it `is_greeted`.
    pub fn join(
        &mut self,
        port: u16,
        (count, sources): (usize, Range<usize>),
        is_greeted: bool,
        words: &[&'static [u8]],
    ) {
        let (words, turn): (Arc<[_]>, _) = (words.into(), Arc::new(Semaphore::new(TOGETHER)));
        let made = self.runtime.block_on(async {
            let mut connecting = JoinSet::new();
            for number in 0..count {
                let from = source(sources.start + number % sources.len());
                let (words, turn) = (Arc::clone(&words), Arc::clone(&turn));
                connecting.spawn(async move {
                    let _turn = turn.acquire_owned().await;
                    converse((from, port), is_greeted, &words).await.unwrap_or_else(|error| {
                        panic!("number {number} of {count}, from {from} to {port}: {error}")
                    })
                });
            }
            connecting.join_all().await
        });
        let (streams, greetings): (Vec<_>, Vec<_>) = made.into_iter().unzip();
        self.streams.extend(streams);
        self.greetings.extend(greetings);
    }

    /// How many were greeted so.
    pub fn greeted_with(&self, start: &str) -> usize {
        self.greetings.iter().filter(|greeting| greeting.starts_with(start)).count()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.streams.len()
    }

    /// Whether there is nobody.
    pub fn is_empty(&self) -> bool {
        self.streams.is_empty()
    }

    /// Each sends these octets, if the system takes them at once; how many could.
    pub fn say(&self, octets: &[u8]) -> usize {
        let _entered = self.runtime.enter();
        self.streams.iter().filter(|stream| stream.try_write(octets).is_ok()).count()
    }

    /// Waits until each has been told a line.
    #[track_caller]
    pub fn until_told(&mut self, line: &'static str) {
        let streams = std::mem::take(&mut self.streams);
        self.streams = self.runtime.block_on(async {
            let told: JoinSet<_> = streams.into_iter().map(|stream| until_told(stream, line)).collect();
            told.join_all().await
        });
    }

    /// Waits until the server has closed every connection, although each sends `octets` every second.
    #[track_caller]
    pub fn until_sent_away(&mut self, octets: &'static [u8], within: Duration) {
        let streams = std::mem::take(&mut self.streams);
        let left = self.runtime.block_on(async {
            let mut watched: JoinSet<()> =
                streams.into_iter().map(|stream| until_closed(stream, octets)).collect();
            let all = async { while watched.join_next().await.is_some() {} };
            // What is left then is told below.
            let _ = tokio::time::timeout(within, all).await;
            watched.len()
        });
        assert_eq!(left, 0, "connections left after {within:?}");
    }
}

async fn connect(from: Ipv4Addr, port: u16) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    // Small, so that who does not read soon holds up who writes.
    socket.set_recv_buffer_size(64 * 1024)?;
    socket.bind(SocketAddr::from((from, 0)))?;
    socket.connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await
}

async fn converse(
    (from, port): (Ipv4Addr, u16),
    is_greeted: bool,
    words: &[&'static [u8]],
) -> io::Result<(TcpStream, String)> {
    let mut stream = connect(from, port).await?;
    let greeting = if is_greeted { answer(&mut stream).await? } else { String::new() };
    for (number, said) in words.iter().enumerate() {
        if number > 0 {
            answer(&mut stream).await?;
        }
        // Who is turned away at the door may find it closed.
        let _ = stream.write_all(said).await;
    }
    Ok((stream, greeting))
}

/// Whatever the server says next, to the end of a line.
async fn answer(stream: &mut TcpStream) -> io::Result<String> {
    let mut said = Vec::new();
    let reading = async {
        while !said.ends_with(b"\r\n") {
            if stream.read_buf(&mut said).await? == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
            }
        }
        Ok(())
    };
    tokio::time::timeout(PATIENCE, reading).await.map_err(|_| io::ErrorKind::TimedOut)??;
    Ok(String::from_utf8_lossy(&said).into_owned())
}

async fn until_closed(mut stream: TcpStream, octets: &'static [u8]) {
    let mut scratch = [0; 4096];
    loop {
        match tokio::time::timeout(Duration::from_secs(1), stream.read(&mut scratch)).await {
            Ok(Ok(1..)) => {}
            Ok(Ok(0) | Err(_)) => return,
            // The server may have closed meanwhile, which the next read shows.
            Err(_) => drop(stream.try_write(octets)),
        }
    }
}

async fn until_told(mut stream: TcpStream, line: &str) -> TcpStream {
    let mut said = Vec::new();
    let reading = async {
        while !String::from_utf8_lossy(&said).lines().any(|told| told == line) {
            let read = stream.read_buf(&mut said).await.expect("a readable socket");
            assert!(read > 0, "closed instead of {line:?}");
        }
    };
    tokio::time::timeout(PATIENCE, reading).await.unwrap_or_else(|_| panic!("{line:?} was not told"));
    stream
}
