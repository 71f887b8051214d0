//! What stands for the default HTTP client where none is compiled in.

use bytes::Bytes;
use http::{Request, Response};

use super::{Fetch, FetchError};

/// Fails every exchange, until the validator is given another `Fetch`.
#[derive(Default)]
pub(super) struct DefaultFetch(());

impl Fetch for DefaultFetch {
    async fn fetch(&self, _: Request<Bytes>, _: usize) -> Result<Response<Bytes>, FetchError> {
        Err(FetchError::new(
            "no HTTP client: enable the feature `reqwest`, or give the validator a `Fetch`",
        ))
    }
}
