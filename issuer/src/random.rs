//! What nobody can guess.

use aws_lc_rs::rand;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use resource_protector::StoreError;

/// So many random bytes.
pub(crate) fn bytes<const BYTES: usize>() -> Result<[u8; BYTES], StoreError> {
    let mut bytes = [0; BYTES];
    rand::fill(&mut bytes).map_err(|_| StoreError::new("the operating system has no random numbers"))?;
    Ok(bytes)
}

/// So many random bytes, in base64url.
pub(crate) fn text<const BYTES: usize>() -> Result<String, StoreError> {
    bytes::<BYTES>().map(|bytes| URL_SAFE_NO_PAD.encode(bytes))
}
