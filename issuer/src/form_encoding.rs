//! Names and values in the encoding of forms, `application/x-www-form-urlencoded`, as queries and bodies have them (RFC 6749,
//! appendix B).

/// Why nothing is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// There are more than may be.
    TooMany,
    /// It is not in this encoding, or not UTF-8.
    Malformed,
}

/// All names and values, those without a value as well, in the order in which they came, and no more than this many of them.
/// Every `%` has to be in its place, with UTF-8 behind it: two readers of a request must not read different things.
///
/// How long it may be, and what may be there twice, whoever reads it decides.
pub(crate) fn pairs(encoded: &[u8], most: usize) -> Result<Vec<(String, String)>, Unreadable> {
    let mut pairs = Vec::new();
    for pair in encoded.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
        if pairs.len() == most {
            return Err(Unreadable::TooMany);
        }
        let mut sides = pair.splitn(2, |byte| *byte == b'=');
        let mut next = || decoded(sides.next().unwrap_or_default()).ok_or(Unreadable::Malformed);
        pairs.push((next()?, next()?));
    }
    Ok(pairs)
}

/// One name or value; `None` when it is not in this encoding, or not UTF-8.
pub(crate) fn decoded(text: &[u8]) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.iter().copied();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => (digit(rest.next()?)? << 4) | digit(rest.next()?)?,
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

fn digit(hex: u8) -> Option<u8> {
    let digit = char::from(hex).to_digit(16)?;
    u8::try_from(digit).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(encoded: &str) -> Result<Vec<(String, String)>, Unreadable> {
        pairs(encoded.as_bytes(), 4)
    }

    #[test]
    fn names_and_values_are_decoded_in_the_order_in_which_they_came() {
        let expected = [("a", "1 2+3"), ("ä", "="), ("a", ""), ("", "x")];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(read("a=1+2%2B3&%C3%a4==&&a&=x&").unwrap(), expected);
        assert_eq!(read(""), Ok(Vec::new()));
    }

    #[test]
    fn a_broken_encoding_is_not_repaired() {
        for encoded in ["a=%", "a=%4", "a=%zz", "a=%+1", "a=%ff", "%f=1", "a=1&b=%C3"] {
            assert_eq!(read(encoded), Err(Unreadable::Malformed), "{encoded}");
        }
        assert_eq!(pairs(b"a=\xff", 4), Err(Unreadable::Malformed));
    }

    #[test]
    fn those_without_a_value_count_as_well() {
        assert_eq!(read("a&b&c&d").unwrap().len(), 4);
        assert_eq!(read("a&b&c&d&e"), Err(Unreadable::TooMany));
    }
}
