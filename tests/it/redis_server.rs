//! A Redis server of its own for a test, and a way to it that can be cut.

use std::{
    env,
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use redis::aio::MultiplexedConnection;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinSet,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        self, ServerConfig,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    },
};

/// Calls this until it says something, for up to 20 s.
pub async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    within(Duration::from_secs(20), what, &mut look).await
}

/// Calls this until it says something, for so long.
pub async fn within<T>(time: Duration, what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let looking = async {
        loop {
            if let Some(seen) = look().await {
                return seen;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    match tokio::time::timeout(time, looking).await {
        Ok(seen) => seen,
        Err(_) => panic!("not within {time:?}: {what}"),
    }
}

/// Sends a signal to a process that the test has started.
pub fn signal(name: &str, pid: u32) {
    let sent = Command::new("kill").args([name, &pid.to_string()]).status().unwrap();
    assert!(sent.success());
}

/// Ends when it goes out of scope.
pub struct Redis {
    process: Option<Child>,
    port: u16,
    folder: TempDir,
}

impl Redis {
    pub async fn start() -> Self {
        // Somebody else may take a port that was just free.
        for _ in 0..10 {
            let port = TcpListener::bind("127.0.0.1:0")
                .await
                .unwrap()
                .local_addr()
                .unwrap()
                .port();
            let mut server = Self {
                process: None,
                port,
                folder: TempDir::new().unwrap(),
            };
            if server.try_start().await {
                return server;
            }
        }
        panic!("redis-server does not start");
    }

    /// On the same port as before, and empty.
    pub async fn start_again(&mut self) {
        assert!(self.try_start().await, "redis-server does not start again");
    }

    pub fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    pub fn url(&self) -> String {
        format!("redis://{}/", self.address())
    }

    /// It keeps nothing.
    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// It answers no more, and keeps its connections.
    pub fn freeze(&self) {
        self.signal("-STOP");
    }

    pub fn thaw(&self) {
        self.signal("-CONT");
    }

    pub async fn connection(&self) -> MultiplexedConnection {
        let client = redis::Client::open(self.url()).unwrap();
        client.get_multiplexed_async_connection().await.unwrap()
    }

    fn signal(&self, name: &str) {
        signal(name, self.process.as_ref().unwrap().id());
    }

    /// Whether it answers at last; not, when it has ended.
    async fn try_start(&mut self) -> bool {
        let process = Command::new(binary())
            .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no", "--dir"])
            .arg(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let process = process.expect("redis-server cannot be started: `tests/run test` finds one or unpacks it");
        let process = self.process.insert(process);
        let client = redis::Client::open(format!("redis://127.0.0.1:{}/", self.port)).unwrap();
        eventually("an answer of redis-server", async || {
            if process.try_wait().unwrap().is_some() {
                return Some(false);
            }
            let mut connection = client.get_multiplexed_async_connection().await.ok()?;
            let pong: Result<String, _> = redis::cmd("PING").query_async(&mut connection).await;
            pong.is_ok().then_some(true)
        })
        .await
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.stop();
    }
}

/// `REDIS_SERVER`, the one on the path, or the one that `tests/run` unpacks.
fn binary() -> PathBuf {
    if let Some(named) = env::var_os("REDIS_SERVER").filter(|named| !named.is_empty()) {
        return named.into();
    }
    let unpacked = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(".tools/redis/usr/bin/redis-server");
    let path = env::var_os("PATH").unwrap_or_default();
    let mut there = env::split_paths(&path).map(|folder| folder.join("redis-server"));
    there.find(|binary| binary.is_file()).unwrap_or(unpacked)
}

/// Forwards what is said to a server, until it is cut: then nothing gets through, and nobody is told.
pub struct Wire {
    address: SocketAddr,
    is_cut: watch::Sender<bool>,
    _tasks: JoinSet<()>,
}

impl Wire {
    pub async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (is_cut, seen) = watch::channel(false);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((near, _)) = listener.accept().await {
                let Ok(far) = TcpStream::connect(server).await else {
                    continue;
                };
                let ((near_read, near_write), (far_read, far_write)) = (near.into_split(), far.into_split());
                connections.spawn(forward(near_read, far_write, seen.clone()));
                connections.spawn(forward(far_read, near_write, seen.clone()));
            }
        });
        Self {
            address,
            is_cut,
            _tasks: tasks,
        }
    }

    pub fn url(&self) -> String {
        format!("redis://{}/", self.address)
    }

    pub fn cut(&self) {
        self.is_cut.send_replace(true);
    }

    pub fn mend(&self) {
        self.is_cut.send_replace(false);
    }
}

/// TLS in front of a server: the certificate is for `localhost`, by the authority in `private-authority.pem`.
pub struct TlsFront {
    port: u16,
    open: Arc<AtomicUsize>,
    let_in: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl TlsFront {
    pub async fn to(server: SocketAddr) -> Self {
        let certificate = CertificateDer::from_pem_slice(include_bytes!("private.pem")).unwrap();
        let key = PrivateKeyDer::from_pem_slice(include_bytes!("private.key.pem")).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap();
        let config = config.with_no_client_auth().with_single_cert(vec![certificate], key);
        let acceptor = TlsAcceptor::from(Arc::new(config.unwrap()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (open, let_in) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let counts = (Arc::clone(&open), Arc::clone(&let_in));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((near, _)) = listener.accept().await {
                let (acceptor, (open, let_in)) = (acceptor.clone(), counts.clone());
                connections.spawn(async move {
                    let Ok(mut near) = acceptor.accept(near).await else {
                        return;
                    };
                    let mut far = TcpStream::connect(server).await.unwrap();
                    let_in.fetch_add(1, Ordering::AcqRel);
                    open.fetch_add(1, Ordering::AcqRel);
                    let _ = copy_bidirectional(&mut near, &mut far).await;
                    open.fetch_sub(1, Ordering::AcqRel);
                });
            }
        });
        Self {
            port,
            open,
            let_in,
            _tasks: tasks,
        }
    }

    /// By this name of the host.
    pub fn url(&self, host: &str) -> String {
        format!("rediss://{host}:{}/", self.port)
    }

    /// Connections that last.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Acquire)
    }

    /// Connections that have got past the handshake, ever.
    pub fn let_in(&self) -> usize {
        self.let_in.load(Ordering::Acquire)
    }
}

async fn forward(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut is_cut: watch::Receiver<bool>) {
    let mut buffer = [0; 4096];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        if is_cut.wait_for(|is_cut| !is_cut).await.is_err() || to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}
