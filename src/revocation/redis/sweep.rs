//! Takes out of the stream what is over.

use std::time::{Duration, Instant};

use super::{
    link::{self, Entry, Link, LinkError, PAGE},
    wire,
};
use crate::clock::Moment;

/// For how much longer than its end an entry is left: clocks differ, and nobody may miss what still concerns a token.
const LEFT_FOR: Duration = Duration::from_secs(3600);

/// When the stream is looked through again from its beginning.
const PAUSE: Duration = Duration::from_secs(60);

/// A walk through the stream, a page at a time, beside listening.
#[derive(Debug, Default)]
pub(super) struct Sweep {
    /// Up to where it got; `None` at the beginning.
    after: Option<String>,
    not_before: Option<Instant>,
}

impl Sweep {
    pub(super) async fn go_on(&mut self, link: &mut Link, now: Moment, time: u64) -> Result<(), LinkError> {
        if self.not_before.is_some_and(|moment| now.monotonic < moment) {
            return Ok(());
        }
        let (page, _) = link.page(self.after.as_deref()).await?;
        let over: Vec<_> = page
            .iter()
            .filter(|entry| is_over(entry, time))
            .map(|entry| entry.id.as_str())
            .collect();
        if !over.is_empty() {
            link.delete(&over).await?;
        }
        let is_last = page.len() < PAGE;
        self.after = page.into_iter().next_back().map(|entry| entry.id).filter(|_| !is_last);
        self.not_before = match is_last {
            true => now.monotonic.checked_add(PAUSE),
            false => None,
        };
        Ok(())
    }
}

/// By the time of Redis. What cannot be read is left to somebody who can.
fn is_over(entry: &Entry, time: u64) -> bool {
    let Ok(told) = wire::read(&entry.fields) else {
        return false;
    };
    let end = told.cut_off.until.and_then(|until| until.checked_add(LEFT_FOR));
    end.is_some_and(|end| end <= link::wall(time))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(until: &str) -> Entry {
        let fields = [("by", "jti"), ("iss", "i"), ("id", "t"), ("until", until)];
        Entry {
            id: "5-1".to_owned(),
            fields: fields.map(|(field, value)| (field.into(), value.into())).to_vec(),
        }
    }

    #[test]
    fn an_entry_is_left_for_an_hour_after_its_end() {
        assert!(!is_over(&entry("1000"), 3_600_999));
        assert!(is_over(&entry("1000"), 3_601_000));
    }

    #[test]
    fn what_cannot_be_read_is_left_where_it_is() {
        assert!(!is_over(&entry("soon"), u64::MAX / 2));
        let mark = Entry {
            id: link::MARK.to_owned(),
            fields: vec![(b"mark".to_vec(), b"x".to_vec()), (b"at".to_vec(), b"1".to_vec())],
        };
        assert!(!is_over(&mark, u64::MAX / 2));
    }
}
