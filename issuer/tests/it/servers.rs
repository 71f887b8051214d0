//! The PostgreSQL and the Redis that `tests/run` starts, and servers that one test has for itself.

use std::{
    env,
    io::Read as _,
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// A variable that `tests/run` sets.
fn given(name: &str) -> String {
    env::var(name)
        .unwrap_or_else(|_| panic!("{name} is not set: run this by `tests/run test`, which starts the servers"))
}

/// A schema of its own in the PostgreSQL of this run, as a URL.
pub(crate) async fn postgres_schema() -> String {
    use sqlx::{Connection as _, Executor as _};

    let url = given("TEST_POSTGRES_URL");
    let schema = unique();
    let mut connection = sqlx::PgConnection::connect(&url).await.unwrap();
    connection
        .execute(format!("CREATE SCHEMA {schema}").as_str())
        .await
        .unwrap();
    connection.close().await.unwrap();
    format!("{url}?options=-csearch_path%3D{schema}")
}

/// The Redis of this run, and a name of its own in it.
pub(crate) fn redis_name() -> (String, String) {
    (given("TEST_REDIS_URL"), unique())
}

fn unique() -> String {
    let version = resource_protector_issuer::store::Version::draw().unwrap();
    format!("t{}", version.number())
}

/// A server that one test starts, kills and starts again.
pub(crate) struct OwnServer {
    command: Command,
    port: u16,
    running: Option<Child>,
    _folder: TempDir,
}

impl OwnServer {
    pub(crate) fn postgres() -> Self {
        given("POSTGRES_BIN");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/servers/postgres");
        Self::new(|folder, port| {
            let mut command = Command::new(script);
            command.arg(folder).arg(port);
            command
        })
    }

    /// It writes down what it answers before it does.
    pub(crate) fn redis() -> Self {
        let server = given("REDIS_SERVER");
        Self::new(|folder, port| {
            let mut command = Command::new(server);
            command.args(["--bind", "127.0.0.1", "--port", port, "--save", ""]);
            command.args(["--appendonly", "yes", "--appendfsync", "always"]);
            command.arg("--dir").arg(folder);
            command
        })
    }

    fn new(command: impl FnOnce(&Path, &str) -> Command) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            listener.local_addr().unwrap().port()
        };
        let mut command = command(folder.path(), &port.to_string());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut server = Self {
            command,
            port,
            running: None,
            _folder: folder,
        };
        server.start();
        server
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Comes back when it listens.
    pub(crate) fn start(&mut self) {
        let child = self.running.insert(self.command.spawn().unwrap());
        let started = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_err() {
            assert!(child.try_wait().unwrap().is_none(), "the server has ended");
            assert!(
                started.elapsed() < Duration::from_secs(30),
                "the server does not listen"
            );
            std::thread::yield_now();
        }
    }

    /// Kills it, and comes back when it is gone.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.running.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Stops it where it is: it keeps its connections and answers nothing.
    pub(crate) fn freeze(&self) {
        self.signal("-STOP");
    }

    pub(crate) fn thaw(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let pid = self.running.as_ref().unwrap().id().to_string();
        let done = Command::new("kill").args([signal, &pid]).status().unwrap();
        assert!(done.success());
    }
}

impl Drop for OwnServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Runs one test of this program in a process of its own, which is told by a variable that it is the one; kills it after it
/// has written so many lines, and answers the complete ones that it has written until then.
pub(crate) fn killed_after(lines: usize, test: &str, variable: &str, value: &str) -> Vec<String> {
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(variable, value)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = child.stdout.take().unwrap();
    let mut written = Vec::new();
    let mut piece = [0; 256];
    while written.iter().filter(|byte| **byte == b'\n').count() < lines {
        let length = output.read(&mut piece).unwrap();
        assert!(
            length > 0,
            "it has ended by itself: {}",
            String::from_utf8_lossy(&written)
        );
        written.extend_from_slice(&piece[..length]);
    }
    child.kill().unwrap();
    child.wait().unwrap();
    output.read_to_end(&mut written).unwrap();
    let written = String::from_utf8(written).unwrap();
    let (complete, _) = written.rsplit_once('\n').unwrap();
    complete.lines().map(str::to_owned).collect()
}
