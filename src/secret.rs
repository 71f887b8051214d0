//! What only this service and somebody else know.

use std::{
    env, fmt, fs,
    io::Read as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::error::{SetupError, shown};

/// The longest file that is read for a secret or a private key, in bytes.
const MAX_FILE: u64 = 64 * 1024;

/// A secret: as it stands in the program, in an environment variable, or in a file that may be replaced while the service
/// runs.
///
/// Made from a string wherever one is asked for. Its `Debug` form shows nothing of it.
///
/// ```no_run
/// use resource_protector::{ClientAuth, Secret};
///
/// # fn main() -> Result<(), resource_protector::SetupError> {
/// let auth = ClientAuth::basic("my-api", Secret::from_file("/run/secrets/introspection")?);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Secret(Source);

#[derive(Clone)]
enum Source {
    Fixed(Arc<str>),
    File(Arc<File>),
}

struct File {
    path: PathBuf,
    known: Mutex<Known>,
}

struct Known {
    text: Arc<str>,
    /// How often the file was found to hold something else.
    version: u64,
}

impl Secret {
    /// The content of a file, without line breaks at its end. It is read at once, and again when the authorization
    /// server refuses what stood in it, so that a secret can be replaced without a restart.
    ///
    /// # Errors
    ///
    /// When it is no file, cannot be read, is empty, is longer than 64 KiB, or is not UTF-8.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, SetupError> {
        let path = path.as_ref();
        Self::read_file(path).map_err(|problem| {
            let path = path.display().to_string();
            SetupError::new("secret", format_args!("the file {} {problem}", shown(&path)))
        })
    }

    /// As [`from_file`](Self::from_file); the problem does not say which file.
    pub(crate) fn read_file(path: &Path) -> Result<Self, String> {
        let known = Mutex::new(Known {
            text: read(path)?,
            version: 0,
        });
        let path = path.to_owned();
        Ok(Self(Source::File(Arc::new(File { path, known }))))
    }

    /// The value of an environment variable, read once.
    ///
    /// # Errors
    ///
    /// When it is not set, empty, or not UTF-8.
    pub fn from_env(name: impl AsRef<str>) -> Result<Self, SetupError> {
        let name = name.as_ref();
        Self::read_env(name).map_err(|problem| {
            SetupError::new(
                "secret",
                format_args!("the environment variable {} {problem}", shown(name)),
            )
        })
    }

    /// As [`from_env`](Self::from_env); the problem does not say which variable.
    pub(crate) fn read_env(name: &str) -> Result<Self, &'static str> {
        // The standard library panics for these.
        if name.is_empty() || name.contains(['=', '\0']) {
            return Err("cannot exist: expected a name without `=`");
        }
        match env::var(name) {
            Ok(value) if value.is_empty() => Err("is empty"),
            Ok(value) => Ok(Self::from(value)),
            Err(env::VarError::NotPresent) => Err("is not set"),
            Err(env::VarError::NotUnicode(_)) => Err("is not UTF-8"),
        }
    }

    /// What it is at the moment.
    pub(crate) fn text(&self) -> Arc<str> {
        match &self.0 {
            Source::Fixed(text) => Arc::clone(text),
            Source::File(file) => Arc::clone(&file.lock().text),
        }
    }

    /// Which state of the file [`text`](Self::text) comes from; `None` for what cannot change.
    pub(crate) fn version(&self) -> Option<u64> {
        match &self.0 {
            Source::Fixed(_) => None,
            Source::File(file) => Some(file.lock().version),
        }
    }

    /// Reads the file again after a secret of this version was refused, and says whether there is another one now. Call it
    /// in a task of the runtime, and with a deadline: a file may be on another machine.
    pub(crate) async fn renewed_since(&self, refused: Option<u64>) -> bool {
        if refused.is_none() {
            return false;
        }
        let again = self.clone();
        // It is a small file, but reading it blocks.
        let read = tokio::task::spawn_blocking(move || again.read_again()).await;
        read.is_ok() && self.version() != refused
    }

    /// Keeps what is known while the file cannot be read.
    fn read_again(&self) {
        let Source::File(file) = &self.0 else {
            return;
        };
        match read(&file.path) {
            Ok(text) => {
                let mut known = file.lock();
                if known.text != text {
                    known.text = text;
                    known.version += 1;
                }
            }
            Err(problem) => {
                let path = file.path.display();
                tracing::warn!(target: "resource_protector::secrets", %path, %problem, "a secret cannot be read again");
            }
        }
    }
}

impl File {
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads a secret, or says what is wrong with its file, quoting nothing of it.
fn read(path: &Path) -> Result<Arc<str>, String> {
    let cannot = |error: std::io::Error| format!("cannot be read: {error}");
    // Opening a pipe would wait for whoever writes to it.
    if !fs::metadata(path).map_err(cannot)?.is_file() {
        return Err("is not a file".to_owned());
    }
    let file = fs::File::open(path).map_err(cannot)?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(cannot)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(format!("is longer than {MAX_FILE} bytes"));
    }
    let text = String::from_utf8(bytes).map_err(|_| "is not UTF-8".to_owned())?;
    match text.trim_end_matches(['\n', '\r']) {
        "" => Err("is empty".to_owned()),
        text => Ok(Arc::from(text)),
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(Source::Fixed(Arc::from(text)))
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self::from(text.as_str())
    }
}

impl From<&String> for Secret {
    fn from(text: &String) -> Self {
        Self::from(text.as_str())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use tempfile::NamedTempFile;

    use super::*;

    fn scratch_file(content: impl AsRef<[u8]>) -> NamedTempFile {
        let mut file = NamedTempFile::new().unwrap();
        file.write_all(content.as_ref()).unwrap();
        file
    }

    #[test]
    fn a_file_is_read_without_its_last_line_breaks_and_again_when_asked() {
        let file = scratch_file("one\r\n\n");
        let secret = Secret::from_file(file.path()).unwrap();
        assert_eq!((&*secret.text(), secret.version()), ("one", Some(0)));
        fs::write(file.path(), "two\n").unwrap();
        assert_eq!(&*secret.text(), "one");
        secret.read_again();
        assert_eq!((&*secret.text(), secret.version()), ("two", Some(1)));
        secret.read_again();
        assert_eq!(secret.version(), Some(1));
        file.close().unwrap();
        secret.read_again();
        assert_eq!(&*secret.text(), "two");
    }

    #[test]
    fn a_file_that_cannot_be_a_secret_is_a_set_up_error_that_quotes_nothing_of_it() {
        for (content, problem) in [
            (b"\n\n".to_vec(), "is empty"),
            (b"s3cret\xff".to_vec(), "is not UTF-8"),
            (b"s3cret".repeat(11_000), "is longer than 65536 bytes"),
        ] {
            let file = scratch_file(content);
            let error = Secret::from_file(file.path()).unwrap_err().to_string();
            assert!(error.contains(problem) && !error.contains("s3cret"), "{error}");
        }
        let folder = Secret::from_file(env::temp_dir()).unwrap_err().to_string();
        assert!(folder.contains("is not a file"), "{folder}");
        let error = Secret::from_file("/nowhere/at/all").unwrap_err().to_string();
        assert!(
            error.contains("/nowhere/at/all") && error.contains("cannot be read"),
            "{error}"
        );
    }

    #[test]
    fn a_variable_must_be_set_and_not_empty() {
        assert!(!Secret::from_env("PATH").unwrap().text().is_empty());
        for name in ["RESOURCE_PROTECTOR_IS_NOT_SET", "", "A=B", "A\0"] {
            assert!(Secret::from_env(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn debug_shows_nothing_of_it() {
        assert_eq!(format!("{:?}", Secret::from("s3cret")), "Secret");
    }
}
