//! The Redis server, and the way to it.

use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo as _, aio::MultiplexedConnection,
};

use super::{
    link::LinkError,
    tls::{Driver, Tls},
};
use crate::error::SetupError;

/// One server, by its URL, which no error quotes: it may have a password in it.
pub(super) struct Server {
    client: Client,
    tls: Option<Tls>,
}

impl Server {
    pub(super) fn at(url: &str) -> Result<Self, SetupError> {
        // The library's own TLS has the provider that the whole program chose, and panics where there are two or none. So it
        // never hears of TLS, whatever features other parts of the program have it built with.
        let Some(rest) = url.strip_prefix("rediss://") else {
            return Ok(Self {
                client: client(&info(url)?)?,
                tls: None,
            });
        };
        if rest.contains('#') {
            return unusable("expected `rediss://` without a fragment: there is no TLS here that trusts anybody");
        }
        let info = info(&format!("redis://{rest}"))?;
        let ConnectionAddr::Tcp(host, port) = info.addr() else {
            return unusable(EXPECTED);
        };
        Ok(Self {
            client: client(&info)?,
            tls: Some(Tls::to(host, *port)?),
        })
    }

    pub(super) fn trust_only(&mut self, authorities_pem: &[u8]) -> Result<(), SetupError> {
        match &mut self.tls {
            Some(tls) => tls.trust_only(authorities_pem),
            None => Err(SetupError::new(
                "trusting_only",
                "expected a list at `rediss://`, got one without TLS: nobody would be asked for a certificate",
            )),
        }
    }

    /// A connection, and what keeps it open over TLS. Has no deadline of its own.
    pub(super) async fn connect(&self) -> Result<(MultiplexedConnection, Option<Driver>), LinkError> {
        // Every wait has its deadline in `Link`; the library's own would end one for new entries.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None);
        match &self.tls {
            None => {
                let connecting = self.client.get_multiplexed_async_connection_with_config(&config);
                Ok((connecting.await?, None))
            }
            Some(tls) => {
                let settings = self.client.get_connection_info().redis_settings();
                let (connection, driver) = tls.connect(settings, config).await?;
                Ok((connection, Some(driver)))
            }
        }
    }
}

const EXPECTED: &str = "expected `redis://[user]:[password]@host:port/[db]`, got something else";

fn unusable<T>(problem: &str) -> Result<T, SetupError> {
    Err(SetupError::new("url", problem))
}

fn info(url: &str) -> Result<ConnectionInfo, SetupError> {
    let Ok(info) = url.into_connection_info() else {
        return unusable(EXPECTED);
    };
    match info.addr() {
        ConnectionAddr::Tcp(..) | ConnectionAddr::Unix(_) => Ok(info),
        _ => unusable("expected `redis://`, `rediss://` or `redis+unix://`, got another scheme"),
    }
}

fn client(info: &ConnectionInfo) -> Result<Client, SetupError> {
    match Client::open(info.clone()) {
        Ok(client) => Ok(client),
        Err(_) => unusable("expected the URL of a Redis server, got one that cannot be used"),
    }
}
