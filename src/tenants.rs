//! One authorization server, an issuer of its own for each of its customers.
//!
//! Entra ID calls the issuer of its common endpoints `https://login.microsoftonline.com/{tenantid}/v2.0`: a template,
//! into which the tenant's identifier has to be put.

use std::{collections::BTreeSet, fmt};

use crate::error::{SetupError, shown};

/// Where the tenant's identifier stands in a template.
const PLACEHOLDER: &str = "{tenantid}";

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

/// An issuer into which the tenant has to be put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template {
    whole: String,
    before: String,
    after: String,
}

impl Template {
    /// Reads a template; `None` for an issuer that is none.
    pub(crate) fn read(issuer: &str) -> Option<Self> {
        let (before, after) = issuer.split_once(PLACEHOLDER)?;
        Some(Self {
            whole: issuer.to_owned(),
            before: before.to_owned(),
            after: after.to_owned(),
        })
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.whole
    }

    /// The tenant whose issuer this is. Its identifier is a GUID, so that nothing else can be put in its place.
    pub(crate) fn tenant_of<'a>(&self, issuer: &'a str) -> Option<&'a str> {
        let tenant = issuer.strip_prefix(&self.before)?.strip_suffix(&self.after)?;
        is_guid(tenant).then_some(tenant)
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
        issuer_of_key.is_some_and(|of_key| of_key.replace(PLACEHOLDER, tenant) == issuer)
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.whole)
    }
}

/// Lower case, as RFC 9562 §4 says UUIDs are written: two spellings of one tenant would be two issuers.
fn is_guid(text: &str) -> bool {
    let is_hex = |part: &str| part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let parts: Vec<&str> = text.split('-').collect();
    parts.iter().all(|part| is_hex(part)) && parts.iter().map(|part| part.len()).eq([8, 4, 4, 4, 12])
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTOSO: &str = "6babcaad-604b-40ac-a9d7-9fd97c0b779f";

    #[test]
    fn a_tenant_is_a_guid_in_lower_case_that_fills_the_template() {
        let template = Template::read("https://login.example/{tenantid}/v2.0").unwrap();
        let tenant = |issuer: &str| template.tenant_of(issuer).map(str::to_owned);
        assert_eq!(
            tenant(&format!("https://login.example/{CONTOSO}/v2.0")).as_deref(),
            Some(CONTOSO)
        );
        for other in [
            "https://login.example//v2.0".to_owned(),
            "https://login.example/{tenantid}/v2.0".to_owned(),
            "https://login.example/common/v2.0".to_owned(),
            format!("https://login.example/{CONTOSO}"),
            format!("https://login.example/{CONTOSO}/v2.0/"),
            format!("https://login.example/{CONTOSO}/x/v2.0"),
            format!("https://login.example/{}/v2.0", CONTOSO.to_uppercase()),
            format!("https://login.example.evil/{CONTOSO}/v2.0"),
        ] {
            assert_eq!(tenant(&other), None, "{other}");
        }
        assert_eq!(Template::read("https://login.example/v2.0"), None);
    }

    #[test]
    fn a_list_of_tenants_has_only_guids() {
        assert!(Tenants::only([CONTOSO]).is_ok());
        for bad in [vec![], vec!["contoso.example"], vec![CONTOSO, ""]] {
            assert!(Tenants::only(bad).is_err());
        }
        assert!(Tenants::only([CONTOSO.to_uppercase()]).is_err());
    }
}
