//! Which route a request takes.

use std::{cmp::Reverse, collections::BTreeMap};

use http::{HeaderValue, Method, Uri};

use super::path;
use crate::protector::ResourceProtectorLayer;

/// All routes, and what holds where there is none.
#[derive(Debug)]
pub(crate) struct Routes {
    /// By their length, then by [`path::read`]'s spelling of them: decoded, without a slash at the end.
    paths: BTreeMap<(Reverse<usize>, String), Path>,
    elsewhere: ResourceProtectorLayer,
}

/// The routes that name one path.
#[derive(Debug, Default)]
struct Path {
    /// With the number by which the configuration counts them.
    rules: Vec<(usize, Rule)>,
    allow: Option<HeaderValue>,
}

/// What one route says.
#[derive(Debug)]
pub(crate) struct Rule {
    /// `None` for all.
    pub(crate) methods: Option<Vec<Method>>,
    pub(crate) access: Access,
}

/// Who may come in.
#[derive(Clone, Debug)]
pub(crate) enum Access {
    /// Everybody; no token is looked at.
    Public,
    /// Whom this protector lets in.
    Protected(ResourceProtectorLayer),
}

/// Another route has this place already.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) by: usize,
    /// The method that both list, if it is not that one of them is for all.
    pub(crate) method: Option<Method>,
}

/// What is to be done with a request.
pub(super) enum Decision<'r> {
    /// Everybody is let in; no token is looked at.
    Public,
    /// This protector decides.
    Protected(&'r ResourceProtectorLayer),
    /// The path cannot be told for sure.
    BadPath(&'static str),
    /// The path is known, and the method is not among those that it has.
    NotAllowed(Option<&'r HeaderValue>),
}

impl Routes {
    pub(crate) fn new(elsewhere: ResourceProtectorLayer) -> Self {
        Self {
            paths: BTreeMap::new(),
            elsewhere,
        }
    }

    /// What holds where no route is: the protector that all routes have in common.
    pub(super) fn protector(&self) -> &ResourceProtectorLayer {
        &self.elsewhere
    }

    /// Adds a route, unless it would be a matter of order which one decides.
    pub(crate) fn add(&mut self, number: usize, path: String, rule: Rule) -> Result<(), Taken> {
        let known = self.paths.entry((Reverse(path.len()), path)).or_default();
        for (by, other) in &known.rules {
            if let Some(method) = other.clash(&rule) {
                return Err(Taken { by: *by, method });
            }
        }
        known.rules.push((number, rule));
        known.allow = known.allowed();
        Ok(())
    }

    pub(super) fn decide(&self, method: &Method, uri: &Uri) -> Decision<'_> {
        let path = match path::read(uri.path()) {
            Ok(path) => path,
            Err(why) => return Decision::BadPath(why),
        };
        let Some((_, longest)) = self.paths.iter().find(|((_, known), _)| covers(known, &path)) else {
            return Decision::Protected(&self.elsewhere);
        };
        match longest.rules.iter().find(|(_, rule)| rule.is_for(method)) {
            None => Decision::NotAllowed(longest.allow.as_ref()),
            Some((_, rule)) => match &rule.access {
                Access::Public => Decision::Public,
                Access::Protected(protector) => Decision::Protected(protector),
            },
        }
    }
}

/// Whether these are the first segments of that path, or all of them.
fn covers(known: &str, path: &str) -> bool {
    path.strip_prefix(known)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl Path {
    /// For `Allow` (RFC 9110 §10.2.1).
    fn allowed(&self) -> Option<HeaderValue> {
        let listed = self
            .rules
            .iter()
            .filter_map(|(_, rule)| rule.methods.as_ref())
            .flatten();
        let mut names: Vec<&str> = listed.map(Method::as_str).collect();
        if names.contains(&"GET") {
            names.push("HEAD");
        }
        names.sort_unstable();
        names.dedup();
        HeaderValue::try_from(names.join(", ")).ok()
    }
}

impl Rule {
    /// HEAD asks for what GET would answer, so it needs the same (RFC 9110 §9.3.2).
    fn is_for(&self, method: &Method) -> bool {
        let method = if *method == Method::HEAD { &Method::GET } else { method };
        self.methods.as_ref().is_none_or(|methods| methods.contains(method))
    }

    /// A method that both are for; `Some(None)` when one of them is for all.
    fn clash(&self, other: &Self) -> Option<Option<Method>> {
        match (&self.methods, &other.methods) {
            (Some(ours), Some(theirs)) => ours.iter().find(|method| theirs.contains(method)).cloned().map(Some),
            _ => Some(None),
        }
    }
}
