//! Which route a request takes.

use http::{HeaderValue, Method, Uri};

use super::path;
use crate::protector::ResourceProtectorLayer;

/// All routes, and what holds where there is none.
#[derive(Debug)]
pub(crate) struct Routes {
    /// The longest path first.
    paths: Vec<Path>,
    elsewhere: Access,
}

/// A path, and the routes that name it.
#[derive(Debug)]
struct Path {
    /// As [`path::read`] gives it: decoded, without a slash at the end.
    path: String,
    /// With the number by which the configuration counts them.
    rules: Vec<(usize, Rule)>,
    allow: HeaderValue,
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
    Let(&'r Access),
    /// The path cannot be told for sure.
    BadPath(&'static str),
    /// The path is known, and the method is not among those that it has.
    NotAllowed(&'r HeaderValue),
}

impl Routes {
    pub(crate) fn new(elsewhere: ResourceProtectorLayer) -> Self {
        Self {
            paths: Vec::new(),
            elsewhere: Access::Protected(elsewhere),
        }
    }

    /// Adds a route, unless it would be a matter of order which one decides.
    pub(crate) fn add(&mut self, number: usize, path: String, rule: Rule) -> Result<(), Taken> {
        let known = match self.paths.iter_mut().find(|known| known.path == path) {
            Some(known) => known,
            None => {
                let at = self.paths.partition_point(|known| known.path.len() >= path.len());
                self.paths.insert(
                    at,
                    Path {
                        path,
                        rules: Vec::new(),
                        allow: HeaderValue::from_static(""),
                    },
                );
                // It was put there just now.
                let Some(known) = self.paths.get_mut(at) else {
                    return Ok(());
                };
                known
            }
        };
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
        let Some(longest) = self.paths.iter().find(|known| known.covers(&path)) else {
            return Decision::Let(&self.elsewhere);
        };
        match longest.rules.iter().find(|(_, rule)| rule.is_for(method)) {
            Some((_, rule)) => Decision::Let(&rule.access),
            None => Decision::NotAllowed(&longest.allow),
        }
    }
}

impl Path {
    /// Whether these are the first segments of that path, or all of them.
    fn covers(&self, path: &str) -> bool {
        path.strip_prefix(&self.path)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// For `Allow` (RFC 9110 §10.2.1).
    fn allowed(&self) -> HeaderValue {
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
        // Methods are tokens, so this is always a field value.
        HeaderValue::try_from(names.join(", ")).unwrap_or(HeaderValue::from_static(""))
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
