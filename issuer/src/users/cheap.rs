//! Passwords for tests.

use resource_protector::SetupError;

use super::Passwords;

impl Passwords {
    /// So cheap to guess that it is for tests only: 64 KiB once.
    ///
    /// # Errors
    ///
    /// When the number of processors cannot be used.
    pub fn weak_for_tests() -> Result<Self, SetupError> {
        Self::unchecked(64, 1, 1)
    }
}
