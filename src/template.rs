//! Issuers with a place for the tenant.
//!
//! Entra ID calls the issuer of its common endpoints `https://login.microsoftonline.com/{tenantid}/v2.0`: a template,
//! into which the tenant's identifier has to be put.

use std::fmt;

/// Where the tenant's identifier stands in a template.
const PLACEHOLDER: &str = "{tenantid}";

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

    /// An issuer with the tenant put in, if it is a template.
    pub(crate) fn filled(issuer: &str, tenant: &str) -> String {
        issuer.replace(PLACEHOLDER, tenant)
    }

    /// The tenant whose issuer this is. Its identifier is a GUID, so that nothing else can be put in its place.
    pub(crate) fn tenant_of<'a>(&self, issuer: &'a str) -> Option<&'a str> {
        let tenant = issuer.strip_prefix(&self.before)?.strip_suffix(&self.after)?;
        is_guid(tenant).then_some(tenant)
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.whole)
    }
}

/// Lower case, as RFC 9562 §4 says UUIDs are written: two spellings of one tenant would be two issuers.
pub(crate) fn is_guid(text: &str) -> bool {
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
}
