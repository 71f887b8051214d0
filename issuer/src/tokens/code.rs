//! Authorization codes.

use std::fmt;

use aws_lc_rs::{constant_time, digest};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{
    IssuedTokens, TokenError, TokenErrorKind, TokenIssuer, TokenRequest,
    holders::Holders,
    issue::Drawn,
    ledger::Decision,
    records::{Code, Record as _},
    request::each_once,
};
use crate::{
    random,
    store::{Change, Key, Kind, Was},
    time::Millis,
};

/// What an authorization code is to be issued for. Whoever makes one vouches that the user has allowed it.
pub struct CodeRequest {
    tokens: TokenRequest,
    redirect_uri: Option<String>,
    code_challenge: String,
}

impl CodeRequest {
    /// A code for these tokens, bound to a challenge of the method `S256` (RFC 7636 §4.2), without which there is none.
    ///
    /// # Errors
    ///
    /// [`Unusable`](TokenErrorKind::Unusable) when the challenge is not 43 characters of base64url, or the tokens are not
    /// about a user.
    pub fn new(tokens: TokenRequest, code_challenge: impl Into<String>) -> Result<Self, TokenError> {
        let code_challenge = code_challenge.into();
        let digest = URL_SAFE_NO_PAD.decode(&code_challenge);
        if digest.is_ok_and(|digest| digest.len() == 32) && tokens.subject.is_some() {
            return Ok(Self {
                tokens,
                redirect_uri: None,
                code_challenge,
            });
        }
        Err(TokenError::new(
            TokenErrorKind::Unusable,
            "expected tokens about a user, and a challenge of the method S256",
        ))
    }

    /// The redirect URI that stood in the request. It has to be in the exchange then, too (RFC 6749 §4.1.3).
    #[must_use]
    pub fn redirect_uri(mut self, uri: impl Into<String>) -> Self {
        self.redirect_uri = Some(uri.into());
        self
    }
}

impl fmt::Debug for CodeRequest {
    /// Without the subject.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CodeRequest")
            .field("tokens", &self.tokens)
            .field("redirect_uri", &self.redirect_uri)
            .finish_non_exhaustive()
    }
}

/// What a client comes with to exchange a code (RFC 6749 §4.1.3, RFC 7636 §4.5).
///
/// ```
/// use resource_protector_issuer::CodeExchange;
///
/// # let (code, client_id, code_verifier) = ("", "", "");
/// let exchange = CodeExchange::new(code, client_id, code_verifier).redirect_uri("https://app.example.com/callback");
/// ```
#[derive(Clone)]
pub struct CodeExchange {
    code: String,
    client_id: String,
    code_verifier: String,
    redirect_uri: Option<String>,
    resources: Vec<String>,
}

impl CodeExchange {
    /// A code that this client comes with, and the verifier of its challenge. Whoever makes one has authenticated the client, or
    /// knows that it is a public one.
    pub fn new(code: impl Into<String>, client_id: impl Into<String>, code_verifier: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            client_id: client_id.into(),
            code_verifier: code_verifier.into(),
            redirect_uri: None,
            resources: Vec::new(),
        }
    }

    /// The redirect URI, which has to be the one of the request for the code, and to be left out where that had none.
    #[must_use]
    pub fn redirect_uri(mut self, uri: impl Into<String>) -> Self {
        self.redirect_uri = Some(uri.into());
        self
    }

    /// For which of the resource servers that were granted the access token is to be (RFC 8707 §2.2); for all of them unless
    /// set. Refreshing may name others of them.
    #[must_use]
    pub fn resources<R: Into<String>>(mut self, resources: impl IntoIterator<Item = R>) -> Self {
        self.resources = each_once(resources);
        self
    }
}

impl fmt::Debug for CodeExchange {
    /// Without code and verifier.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CodeExchange")
            .field("client_id", &self.client_id)
            .field("redirect_uri", &self.redirect_uri)
            .field("resources", &self.resources)
            .finish_non_exhaustive()
    }
}

impl TokenIssuer {
    /// Issues an authorization code (RFC 6749 §4.1.2): good once, for a minute unless set.
    ///
    /// # Errors
    ///
    /// When the store cannot be reached.
    pub async fn issue_code(&self, request: CodeRequest) -> Result<String, TokenError> {
        let code = random::text::<32>()?;
        let key = &Key::of(Kind::Code, &code);
        let (ledger, request) = (&self.0.ledger, &request);
        ledger
            .transact(|| async move {
                if ledger.find::<Code>(key.clone()).await?.is_some() {
                    return Ok(Decision::Answer(()));
                }
                let tokens = &request.tokens;
                let name = tokens.subject.clone().unwrap_or_default();
                let holders = ledger.holders(&name, &tokens.client_id).await?;
                let grounds = self.grounds(tokens, holders).await?;
                let expires_at = Millis::floor(self.now().wall).after(self.0.lives.code);
                let record = Code {
                    client_id: tokens.client_id.clone(),
                    subject: name.clone(),
                    scope: tokens.scope.clone(),
                    audience: tokens.audience.clone(),
                    auth_time: tokens.auth_time.map(Millis::floor),
                    fresh: tokens.fresh,
                    claims: tokens.claims.clone(),
                    redirect_uri: request.redirect_uri.clone(),
                    code_challenge: request.code_challenge.clone(),
                    with_refresh_token: tokens.with_refresh_token,
                    consent: grounds.consent().map(str::to_owned),
                    epochs: grounds.holders.epochs(),
                    expires_at,
                    redeemed_for: None,
                    over_at: expires_at,
                };
                let change = Change::new().step(key.clone(), Was::Absent, record.put()?);
                let change = grounds.unchanged(change, &name, &tokens.client_id)?;
                Ok(Decision::Commit(change, ()))
            })
            .await?;
        Ok(code)
    }

    /// Exchanges an authorization code for tokens (RFC 6749 §4.1.3, RFC 7636 §4.5). A code that comes a second time ends the
    /// session that it began the first time (RFC 6749 §4.1.2).
    ///
    /// # Errors
    ///
    /// [`InvalidGrant`](TokenErrorKind::InvalidGrant) when the code is unknown, over, used or another client's, when the
    /// redirect URI is another, when the verifier does not fit, when the user was logged out everywhere or has withdrawn the
    /// consent since, when the client's tokens were revoked since, or when the [rule](super::SubjectRule) says no;
    /// [`InvalidTarget`](TokenErrorKind::InvalidTarget) when a resource is asked for that was not granted;
    /// [`Unavailable`](TokenErrorKind::Unavailable) when the store cannot be reached.
    pub async fn redeem_code(&self, exchange: CodeExchange) -> Result<IssuedTokens, TokenError> {
        let (exchange, drawn) = (&exchange, &Drawn::draw()?);
        let (key, client_id) = (&Key::of(Kind::Code, &exchange.code), exchange.client_id.as_str());
        let ledger = &self.0.ledger;
        let redeemed = ledger
            .transact(|| async move {
                let found = ledger.find::<Code>(key.clone()).await?;
                let found = found.ok_or_else(|| TokenError::invalid_grant("the code is unknown"))?;
                if found.record.client_id != client_id {
                    return Err(TokenError::invalid_grant("the code is another client's"));
                }
                if let Some(sid) = &found.record.redeemed_for {
                    // By us, a moment ago, or by somebody else.
                    return Ok(match *sid == drawn.sid() {
                        true => Decision::Happened,
                        false => Decision::Answer(Redeemed::Before(sid.clone())),
                    });
                }
                let holders = ledger.holders(&found.record.subject, client_id).await?;
                self.judge_code(&found.record, &holders, exchange)?;
                self.judge_subject(&found.record.subject).await?;
                let request = found.record.tokens();
                let grounds = self.grounds(&request, holders).await?;
                let (change, issued) = self.begin(&request, &exchange.resources, drawn, &grounds)?;
                let after = Code {
                    redeemed_for: Some(drawn.sid()),
                    // As long as anything of the session may be good, who comes again is to be noticed.
                    over_at: Millis::floor(self.now().wall).after(self.0.lives.session),
                    ..found.record.clone()
                };
                Ok(Decision::Commit(
                    change.step(key.clone(), found.was(), after.put()?),
                    Redeemed::Issued(issued),
                ))
            })
            .await?;
        match redeemed {
            Redeemed::Issued(issued) => Ok(issued),
            Redeemed::Before(sid) => {
                tracing::warn!(
                    target: "resource_protector_issuer::tokens",
                    event = "code_reused",
                    client_id,
                    session_id = sid,
                    "an authorization code came again: the session that it began was ended"
                );
                self.logout_session(&sid).await?;
                Err(TokenError::invalid_grant("the code was used before"))
            }
        }
    }

    fn judge_code(&self, code: &Code, holders: &Holders, exchange: &CodeExchange) -> Result<(), TokenError> {
        if code.expires_at <= Millis::floor(self.now().wall) {
            return Err(TokenError::invalid_grant("the code is over"));
        }
        if !holders.have_ended_nothing_since(code.epochs) {
            return Err(TokenError::invalid_grant(
                "the user was logged out everywhere meanwhile, or the client's tokens were revoked",
            ));
        }
        if code.redirect_uri != exchange.redirect_uri {
            return Err(TokenError::invalid_grant(
                "the redirect URI is not the one of the request",
            ));
        }
        if !is_verifier_of(&exchange.code_verifier, &code.code_challenge) {
            return Err(TokenError::invalid_grant("the verifier does not fit the challenge"));
        }
        Ok(())
    }

    pub(super) async fn judge_subject(&self, subject: &str) -> Result<(), TokenError> {
        let Some(rule) = &self.0.rule else { return Ok(()) };
        match rule.may_have_tokens(subject).await? {
            true => Ok(()),
            false => Err(TokenError::invalid_grant("the subject may have no tokens")),
        }
    }
}

enum Redeemed {
    Issued(IssuedTokens),
    /// For this session.
    Before(String),
}

impl Code {
    fn tokens(&self) -> TokenRequest {
        TokenRequest {
            client_id: self.client_id.clone(),
            subject: Some(self.subject.clone()),
            scope: self.scope.clone(),
            audience: self.audience.clone(),
            with_refresh_token: self.with_refresh_token,
            auth_time: self.auth_time.map(Millis::time),
            fresh: self.fresh,
            claims: self.claims.clone(),
            // What the log-in was worth stands in the epochs.
            login: None,
            consent: self.consent.clone(),
        }
    }
}

/// RFC 7636 §4.1, §4.6.
fn is_verifier_of(verifier: &str, challenge: &str) -> bool {
    let is_unreserved = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    if !(43..=128).contains(&verifier.len()) || !verifier.bytes().all(is_unreserved) {
        return false;
    }
    let digest = digest::digest(&digest::SHA256, verifier.as_bytes());
    let expected = URL_SAFE_NO_PAD.encode(digest);
    constant_time::verify_slices_are_equal(expected.as_bytes(), challenge.as_bytes()).is_ok()
}
