use std::sync::{Mutex, MutexGuard, PoisonError};

use redis::{AsyncConnectionConfig, Client, RedisError, aio::MultiplexedConnection};

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
    pub(super) fn new(client: Client) -> Self {
        Self {
            client,
            current: Mutex::new(None),
            made: tokio::sync::Mutex::new(0),
        }
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
