//! The lock that whoever changes a file of keys holds, from reading to writing.

use std::{
    fs::{File, OpenOptions, TryLockError},
    path::Path,
    thread,
    time::Duration,
};

use super::{
    KeyError,
    file::{for_owner_only, problem},
};

/// How often a lock that somebody else holds is asked for. Together with the pauses that is 5 s: a change takes
/// milliseconds, and up to a second or two where RSA keys are made.
const TRIES: u32 = 250;

const PAUSE: Duration = Duration::from_millis(20);

/// Held by one process, and in it by one ring, at a time. The operating system takes it back from a process that ends,
/// in whichever way.
pub(super) struct Lock(File);

impl Lock {
    /// Waits for the lock of this file of keys, for 5 s at the most. It blocks.
    ///
    /// What is locked is a file beside it: the file of keys itself is another one after every change. It stays, because
    /// who deletes it lets a second process lock another one of that name.
    pub(super) fn take(path: &Path) -> Result<Self, KeyError> {
        Self::take_within(path, TRIES)
    }

    fn take_within(path: &Path, tries: u32) -> Result<Self, KeyError> {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".lock");
        let beside = path.with_file_name(name);
        let file = for_owner_only(OpenOptions::new().write(true).create(true).truncate(false)).open(&beside);
        let file = file.map_err(|error| {
            problem(
                &beside,
                format_args!(
                    "cannot be opened: {error}. Whoever changes keys locks it: let this process write to the folder and \
                     to this file"
                ),
            )
        })?;
        for _ in 0..tries {
            match file.try_lock() {
                Ok(()) => return Ok(Self(file)),
                Err(TryLockError::WouldBlock) => thread::sleep(PAUSE),
                Err(TryLockError::Error(error)) => {
                    return Err(problem(
                        &beside,
                        format_args!("cannot be locked: {error}. Keep the keys on a file system that has locks"),
                    ));
                }
            }
        }
        Err(problem(
            &beside,
            format_args!(
                "stays locked by another process, for {} s so far: if that one hangs, stop it",
                (PAUSE * tries).as_secs_f64()
            ),
        ))
    }
}

impl Drop for Lock {
    /// At once, also where a child that is just being started has the file open as well.
    fn drop(&mut self) {
        let _ = self.0.unlock();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_one_holders_at_a_time_and_is_asked_for_so_often_and_no_more() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.json");
        let held = Lock::take(&path).unwrap();
        let refused = Lock::take_within(&path, 2).map(drop).unwrap_err().to_string();
        assert!(
            refused.ends_with(
                r#"keys.json.lock" stays locked by another process, for 0.04 s so far: if that one hangs, stop it"#
            ),
            "{refused}"
        );
        drop(held);
        assert!(Lock::take_within(&path, 1).is_ok());
    }

    #[test]
    fn a_lock_file_that_cannot_be_made_is_an_error_that_says_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gone").join("keys.json");
        let refused = Lock::take(&path).map(drop).unwrap_err().to_string();
        assert!(
            refused.contains(r#"keys.json.lock" cannot be opened: "#)
                && refused.ends_with("let this process write to the folder and to this file"),
            "{refused}"
        );
    }
}
