//! How rows are written down in a database.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{Id, Key, Kind, Row, StoreError, Version};

/// The last moment that is told from those after it: every database has whole numbers up to here, Redis' scores as well.
const LAST: u128 = (1 << 53) - 1;

/// When a row expires, in milliseconds since 1970, rounded up.
pub(super) fn expiry(at: SystemTime) -> i64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    milliseconds(since.as_nanos().div_ceil(1_000_000))
}

/// What time it is, in milliseconds since 1970, rounded down; so no row is found to have expired before it has.
pub(super) fn now(at: SystemTime) -> i64 {
    // Before 1970 nothing that is written has expired: a row that expired even earlier is written as 0.
    at.duration_since(UNIX_EPOCH)
        .map_or(-1, |since| milliseconds(since.as_millis()))
}

fn milliseconds(number: u128) -> i64 {
    i64::try_from(number.min(LAST)).unwrap_or(i64::MAX)
}

/// A row as a database answers it.
pub(super) struct Written {
    pub(super) kind: String,
    pub(super) id: String,
    pub(super) version: i64,
    pub(super) owner: Option<String>,
    pub(super) expires_at: Option<i64>,
    pub(super) body: String,
}

impl Written {
    /// What it says; an error when it was not us who wrote it.
    pub(super) fn read(self) -> Result<(Key, Row), StoreError> {
        let not_ours = |what| StoreError::new(format_args!("a row has {what} that this library does not write"));
        let kind = Kind::parse(&self.kind).ok_or_else(|| not_ours("a kind"))?;
        let id = Id::parse(self.id).ok_or_else(|| not_ours("an identifier"))?;
        let owner = match self.owner {
            Some(owner) => Some(Id::parse(owner).ok_or_else(|| not_ours("an owner"))?),
            None => None,
        };
        let moment = |at: i64| {
            let since = u64::try_from(at).ok().map(Duration::from_millis);
            let moment = since.and_then(|since| UNIX_EPOCH.checked_add(since));
            moment.ok_or_else(|| not_ours("an expiry"))
        };
        let row = Row {
            version: Version::from_number(self.version),
            owner,
            expires_at: self.expires_at.map(moment).transpose()?,
            body: self.body,
        };
        Ok((Key { kind, id }, row))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_millisecond_counts_for_the_row_and_never_against_it() {
        let at = UNIX_EPOCH + Duration::from_nanos(1_500_000_000_400_001);
        assert_eq!(expiry(at), 1_500_000_001);
        assert_eq!(now(at), 1_500_000_000);
    }

    #[test]
    fn nothing_has_expired_before_1970() {
        let earlier = UNIX_EPOCH - Duration::from_secs(1);
        assert_eq!(expiry(earlier), 0);
        assert!(now(earlier) < 0);
    }

    #[test]
    fn a_moment_beyond_all_numbers_is_the_last_one() {
        let far = UNIX_EPOCH + Duration::from_secs(1 << 60);
        assert_eq!(expiry(far), 9_007_199_254_740_991);
    }

    #[test]
    fn a_row_that_somebody_else_wrote_is_an_error() {
        let written = Written {
            kind: "session".to_owned(),
            id: "short".to_owned(),
            version: 1,
            owner: None,
            expires_at: None,
            body: "{}".to_owned(),
        };
        let refused = written.read().unwrap_err();
        assert_eq!(
            refused.to_string(),
            "a row has an identifier that this library does not write"
        );
    }
}
