//! JSON objects from outside, read strictly.
//!
//! RFC 8259 leaves open what a repeated member means, and two parsers that disagree about it can be led to two
//! different tokens. RFC 7519 §4 lets a parser refuse repeated claims or take the last one; here a repetition is refused,
//! at every depth.

use std::{borrow::Cow, collections::HashSet, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

/// How deep objects and arrays may be nested, the outermost counted.
const MAX_DEPTH: usize = 16;

/// How many members one object may have.
const MAX_MEMBERS: usize = 512;

/// How many elements one array may have.
const MAX_ELEMENTS: usize = 4096;

/// Why something is not an acceptable JSON object. Says what, never quotes it.
#[derive(Debug, thiserror::Error)]
#[error("not an acceptable JSON object: {0}")]
pub(crate) struct JsonError(&'static str);

/// A member is there, and is not a string.
#[derive(Debug)]
pub(crate) struct NotAString;

/// The members of one JSON object, each name once, values not yet parsed.
#[derive(Debug)]
pub(crate) struct Object<'a> {
    json: &'a [u8],
    members: Vec<(Cow<'a, str>, &'a RawValue)>,
}

impl<'a> Object<'a> {
    /// Reads one object and nothing after it.
    pub(crate) fn parse(json: &'a [u8]) -> Result<Self, JsonError> {
        let text = std::str::from_utf8(json).map_err(|_| JsonError("not UTF-8"))?;
        let Members(members) = serde_json::from_str(text)
            .map_err(|_| JsonError("not one JSON object, or with repeated or too many members"))?;
        for (_, value) in &members {
            // Only what is nested can hide a repetition or be deep; scalars were checked by the first pass.
            if value.get().starts_with(['{', '[']) {
                let mut inner = serde_json::Deserializer::from_str(value.get());
                Strict { depth: 2 }
                    .deserialize(&mut inner)
                    .map_err(|_| JsonError("nested too deep, or with repeated or too many members"))?;
            }
        }
        Ok(Self { json, members })
    }

    /// The JSON that it was read from.
    pub(crate) fn json(&self) -> &'a [u8] {
        self.json
    }

    /// The value of a member, as it was written.
    pub(crate) fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.members
            .iter()
            .find_map(|(member, value)| (member == name).then_some(*value))
    }

    /// The object without the members that are `null`, for formats in which those say nothing.
    pub(crate) fn without_nulls(mut self) -> Self {
        self.members.retain(|(_, value)| value.get() != "null");
        self
    }

    /// How many members there are.
    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }

    /// The members, in the order in which they were written.
    pub(crate) fn members(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.members.iter().map(|(name, value)| (&**name, *value))
    }

    /// The value of a member that has to be a string, if it is there.
    pub(crate) fn text(&self, name: &str) -> Result<Option<Cow<'a, str>>, NotAString> {
        self.get(name).map(|value| text(value).ok_or(NotAString)).transpose()
    }

    /// Whether the member is there, whatever its value.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }
}

/// The text of a value that is a string. One without escapes stands in the JSON as it is.
pub(crate) fn text(value: &RawValue) -> Option<Cow<'_, str>> {
    let quoted = value.get().strip_prefix('"')?;
    match quoted.strip_suffix('"') {
        Some(plain) if !plain.contains('\\') => Some(Cow::Borrowed(plain)),
        _ => serde_json::from_str(value.get()).ok().map(Cow::Owned),
    }
}

/// The members of an object, each name once.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Map;

        impl<'de> Visitor<'de> for Map {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members: Vec<(Cow<'de, str>, &'de RawValue)> = Vec::with_capacity(16);
                while let Some(Name(name)) = map.next_key()? {
                    if members.len() >= MAX_MEMBERS {
                        return Err(de::Error::custom("too many members"));
                    }
                    members.push((name, map.next_value()?));
                }
                if !all_differ(members.iter().map(|(name, _)| &**name)) {
                    return Err(de::Error::custom("repeated members"));
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Map)
    }
}

/// Whether no name stands twice, in time that grows with their number and not with its square: the names may come from
/// a token that nobody signed.
fn all_differ<'a>(names: impl Iterator<Item = &'a str> + Clone) -> bool {
    const FEW: usize = 16;
    if names.clone().nth(FEW).is_some() {
        let mut seen = HashSet::new();
        return names.into_iter().all(|name| seen.insert(name));
    }
    let mut rest = names;
    while let Some(name) = rest.next() {
        if rest.clone().any(|other| other == name) {
            return false;
        }
    }
    true
}

/// A member's name, borrowed where it has no escapes.
struct Name<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Name<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl<'de> Visitor<'de> for Text {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a member name")
            }

            fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Borrowed(name)))
            }

            fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Owned(name.to_owned())))
            }
        }

        deserializer.deserialize_str(Text)
    }
}

/// Walks through a nested value and keeps nothing of it.
struct Strict {
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        if self.depth > MAX_DEPTH {
            return Err(de::Error::custom("nested too deep"));
        }
        let mut names: Vec<Cow<'de, str>> = Vec::new();
        while let Some(Name(name)) = map.next_key()? {
            if names.len() >= MAX_MEMBERS {
                return Err(de::Error::custom("too many members"));
            }
            names.push(name);
            map.next_value_seed(Self { depth: self.depth + 1 })?;
        }
        if !all_differ(names.iter().map(|name| &**name)) {
            return Err(de::Error::custom("repeated members"));
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        if self.depth > MAX_DEPTH {
            return Err(de::Error::custom("nested too deep"));
        }
        let mut elements = 0;
        while seq.next_element_seed(Self { depth: self.depth + 1 })?.is_some() {
            elements += 1;
            if elements > MAX_ELEMENTS {
                return Err(de::Error::custom("too many elements"));
            }
        }
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_member_is_refused_at_every_depth_and_in_any_spelling() {
        for json in [
            r#"{"a":1,"a":2}"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"{"o":{"a":1,"a":1}}"#,
            r#"{"o":[[{"a":1,"a":1}]]}"#,
        ] {
            assert!(Object::parse(json.as_bytes()).is_err(), "{json}");
        }
        assert!(Object::parse(br#"{"a":{"a":{"a":1}},"b":[{"a":1},{"a":1}]}"#).is_ok());
    }

    #[test]
    fn a_repetition_is_found_among_few_and_among_many_members() {
        for n in [2, 16, 17, 500] {
            let mut names: Vec<String> = (0..n).map(|i| format!("\"{i}\":0")).collect();
            let object = |names: &[String]| format!("{{\"o\":{{{0}}},\"a\":1}}", names.join(","));
            assert!(Object::parse(object(&names).as_bytes()).is_ok(), "{n}");
            names.push("\"0\":0".to_owned());
            assert!(Object::parse(object(&names).as_bytes()).is_err(), "{n}");
            assert!(
                Object::parse(format!("{{{}}}", names.join(",")).as_bytes()).is_err(),
                "{n}"
            );
        }
    }

    #[test]
    fn anything_but_one_object_is_refused() {
        for json in [
            "",
            "null",
            "[]",
            "1",
            "\"a\"",
            "{} {}",
            "{}x",
            "{",
            "{\"a\"}",
            "\u{feff}{}",
        ] {
            assert!(Object::parse(json.as_bytes()).is_err(), "{json:?}");
        }
        assert!(Object::parse(b"{\"a\":\"\xff\"}").is_err());
        assert!(Object::parse(b" {} ").is_ok());
    }

    #[test]
    fn depth_and_length_are_limited() {
        let nested = |n: usize| format!("{}{}", "{\"a\":".repeat(n), "1") + &"}".repeat(n);
        assert!(Object::parse(nested(MAX_DEPTH).as_bytes()).is_ok());
        assert!(Object::parse(nested(MAX_DEPTH + 1).as_bytes()).is_err());
        assert!(Object::parse(nested(100_000).as_bytes()).is_err());
        let wide = |n: usize| {
            format!(
                "{{{}}}",
                (0..n).map(|i| format!("\"{i}\":0")).collect::<Vec<_>>().join(",")
            )
        };
        assert!(Object::parse(wide(MAX_MEMBERS).as_bytes()).is_ok());
        assert!(Object::parse(wide(MAX_MEMBERS + 1).as_bytes()).is_err());
        let long = format!("{{\"a\":[{}]}}", vec!["0"; MAX_ELEMENTS + 1].join(","));
        assert!(Object::parse(long.as_bytes()).is_err());
    }
}
