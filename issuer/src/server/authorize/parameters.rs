//! The parameters of a request, as they came.

use crate::form_encoding;

/// The longest query that is read, in bytes.
pub(in crate::server) const MAX_QUERY: usize = 16 * 1024;

/// So many parameters are read.
const MAX_PARAMETERS: usize = 64;

/// Names and values in the order in which they came. Those without a value are left out: "Parameters sent without a value
/// MUST be treated as if they were omitted from the request" (RFC 6749, section 3.1).
#[derive(Clone, Debug)]
pub(in crate::server) struct Parameters(Vec<(String, String)>);

/// A parameter that may be there once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Single<'a> {
    Absent,
    Once(&'a str),
    Repeated,
}

impl Parameters {
    /// Reads a query; `None` when it is too long, has too many parameters, or is not UTF-8 in the encoding of forms.
    pub(in crate::server) fn parse(query: &str) -> Option<Self> {
        if query.len() > MAX_QUERY {
            return None;
        }
        let mut pairs = form_encoding::pairs(query.as_bytes(), MAX_PARAMETERS).ok()?;
        // Before anybody asks what is there twice: one that is left out is not there.
        pairs.retain(|(_, value)| !value.is_empty());
        Some(Self(pairs))
    }

    pub(super) fn single(&self, name: &str) -> Single<'_> {
        let mut values = self.all(name);
        match (values.next(), values.next()) {
            (None, _) => Single::Absent,
            (Some(value), None) => Single::Once(value),
            (Some(_), Some(_)) => Single::Repeated,
        }
    }

    pub(super) fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        let name = name.to_owned();
        let named = self.0.iter().filter(move |(found, _)| *found == name);
        named.map(|(_, value)| value.as_str())
    }

    /// Whether a parameter is there twice that may be there once.
    pub(super) fn has_repeated(&self) -> bool {
        // RFC 8707, section 2: "Multiple resource parameters MAY be used".
        let once = || self.0.iter().map(|(name, _)| name).filter(|name| *name != "resource");
        once()
            .enumerate()
            .any(|(at, name)| once().take(at).any(|before| before == name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_read_in_the_encoding_of_forms() {
        let parameters = Parameters::parse("a=1+2%2B3&b=%C3%A4&c&d=&=x").unwrap();
        assert_eq!(parameters.single("a"), Single::Once("1 2+3"));
        assert_eq!(parameters.single("b"), Single::Once("ä"));
        assert_eq!(parameters.single("c"), Single::Absent);
        assert_eq!(parameters.single("d"), Single::Absent);
    }

    #[test]
    fn a_broken_encoding_is_no_query() {
        assert!(Parameters::parse("a=%").is_none());
    }

    #[test]
    fn a_query_has_16_kib_and_64_parameters_at_the_most() {
        let long = |length: usize| format!("a={}", "x".repeat(length - 2));
        assert!(Parameters::parse(&long(16 * 1024)).is_some());
        assert!(Parameters::parse(&long(16 * 1024 + 1)).is_none());
        assert!(Parameters::parse(&"a=1&".repeat(64)).is_some());
        assert!(Parameters::parse(&"a=1&".repeat(65)).is_none());
    }

    #[test]
    fn only_resources_may_be_named_twice() {
        let has_repeated = |query| Parameters::parse(query).unwrap().has_repeated();
        assert!(!has_repeated("resource=a&resource=b&state=1"));
        assert!(has_repeated("state=1&scope=a&state=1"));
        assert!(has_repeated("x=1&%78=2"));
        assert!(!has_repeated("state=&state=1"));
    }
}
