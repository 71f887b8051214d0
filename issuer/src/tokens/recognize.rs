//! What a string from outside is.

use resource_protector::{CurrentToken, JwtValidator, Moment, Presented, StoreError, TokenValidator as _};

use super::{
    TokenIssuer,
    access::Form,
    records::{AccessToken, Found, Record as _, Session},
    refresh_token::RefreshToken,
};
use crate::{
    keys::KeyRing,
    store::{Key, Kind},
    time::Millis,
};

/// What a string from outside is.
pub(super) enum Recognized {
    /// It is one of this session, be it now or some time ago.
    Refresh(RefreshToken, Found<Session>),
    Opaque(Found<AccessToken>),
    /// Its signature is ours. Its time may be over.
    Jwt(CurrentToken),
    /// Nothing of ours, or nothing any more.
    Unknown,
}

impl TokenIssuer {
    /// What a string from outside is, whatever somebody says that it is.
    pub(super) async fn recognize(&self, token: &str) -> Result<Recognized, StoreError> {
        let ledger = &self.0.ledger;
        if let Some(refresh) = RefreshToken::parse(token)
            && let Some(session) = ledger.find::<Session>(Session::key(&refresh.sid())).await?
            // One that is over may be deleted at any time, and is nothing already.
            && session.record.over_at() > Some(Millis::floor(self.now().wall))
            && session.record.refresh_of(&refresh).is_some()
        {
            return Ok(Recognized::Refresh(refresh, session));
        }
        if let Some(found) = ledger.find::<AccessToken>(Key::of(Kind::AccessToken, token)).await? {
            return Ok(Recognized::Opaque(found));
        }
        let Form::Jwt(keys) = &self.0.access.form else {
            return Ok(Recognized::Unknown);
        };
        Ok(match verified(keys, token, &self.0.issuer, self.now()) {
            Some(claims) => Recognized::Jwt(claims),
            None => Recognized::Unknown,
        })
    }
}

/// What a JWT of ours says. Its time may be over.
fn verified(keys: &KeyRing, token: &str, issuer: &str, now: Moment) -> Option<CurrentToken> {
    // Only three segments can be one. Everything else is not worth reading the keys.
    if token.split('.').count() != 3 {
        return None;
    }
    let audience = resource_protector::Audience::dangerous_any_even_tokens_meant_for_others();
    let validator = JwtValidator::with_jwks(issuer, keys.jwks(now.wall), audience).ok()?;
    // It is for one token: nothing is remembered, and no room made for it.
    let validator = validator.capacity(0);
    let (request, ()) = http::Request::new(()).into_parts();
    validator.validate_now(&Presented::new(token, &request, now))?.ok()
}
