//! An S3 service on loopback, in the demo's own process, that keeps its objects as files.

use std::path::Path;

use anyhow::{Context as _, anyhow};
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use rand::distr::{Alphanumeric, SampleString as _};
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s_fs::FileSystem;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

/// The name of its only bucket.
pub(super) const NAME: &str = "mail";

/// The running service; it ends when dropped.
pub(super) struct Bucket {
    pub(super) endpoint: String,
    pub(super) access_key: String,
    pub(super) secret_key: String,
    serving: JoinHandle<()>,
}

impl Bucket {
    /// Starts it on a free port; its files go into `folder`.
    pub(super) async fn start(folder: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder.join(NAME))?;
        let files = FileSystem::new(folder).map_err(|error| anyhow!("the bucket: {error:?}"))?;
        let [access_key, secret_key] = [(); 2].map(|()| Alphanumeric.sample_string(&mut rand::rng(), 20));
        let mut service = S3ServiceBuilder::new(files);
        service.set_auth(SimpleAuth::from_single(&*access_key, &*secret_key));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("no free port on loopback")?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        let serving = tokio::spawn(serve(listener, service.build()));
        Ok(Self { endpoint, access_key, secret_key, serving })
    }
}

impl Drop for Bucket {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(listener: TcpListener, service: S3Service) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service.clone());
                connections.spawn(connection);
            },
            // How a connection ends is its client's affair.
            Some(_) = connections.join_next() => {}
        }
    }
}
