//! Whose tokens a validator accepts.

use super::tenants::TenantIssuers;
use crate::{
    error::{SetupError, shown},
    json::Object,
    rejection::{Reason, Rejection},
    template::Template,
};

/// One issuer, under one or several names, or the tenants of one.
#[derive(Clone, Debug)]
pub(super) struct Issuers {
    /// As tokens write it, compared byte for byte; the first is the issuer's own. For tenants it is their template.
    names: Vec<String>,
    tenants: Option<TenantIssuers>,
    /// Whether a token may name none at all.
    may_be_absent: bool,
}

impl Issuers {
    pub(super) fn one(issuer: &str) -> Result<Self, SetupError> {
        if issuer.is_empty() {
            return Err(SetupError::new(
                "issuer",
                "expected the `iss` of the issuer's tokens, got an empty string",
            ));
        }
        if Template::read(issuer).is_some() {
            return Err(SetupError::new(
                "issuer",
                "expected one issuer, got a template for tenants, which `JwtValidator::discover_tenants` takes",
            ));
        }
        Ok(Self {
            names: vec![issuer.to_owned()],
            tenants: None,
            may_be_absent: false,
        })
    }

    pub(super) fn tenants(tenants: TenantIssuers) -> Self {
        Self {
            names: vec![tenants.template.as_str().to_owned()],
            tenants: Some(tenants),
            may_be_absent: false,
        }
    }

    /// Another name of the same issuer.
    pub(super) fn add(&mut self, alias: String) -> Result<(), SetupError> {
        if alias.is_empty() || self.tenants.is_some() || self.names.contains(&alias) {
            return Err(SetupError::new(
                "issuer_alias",
                format_args!("expected another name of the one issuer, got {}", shown(&alias)),
            ));
        }
        self.names.push(alias);
        Ok(())
    }

    /// Accepts tokens that name no issuer. For keys that nobody else's tokens are signed with.
    pub(super) fn let_be_absent(&mut self) {
        self.may_be_absent = true;
    }

    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    /// Whether tokens that name this issuer may be accepted. Says nothing about the rest of them.
    pub(super) fn include(&self, issuer: &str) -> bool {
        match &self.tenants {
            None => self.names.iter().any(|name| name == issuer),
            Some(tenants) => tenants.tenant_of(issuer).is_some(),
        }
    }

    /// Judges who issued a token. RFC 9068 §4: the issuer "MUST exactly match the value of the 'iss' claim".
    pub(super) fn judge(
        &self,
        issuer: Option<&str>,
        claims: &Object<'_>,
        issuer_of_key: Option<&str>,
    ) -> Result<(), Rejection> {
        if issuer.is_none() && self.may_be_absent {
            return Ok(());
        }
        let issuer = issuer.unwrap_or_default();
        if !self.include(issuer) {
            let expected: Vec<String> = self.names.iter().map(|name| shown(name)).collect();
            return Err(wrong(format!(
                "expected `iss` {}, got {}",
                expected.join(" or "),
                shown(issuer)
            )));
        }
        let Some((tenants, tenant)) = self.tenants.as_ref().and_then(|t| Some((t, t.tenant_of(issuer)?))) else {
            return Ok(());
        };
        // One set has the keys of several kinds of tenants. Who may sign for one kind must not sign for all.
        if claims.text("tid").ok().flatten().as_deref() != Some(tenant) {
            return Err(wrong("expected `tid` to be the tenant in `iss`".to_owned()));
        }
        if !tenants.may_sign(issuer_of_key, tenant, issuer) {
            return Err(wrong(format!(
                "the key that signed is of the issuer {}, not of the token's",
                shown(issuer_of_key.unwrap_or_default())
            )));
        }
        Ok(())
    }
}

fn wrong(detail: String) -> Rejection {
    Rejection::invalid_token(Reason::Issuer, detail)
}
