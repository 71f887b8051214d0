//! Tokens that are taken back.

use resource_protector::{CurrentToken, StoreError};

use super::{
    TokenError, TokenErrorKind, TokenIssuer,
    access::Form,
    introspect::verified,
    ledger::Decision,
    records::{AccessToken, By, Found, Record as _, RefreshToken, Revoked, Session, Subject, was},
};
use crate::{
    store::{Change, Key, Kind, Was},
    time::Millis,
};

/// The longest subject, in bytes: lists of revocations know no longer one.
const LONGEST_SUBJECT: usize = 16 * 1024;

/// What a string from outside is.
pub(super) enum Recognized {
    Refresh(RefreshToken),
    Opaque(Found<AccessToken>),
    /// Its signature is ours. Its time may be over.
    Jwt(CurrentToken),
    /// Nothing of ours, or nothing any more.
    Unknown,
}

impl TokenIssuer {
    /// Takes a token back on behalf of the client that it was issued to (RFC 7009 §2.1). With a refresh token ends its session,
    /// and with that all its access tokens; an access token ends alone. A token that is unknown, over or taken back already
    /// is no error.
    ///
    /// # Errors
    ///
    /// [`NotYours`](TokenErrorKind::NotYours) when the token is another client's;
    /// [`UnsupportedTokenType`](TokenErrorKind::UnsupportedTokenType) for a JWT that nobody can take back;
    /// [`Unavailable`](TokenErrorKind::Unavailable) when the store or the list of revocations cannot be reached: then it
    /// may be good in some places, and is to be taken back again.
    pub async fn revoke(&self, token: &str, client_id: &str) -> Result<(), TokenError> {
        match self.recognize(token).await? {
            Recognized::Unknown => Ok(()),
            Recognized::Refresh(refresh) => {
                let session = self.0.ledger.find::<Session>(Session::key(&refresh.sid)).await?;
                match session {
                    Some(session) if session.record.client_id != client_id => Err(not_yours()),
                    _ => self.logout_session(&refresh.sid).await,
                }
            }
            Recognized::Opaque(found) if found.record.client_id.as_deref() != Some(client_id) => Err(not_yours()),
            Recognized::Opaque(_) => self.revoke_opaque(token).await,
            Recognized::Jwt(claims) if claims.client_id() != Some(client_id) => Err(not_yours()),
            Recognized::Jwt(claims) => self.revoke_jwt(&claims).await,
        }
    }

    /// Logs out: ends the session that this token belongs to, be it an access token or a refresh token, with all its tokens.
    /// A token that is unknown, over or taken back already is no error.
    ///
    /// Whoever calls it has made sure that the token is the user's own, as the access token of their request is. For one of
    /// which only they say so there is [`logout_own`](Self::logout_own).
    ///
    /// # Errors
    ///
    /// [`UnsupportedTokenType`](TokenErrorKind::UnsupportedTokenType) for an access token that belongs to no session;
    /// [`Unavailable`](TokenErrorKind::Unavailable) as for [`revoke`](Self::revoke).
    pub async fn logout(&self, token: &str) -> Result<(), TokenError> {
        let sid = match self.recognize(token).await? {
            Recognized::Unknown => return Ok(()),
            Recognized::Refresh(refresh) => Some(refresh.sid),
            Recognized::Opaque(found) => found.record.session_of_ours(),
            Recognized::Jwt(claims) => claims.session_id().map(str::to_owned),
        };
        self.end_session_of(sid).await
    }

    /// Logs this subject out of the session that a token belongs to, as [`logout`](Self::logout), if the token is the subject's
    /// own: for a token that stands in the body of a request, where anybody's may stand.
    ///
    /// # Errors
    ///
    /// [`NotYours`](TokenErrorKind::NotYours) when it is another subject's; and those of [`logout`](Self::logout).
    pub async fn logout_own(&self, token: &str, subject: &str) -> Result<(), TokenError> {
        let (sid, owner) = match self.recognize(token).await? {
            Recognized::Unknown => return Ok(()),
            Recognized::Refresh(refresh) => {
                let session = self.0.ledger.find::<Session>(Session::key(&refresh.sid)).await?;
                // Its session is over and deleted.
                let Some(session) = session else { return Ok(()) };
                (Some(refresh.sid), session.record.subject)
            }
            Recognized::Opaque(found) => (found.record.session_of_ours(), found.record.subject),
            Recognized::Jwt(claims) => (
                claims.session_id().map(str::to_owned),
                claims.subject().map(str::to_owned),
            ),
        };
        if owner.as_deref() != Some(subject) {
            return Err(TokenError::new(
                TokenErrorKind::NotYours,
                "the token is another subject's",
            ));
        }
        self.end_session_of(sid).await
    }

    /// Ends the session of this `sid`, with all its tokens.
    ///
    /// # Errors
    ///
    /// [`Unavailable`](TokenErrorKind::Unavailable) as for [`revoke`](Self::revoke).
    pub async fn logout_session(&self, sid: &str) -> Result<(), TokenError> {
        match self.end_session(sid).await? {
            None => Ok(()),
            Some(revoked) => self.tell(&revoked).await,
        }
    }

    /// Ends a session, and says what the list has to be told of it.
    pub(super) async fn end_session(&self, sid: &str) -> Result<Option<Revoked>, TokenError> {
        let ledger = &self.0.ledger;
        ledger
            .transact(|| async move {
                let Some(session) = ledger.find::<Session>(Session::key(sid)).await? else {
                    return Ok(Decision::Answer(None));
                };
                if session.record.revoked_at.is_some() {
                    // The list may not have been told the first time.
                    let revoked = Revoked::new(By::Sid, sid, session.record.last_token_over_at);
                    return Ok(Decision::Answer(Some(revoked)));
                }
                let (change, revoked) = ended(&session, Millis::floor(self.now().wall))?;
                Ok(Decision::Commit(change, Some(revoked)))
            })
            .await
    }

    /// Logs a subject out everywhere: all its sessions end, with all tokens that were issued until now, whether anybody knows
    /// them or not. For a new password, a stolen device, a disabled account. For a client that acts for itself, the subject is
    /// its `client_id`.
    ///
    /// It costs one look through the sessions of the subject where there is a list: those are ended one by one whose tokens say
    /// that they were issued later, because the clock of another machine is ahead.
    ///
    /// # Errors
    ///
    /// [`Unusable`](TokenErrorKind::Unusable) when the subject is empty or longer than 16 KiB, as none is;
    /// [`Unavailable`](TokenErrorKind::Unavailable) as for [`revoke`](Self::revoke).
    pub async fn logout_everywhere(&self, subject: &str) -> Result<(), TokenError> {
        // The list would take none of them, now and whenever it is told again.
        if !(1..=LONGEST_SUBJECT).contains(&subject.len()) {
            return Err(TokenError::new(
                TokenErrorKind::Unusable,
                "expected a subject of 1 byte to 16 KiB",
            ));
        }
        let ledger = &self.0.ledger;
        let life = self.0.access.longest_lifetime().unwrap_or(self.0.lives.access_token);
        let revoked = ledger
            .transact(|| async move {
                let now = Millis::floor(self.now().wall);
                let found = ledger.find::<Subject>(Subject::key(subject)).await?;
                let known = found.as_ref().map(|found| &found.record);
                let after = Subject {
                    logouts: known.map_or(0, |known| known.logouts) + 1,
                    // A moment ahead of what is being issued right now.
                    issued_before: known.map_or(now.next(), |known| known.issued_before.max(now.next())),
                };
                let revoked = Revoked {
                    issued_before: Some(after.issued_before),
                    ..Revoked::new(By::Sub, subject, after.issued_before.after(life))
                };
                let before = ledger.find::<Revoked>(revoked.key()).await?;
                let change = Change::new()
                    .step(Subject::key(subject), was(found.as_ref()), after.put()?)
                    .step(revoked.key(), was(before.as_ref()), revoked.put()?);
                Ok(Decision::Commit(change, revoked))
            })
            .await?;
        self.tell(&revoked).await
    }

    async fn end_session_of(&self, sid: Option<String>) -> Result<(), TokenError> {
        match sid {
            Some(sid) => self.logout_session(&sid).await,
            None => Err(TokenError::new(
                TokenErrorKind::UnsupportedTokenType,
                "the token belongs to no session",
            )),
        }
    }

    async fn revoke_opaque(&self, token: &str) -> Result<(), TokenError> {
        let ledger = &self.0.ledger;
        let key = &Key::of(Kind::AccessToken, token);
        let revoked = ledger
            .transact(|| async move {
                let Some(found) = ledger.find::<AccessToken>(key.clone()).await? else {
                    return Ok(Decision::Answer(None));
                };
                let now = Millis::floor(self.now().wall);
                let jti = found.record.claims.get("jti").and_then(|jti| jti.as_str());
                let until = found.record.expires_at.unwrap_or(now.after(self.0.lives.access_token));
                let revoked = jti.map(|jti| Revoked::new(By::Jti, jti, until));
                if found.record.revoked_at.is_some() {
                    return Ok(Decision::Answer(revoked));
                }
                let after = AccessToken {
                    revoked_at: Some(now),
                    ..found.record.clone()
                };
                let mut change = Change::new().step(key.clone(), found.was(), after.put()?);
                if let Some(revoked) = &revoked {
                    // There is one already where the application has given two tokens the same `jti`.
                    let before = ledger.find::<Revoked>(revoked.key()).await?;
                    change = change.step(revoked.key(), was(before.as_ref()), revoked.put()?);
                }
                Ok(Decision::Commit(change, revoked))
            })
            .await?;
        match revoked {
            None => Ok(()),
            Some(revoked) => self.tell(&revoked).await,
        }
    }

    async fn revoke_jwt(&self, claims: &CurrentToken) -> Result<(), TokenError> {
        if self.0.access.list.is_none() {
            return Err(TokenError::new(
                TokenErrorKind::UnsupportedTokenType,
                "JWTs cannot be taken back here",
            ));
        }
        let (Some(jti), Some(expires_at)) = (claims.jwt_id(), claims.expires_at()) else {
            return Err(TokenError::new(
                TokenErrorKind::UnsupportedTokenType,
                "the token has no `jti` or no `exp`",
            ));
        };
        let revoked = &Revoked::new(By::Jti, jti, Millis::floor(expires_at));
        let ledger = &self.0.ledger;
        ledger
            .transact(|| async move {
                match ledger.find::<Revoked>(revoked.key()).await? {
                    Some(_) => Ok(Decision::Answer(())),
                    None => {
                        let change = Change::new().step(revoked.key(), Was::Absent, revoked.put()?);
                        Ok(Decision::Commit(change, ()))
                    }
                }
            })
            .await?;
        self.tell(revoked).await
    }

    /// What a string from outside is, whatever somebody says that it is.
    pub(super) async fn recognize(&self, token: &str) -> Result<Recognized, StoreError> {
        let keys = [Key::of(Kind::RefreshToken, token), Key::of(Kind::AccessToken, token)];
        let rows = self.0.ledger.load(&keys).await?;
        if let Some(refresh) = rows.read::<RefreshToken>()? {
            // One that is over may be deleted at any time, and is nothing already.
            let is_over = refresh.record.expires_at <= Millis::floor(self.now().wall);
            return Ok(match is_over {
                true => Recognized::Unknown,
                false => Recognized::Refresh(refresh.record),
            });
        }
        if let Some(found) = rows.read::<AccessToken>()? {
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

/// The end of a session, and what the list has to be told of it.
pub(super) fn ended(session: &Found<Session>, now: Millis) -> Result<(Change, Revoked), StoreError> {
    let after = Session {
        revoked_at: Some(now),
        ..session.record.clone()
    };
    let revoked = Revoked::new(By::Sid, &after.sid, after.last_token_over_at);
    let change = Change::new()
        .step(Session::key(&after.sid), session.was(), after.put()?)
        .step(revoked.key(), Was::Absent, revoked.put()?);
    Ok((change, revoked))
}

fn not_yours() -> TokenError {
    TokenError::new(TokenErrorKind::NotYours, "the token is another client's")
}
