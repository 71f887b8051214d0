//! Tokens as simplejwt, for the Django REST framework, makes them.

use std::time::{Duration, SystemTime};

use resource_protector::{
    Clock, CurrentToken, CutOff, HmacAlgorithm, JwtValidator, RevocationTerms, RevokedBy, SetupError,
};
use serde_json::{Map, Value};

use super::{
    new_token::{Fresh, MintedToken, NewToken},
    shared::{Kind, Shared, checked_claim, checked_lifetime, end, seconds, uuid},
};
use crate::tokens::{TokenError, TokenErrorKind};

/// What the profile writes itself, beside the claims for type and user.
const WRITTEN: [&str; 5] = ["iat", "jti", "exp", "aud", "iss"];

/// Checks and mints the tokens of simplejwt, with the secret that is its `SIGNING_KEY`: one service can stand beside the
/// other, and users notice nothing.
///
/// Unless set otherwise, as there: HS256, the user in `user_id`, the type in `token_type`, neither `iss` nor `aud`, access
/// tokens for 5 minutes and refresh tokens for a day. Stricter than there: a token needs `iat` and `user_id`, too, one that
/// names an issuer or an audience where none is expected is refused, and the secret has 32 bytes at least. Users are not
/// looked up: whether one is still active, or has another password now, a list of revocations by
/// [subject](RevokedBy::Subject) says. Sliding tokens are refused.
///
/// Whoever has the secret can make tokens about anybody, so **it belongs to these services alone and signs nothing
/// else**. Over there it is Django's `SECRET_KEY` unless set, which signs sessions and password resets, too: set a
/// `SIGNING_KEY` of its own before it is shared.
///
/// ```
/// use axum::{Router, routing::get};
/// use resource_protector::{CurrentToken, ResourceProtectorLayer};
/// use resource_protector_issuer::profiles::SimpleJwt;
///
/// async fn me(token: CurrentToken) -> String {
///     token.subject().unwrap_or_default().to_owned()
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let profile = SimpleJwt::new("the SIGNING_KEY of the Django application")?;
/// let app: Router =
///     Router::new().route("/me", get(me)).layer(ResourceProtectorLayer::new(profile.access_tokens()?).realm("api"));
/// let token = profile.mint_access("7")?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct SimpleJwt {
    shared: Shared,
    user_id_claim: String,
    token_type_claim: String,
}

/// How it is set up over there.
impl SimpleJwt {
    /// With this secret, `SIGNING_KEY`, and else as it is there unless set.
    ///
    /// # Errors
    ///
    /// When the secret has less than 32 bytes (RFC 7518 §3.2).
    pub fn new(secret: impl AsRef<[u8]>) -> Result<Self, SetupError> {
        const ACCESS: Duration = Duration::from_secs(5 * 60);
        const REFRESH: Duration = Duration::from_secs(24 * 3600);
        Ok(Self {
            shared: Shared::new(secret.as_ref(), "simplejwt", ACCESS, REFRESH)?,
            user_id_claim: "user_id".to_owned(),
            token_type_claim: "token_type".to_owned(),
        })
    }

    /// Signs and accepts with this algorithm and no other: `ALGORITHM`.
    ///
    /// # Errors
    ///
    /// When the secret is shorter than the algorithm's hash: 48 bytes for HS384, 64 for HS512.
    pub fn algorithm(mut self, algorithm: HmacAlgorithm) -> Result<Self, SetupError> {
        self.shared = self.shared.with_algorithm(algorithm)?;
        Ok(self)
    }

    /// Writes this issuer, `ISSUER`, and accepts only tokens that name it.
    ///
    /// # Errors
    ///
    /// When it is empty.
    pub fn issuer(mut self, issuer: impl Into<String>) -> Result<Self, SetupError> {
        self.shared.set_issuer(issuer.into(), false)?;
        Ok(self)
    }

    /// Writes this issuer, and accepts tokens that name it, or none: for the time in which tokens from before
    /// `ISSUER` was set are still good. Over there, tokens from before are over at once.
    ///
    /// # Errors
    ///
    /// When it is empty.
    pub fn issuer_or_none(mut self, issuer: impl Into<String>) -> Result<Self, SetupError> {
        self.shared.set_issuer(issuer.into(), true)?;
        Ok(self)
    }

    /// Writes this audience, `AUDIENCE`, and accepts only tokens that name one of it. Without it a token that names any is
    /// refused.
    ///
    /// # Errors
    ///
    /// When there is none, or a blank one.
    pub fn audience<A: Into<String>>(mut self, audience: impl IntoIterator<Item = A>) -> Result<Self, SetupError> {
        self.shared
            .set_audience(audience.into_iter().map(Into::into).collect())?;
        Ok(self)
    }

    /// Has the user in this claim, as a string or a whole number: `USER_ID_CLAIM`; `user_id` unless set.
    ///
    /// # Errors
    ///
    /// When the name is empty.
    pub fn user_id_claim(mut self, name: impl Into<String>) -> Result<Self, SetupError> {
        self.user_id_claim = checked_claim("user_id_claim", name.into())?;
        Ok(self)
    }

    /// Has the type in this claim: `TOKEN_TYPE_CLAIM`; `token_type` unless set.
    ///
    /// # Errors
    ///
    /// When the name is empty.
    pub fn token_type_claim(mut self, name: impl Into<String>) -> Result<Self, SetupError> {
        self.token_type_claim = checked_claim("token_type_claim", name.into())?;
        Ok(self)
    }

    /// How far clocks may differ: `LEEWAY`; 10 s unless set.
    ///
    /// # Errors
    ///
    /// When it is more than 300 s.
    pub fn leeway(mut self, leeway: Duration) -> Result<Self, SetupError> {
        self.shared.set_leeway(leeway)?;
        Ok(self)
    }

    /// How long access tokens are good for that are minted here: `ACCESS_TOKEN_LIFETIME`; 5 minutes unless set.
    ///
    /// # Errors
    ///
    /// When it is not from 1 s to 366 days.
    pub fn access_token_lifetime(mut self, life: Duration) -> Result<Self, SetupError> {
        self.shared.access_token_lifetime = checked_lifetime("access_token_lifetime", life)?;
        Ok(self)
    }

    /// How long refresh tokens are good for that are minted here: `REFRESH_TOKEN_LIFETIME`; a day unless set.
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
impl SimpleJwt {
    /// For routes behind `JWTAuthentication` over there: access tokens, and never a refresh token.
    ///
    /// # Errors
    ///
    /// When the settings do not go together.
    pub fn access_tokens(&self) -> Result<JwtValidator, SetupError> {
        self.validator("access")
    }

    /// For the route that is `TokenRefreshView` over there, if its token comes as a bearer token: refresh tokens, and
    /// never an access token.
    ///
    /// # Errors
    ///
    /// When the settings do not go together.
    pub fn refresh_tokens(&self) -> Result<JwtValidator, SetupError> {
        self.validator("refresh")
    }

    fn validator(&self, kind: &str) -> Result<JwtValidator, SetupError> {
        self.shared.validator(&Kind {
            claim: &self.token_type_claim,
            accepted: &[kind],
            subject_claim: Some(&self.user_id_claim),
        })
    }

    /// The terms of a list of revocations that fits these tokens: by `jti`, as the blacklist has it, or by subject. Sessions
    /// and clients are not in them. Give it the longest life of all tokens that the list is to revoke. Those that name no
    /// issuer are known to it under `simplejwt`.
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
impl SimpleJwt {
    /// An access token, as `AccessToken.for_user` makes it.
    ///
    /// # Errors
    ///
    /// When the user is empty, a claim is one of the profile's own, or the token is to be fresh, which these never say.
    pub fn mint_access(&self, token: impl Into<NewToken>) -> Result<MintedToken, TokenError> {
        self.mint(token.into(), "access", self.shared.access_token_lifetime)
    }

    /// A refresh token, as `RefreshToken.for_user` makes it. Over there it is not among the outstanding tokens.
    ///
    /// # Errors
    ///
    /// As [`mint_access`](Self::mint_access).
    pub fn mint_refresh(&self, token: impl Into<NewToken>) -> Result<MintedToken, TokenError> {
        self.mint(token.into(), "refresh", self.shared.refresh_token_lifetime)
    }

    /// An access token with the claims of this refresh token, which was found good: all but those that the profile writes
    /// itself.
    ///
    /// # Errors
    ///
    /// When the claims have no user.
    pub fn mint_access_from(&self, refresh_token: &CurrentToken) -> Result<MintedToken, TokenError> {
        let unusable = |detail| TokenError::new(TokenErrorKind::Unusable, detail);
        let mut claims: Map<String, Value> = refresh_token
            .claims()
            .map_err(|_| unusable("the refresh token has no claims"))?;
        let user = claims.remove(&self.user_id_claim);
        let mut token = NewToken::about(user.ok_or_else(|| unusable("the refresh token names no user"))?);
        claims.retain(|name, _| !WRITTEN.contains(&name.as_str()) && *name != self.token_type_claim);
        token.claims = claims;
        self.mint_access(token)
    }

    fn mint(&self, token: NewToken, kind: &str, life: Duration) -> Result<MintedToken, TokenError> {
        token.check(&WRITTEN)?;
        token.check(&[&self.user_id_claim, &self.token_type_claim])?;
        if token.fresh != Fresh::No {
            return Err(TokenError::new(
                TokenErrorKind::Unusable,
                "these tokens do not say that they are fresh",
            ));
        }
        let now = self.shared.now();
        let expires_at = end(now, life)?;
        let jwt_id = uuid()?.replace('-', "");
        let mut claims: Map<String, Value> = token.claims;
        for (name, value) in [
            (self.token_type_claim.as_str(), kind.into()),
            ("exp", seconds(expires_at).into()),
            ("iat", seconds(now).into()),
            ("jti", jwt_id.as_str().into()),
            (self.user_id_claim.as_str(), token.subject),
        ] {
            claims.insert(name.to_owned(), value);
        }
        Ok(MintedToken {
            token: self.shared.sign(claims)?,
            jwt_id,
            csrf: None,
            expires_at,
        })
    }
}
