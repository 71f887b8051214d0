//! A TOML document, and where in it things stand.

use std::{fmt::Write as _, ops::Range};

use serde::de::DeserializeOwned;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{error::ConfigError, said};
use crate::error::shown;

/// Reads a TOML document (1.1) into a type of your own, which may have the types of this module as members.
///
/// # Errors
///
/// When it is not TOML, or not what the type needs: unknown, missing, repeated keys, wrong types. Each error names line
/// and key and quotes no value. So what the type's own `Deserialize` says beyond what serde itself finds is not shown:
/// check values afterwards, and report them with [`ConfigError::new`] and [`ConfigError::located_in`].
pub fn from_toml<T: DeserializeOwned>(text: &str) -> Result<T, ConfigError> {
    let document = Document::parse(text)?;
    let deserializer = toml::Deserializer::parse(text).map_err(|error| document.not_toml(&error))?;
    T::deserialize(deserializer).map_err(|error| document.not_as_needed(&error))
}

/// What the parser says of a key that stands twice.
const DUPLICATE: &str = "duplicate key";

/// The keys of this module's tables.
const KNOWN: [&str; 42] = [
    "resource",
    "identifier",
    "realm",
    "issuer",
    "kind",
    "audience",
    "jwks_uri",
    "algorithms",
    "token_types",
    "expect_claims",
    "optional_claims",
    "claims",
    "scope",
    "leeway_seconds",
    "introspection_endpoint",
    "client_id",
    "client_secret",
    "client_secret_file",
    "client_secret_env",
    "client_auth",
    "private_key_file",
    "opaque_prefix",
    "cache_seconds",
    "allow_insecure_http",
    "revocation",
    "redis_url",
    "redis_url_file",
    "redis_url_env",
    "authorities_file",
    "name",
    "by",
    "longest_lifetime_seconds",
    "assume_issuer",
    "unknown_after_seconds",
    "accept_stale_up_to_seconds",
    "capacity",
    "route",
    "path",
    "methods",
    "any_scope",
    "optional",
    "public",
];

/// A document whose keys can be found.
pub(super) struct Document<'t> {
    text: &'t str,
    root: DeTable<'t>,
    /// In what is not TOML, a secret may have become a key by a slip of the pen. So only keys are named there that are
    /// known, and others by their line.
    is_broken: bool,
}

/// A key or an element that was found: the way to it, and what stands there.
struct Found<'d, 't> {
    path: String,
    value: &'d DeValue<'t>,
}

impl<'t> Document<'t> {
    fn parse(text: &'t str) -> Result<Self, ConfigError> {
        let (document, errors) = Self::read(text);
        match errors.first() {
            None => Ok(document),
            Some(error) => Err(document.not_toml(error)),
        }
    }

    /// As much of a document as can be read.
    pub(super) fn recover(text: &'t str) -> Self {
        Self::read(text).0
    }

    fn read(text: &'t str) -> (Self, Vec<toml::de::Error>) {
        let (root, errors) = DeTable::parse_recoverable(text);
        let document = Self {
            text,
            root: root.into_inner(),
            is_broken: errors.iter().any(|error| error.message() != DUPLICATE),
        };
        (document, errors)
    }

    /// The parser's messages are fixed sentences; only its `Display` quotes the line.
    fn not_toml(&self, error: &toml::de::Error) -> ConfigError {
        let span = error.span().unwrap_or_default();
        let line = self.line_at(span.start);
        if error.message() == DUPLICATE {
            return ConfigError::new(self.repeated_key(&span), "stands twice").at_line(line);
        }
        let found = self.find(span.start).or_else(|| self.last_key_on(line));
        ConfigError::new(
            found.map(|found| found.path).unwrap_or_default(),
            format_args!("not TOML: {}", error.message()),
        )
        .at_line(line)
    }

    fn not_as_needed(&self, error: &toml::de::Error) -> ConfigError {
        let span = error.span().unwrap_or_default();
        let at = span.start;
        // What the document as a whole lacks is said of no place in it.
        let found = if span.is_empty() { None } else { self.find(at) };
        let (key, problem) = said::problem(error.message(), found.as_ref().map(|found| found.value));
        let mut path = found.map(|found| found.path).unwrap_or_default();
        if let Some(key) = key {
            push_key(&mut path, key);
        }
        ConfigError::new(path, problem).at_line(self.line_at(at))
    }

    /// The line of a key by its path; of the nearest table around it, where it is missing.
    pub(super) fn line_of(&self, path: &str) -> usize {
        let mut at = 0;
        let mut table = Some(&self.root);
        let mut value: Option<&Spanned<DeValue<'_>>> = None;
        for step in steps(path) {
            let next = match step {
                Step::Key(name) => table.and_then(|table| table.get_key_value(name)).map(|(key, value)| {
                    at = key.span().start;
                    value
                }),
                Step::Index(index) => value
                    .and_then(|value| value.get_ref().as_array()?.get(index))
                    .inspect(|value| at = value.span().start),
            };
            let Some(next) = next else { break };
            table = next.get_ref().as_table();
            value = Some(next);
        }
        self.line_at(at)
    }

    fn line_at(&self, offset: usize) -> usize {
        1 + self.text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
    }

    /// The innermost key or element that stands at this place.
    fn find(&self, at: usize) -> Option<Found<'_, 't>> {
        self.in_table(&self.root, "", &|span| span.contains(&at))
    }

    /// A key on this line, for errors in what follows it.
    fn last_key_on(&self, line: usize) -> Option<Found<'_, 't>> {
        self.in_table(&self.root, "", &|span| self.line_at(span.start) == line)
    }

    /// The second one is not in the document, so its name is taken from the text.
    fn repeated_key(&self, span: &Range<usize>) -> String {
        let name = self.text.get(span.clone()).unwrap_or_default().trim();
        let line = self.text.lines().nth(self.line_at(span.start) - 1).unwrap_or_default();
        let mut path = String::new();
        if !line.trim_start().starts_with('[') {
            path = match self.find(span.start) {
                Some(around) => around.path,
                None => self.header_before(span.start),
            };
        }
        if self.text.get(span.clone()).is_some_and(is_bare) && self.may_name(name) {
            push_key(&mut path, name);
        }
        path
    }

    /// The `[table]` or `[[table]]` under which this place is.
    fn header_before(&self, at: usize) -> String {
        let mut header = String::new();
        let mut start = 0;
        for line in self.text.split_inclusive('\n') {
            if start > at {
                break;
            }
            let indent = line.len() - line.trim_start().len();
            if line.trim_start().starts_with('[')
                && let Some(found) = self.find(start + indent)
                && found.value.is_table()
            {
                header = found.path;
            }
            start += line.len();
        }
        header
    }

    fn in_table<'d>(
        &self,
        table: &'d DeTable<'t>,
        path: &str,
        is_here: &dyn Fn(Range<usize>) -> bool,
    ) -> Option<Found<'d, 't>> {
        table.iter().find_map(|(key, value)| {
            if !self.may_name(key.get_ref()) {
                return None;
            }
            let mut path = path.to_owned();
            push_key(&mut path, key.get_ref());
            self.in_value(value.get_ref(), &path, is_here).or_else(|| {
                (is_here(key.span()) || is_here(value.span())).then_some(Found {
                    path,
                    value: value.get_ref(),
                })
            })
        })
    }

    fn in_value<'d>(
        &self,
        value: &'d DeValue<'t>,
        path: &str,
        is_here: &dyn Fn(Range<usize>) -> bool,
    ) -> Option<Found<'d, 't>> {
        match value {
            DeValue::Table(table) => self.in_table(table, path, is_here),
            DeValue::Array(array) => array.iter().enumerate().find_map(|(index, element)| {
                let path = format!("{path}[{index}]");
                self.in_value(element.get_ref(), &path, is_here).or_else(|| {
                    is_here(element.span()).then_some(Found {
                        path,
                        value: element.get_ref(),
                    })
                })
            }),
            _ => None,
        }
    }

    fn may_name(&self, key: &str) -> bool {
        !self.is_broken || KNOWN.contains(&key)
    }
}

fn push_key(path: &mut String, key: &str) {
    if !path.is_empty() {
        path.push('.');
    }
    if key.len() <= 80 && is_bare(key) {
        path.push_str(key);
    } else {
        // Writing to a string cannot fail.
        let _ = write!(path, "{}", shown(key));
    }
}

fn is_bare(key: &str) -> bool {
    let may_be = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    !key.is_empty() && key.bytes().all(may_be)
}

enum Step<'p> {
    Key(&'p str),
    Index(usize),
}

/// Takes a path apart, as far as it consists of bare keys and indices.
fn steps(path: &str) -> impl Iterator<Item = Step<'_>> {
    path.split(['.', '[']).map(|part| {
        part.strip_suffix(']')
            .and_then(|index| index.parse().ok())
            .map_or(Step::Key(part), Step::Index)
    })
}
