use std::sync::{Mutex, MutexGuard, PoisonError};

use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, IntoConnectionInfo, RedisError, aio::MultiplexedConnection,
};
use resource_protector::SetupError;

/// The connection to Redis that everybody shares, made when it is needed.
pub(super) struct Link {
    client: Client,
    current: Mutex<Option<Connection>>,
    /// How many connections there have been. Whoever makes the next one holds it.
    made: tokio::sync::Mutex<u64>,
}

#[derive(Clone)]
pub(super) struct Connection {
    number: u64,
    pub(super) to: MultiplexedConnection,
}

impl Link {
    /// No error quotes the URL: it may have a password in it.
    pub(super) fn to(url: &str) -> Result<Self, SetupError> {
        let scheme = url.split(':').next().unwrap_or_default().trim();
        if ["rediss", "valkeys"].iter().any(|tls| scheme.eq_ignore_ascii_case(tls)) {
            return Err(no_tls());
        }
        Ok(Self {
            client: client(url)?,
            current: Mutex::new(None),
            made: tokio::sync::Mutex::new(0),
        })
    }

    /// The connection, or a new one. Neither connecting nor waiting for another who connects has an end of its own.
    pub(super) async fn connection(&self) -> Result<Connection, RedisError> {
        if let Some(connection) = &*self.current() {
            return Ok(connection.clone());
        }
        let mut made = self.made.lock().await;
        if let Some(connection) = &*self.current() {
            return Ok(connection.clone());
        }
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None);
        let to = self
            .client
            .get_multiplexed_async_connection_with_config(&config)
            .await?;
        *made += 1;
        Ok(self.current().insert(Connection { number: *made, to }).clone())
    }

    /// Gives a connection up: it may be dead without knowing it, or lead to a server that is no longer the primary.
    pub(super) fn forget(&self, connection: &Connection) {
        let mut current = self.current();
        if current
            .as_ref()
            .is_some_and(|current| current.number == connection.number)
        {
            *current = None;
        }
    }

    fn current(&self) -> MutexGuard<'_, Option<Connection>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn client(server: impl IntoConnectionInfo) -> Result<Client, SetupError> {
    let unusable = |_| {
        SetupError::new(
            "url",
            "expected `redis://user:password@host:6379/0`, got something else, which is not shown, since it may have a \
             password in it",
        )
    };
    let info = server.into_connection_info().map_err(unusable)?;
    // The library's own TLS has the provider that the whole program chose, and panics where there are two or none. So it is never
    // told of TLS, whatever features other parts of the program have it built with.
    match info.addr() {
        ConnectionAddr::Tcp(..) | ConnectionAddr::Unix(_) => Client::open(info).map_err(unusable),
        _ => Err(no_tls()),
    }
}

fn no_tls() -> SetupError {
    SetupError::new(
        "url",
        "expected `redis://`, got a URL with TLS, which `RedisStore` does not speak: lead `redis://` through a tunnel that \
         encrypts, such as stunnel, or take `PostgresStore`",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_tls_of_the_redis_library_is_used_even_where_it_is_built_with_it() {
        // As the library reads `rediss://` when another part of the program has switched its TLS on.
        for insecure in [false, true] {
            let server = ConnectionAddr::TcpTls {
                host: "redis.test".to_owned(),
                port: 6379,
                insecure,
                tls_params: None,
            };
            let refused = client(server).map(|_| ()).unwrap_err().to_string();
            assert!(refused.contains("PostgresStore"), "{refused}");
        }
        for server in [
            ConnectionAddr::Tcp("redis.test".to_owned(), 6379),
            ConnectionAddr::Unix("/run/redis.sock".into()),
        ] {
            assert!(client(server).is_ok());
        }
    }
}
