//! How long a database may take.

use std::{future::Future, time::Duration};

use resource_protector::SetupError;

use super::StoreError;
use crate::setup::within;

/// How long one method of a store may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline {
    /// Who is waited for.
    database: &'static str,
    pub(super) timeout: Duration,
}

impl Deadline {
    pub(super) fn of(database: &'static str) -> Self {
        let timeout = Duration::from_secs(5);
        Self { database, timeout }
    }

    pub(super) fn with(self, timeout: Duration) -> Result<Self, SetupError> {
        let timeout = within("timeout", timeout, Duration::from_millis(1)..=Duration::from_secs(60))?;
        Ok(Self { timeout, ..self })
    }

    /// What the work comes to, if it does in time.
    pub(super) async fn give<T>(self, work: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        let Self { database, timeout } = self;
        let too_late = |_| {
            StoreError::new(format_args!(
                "{database} did not answer within {} s",
                timeout.as_secs_f64()
            ))
        };
        tokio::time::timeout(timeout, work).await.map_err(too_late)?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_does_not_answer_is_named() {
        let deadline = Deadline::of("PostgreSQL").with(Duration::from_millis(1)).unwrap();
        let answer = deadline.give::<()>(std::future::pending()).await;
        assert_eq!(
            answer.unwrap_err().to_string(),
            "PostgreSQL did not answer within 0.001 s"
        );
    }

    #[test]
    fn a_timeout_of_zero_or_of_more_than_a_minute_is_refused() {
        for timeout in [Duration::ZERO, Duration::from_millis(60_001)] {
            let refused = Deadline::of("Redis").with(timeout).unwrap_err();
            assert_eq!(refused.option(), "timeout");
        }
    }
}
