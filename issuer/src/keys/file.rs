//! The file that a ring of keys outlives a restart in.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{
    KeyError, MAX_KEYS,
    signing_key::{SigningKey, Written},
};

/// The longest file that is read, in bytes: a key takes no more than 4 KiB.
const MAX_FILE: u64 = 256 * 1024;

#[derive(Serialize, Deserialize)]
struct Content {
    keys: Vec<Written>,
}

/// The keys in a file; `None` if there is no such file.
pub(super) fn read(path: &Path) -> Result<Option<Vec<SigningKey>>, KeyError> {
    let cannot = |error: io::Error| problem(path, format_args!("cannot be read: {error}"));
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(cannot(error)),
    };
    // Opening a pipe would wait for whoever writes to it.
    if !metadata.is_file() {
        return Err(problem(path, "is not a file"));
    }
    let file = File::open(path).map_err(cannot)?;
    // Of the file that was opened: the one of that name may have been replaced since.
    if is_open_to_others(&file.metadata().map_err(cannot)?) {
        return Err(problem(
            path,
            "may be read or written by others than its owner: expected mode 600. The keys in it may be known by now; \
             delete it, so that new ones are made, or set the mode",
        ));
    }
    let mut text = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut text).map_err(cannot)?;
    if text.len() as u64 > MAX_FILE {
        return Err(problem(path, format_args!("is longer than {MAX_FILE} bytes")));
    }
    // What the parser says would quote the file.
    let content: Content = serde_json::from_slice(&text).map_err(|_| problem(path, "is no file of keys"))?;
    if content.keys.is_empty() || content.keys.len() > MAX_KEYS {
        return Err(problem(path, format_args!("does not have 1 to {MAX_KEYS} keys")));
    }
    let keys: Result<Vec<_>, KeyError> = content.keys.iter().map(SigningKey::read).collect();
    keys.map(Some)
        .map_err(|error| problem(path, format_args!("cannot be used: {error}")))
}

/// Puts these keys in the place of those in the file, or makes it. For the holder of its lock alone. Whoever reads it, and whenever the power fails, finds the ones or
/// the others.
pub(super) fn replace(path: &Path, keys: &[&SigningKey]) -> Result<(), KeyError> {
    let written = write_beside(path, keys).and_then(|beside| {
        fs::rename(&beside, path).inspect_err(|_| {
            let _ = fs::remove_file(&beside);
        })
    });
    written
        .and_then(|()| sync_folder(path))
        .map_err(|error| problem(path, format_args!("cannot be written: {error}")))
}

/// Writes a file in the same folder, which only its owner may read from its first moment on, and has it on the disk.
fn write_beside(path: &Path, keys: &[&SigningKey]) -> io::Result<PathBuf> {
    let content = Content {
        keys: keys.iter().map(|key| key.write()).collect(),
    };
    let text = serde_json::to_vec_pretty(&content)?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let beside = path.with_file_name(name);
    // What a process has left that was killed in between. Nobody else writes here while the lock is held.
    let _ = fs::remove_file(&beside);
    let mut file = for_owner_only(OpenOptions::new().write(true).create_new(true)).open(&beside)?;
    let written = file.write_all(&text).and_then(|()| file.sync_all());
    written.map(|()| beside.clone()).inspect_err(|_| {
        let _ = fs::remove_file(&beside);
    })
}

/// Has the new name on the disk, too.
#[cfg(unix)]
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(unix)]
pub(super) fn for_owner_only(options: &mut OpenOptions) -> &mut OpenOptions {
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600)
}

#[cfg(not(unix))]
pub(super) fn for_owner_only(options: &mut OpenOptions) -> &mut OpenOptions {
    options
}

#[cfg(unix)]
fn is_open_to_others(metadata: &fs::Metadata) -> bool {
    std::os::unix::fs::MetadataExt::mode(metadata) & 0o077 != 0
}

#[cfg(not(unix))]
fn is_open_to_others(_: &fs::Metadata) -> bool {
    false
}

pub(super) fn problem(path: &Path, problem: impl std::fmt::Display) -> KeyError {
    KeyError::new(format!("the file {:?} {problem}", path.display().to_string()))
}
