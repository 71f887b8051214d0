//! One authorization server, an issuer of its own for each of its customers.

use std::collections::BTreeSet;

use crate::{
    error::{SetupError, shown},
    template::{Template, is_guid},
};

/// The customers of an authorization server whose tokens are accepted; for
/// [`JwtValidator::discover_tenants`](crate::JwtValidator::discover_tenants).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenants(Accepted);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Accepted {
    These(BTreeSet<String>),
    Whoever,
}

impl Tenants {
    /// These tenants, each by the GUID that the authorization server gave it, in lower case.
    ///
    /// # Errors
    ///
    /// When the list is empty, or one of them is no GUID.
    pub fn only<I>(tenants: I) -> Result<Self, SetupError>
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        let tenants: BTreeSet<String> = tenants.into_iter().map(Into::into).collect();
        if tenants.is_empty() {
            return Err(SetupError::new("tenants", "expected at least one tenant, got none"));
        }
        if let Some(odd) = tenants.iter().find(|tenant| !is_guid(tenant)) {
            return Err(SetupError::new(
                "tenants",
                format_args!("expected a GUID in lower case, got {}", shown(odd)),
            ));
        }
        Ok(Self(Accepted::These(tenants)))
    }

    /// Whoever has signed up with the authorization server, **which anybody can**: the application itself has to look at
    /// the issuer of each token and know what its tenant may do.
    pub fn dangerous_whoever_has_signed_up() -> Self {
        Self(Accepted::Whoever)
    }

    fn accept(&self, tenant: &str) -> bool {
        match &self.0 {
            Accepted::These(tenants) => tenants.contains(tenant),
            Accepted::Whoever => true,
        }
    }
}

/// A template, and the tenants that are accepted in it.
#[derive(Clone, Debug)]
pub(crate) struct TenantIssuers {
    pub(crate) template: Template,
    pub(crate) tenants: Tenants,
}

impl TenantIssuers {
    /// The accepted tenant whose issuer this is.
    pub(crate) fn tenant_of<'a>(&self, issuer: &'a str) -> Option<&'a str> {
        let tenant = self.template.tenant_of(issuer)?;
        self.tenants.accept(tenant).then_some(tenant)
    }

    /// Whether a key that names its own issuer, as a template or outright, may sign for this tenant.
    pub(crate) fn may_sign(&self, issuer_of_key: Option<&str>, tenant: &str, issuer: &str) -> bool {
        issuer_of_key.is_some_and(|of_key| Template::filled(of_key, tenant) == issuer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTOSO: &str = "6babcaad-604b-40ac-a9d7-9fd97c0b779f";

    #[test]
    fn a_list_of_tenants_has_only_guids() {
        assert!(Tenants::only([CONTOSO]).is_ok());
        for bad in [vec![], vec!["contoso.example"], vec![CONTOSO, ""]] {
            assert!(Tenants::only(bad).is_err());
        }
        assert!(Tenants::only([CONTOSO.to_uppercase()]).is_err());
    }
}
