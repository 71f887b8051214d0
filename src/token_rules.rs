//! What holds for the tokens of an issuer, whether they are verified here or asked about.

use std::time::Duration;

use crate::{
    audience::Audience,
    claims::{ClaimNames, ExpectedClaim, checked_foreign_claim, checked_name},
    error::{SetupError, within_leeway},
};

/// The rules that validators of both kinds have. What is set is checked here; the options of the validators say what it
/// costs.
#[derive(Clone, Debug)]
pub(crate) struct TokenRules {
    pub(crate) audience: Audience,
    pub(crate) names: ClaimNames,
    pub(crate) leeway: Duration,
    pub(crate) expected: Vec<ExpectedClaim>,
    pub(crate) may_carry: Vec<String>,
}

impl TokenRules {
    pub(crate) fn new(audience: Audience) -> Result<Self, SetupError> {
        Ok(Self {
            audience: audience.checked()?,
            names: ClaimNames::default(),
            leeway: Duration::from_secs(10),
            expected: Vec::new(),
            may_carry: Vec::new(),
        })
    }

    pub(crate) fn set_leeway(&mut self, leeway: Duration) -> Result<(), SetupError> {
        self.leeway = within_leeway(leeway)?;
        Ok(())
    }

    pub(crate) fn expect_claim<I>(&mut self, name: impl Into<String>, accepted: I) -> Result<(), SetupError>
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.expected.push(ExpectedClaim::new(name, accepted)?);
        Ok(())
    }

    pub(crate) fn allow_foreign_claim(&mut self, claim: String) -> Result<(), SetupError> {
        let claim = checked_foreign_claim("access_tokens_may_carry", claim)?;
        self.may_carry.push(claim);
        Ok(())
    }

    pub(crate) fn set_audience_claim(&mut self, name: String) -> Result<(), SetupError> {
        self.names.audience_instead = Some(checked_name("audience_claim", name)?);
        Ok(())
    }

    pub(crate) fn set_client_id_claim(&mut self, name: String) -> Result<(), SetupError> {
        self.names.client_id = checked_name("client_id_claim", name)?;
        Ok(())
    }

    pub(crate) fn set_subject_claim(&mut self, name: String) -> Result<(), SetupError> {
        self.names.subject_instead = Some(checked_name("subject_claim", name)?);
        Ok(())
    }

    pub(crate) fn set_scope_claim(&mut self, name: String) -> Result<(), SetupError> {
        self.names.scope = checked_name("scope_claim", name)?;
        Ok(())
    }
}
