//! What stands for TLS where none is compiled in.

use std::convert::Infallible;

use redis::{AsyncConnectionConfig, RedisConnectionInfo, aio::MultiplexedConnection};

use super::link::LinkError;
use crate::error::SetupError;

/// There is none.
pub(super) struct Tls(Infallible);

/// No connection needs one.
pub(super) type Driver = Infallible;

impl Tls {
    pub(super) fn to(_: &str, _: u16) -> Result<Self, SetupError> {
        Err(SetupError::new(
            "url",
            "expected `redis://`, got `rediss://`: enable the feature `redis-tls`, or go through a tunnel",
        ))
    }

    pub(super) fn trust_only(&mut self, _: &[u8]) -> Result<(), SetupError> {
        match self.0 {}
    }

    pub(super) async fn connect(
        &self,
        _: &RedisConnectionInfo,
        _: AsyncConnectionConfig,
    ) -> Result<(MultiplexedConnection, Driver), LinkError> {
        match self.0 {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_for_tls_names_the_feature_that_it_needs() {
        let error = Tls::to("h", 6379).err().unwrap().to_string();
        assert!(error.starts_with("url: ") && error.contains("`redis-tls`"), "{error}");
    }
}
