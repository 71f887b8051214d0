//! What a token is worth.

use std::fmt;

use resource_protector::{CurrentToken, StoreError};
use serde_json::{Map, Value, json};

use super::{
    TokenError, TokenIssuer,
    recognize::Recognized,
    records::{AccessToken, Found, Session},
    refresh_token::RefreshToken,
    revocation::{By, Revocation},
};
use crate::time::Millis;

/// A token that is good, and what it says.
#[derive(Clone)]
pub struct ActiveToken {
    token_use: TokenUse,
    claims: Map<String, Value>,
}

/// What a token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenUse {
    /// It opens a resource server.
    Access,
    /// It can be exchanged for the next tokens.
    Refresh,
}

impl ActiveToken {
    /// What it is for.
    pub fn token_use(&self) -> TokenUse {
        self.token_use
    }

    /// The client it was issued to.
    pub fn client_id(&self) -> Option<&str> {
        self.claims.get("client_id").and_then(Value::as_str)
    }

    /// What it says, in the names of RFC 7662 §2.2. `token_type` is `Bearer` for an access token, and `refresh_token` for a
    /// refresh token, by which resource servers notice that it is not meant for them.
    pub fn claims(&self) -> &Map<String, Value> {
        &self.claims
    }
}

impl fmt::Debug for ActiveToken {
    /// Without the claims, which have the subject.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ActiveToken")
            .field("token_use", &self.token_use)
            .field("client_id", &self.client_id())
            .finish_non_exhaustive()
    }
}

impl TokenIssuer {
    /// What this token is worth now: `None` when it is unknown, over, revoked or another issuer's.
    ///
    /// # Errors
    ///
    /// When the store cannot be reached.
    pub async fn introspect(&self, token: &str) -> Result<Option<ActiveToken>, TokenError> {
        let now = Millis::floor(self.now().wall);
        let active = match self.recognize(token).await? {
            Recognized::Unknown => None,
            Recognized::Refresh(token, session) => self.active_refresh(&token, &session, now).await?,
            Recognized::Opaque(found) => self.active_opaque(&found, now).await?,
            Recognized::Jwt(claims) => self.active_jwt(&claims, now).await?,
        };
        Ok(active)
    }

    async fn active_refresh(
        &self,
        token: &RefreshToken,
        session: &Found<Session>,
        now: Millis,
    ) -> Result<Option<ActiveToken>, TokenError> {
        let session = &session.record;
        let refresh = session.refresh_of(token);
        let Some(refresh) = refresh.filter(|refresh| refresh.is_next(&token.digest()) && now < refresh.expires_at)
        else {
            return Ok(None);
        };
        let holders = self.0.ledger.holders(session.sub(), &session.client_id).await?;
        if !session.is_alive(&holders) {
            return Ok(None);
        }
        let mut claims = Map::new();
        claims.insert("iss".to_owned(), json!(self.0.issuer));
        claims.insert("client_id".to_owned(), json!(session.client_id));
        claims.insert("token_type".to_owned(), json!("refresh_token"));
        claims.insert("exp".to_owned(), json!(refresh.expires_at.seconds()));
        claims.insert("sid".to_owned(), json!(session.sid));
        if let Some(subject) = &session.subject {
            claims.insert("sub".to_owned(), json!(subject));
        }
        if !session.scope.is_empty() {
            claims.insert("scope".to_owned(), json!(session.scope));
        }
        Ok(Some(ActiveToken {
            token_use: TokenUse::Refresh,
            claims,
        }))
    }

    async fn active_opaque(&self, found: &Found<AccessToken>, now: Millis) -> Result<Option<ActiveToken>, TokenError> {
        let token = &found.record;
        let is_over = token.expires_at.is_some_and(|end| end <= now);
        if is_over || token.revoked_at.is_some() || !token.is_of_a_living_session(&self.0.ledger).await? {
            return Ok(None);
        }
        let mut claims = token.claims.clone();
        let mut set = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                claims.insert(name.to_owned(), value);
            }
        };
        set("sub", token.subject.as_ref().map(|subject| json!(subject)));
        set("client_id", token.client_id.as_ref().map(|client| json!(client)));
        set("scope", (!token.scope.is_empty()).then(|| json!(token.scope)));
        set(
            "aud",
            match token.audience.as_slice() {
                [] => None,
                [one] => Some(json!(one)),
                several => Some(json!(several)),
            },
        );
        set("iat", token.issued_at.map(|moment| json!(moment.seconds())));
        set("exp", token.expires_at.map(|moment| json!(moment.seconds())));
        set("iss", Some(json!(self.0.issuer)));
        set("token_type", Some(json!("Bearer")));
        Ok(Some(ActiveToken {
            token_use: TokenUse::Access,
            claims,
        }))
    }

    async fn active_jwt(&self, token: &CurrentToken, now: Millis) -> Result<Option<ActiveToken>, TokenError> {
        // Without leeway: it is our own clock that wrote it.
        let is_over = token.expires_at().is_none_or(|end| end <= now.time());
        let (Some(sid), Some(jti)) = (token.session_id(), token.jwt_id()) else {
            return Ok(None);
        };
        let (session, holders) = self.session_of(sid).await?;
        let is_alive = session.is_some_and(|session| session.record.is_alive(&holders));
        if is_over || !is_alive {
            return Ok(None);
        }
        if self
            .0
            .ledger
            .find::<Revocation>(Revocation::key_of(By::Jti, jti))
            .await?
            .is_some()
        {
            return Ok(None);
        }
        let claims = token.claims::<Map<String, Value>>();
        let mut claims = claims.map_err(|_| StoreError::new("the claims of a token cannot be read"))?;
        claims.insert("token_type".to_owned(), json!("Bearer"));
        Ok(Some(ActiveToken {
            token_use: TokenUse::Access,
            claims,
        }))
    }
}
