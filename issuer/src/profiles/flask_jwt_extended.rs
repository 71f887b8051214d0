//! Tokens as Flask-JWT-Extended makes them.

use std::time::{Duration, SystemTime};

use resource_protector::{
    Clock, CurrentToken, CutOff, HmacAlgorithm, JwtValidator, RevocationTerms, RevokedBy, SetupError,
};
use serde_json::{Map, Value};

use super::{
    new_token::{Fresh, MintedToken, NewToken},
    shared::{Kind, Shared, checked_claim, checked_lifetime, end, seconds, uuid},
};
use crate::tokens::TokenError;

/// What the profile writes itself, beside the claim for the identity.
const WRITTEN: [&str; 10] = ["fresh", "iat", "jti", "type", "sub", "nbf", "csrf", "exp", "aud", "iss"];

/// Checks and mints the tokens of Flask-JWT-Extended, with the secret that is its `JWT_SECRET_KEY`: one service can stand
/// beside the other, and users notice nothing.
///
/// Unless set otherwise, as there: HS256, the identity in `sub`, neither `iss` nor `aud`, access tokens for 15 minutes and
/// refresh tokens for 30 days. Stricter than there: only `type: access` is an access token, a token needs `exp`, `iat` and
/// `jti`, one that names an issuer or an audience where none is expected is refused, and the secret has 32 bytes at least.
///
/// Whoever has the secret can make tokens about anybody, so **it belongs to these services alone and signs nothing
/// else**. That is also what stands in for the issuer that is not in the tokens.
///
/// ```
/// use axum::{Router, routing::get};
/// use resource_protector::{CurrentToken, ResourceProtectorLayer};
/// use resource_protector_issuer::profiles::{FlaskJwtExtended, require_fresh_token};
///
/// async fn me(token: CurrentToken) -> String {
///     token.subject().unwrap_or_default().to_owned()
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let profile = FlaskJwtExtended::new("the JWT_SECRET_KEY of the Flask application")?;
/// let app: Router = Router::new()
///     .route("/me", get(me))
///     .route("/password", get(me).layer(require_fresh_token()))
///     .layer(ResourceProtectorLayer::new(profile.access_tokens()?));
/// let token = profile.mint_access("alice")?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct FlaskJwtExtended {
    shared: Shared,
    identity_claim: Option<String>,
    access_token_types: Vec<String>,
}

/// How it is set up over there.
impl FlaskJwtExtended {
    /// With this secret, `JWT_SECRET_KEY`, and else as it is there unless set.
    ///
    /// # Errors
    ///
    /// When the secret has less than 32 bytes (RFC 7518 §3.2).
    pub fn new(secret: impl AsRef<[u8]>) -> Result<Self, SetupError> {
        const ACCESS: Duration = Duration::from_secs(15 * 60);
        const REFRESH: Duration = Duration::from_secs(30 * 24 * 3600);
        Ok(Self {
            shared: Shared::new(secret.as_ref(), "flask-jwt-extended", ACCESS, REFRESH)?,
            identity_claim: None,
            access_token_types: vec!["access".to_owned()],
        })
    }

    /// Signs and accepts with this algorithm and no other: `JWT_ALGORITHM`.
    ///
    /// # Errors
    ///
    /// When the secret is shorter than the algorithm's hash: 48 bytes for HS384, 64 for HS512.
    pub fn algorithm(mut self, algorithm: HmacAlgorithm) -> Result<Self, SetupError> {
        self.shared = self.shared.with_algorithm(algorithm)?;
        Ok(self)
    }

    /// Writes this issuer, `JWT_ENCODE_ISSUER`, and accepts only tokens that name it.
    ///
    /// # Errors
    ///
    /// When it is empty.
    pub fn issuer(mut self, issuer: impl Into<String>) -> Result<Self, SetupError> {
        self.shared.set_issuer(issuer.into(), false)?;
        Ok(self)
    }

    /// Writes this issuer, and accepts tokens that name it, or none: for the time in which tokens from before
    /// `JWT_ENCODE_ISSUER` was set are still good. `JWT_DECODE_ISSUER` stays unset over there meanwhile.
    ///
    /// # Errors
    ///
    /// When it is empty.
    pub fn issuer_or_none(mut self, issuer: impl Into<String>) -> Result<Self, SetupError> {
        self.shared.set_issuer(issuer.into(), true)?;
        Ok(self)
    }

    /// Writes this audience, `JWT_ENCODE_AUDIENCE`, and accepts only tokens that name one of it. Without it a token that
    /// names any is refused.
    ///
    /// # Errors
    ///
    /// When there is none, or a blank one.
    pub fn audience<A: Into<String>>(mut self, audience: impl IntoIterator<Item = A>) -> Result<Self, SetupError> {
        self.shared
            .set_audience(audience.into_iter().map(Into::into).collect())?;
        Ok(self)
    }

    /// Has the identity in this claim: `JWT_IDENTITY_CLAIM`. It may be a string or a whole number there; say `sub` for an
    /// application that puts numbers into it.
    ///
    /// # Errors
    ///
    /// When the name is empty.
    pub fn identity_claim(mut self, name: impl Into<String>) -> Result<Self, SetupError> {
        self.identity_claim = Some(checked_claim("identity_claim", name.into())?);
        Ok(self)
    }

    /// Takes tokens of these types for access tokens, `access` alone unless set. Over there every token is one whose `type` is
    /// not `refresh`, whatever else it was made for.
    ///
    /// # Errors
    ///
    /// When there is none, or `refresh` is among them.
    pub fn access_token_types<T: Into<String>>(
        mut self,
        types: impl IntoIterator<Item = T>,
    ) -> Result<Self, SetupError> {
        let types: Vec<String> = types.into_iter().map(Into::into).collect();
        if types.is_empty() || types.iter().any(|one| one == "refresh" || one.is_empty()) {
            return Err(SetupError::new(
                "access_token_types",
                format_args!("expected types of access tokens, none of them empty or `refresh`, got {types:?}"),
            ));
        }
        self.access_token_types = types;
        Ok(self)
    }

    /// How far clocks may differ: `JWT_DECODE_LEEWAY`; 10 s unless set.
    ///
    /// # Errors
    ///
    /// When it is more than 300 s.
    pub fn leeway(mut self, leeway: Duration) -> Result<Self, SetupError> {
        self.shared.set_leeway(leeway)?;
        Ok(self)
    }

    /// How long access tokens are good for that are minted here: `JWT_ACCESS_TOKEN_EXPIRES`; 15 minutes unless set.
    ///
    /// # Errors
    ///
    /// When it is not from 1 s to 366 days.
    pub fn access_token_lifetime(mut self, life: Duration) -> Result<Self, SetupError> {
        self.shared.access_token_lifetime = checked_lifetime("access_token_lifetime", life)?;
        Ok(self)
    }

    /// How long refresh tokens are good for that are minted here: `JWT_REFRESH_TOKEN_EXPIRES`; 30 days unless set.
    ///
    /// # Errors
    ///
    /// When it is not from 1 s to 366 days.
    pub fn refresh_token_lifetime(mut self, life: Duration) -> Result<Self, SetupError> {
        self.shared.refresh_token_lifetime = checked_lifetime("refresh_token_lifetime", life)?;
        Ok(self)
    }

    /// Takes the time for new tokens from another clock than the system's.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.shared.clock = std::sync::Arc::new(clock);
        self
    }
}

/// Tokens that come.
impl FlaskJwtExtended {
    /// For routes that are `@jwt_required()` over there: access tokens, and never a refresh token.
    ///
    /// # Errors
    ///
    /// When the settings do not go together.
    pub fn access_tokens(&self) -> Result<JwtValidator, SetupError> {
        let types: Vec<&str> = self.access_token_types.iter().map(String::as_str).collect();
        self.validator(&types)
    }

    /// For the routes that are `@jwt_required(refresh=True)` over there: refresh tokens, and never an access token.
    ///
    /// # Errors
    ///
    /// When the settings do not go together.
    pub fn refresh_tokens(&self) -> Result<JwtValidator, SetupError> {
        self.validator(&["refresh"])
    }

    /// For the route that revokes what it gets, `@jwt_required(verify_type=False)` over there: both. On any other route a
    /// refresh token, which lives for weeks, would be as good as an access token.
    ///
    /// # Errors
    ///
    /// When the settings do not go together.
    pub fn tokens_of_both_types_for_log_out_only(&self) -> Result<JwtValidator, SetupError> {
        let types = self.access_token_types.iter().map(String::as_str);
        self.validator(&types.chain(["refresh"]).collect::<Vec<_>>())
    }

    fn validator(&self, types: &[&str]) -> Result<JwtValidator, SetupError> {
        self.shared.validator(&Kind {
            claim: "type",
            accepted: types,
            subject_claim: self.identity_claim.as_deref(),
        })
    }

    /// The terms of a list of revocations that fits these tokens: by `jti`, as a blocklist has it, or by subject. Sessions
    /// and clients are not in them. Give it the longest life of all tokens that the list is to revoke. Those that name no
    /// issuer are known to it under `flask-jwt-extended`.
    ///
    /// # Errors
    ///
    /// As [`RevocationTerms::new`].
    pub fn revocation_terms(
        &self,
        by: impl IntoIterator<Item = RevokedBy>,
        longest_lifetime: Duration,
    ) -> Result<RevocationTerms, SetupError> {
        self.shared.terms(&by.into_iter().collect::<Vec<_>>(), longest_lifetime)
    }

    /// What revokes this one token, until it is over; `None` where it has no `jti`, which no profile accepts.
    pub fn cut_off(&self, token: &CurrentToken) -> Option<CutOff> {
        self.shared.cut_off(token)
    }

    /// What revokes all tokens about this user that were issued before that moment: a log-out everywhere, a new password, a
    /// disabled account. It is two cut-offs while an issuer is being [introduced](Self::issuer_or_none), else one.
    pub fn cut_offs_of(&self, subject: &str, issued_before: SystemTime) -> Vec<CutOff> {
        self.shared.cut_offs_of(subject, issued_before)
    }
}

/// Tokens that go.
impl FlaskJwtExtended {
    /// An access token, as `create_access_token` makes it.
    ///
    /// # Errors
    ///
    /// When the subject is empty, or a claim is one of the profile's own.
    pub fn mint_access(&self, token: impl Into<NewToken>) -> Result<MintedToken, TokenError> {
        self.mint(token.into(), "access", self.shared.access_token_lifetime)
    }

    /// A refresh token, as `create_refresh_token` makes it. It is never fresh.
    ///
    /// # Errors
    ///
    /// As [`mint_access`](Self::mint_access).
    pub fn mint_refresh(&self, token: impl Into<NewToken>) -> Result<MintedToken, TokenError> {
        let mut token = token.into();
        token.fresh = Fresh::No;
        self.mint(token, "refresh", self.shared.refresh_token_lifetime)
    }

    fn mint(&self, token: NewToken, kind: &str, life: Duration) -> Result<MintedToken, TokenError> {
        let identity_claim = self.identity_claim.as_deref().unwrap_or("sub");
        token.check(&WRITTEN)?;
        token.check(&[identity_claim])?;
        let now = self.shared.now();
        let (issued_at, expires_at) = (seconds(now), end(now, life)?);
        let (jwt_id, csrf) = (uuid()?, uuid()?);
        let fresh = match token.fresh {
            Fresh::No => false.into(),
            Fresh::Yes => true.into(),
            Fresh::For(time) => seconds(end(now, time)?).into(),
        };
        // RFC 7519 §4.1.2: `sub` is a string, and the other side refuses it otherwise.
        let subject = match token.subject {
            Value::Number(number) if identity_claim == "sub" => number.to_string().into(),
            subject => subject,
        };
        let mut claims: Map<String, Value> = token.claims;
        for (name, value) in [
            ("fresh", fresh),
            ("iat", issued_at.into()),
            ("jti", jwt_id.as_str().into()),
            ("type", kind.into()),
            (identity_claim, subject),
            ("nbf", issued_at.into()),
            ("csrf", csrf.as_str().into()),
            ("exp", seconds(expires_at).into()),
        ] {
            claims.insert(name.to_owned(), value);
        }
        Ok(MintedToken {
            token: self.shared.sign(claims)?,
            jwt_id,
            csrf: Some(csrf),
            expires_at,
        })
    }
}
