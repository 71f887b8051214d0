//! What a route demands of a token.

use std::time::Duration;

use super::ClaimValue;
use crate::{
    error::{SetupError, shown},
    scope::Scope,
    token::CurrentToken,
};

/// What a token has to grant: scopes, roles, claims, how the user authenticated, and any combination of them by
/// [`and`](Self::and) and [`or`](Self::or).
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
/// of which every entry must hold: `scope`, `any_scope`, `role`, `group`, `entitlement`, `claims`, `acr`,
/// `authenticated_within_seconds`, `all`, `any`.
///
/// ```
/// # use resource_protector::Requirement;
/// let read: Requirement = serde_json::from_str(r#"{ "scope": "records", "claims": { "tier": ["gold", "silver"] } }"#)?;
/// assert_eq!(read.to_string(), r#"scope records and claim "tier" one of ["gold", "silver"]"#);
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
        accepted: Vec<ClaimValue>,
    },
    /// Never empty; each can stand in a challenge.
    Acr(Vec<String>),
    AuthenticatedWithin {
        seconds: u64,
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

    /// A claim that is one of these values, or an array that contains one of them. Values are strings, booleans or
    /// integers, and compared with their type: `"true"` is not `true`.
    ///
    /// ```
    /// use resource_protector::Requirement;
    ///
    /// let tier = Requirement::claim("tier", ["gold", "silver"]);
    /// let verified = Requirement::claim("email_verified", [true]);
    /// # assert_eq!(tier.and(verified).to_string(), r#"claim "tier" one of ["gold", "silver"] and claim "email_verified" one of [true]"#);
    /// ```
    ///
    /// A client cannot ask for it, so a token without it is 403. For `acr` and `auth_time`, which it can ask for, see
    /// [`acr`](Self::acr) and [`authenticated_within`](Self::authenticated_within).
    pub fn claim<I>(name: impl Into<String>, accepted: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<ClaimValue>,
    {
        Self(Node::Claim {
            name: name.into(),
            accepted: accepted.into_iter().map(Into::into).collect(),
        })
    }

    /// An authentication of the user that was strong enough: an `acr` that is one of these values, compared byte for byte
    /// (RFC 9470 §3). Those that are preferred stand first.
    ///
    /// A token without is 401 `insufficient_user_authentication`; its challenge names the values, and the client takes them
    /// to the authorization server as `acr_values`. A token without `acr` is not good enough.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use resource_protector::{Requirement, require};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let recent = Requirement::authenticated_within(Duration::from_secs(300));
    /// let transfers = require(Requirement::scope("transfers")?.and(Requirement::acr(["phrh", "phr"])?).and(recent));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// When the list is empty, or a value is, or has a character that cannot stand in the challenge: a space, a quote, a
    /// backslash, a control or a non-ASCII character.
    pub fn acr<I>(values: I) -> Result<Self, SetupError>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let values: Vec<String> = values.into_iter().map(|value| value.as_ref().to_owned()).collect();
        let usable = |b: u8| matches!(b, 0x21 | 0x23..=0x5B | 0x5D..=0x7E);
        let is_unusable = |value: &&String| value.is_empty() || !value.bytes().all(usable);
        if let Some(bad) = values.iter().find(is_unusable) {
            return Err(SetupError::new(
                "acr",
                format_args!(
                    "expected one or more printable ASCII characters without space, quote and backslash, got {}",
                    shown(bad)
                ),
            ));
        }
        if values.is_empty() {
            return Err(SetupError::new("acr", "expected at least one value, got none"));
        }
        Ok(Self(Node::Acr(values)))
    }

    /// An authentication of the user that was recent enough: an `auth_time` that lies no longer than this before the moment
    /// of the request (RFC 9470 §3). That is when the protector let the request in, also in a handler that takes its time.
    ///
    /// A token without is 401 `insufficient_user_authentication`; its challenge names the `max_age`, and the client takes it
    /// to the authorization server, which makes the user authenticate anew. Refreshing the token does not help, as that
    /// keeps `auth_time`. A token without `auth_time`, or whose `auth_time` lies ahead, is not good enough.
    ///
    /// The age is in whole seconds; a part of one is left off. The leeway of the token's validator is added, as two clocks
    /// are compared. Give users the time to come back: within zero seconds and no leeway nobody ever is.
    ///
    /// This is about the user. For how old the knowledge about the token may be, see
    /// [`require_fresh`](crate::ResourceProtectorLayer::require_fresh).
    pub fn authenticated_within(max_age: Duration) -> Self {
        Self(Node::AuthenticatedWithin {
            seconds: max_age.as_secs(),
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
    /// OpenAPI description, where each alternative is one security requirement. Roles, claims and authentication do not appear.
    pub fn scope_alternatives(&self) -> Vec<Vec<&Scope>> {
        self.0.scope_alternatives()
    }

    /// Whether a token grants what is demanded. One that no protector let in belongs to no request, and nobody has
    /// [authenticated](Self::authenticated_within) recently for it.
    pub fn is_met_by(&self, token: &CurrentToken) -> bool {
        self.0.is_met_by(token)
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

    pub(super) fn is_met_by(&self, token: &CurrentToken) -> bool {
        match self {
            Self::Scope(scope) => token.has_scope(scope.as_str()),
            Self::Member(list, value) => list.of(token).contains(value),
            Self::Claim { name, accepted } => token
                .with_raw_claim(name, |value| ClaimValue::is_any_of(accepted, value))
                .unwrap_or(false),
            Self::Acr(values) => token.acr().is_some_and(|acr| values.iter().any(|value| value == acr)),
            Self::AuthenticatedWithin { seconds } => token.was_authenticated_within(Duration::from_secs(*seconds)),
            Self::All(nodes) => nodes.iter().all(|node| node.is_met_by(token)),
            Self::Any(nodes) => nodes.iter().any(|node| node.is_met_by(token)),
        }
    }

    fn scope_alternatives(&self) -> Vec<Vec<&Scope>> {
        match self {
            Self::Scope(scope) => vec![vec![scope]],
            Self::Member(..) | Self::Claim { .. } | Self::Acr(_) | Self::AuthenticatedWithin { .. } => {
                vec![Vec::new()]
            }
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn met(requirement: &Requirement, scope: &str) -> bool {
        requirement.is_met_by(&CurrentToken::vouch_for(&json!({ "scope": scope })).unwrap())
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
    fn roles_groups_and_claims_can_be_demanded() {
        let token = CurrentToken::vouch_for(&json!({
            "roles": ["doctor"], "groups": ["the staff"], "acr": "gold", "teams": ["red", "blue"], "level": 3,
            "fresh": true, "stale": "true",
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
            (Requirement::claim("fresh", [true]), true),
            (Requirement::claim("fresh", ["true"]), false),
            (Requirement::claim("stale", [true]), false),
            (Requirement::claim("level", [2, 3]), true),
            (Requirement::claim("level", [String::from("3")]), false),
            (Requirement::acr(["silver", "gold"]).unwrap(), true),
            (Requirement::acr(["silver", "Gold", "gol"]).unwrap(), false),
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
            .and(Requirement::role("r").or(Requirement::claim("tier", ["x"])))
            .and(Requirement::claim("fresh", [true]).or(Requirement::claim("level", [-3])))
            .and(Requirement::acr(["gold", "silver"]).unwrap())
            .and(Requirement::authenticated_within(Duration::from_secs(300)));
        let json = serde_json::to_string(&requirement).unwrap();
        assert_eq!(serde_json::from_str::<Requirement>(&json).unwrap(), requirement);
        assert!(serde_json::from_value::<Requirement>(json!({ "scopes": "typo" })).is_err());
    }

    #[test]
    fn authentication_is_written_as_values_and_whole_seconds() {
        let recent = Requirement::authenticated_within(Duration::from_millis(300_999));
        let written = json!({ "acr": "gold", "authenticated_within_seconds": 300 });
        let read: Requirement = serde_json::from_value(written).unwrap();
        assert_eq!(read, Requirement::acr(["gold"]).unwrap().and(recent));
        assert_eq!(
            read.to_string(),
            r#"acr one of ["gold"] and authenticated within 300 s"#
        );
        for bad in [
            json!({ "acr": [] }),
            json!({ "acr": "a b" }),
            json!({ "acr": null }),
            json!({ "acr": [3] }),
            json!({ "authenticated_within_seconds": -1 }),
            json!({ "authenticated_within_seconds": "300" }),
            json!({ "authenticated_within_seconds": null }),
            json!({ "claims": { "level": 1.5 } }),
            json!({ "claims": { "level": null } }),
        ] {
            assert!(serde_json::from_value::<Requirement>(bad.clone()).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_acr_that_cannot_stand_in_a_challenge_is_refused_when_the_requirement_is_built() {
        assert!(Requirement::acr([""; 0]).is_err());
        for bad in ["", " ", "a b", "a\"b", "a\\b", "a\r\nb", "é", "\u{7f}"] {
            assert!(Requirement::acr(["gold", bad]).is_err(), "{bad:?}");
        }
        assert!(Requirement::acr(["urn:mace:incommon:iap:silver", "http://schemas.openid.net/pape#x", "2"]).is_ok());
    }

    #[test]
    fn authentication_does_not_appear_in_a_description() {
        let requirement = Requirement::scope("a")
            .unwrap()
            .and(Requirement::acr(["gold"]).unwrap());
        assert_eq!(requirement.scope_alternatives(), [[&Scope::new("a").unwrap()]]);
    }
}
