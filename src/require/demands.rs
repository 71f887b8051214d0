//! What a client has to ask the authorization server for.

use crate::scope::Scope;

/// What a challenge names: scopes (RFC 6750 §3), and how the user has to authenticate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Demands {
    pub(crate) scopes: Vec<Scope>,
    pub(crate) authentication: Authentication,
}

/// How strongly and how recently the user has to authenticate (RFC 9470 §3).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Authentication {
    /// One of these, those that are preferred first; none if it does not matter.
    pub(crate) acr_values: Vec<String>,
    /// Within so many seconds.
    pub(crate) max_age: Option<u64>,
}

impl Demands {
    pub(crate) fn is_empty(&self) -> bool {
        self.scopes.is_empty() && self.authentication == Authentication::default()
    }

    /// Demands what is demanded further out, too.
    pub(crate) fn add(&mut self, outer: Self) {
        let inner = std::mem::replace(&mut self.scopes, outer.scopes);
        for scope in inner {
            if !self.scopes.contains(&scope) {
                self.scopes.push(scope);
            }
        }
        self.authentication.narrow(outer.authentication);
    }
}

impl Authentication {
    /// Demands what the other demands, too. Says whether one authentication can be enough for both; if none can, the
    /// values of `acr` stay as they are.
    pub(crate) fn narrow(&mut self, other: Self) -> bool {
        self.max_age = match (self.max_age, other.max_age) {
            (Some(one), Some(two)) => Some(one.min(two)),
            (one, two) => one.or(two),
        };
        if self.acr_values.is_empty() {
            self.acr_values = other.acr_values;
            return true;
        }
        if other.acr_values.is_empty() {
            return true;
        }
        let mut both = self.acr_values.clone();
        both.retain(|value| other.acr_values.contains(value));
        let can_be = !both.is_empty();
        if can_be {
            self.acr_values = both;
        }
        can_be
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn demand(acr_values: &[&str], max_age: Option<u64>) -> Authentication {
        Authentication {
            acr_values: acr_values.iter().map(ToString::to_string).collect(),
            max_age,
        }
    }

    #[test]
    fn two_demands_are_met_by_the_shorter_age_and_the_values_in_both() {
        for (one, two, both) in [
            (demand(&[], None), demand(&[], None), demand(&[], None)),
            (demand(&["a"], None), demand(&[], Some(5)), demand(&["a"], Some(5))),
            (demand(&[], Some(9)), demand(&["a"], Some(5)), demand(&["a"], Some(5))),
            (demand(&[], Some(0)), demand(&[], Some(5)), demand(&[], Some(0))),
            (
                demand(&["a", "b", "c"], None),
                demand(&["c", "b"], None),
                demand(&["b", "c"], None),
            ),
        ] {
            let mut narrowed = one.clone();
            assert!(narrowed.narrow(two));
            assert_eq!(narrowed, both, "{one:?}");
        }
    }

    #[test]
    fn demands_that_nothing_can_meet_are_told_apart() {
        let mut narrowed = demand(&["a"], Some(9));
        assert!(!narrowed.narrow(demand(&["b"], Some(5))));
        assert_eq!(narrowed, demand(&["a"], Some(5)));
    }
}
