//! What a route demands of a token.

use std::fmt;

use crate::{claims::matches_any, error::SetupError, scope::Scope, token::CurrentToken};

/// What a token has to grant: scopes, roles, claims, and any combination of them by [`and`](Self::and) and
/// [`or`](Self::or).
///
/// A string of several scopes means all of them; a list of alternatives means any of them, each of which may again be
/// several scopes.
///
/// ```
/// use resource_protector::Requirement;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let both = Requirement::scope("profile email")?;
/// let one = Requirement::any_scope(["orders:read orders:list", "admin"])?;
/// let doctor = Requirement::scope("records")?.and(Requirement::role("doctor").or(Requirement::role("nurse")));
/// assert_eq!(doctor.to_string(), r#"scope records and (role "doctor" or role "nurse")"#);
/// # Ok(())
/// # }
/// ```
///
/// It can be deserialized from a string (all of these scopes), a list of strings (any of these alternatives), or a map
/// of which every entry must hold: `scope`, `any_scope`, `role`, `group`, `entitlement`, `claims`, `all`, `any`.
///
/// ```
/// # use resource_protector::Requirement;
/// let read: Requirement = serde_json::from_str(r#"{ "scope": "records", "claims": { "acr": ["gold", "silver"] } }"#)?;
/// assert_eq!(read.to_string(), r#"scope records and claim "acr" one of ["gold", "silver"]"#);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement(pub(super) Node);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Node {
    Scope(Scope),
    Member(List, String),
    Claim {
        name: String,
        accepted: Vec<String>,
    },
    All(Vec<Node>),
    /// Never empty.
    Any(Vec<Node>),
}

/// The claims that are lists of rights (RFC 9068 §2.2.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum List {
    Role,
    Group,
    Entitlement,
}

impl Requirement {
    /// A valid token, whatever it grants.
    pub fn valid_token() -> Self {
        Self(Node::All(Vec::new()))
    }

    /// All scopes of a space-separated list; usually just one.
    ///
    /// # Errors
    ///
    /// When it names no scope, or one with a character that scopes cannot have (RFC 6749 §3.3).
    pub fn scope(scopes: impl AsRef<str>) -> Result<Self, SetupError> {
        let mut nodes = Vec::new();
        for scope in scopes.as_ref().split(' ').filter(|scope| !scope.is_empty()) {
            nodes.push(Node::Scope(Scope::new(scope)?));
        }
        if nodes.is_empty() {
            return Err(SetupError::new(
                "scope",
                "expected a scope, got a blank one; to demand no more than a valid token, say `valid_token`",
            ));
        }
        Ok(Self(Node::all(nodes)))
    }

    /// All of these scopes. An empty list demands a valid token and no scope.
    ///
    /// # Errors
    ///
    /// When an element is blank or has a character that scopes cannot have.
    pub fn scopes<I>(scopes: I) -> Result<Self, SetupError>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let nodes = Self::each(scopes)?;
        Ok(Self(Node::all(nodes)))
    }

    /// Any of these alternatives, each a space-separated list of scopes that are all needed.
    ///
    /// # Errors
    ///
    /// When the list is empty, as nothing could ever be enough; when an alternative is blank, as everything would be.
    pub fn any_scope<I>(alternatives: I) -> Result<Self, SetupError>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        Self::any_of("any_scope", Self::each(alternatives)?)
    }

    /// A role (`roles`, RFC 9068 §2.2.3.1), compared byte for byte; it may contain spaces.
    pub fn role(role: impl Into<String>) -> Self {
        Self(Node::Member(List::Role, role.into()))
    }

    /// A group (`groups`, RFC 9068 §2.2.3.1), compared byte for byte; it may contain spaces.
    pub fn group(group: impl Into<String>) -> Self {
        Self(Node::Member(List::Group, group.into()))
    }

    /// An entitlement (`entitlements`, RFC 9068 §2.2.3.1), compared byte for byte; it may contain spaces.
    pub fn entitlement(entitlement: impl Into<String>) -> Self {
        Self(Node::Member(List::Entitlement, entitlement.into()))
    }

    /// A claim that is one of these strings, or an array that contains one of them.
    pub fn claim<I>(name: impl Into<String>, accepted: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        Self(Node::Claim {
            name: name.into(),
            accepted: accepted.into_iter().map(Into::into).collect(),
        })
    }

    /// Both this and the other.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(Node::all(vec![self.0, other.0]))
    }

    /// This or the other.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self(Node::Any(vec![self.0, other.0]))
    }

    /// The scopes a client would have to ask for: alternatives, each a list of scopes that are all needed. For an
    /// OpenAPI description, where each alternative is one security requirement. Roles and claims do not appear.
    pub fn scope_alternatives(&self) -> Vec<Vec<&Scope>> {
        self.0.scope_alternatives()
    }

    /// Whether a token grants what is demanded.
    pub fn is_met_by(&self, token: &CurrentToken) -> bool {
        self.0.is_met_by(token)
    }

    /// The scopes for a challenge: all that are needed, of alternatives those of which the fewest are missing.
    pub(crate) fn scopes_to_name(&self, token: Option<&CurrentToken>) -> Vec<Scope> {
        let mut named = Vec::new();
        for scope in self.0.shortfall(token).scopes {
            if !named.contains(scope) {
                named.push(scope.clone());
            }
        }
        named
    }

    fn each<I>(lists: I) -> Result<Vec<Node>, SetupError>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        lists
            .into_iter()
            .map(|list| Self::scope(list).map(|all| all.0))
            .collect()
    }

    pub(super) fn any_of(option: &'static str, mut nodes: Vec<Node>) -> Result<Self, SetupError> {
        match nodes.len() {
            0 => Err(SetupError::new(option, "expected at least one alternative, got none")),
            1 => Ok(Self(nodes.remove(0))),
            _ => Ok(Self(Node::Any(nodes))),
        }
    }
}

/// What a token lacks of a requirement.
#[derive(Default)]
struct Shortfall<'a> {
    /// All scopes that are needed, missing or not.
    scopes: Vec<&'a Scope>,
    missing_scopes: usize,
    /// What no scope can mend.
    missing_rights: usize,
}

impl Node {
    pub(super) fn all(mut nodes: Vec<Self>) -> Self {
        let mut flat = Vec::new();
        for node in nodes.drain(..) {
            match node {
                Self::All(inner) => flat.extend(inner),
                node => flat.push(node),
            }
        }
        match (flat.pop(), flat.is_empty()) {
            (Some(only), true) => only,
            (last, _) => {
                flat.extend(last);
                Self::All(flat)
            }
        }
    }

    fn is_met_by(&self, token: &CurrentToken) -> bool {
        match self {
            Self::Scope(scope) => token.has_scope(scope.as_str()),
            Self::Member(list, value) => list.of(token).contains(value),
            Self::Claim { name, accepted } => token
                .with_raw_claim(name, |value| matches_any(value, accepted))
                .unwrap_or(false),
            Self::All(nodes) => nodes.iter().all(|node| node.is_met_by(token)),
            Self::Any(nodes) => nodes.iter().any(|node| node.is_met_by(token)),
        }
    }

    fn shortfall(&self, token: Option<&CurrentToken>) -> Shortfall<'_> {
        let met = || token.is_some_and(|token| self.is_met_by(token));
        match self {
            Self::Scope(scope) => Shortfall {
                scopes: vec![scope],
                missing_scopes: usize::from(!met()),
                missing_rights: 0,
            },
            Self::Member(..) | Self::Claim { .. } => Shortfall {
                missing_rights: usize::from(!met()),
                ..Shortfall::default()
            },
            Self::All(nodes) => {
                let mut sum = Shortfall::default();
                for node in nodes {
                    let part = node.shortfall(token);
                    sum.scopes.extend(part.scopes);
                    sum.missing_scopes += part.missing_scopes;
                    sum.missing_rights += part.missing_rights;
                }
                sum
            }
            // A client can ask for a scope; a role it cannot.
            Self::Any(nodes) => nodes
                .iter()
                .map(|node| node.shortfall(token))
                .min_by_key(|part| (part.missing_rights, part.missing_scopes))
                .unwrap_or_default(),
        }
    }

    fn scope_alternatives(&self) -> Vec<Vec<&Scope>> {
        match self {
            Self::Scope(scope) => vec![vec![scope]],
            Self::Member(..) | Self::Claim { .. } => vec![Vec::new()],
            Self::Any(nodes) => nodes.iter().flat_map(Self::scope_alternatives).collect(),
            Self::All(nodes) => nodes.iter().fold(vec![Vec::new()], |so_far, node| {
                let further = node.scope_alternatives();
                let join = |left: &Vec<_>| {
                    further
                        .iter()
                        .map(|right| [left.as_slice(), right].concat())
                        .collect::<Vec<_>>()
                };
                so_far.iter().flat_map(join).collect()
            }),
        }
    }
}

impl List {
    fn of(self, token: &CurrentToken) -> &[String] {
        match self {
            Self::Role => token.roles(),
            Self::Group => token.groups(),
            Self::Entitlement => token.entitlements(),
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Role => "role",
            Self::Group => "group",
            Self::Entitlement => "entitlement",
        }
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn met(requirement: &Requirement, scope: &str) -> bool {
        requirement.is_met_by(&CurrentToken::vouch_for(&json!({ "scope": scope })).unwrap())
    }

    fn named(requirement: &Requirement, claims: serde_json::Value) -> Vec<String> {
        let token = CurrentToken::vouch_for(&claims).unwrap();
        requirement
            .scopes_to_name(Some(&token))
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn a_spaced_string_means_all_and_alternatives_mean_any() {
        let both = Requirement::scope("profile email").unwrap();
        assert!(!met(&both, "profile") && met(&both, "email profile") && !met(&both, ""));
        let either = Requirement::any_scope(["profile", "email"]).unwrap();
        assert!(met(&either, "profile") && met(&either, "email x") && !met(&either, ""));
        let mixed = Requirement::any_scope(["profile email", "admin"]).unwrap();
        assert!(!met(&mixed, "profile") && met(&mixed, "profile email") && met(&mixed, "admin"));
        assert_eq!(both, Requirement::scopes(["profile", "email"]).unwrap());
    }

    #[test]
    fn a_blank_scope_is_refused_when_the_requirement_is_built() {
        for blank in ["", " ", "   "] {
            assert!(Requirement::scope(blank).is_err());
            assert!(Requirement::scopes(["admin", blank]).is_err());
            assert!(Requirement::any_scope(["admin", blank]).is_err());
        }
        assert!(Requirement::any_scope([""; 0]).is_err());
        assert!(serde_json::from_value::<Requirement>(json!(["admin", ""])).is_err());
        assert!(serde_json::from_value::<Requirement>(json!({ "any": [] })).is_err());
    }

    #[test]
    fn a_requirement_that_was_left_blank_is_not_one_that_is_always_met() {
        for blank in [
            json!({}),
            json!(null),
            json!({ "scope": null }),
            json!({ "any_scope": null }),
            json!({ "role": null }),
            json!({ "claims": null }),
            json!({ "claims": {} }),
            json!({ "all": null }),
            json!({ "any": null }),
            json!({ "any": [{ "scope": "admin" }, { "role": null }] }),
            json!({ "any": [{ "scope": "admin" }, {}] }),
        ] {
            assert!(serde_json::from_value::<Requirement>(blank.clone()).is_err(), "{blank}");
        }
        let explicit = serde_json::from_value::<Requirement>(json!({ "all": [] })).unwrap();
        assert_eq!(explicit, Requirement::valid_token());
    }

    #[test]
    fn an_empty_list_of_scopes_demands_a_valid_token_only() {
        assert_eq!(Requirement::scopes([""; 0]).unwrap(), Requirement::valid_token());
        assert!(met(&Requirement::valid_token(), ""));
    }

    #[test]
    fn scopes_are_compared_whole_and_with_case() {
        let profile = Requirement::scope("profile").unwrap();
        assert!(!met(&profile, "Profile") && !met(&profile, "profile:read") && !met(&profile, "myprofile"));
    }

    #[test]
    fn the_alternative_with_the_fewest_missing_scopes_is_named_whole() {
        let either = Requirement::any_scope(["a b c", "d e"]).unwrap();
        assert_eq!(named(&either, json!({ "scope": "a b" })), ["a", "b", "c"]);
        assert_eq!(named(&either, json!({ "scope": "d" })), ["d", "e"]);
        assert_eq!(named(&either, json!({})), ["d", "e"]);
        let role_or_scope = Requirement::role("admin").or(Requirement::scope("all").unwrap());
        assert_eq!(named(&role_or_scope, json!({})), ["all"]);
    }

    #[test]
    fn roles_groups_and_claims_can_be_demanded() {
        let token = CurrentToken::vouch_for(&json!({
            "roles": ["doctor"], "groups": ["the staff"], "acr": "gold", "teams": ["red", "blue"], "level": 3,
        }))
        .unwrap();
        for (requirement, expected) in [
            (Requirement::role("doctor"), true),
            (Requirement::role("doc"), false),
            (Requirement::group("the staff"), true),
            (Requirement::entitlement("x"), false),
            (Requirement::claim("acr", ["silver", "gold"]), true),
            (Requirement::claim("teams", ["blue"]), true),
            (Requirement::claim("teams", ["green"]), false),
            (Requirement::claim("level", ["3"]), false),
            (Requirement::claim("nothing", ["x"]), false),
            (Requirement::claim("acr", [""; 0]), false),
        ] {
            assert_eq!(requirement.is_met_by(&token), expected, "{requirement}");
        }
    }

    #[test]
    fn alternatives_can_be_read_for_a_description() {
        let requirement = Requirement::scope("a")
            .unwrap()
            .and(Requirement::any_scope(["b c", "d"]).unwrap());
        let read: Vec<Vec<_>> = requirement
            .scope_alternatives()
            .into_iter()
            .map(|all| all.into_iter().map(Scope::as_str).collect())
            .collect();
        assert_eq!(read, [vec!["a", "b", "c"], vec!["a", "d"]]);
    }

    #[test]
    fn a_requirement_survives_being_written_and_read() {
        let requirement = Requirement::scope("a b")
            .unwrap()
            .and(Requirement::any_scope(["c", "d e"]).unwrap())
            .and(Requirement::role("r").or(Requirement::claim("acr", ["x"])));
        let json = serde_json::to_string(&requirement).unwrap();
        assert_eq!(serde_json::from_str::<Requirement>(&json).unwrap(), requirement);
        assert!(serde_json::from_value::<Requirement>(json!({ "scopes": "typo" })).is_err());
    }
}
