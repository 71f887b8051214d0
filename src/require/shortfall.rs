//! What a token lacks of a requirement.

use super::{
    demands::{Authentication, Demands},
    requirement::{Node, Requirement},
};
use crate::{scope::Scope, token::CurrentToken};

/// What would help whoever does not meet a requirement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Remedy {
    /// Scopes, as far as anything does: 403.
    Scopes,
    /// The user authenticates, and everything else that is missing can be asked for with it: 401.
    Authentication,
}

impl Requirement {
    /// What a challenge names: all that is needed, of alternatives those of which the fewest are missing.
    pub(crate) fn demands(&self, token: Option<&CurrentToken>) -> Demands {
        self.0.shortfall(token).demands()
    }

    /// What would help somebody whose token does not meet this, and what to name for it.
    pub(crate) fn remedy(&self, token: &CurrentToken) -> (Remedy, Demands) {
        let shortfall = self.0.shortfall(Some(token));
        // Nobody is sent to log in anew who would be refused afterwards.
        let remedy = match shortfall.missing_authentication && shortfall.missing_rights == 0 {
            true => Remedy::Authentication,
            false => Remedy::Scopes,
        };
        (remedy, shortfall.demands())
    }
}

/// What is needed, and how much of it is missing.
#[derive(Default)]
struct Shortfall<'a> {
    /// All scopes that are needed, missing or not.
    scopes: Vec<&'a Scope>,
    /// The authentication that is needed, missing or not.
    authentication: Authentication,
    missing_scopes: usize,
    missing_authentication: bool,
    /// What nothing that a client can ask for can mend.
    missing_rights: usize,
}

impl Shortfall<'_> {
    fn demands(self) -> Demands {
        let mut scopes = Vec::new();
        for scope in self.scopes {
            if !scopes.contains(scope) {
                scopes.push(scope.clone());
            }
        }
        Demands {
            scopes,
            authentication: self.authentication,
        }
    }

    fn add(&mut self, other: Self) {
        self.scopes.extend(other.scopes);
        self.missing_scopes += other.missing_scopes;
        self.missing_authentication |= other.missing_authentication;
        self.missing_rights += other.missing_rights;
        if !self.authentication.narrow(other.authentication) {
            self.missing_rights += 1;
        }
    }

    /// A client can ask for a scope, and for the user to authenticate; for a role it cannot.
    fn distance(&self) -> (usize, usize) {
        let to_ask_for = self.missing_scopes + usize::from(self.missing_authentication);
        (self.missing_rights, to_ask_for)
    }
}

impl Node {
    fn shortfall(&self, token: Option<&CurrentToken>) -> Shortfall<'_> {
        let is_missing = || !token.is_some_and(|token| self.is_met_by(token));
        let authentication = |authentication| Shortfall {
            authentication,
            missing_authentication: is_missing(),
            ..Shortfall::default()
        };
        match self {
            Self::Scope(scope) => Shortfall {
                scopes: vec![scope],
                missing_scopes: usize::from(is_missing()),
                ..Shortfall::default()
            },
            Self::Member(..) | Self::Claim { .. } => Shortfall {
                missing_rights: usize::from(is_missing()),
                ..Shortfall::default()
            },
            Self::Acr(values) => authentication(Authentication {
                acr_values: values.clone(),
                max_age: None,
            }),
            Self::AuthenticatedWithin { seconds } => authentication(Authentication {
                acr_values: Vec::new(),
                max_age: Some(*seconds),
            }),
            Self::All(nodes) => {
                let mut sum = Shortfall::default();
                for node in nodes {
                    sum.add(node.shortfall(token));
                }
                sum
            }
            Self::Any(nodes) => nodes
                .iter()
                .map(|node| node.shortfall(token))
                .min_by_key(Shortfall::distance)
                .unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn named(requirement: &Requirement, claims: serde_json::Value) -> Vec<String> {
        let token = CurrentToken::vouch_for(&claims).unwrap();
        let demands = requirement.demands(Some(&token));
        demands.scopes.iter().map(ToString::to_string).collect()
    }

    fn remedy(requirement: &Requirement, claims: serde_json::Value) -> (Remedy, Vec<String>) {
        let token = CurrentToken::vouch_for(&claims).unwrap();
        let (remedy, demands) = requirement.remedy(&token);
        (remedy, demands.authentication.acr_values)
    }

    fn scope(scope: &str) -> Requirement {
        Requirement::scope(scope).unwrap()
    }

    fn acr(values: &[&str]) -> Requirement {
        Requirement::acr(values).unwrap()
    }

    #[test]
    fn the_alternative_with_the_fewest_missing_scopes_is_named_whole() {
        let either = Requirement::any_scope(["a b c", "d e"]).unwrap();
        assert_eq!(named(&either, json!({ "scope": "a b" })), ["a", "b", "c"]);
        assert_eq!(named(&either, json!({ "scope": "d" })), ["d", "e"]);
        assert_eq!(named(&either, json!({})), ["d", "e"]);
        let role_or_scope = Requirement::role("admin").or(scope("all"));
        assert_eq!(named(&role_or_scope, json!({})), ["all"]);
    }

    #[test]
    fn authentication_comes_before_scopes_as_it_can_name_both() {
        let both = scope("a").and(acr(&["gold"]));
        let gold = vec!["gold".to_owned()];
        assert_eq!(remedy(&both, json!({})), (Remedy::Authentication, gold.clone()));
        assert_eq!(named(&both, json!({})), ["a"]);
        assert_eq!(remedy(&both, json!({ "scope": "a" })), (Remedy::Authentication, gold));
        assert_eq!(remedy(&both, json!({ "acr": "gold" })).0, Remedy::Scopes);
    }

    #[test]
    fn nobody_is_sent_to_authenticate_whom_it_would_not_help() {
        let with_role = Requirement::role("doctor").and(acr(&["gold"]));
        assert_eq!(remedy(&with_role, json!({})).0, Remedy::Scopes);
        assert_eq!(
            remedy(&with_role, json!({ "roles": ["doctor"] })).0,
            Remedy::Authentication
        );
        let never = acr(&["gold"]).and(acr(&["silver"]));
        assert_eq!(remedy(&never, json!({ "acr": "gold" })).0, Remedy::Scopes);
        let wider = acr(&["gold", "silver"]).and(acr(&["silver", "bronze"]));
        let silver = vec!["silver".to_owned()];
        assert_eq!(
            remedy(&wider, json!({ "acr": "gold" })),
            (Remedy::Authentication, silver)
        );
    }

    #[test]
    fn the_alternative_that_lacks_least_decides_and_of_equals_the_first() {
        let either = scope("a b").or(scope("a").and(acr(&["gold"])));
        assert_eq!(remedy(&either, json!({ "acr": "gold" })).0, Remedy::Scopes);
        assert_eq!(named(&either, json!({ "acr": "gold" })), ["a"]);
        assert_eq!(named(&either, json!({ "scope": "a" })), ["a", "b"]);
        let other_way_round = acr(&["gold"]).or(scope("a"));
        assert_eq!(remedy(&other_way_round, json!({})).0, Remedy::Authentication);
        assert!(named(&other_way_round, json!({})).is_empty());
    }
}
