//! How a revocation is written into an entry of the stream, and read strictly.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::super::{CutOff, RevokedBy};

/// The latest time that is read: the year 9999. Beyond it is no time but a mistake.
const LATEST: u64 = 253_402_300_799_000;

/// A revocation as it stands in the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) cut_off: CutOff,
    /// It was told before, to a Redis that has lost it or never got it.
    pub(super) again: bool,
}

/// An entry of which it cannot be said what it revokes. What is in it does not show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Unreadable(pub(super) &'static str);

/// Whole milliseconds, as times are written, so that what is read is what was known before.
///
/// What was issued within the same millisecond is out, too; the end is by less than one too early, and everybody knows
/// revocations for minutes longer.
pub(super) fn rounded(mut cut_off: CutOff, last: SystemTime) -> CutOff {
    cut_off.issued_before = cut_off.issued_before.map(|before| {
        let up = before.checked_add(Duration::from_nanos(999_999));
        at(milliseconds(up.unwrap_or(before)))
    });
    let until = cut_off.until.map_or(last, |until| until.min(last));
    cut_off.until = Some(at(milliseconds(until)));
    cut_off
}

/// The fields of an entry, and their values.
pub(super) fn written(cut_off: &CutOff, again: bool) -> Vec<(&'static str, String)> {
    let mut fields = vec![
        ("by", name(cut_off.by).to_owned()),
        ("iss", cut_off.issuer.clone()),
        ("id", cut_off.id.clone()),
    ];
    if let Some(before) = cut_off.issued_before {
        fields.push(("before", milliseconds(before).to_string()));
    }
    if let Some(until) = cut_off.until {
        fields.push(("until", milliseconds(until).to_string()));
    }
    if again {
        fields.push(("again", "1".to_owned()));
    }
    fields
}

/// Reads an entry. A field that is not known here may change what is revoked, so it is not passed over.
pub(super) fn read(fields: &[(Vec<u8>, Vec<u8>)]) -> Result<Told, Unreadable> {
    let (mut by, mut issuer, mut id, mut before, mut until, mut again) = (None, None, None, None, None, None);
    for (field, value) in fields {
        let value = std::str::from_utf8(value).map_err(|_| Unreadable("a value that is no text"))?;
        let place = match field.as_slice() {
            b"by" => &mut by,
            b"iss" => &mut issuer,
            b"id" => &mut id,
            b"before" => &mut before,
            b"until" => &mut until,
            b"again" => &mut again,
            _ => return Err(Unreadable("an unknown field")),
        };
        if place.replace(value).is_some() {
            return Err(Unreadable("a field twice"));
        }
    }
    let (Some(by), Some(issuer), Some(id), Some(until)) = (by, issuer, id, until) else {
        return Err(Unreadable("a field is missing"));
    };
    let mut cut_off = CutOff::new(kind(by)?, issuer, id);
    cut_off.issued_before = before.map(time).transpose()?;
    cut_off.until = Some(time(until)?);
    let again = match again {
        None => false,
        Some("1") => true,
        Some(_) => return Err(Unreadable("`again` is not 1")),
    };
    Ok(Told { cut_off, again })
}

fn name(by: RevokedBy) -> &'static str {
    match by {
        RevokedBy::TokenId => "jti",
        RevokedBy::Session => "sid",
        RevokedBy::Subject => "sub",
        RevokedBy::Client => "client_id",
    }
}

fn kind(name: &str) -> Result<RevokedBy, Unreadable> {
    Ok(match name {
        "jti" => RevokedBy::TokenId,
        "sid" => RevokedBy::Session,
        "sub" => RevokedBy::Subject,
        "client_id" => RevokedBy::Client,
        _ => return Err(Unreadable("revoked by something unknown")),
    })
}

/// Before 1970 there were no tokens.
fn milliseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    u64::try_from(since).unwrap_or(LATEST).min(LATEST)
}

fn at(milliseconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(milliseconds)
}

fn time(text: &str) -> Result<SystemTime, Unreadable> {
    let is_number = text.len() <= 15 && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse::<u64>() {
        Ok(milliseconds) if is_number && milliseconds <= LATEST => Ok(at(milliseconds)),
        _ => Err(Unreadable("a time that is none")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(of: &[(&str, &str)]) -> Vec<(Vec<u8>, Vec<u8>)> {
        of.iter()
            .map(|(field, value)| (field.as_bytes().to_vec(), value.as_bytes().to_vec()))
            .collect()
    }

    const GOOD: [(&str, &str); 5] = [
        ("by", "sub"),
        ("iss", "https://auth.test"),
        ("id", "alice"),
        ("before", "1700000000123"),
        ("until", "1700003600000"),
    ];

    #[test]
    fn an_entry_says_whose_tokens_are_over_and_until_when() {
        let expected =
            CutOff::subject("https://auth.test", "alice", at(1_700_000_000_123)).until(at(1_700_003_600_000));
        let told = read(&fields(&GOOD)).unwrap();
        assert_eq!((told.cut_off, told.again), (expected, false));
    }

    #[test]
    fn every_kind_is_read_as_it_was_written() {
        for cut_off in [
            CutOff::token("i", "t"),
            CutOff::session("i", "s"),
            CutOff::subject("i", "a", at(5)),
            CutOff::client("i", "c").issued_before(at(7)),
        ] {
            let cut_off = cut_off.until(at(1_000));
            for again in [false, true] {
                let written = written(&cut_off, again);
                let written: Vec<_> = written.iter().map(|(field, value)| (*field, value.as_str())).collect();
                let cut_off = cut_off.clone();
                assert_eq!(read(&fields(&written)), Ok(Told { cut_off, again }));
            }
        }
    }

    #[test]
    fn an_entry_with_anything_unknown_missing_or_twice_is_not_read() {
        for i in [0, 1, 2, 4] {
            let mut less = GOOD.to_vec();
            less.remove(i);
            assert!(read(&fields(&less)).is_err(), "{less:?}");
        }
        for more in [("scope", "mail"), ("id", "bob"), ("again", "2"), ("BY", "sub")] {
            assert!(read(&fields(&[&GOOD[..], &[more]].concat())).is_err(), "{more:?}");
        }
        for (i, other) in [
            (0, "device"),
            (3, ""),
            (3, "-1"),
            (3, "+17"),
            (4, "1e9"),
            (4, "18446744073709551616"),
            (4, "999999999999999"),
        ] {
            let mut spoilt = GOOD;
            spoilt[i].1 = other;
            assert!(read(&fields(&spoilt)).is_err(), "{spoilt:?}");
        }
        let no_text = [
            fields(&GOOD[..2]),
            vec![(b"id".to_vec(), vec![0xff])],
            fields(&GOOD[3..]),
        ]
        .concat();
        assert!(read(&no_text).is_err());
    }

    #[test]
    fn times_are_rounded_so_that_no_more_tokens_are_spared() {
        let precise = CutOff::subject("i", "a", UNIX_EPOCH + Duration::from_nanos(1_000_001));
        let rounded_off = rounded(precise, UNIX_EPOCH + Duration::from_micros(9_999));
        assert_eq!(rounded_off.issued_before, Some(at(2)));
        assert_eq!(rounded_off.until, Some(at(9)));
    }

    #[test]
    fn nothing_is_to_be_known_for_longer_than_a_token_lives() {
        let far = CutOff::token("i", "t").until(at(1_000_000));
        assert_eq!(rounded(far, at(1_000)).until, Some(at(1_000)));
    }
}
