//! Requirements as they are written down: in configuration, in descriptions, in logs.

use std::{collections::BTreeMap, fmt, time::Duration};

use serde::{
    Deserialize, Serialize,
    de::{self, value::MapAccessDeserializer},
    ser::SerializeMap as _,
};

use super::{
    ClaimValue,
    requirement::{Node, Requirement},
};
use crate::error::SetupError;

impl Serialize for Requirement {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl Serialize for Node {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        match self {
            Self::Scope(scope) => map.serialize_entry("scope", scope)?,
            Self::Member(list, value) => map.serialize_entry(list.name(), value)?,
            Self::Claim { name, accepted } => map.serialize_entry("claims", &BTreeMap::from([(name, accepted)]))?,
            Self::Acr(values) => map.serialize_entry("acr", values)?,
            Self::AuthenticatedWithin { seconds } => map.serialize_entry("authenticated_within_seconds", seconds)?,
            Self::All(nodes) => map.serialize_entry("all", nodes)?,
            Self::Any(nodes) => map.serialize_entry("any", nodes)?,
        }
        map.end()
    }
}

/// The keys of the map form; every one that is there must hold.
///
/// A key without a value (`null`) is an error: whoever wrote it meant to demand something.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    #[serde(default, deserialize_with = "given")]
    scope: Option<String>,
    #[serde(default, deserialize_with = "given")]
    any_scope: Option<Vec<String>>,
    #[serde(default, deserialize_with = "given")]
    role: Option<String>,
    #[serde(default, deserialize_with = "given")]
    group: Option<String>,
    #[serde(default, deserialize_with = "given")]
    entitlement: Option<String>,
    #[serde(default, deserialize_with = "given")]
    claims: Option<BTreeMap<String, OneOrMany<ClaimValue>>>,
    #[serde(default, deserialize_with = "given")]
    acr: Option<OneOrMany<String>>,
    #[serde(default, deserialize_with = "given")]
    authenticated_within_seconds: Option<u64>,
    #[serde(default, deserialize_with = "given")]
    all: Option<Vec<Requirement>>,
    #[serde(default, deserialize_with = "given")]
    any: Option<Vec<Requirement>>,
}

fn given<'de, D: de::Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

impl<T> OneOrMany<T> {
    fn into_vec(self) -> Vec<T> {
        match self {
            Self::One(value) => vec![value],
            Self::Many(values) => values,
        }
    }
}

impl Keys {
    fn into_requirement(self) -> Result<Requirement, SetupError> {
        let mut parts = Vec::new();
        parts.extend(self.scope.map(Requirement::scope).transpose()?);
        parts.extend(self.any_scope.map(Requirement::any_scope).transpose()?);
        parts.extend(self.role.map(Requirement::role));
        parts.extend(self.group.map(Requirement::group));
        parts.extend(self.entitlement.map(Requirement::entitlement));
        for (name, accepted) in self.claims.into_iter().flatten() {
            parts.push(Requirement::claim(name, accepted.into_vec()));
        }
        parts.extend(self.acr.map(|acr| Requirement::acr(acr.into_vec())).transpose()?);
        let age = self.authenticated_within_seconds.map(Duration::from_secs);
        parts.extend(age.map(Requirement::authenticated_within));
        if let Some(any) = self.any {
            parts.push(Requirement::any_of(
                "any",
                any.into_iter().map(|part| part.0).collect(),
            )?);
        }
        if parts.is_empty() && self.all.is_none() {
            return Err(SetupError::new(
                "requirement",
                "expected a map with something to demand, got an empty one; `all` with an empty list is a valid token",
            ));
        }
        parts.extend(self.all.into_iter().flatten());
        Ok(Requirement(Node::all(parts.into_iter().map(|part| part.0).collect())))
    }
}

impl<'de> Deserialize<'de> for Requirement {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Forms;

        impl<'de> de::Visitor<'de> for Forms {
            type Value = Requirement;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("scopes as a string, alternatives as a list of strings, or a map of requirements")
            }

            fn visit_str<E: de::Error>(self, scopes: &str) -> Result<Requirement, E> {
                Requirement::scope(scopes).map_err(E::custom)
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Requirement, A::Error> {
                let mut alternatives = Vec::<String>::new();
                while let Some(alternative) = seq.next_element()? {
                    alternatives.push(alternative);
                }
                Requirement::any_scope(alternatives).map_err(de::Error::custom)
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Requirement, A::Error> {
                let keys = Keys::deserialize(MapAccessDeserializer::new(map))?;
                keys.into_requirement().map_err(de::Error::custom)
            }
        }

        deserializer.deserialize_any(Forms)
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scope(scope) => write!(f, "scope {scope}"),
            Self::Member(list, value) => write!(f, "{} {value:?}", list.name()),
            Self::Claim { name, accepted } => write!(f, "claim {name:?} one of {accepted:?}"),
            Self::Acr(values) => write!(f, "acr one of {values:?}"),
            Self::AuthenticatedWithin { seconds } => write!(f, "authenticated within {seconds} s"),
            Self::All(nodes) if nodes.is_empty() => f.write_str("a valid token"),
            Self::All(nodes) => join(f, nodes, " and "),
            Self::Any(nodes) => join(f, nodes, " or "),
        }
    }
}

fn join(f: &mut fmt::Formatter<'_>, nodes: &[Node], word: &str) -> fmt::Result {
    for (i, node) in nodes.iter().enumerate() {
        if i > 0 {
            f.write_str(word)?;
        }
        match node {
            Node::All(inner) | Node::Any(inner) if !inner.is_empty() => write!(f, "({node})")?,
            node => write!(f, "{node}")?,
        }
    }
    Ok(())
}
