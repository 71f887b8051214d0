//! Tokens that are taken back.

use resource_protector::{CurrentToken, StoreError};

use super::{
    TokenError, TokenErrorKind, TokenIssuer,
    holders::{Epoch, Holder, OfClient, OfSubject},
    ledger::Decision,
    recognize::Recognized,
    records::{AccessToken, Found, Record as _, Session, was},
    revocation::{By, Revocation},
};
use crate::{
    store::{Change, Key, Kind, Was},
    time::Millis,
};

/// The longest name of a subject or a client, in bytes: lists of revocations know no longer one.
const LONGEST_NAME: usize = 16 * 1024;

/// How many living access tokens of a session may be revoked alone.
const MAX_REVOKED_ALONE: usize = 16;

impl TokenIssuer {
    /// Takes a token back on behalf of the client that it was issued to (RFC 7009 §2.1). With a refresh token ends its session,
    /// and with that all its access tokens; an access token ends alone. A token that is unknown, over or taken back already
    /// is no error.
    ///
    /// Where 16 access tokens of a session were taken back alone, and none of them would be over by now, its session ends with the
    /// next one: so a client cannot fill the list of revocations.
    ///
    /// # Errors
    ///
    /// [`NotYours`](TokenErrorKind::NotYours) when the token is another client's;
    /// [`UnsupportedTokenType`](TokenErrorKind::UnsupportedTokenType) for a JWT that nobody can take back;
    /// [`Unavailable`](TokenErrorKind::Unavailable) when the store or the list of revocations cannot be reached: then it
    /// may be good in some places, and is to be taken back again.
    pub async fn revoke(&self, token: &str, client_id: &str) -> Result<(), TokenError> {
        match self.recognize(token).await? {
            Recognized::Unknown => return Ok(()),
            Recognized::Refresh(_, session) if session.record.client_id != client_id => return Err(not_yours()),
            Recognized::Refresh(_, session) => self.logout_session(&session.record.sid).await?,
            Recognized::Opaque(found) if found.record.client_id.as_deref() != Some(client_id) => {
                return Err(not_yours());
            }
            Recognized::Opaque(_) => self.revoke_opaque(token).await?,
            Recognized::Jwt(claims) if claims.client_id() != Some(client_id) => return Err(not_yours()),
            Recognized::Jwt(claims) => self.revoke_jwt(&claims).await?,
        }
        tracing::info!(
            target: "resource_protector_issuer::tokens",
            event = "token_revoked",
            client_id,
            "a client has taken a token back"
        );
        Ok(())
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
            Recognized::Refresh(_, session) => Some(session.record.sid),
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
            Recognized::Refresh(_, session) => (Some(session.record.sid), session.record.subject),
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
        let Some(revoked) = self.end_session(sid).await? else {
            return Ok(());
        };
        self.tell(&revoked).await?;
        tracing::info!(
            target: "resource_protector_issuer::tokens",
            event = "session_ended",
            session_id = sid,
            "a session was ended, with all its tokens"
        );
        Ok(())
    }

    /// Ends a session, and says what the list has to be told of it.
    pub(super) async fn end_session(&self, sid: &str) -> Result<Option<Revocation>, TokenError> {
        let ledger = &self.0.ledger;
        ledger
            .transact(|| async move {
                let Some(session) = ledger.find::<Session>(Session::key(sid)).await? else {
                    return Ok(Decision::Answer(None));
                };
                if session.record.revoked_at.is_some() {
                    // The list may not have been told the first time.
                    let revoked = Revocation::new(By::Sid, sid, session.record.last_token_over_at);
                    return Ok(Decision::Answer(Some(revoked)));
                }
                let (change, revoked) = ended(Change::new(), &session, Millis::floor(self.now().wall))?;
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
        self.end_all_of::<OfSubject>(subject).await?;
        tracing::info!(
            target: "resource_protector_issuer::tokens",
            event = "logged_out_everywhere",
            "a subject was logged out everywhere"
        );
        Ok(())
    }

    /// Revokes all tokens of a client: all sessions that were begun by it end, whoever's they are, with all tokens that were
    /// issued until now. For a client that was removed, or whose secret or keys are in the wrong hands. What it is issued
    /// afterwards is good, so remove it, or give it another secret, before.
    ///
    /// It costs one look through all sessions where there is a list, for the reason that
    /// [`logout_everywhere`](Self::logout_everywhere) has. Consents to the client stay.
    ///
    /// # Errors
    ///
    /// Those of [`logout_everywhere`](Self::logout_everywhere), of the client's identifier.
    pub async fn revoke_client(&self, client_id: &str) -> Result<(), TokenError> {
        self.end_all_of::<OfClient>(client_id).await?;
        tracing::info!(
            target: "resource_protector_issuer::tokens",
            event = "client_revoked",
            client_id,
            "all tokens of a client were revoked"
        );
        Ok(())
    }

    /// Ends all tokens that a holder has now.
    async fn end_all_of<Of: Holder>(&self, name: &str) -> Result<(), TokenError> {
        // The list would take none of them, now and whenever it is told again.
        if !(1..=LONGEST_NAME).contains(&name.len()) {
            return Err(TokenError::new(
                TokenErrorKind::Unusable,
                "expected the name of a subject or a client of 1 byte to 16 KiB",
            ));
        }
        let ledger = &self.0.ledger;
        let life = self.0.access.longest_lifetime().unwrap_or(self.0.lives.access_token);
        let revoked = ledger
            .transact(|| async move {
                let now = Millis::floor(self.now().wall);
                let found = ledger.find::<Epoch<Of>>(Epoch::<Of>::key(name)).await?;
                let after = Epoch::after(found.as_ref().map(|found| &found.record), now);
                let revoked = Revocation {
                    issued_before: Some(after.issued_before),
                    epoch: Some(after.number),
                    ..Revocation::new(Of::BY, name, after.issued_before.after(life))
                };
                let before = ledger.find::<Revocation>(revoked.key()).await?;
                let change = Change::new()
                    .step(Epoch::<Of>::key(name), was(found.as_ref()), after.put()?)
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
        let end = ledger
            .transact(|| async move {
                let Some(found) = ledger.find::<AccessToken>(key.clone()).await? else {
                    return Ok(Decision::Answer(End::Before(Vec::new())));
                };
                let now = Millis::floor(self.now().wall);
                let jti = found.record.claims.get("jti").and_then(|jti| jti.as_str());
                let until = found.record.expires_at.unwrap_or(now.after(self.0.lives.access_token));
                let revoked = jti.map(|jti| Revocation::new(By::Jti, jti, until));
                if found.record.revoked_at.is_some() {
                    let untold = revoked.iter().map(Revocation::key).collect();
                    return Ok(Decision::Answer(End::Before(untold)));
                }
                let after = AccessToken {
                    revoked_at: Some(now),
                    ..found.record.clone()
                };
                let change = Change::new().step(key.clone(), found.was(), after.put()?);
                let Some(revoked) = revoked else {
                    return Ok(Decision::Commit(change, End::Before(Vec::new())));
                };
                match found.record.session_of_ours() {
                    Some(sid) => self.revoke_in_session(change, &sid, revoked).await,
                    None => self.revoke_alone(change, revoked).await,
                }
            })
            .await?;
        self.tell_end(end).await
    }

    async fn revoke_jwt(&self, claims: &CurrentToken) -> Result<(), TokenError> {
        if self.0.access.list.is_none() {
            return Err(TokenError::new(
                TokenErrorKind::UnsupportedTokenType,
                "JWTs cannot be taken back here",
            ));
        }
        let (Some(jti), Some(sid), Some(expires_at)) = (claims.jwt_id(), claims.session_id(), claims.expires_at())
        else {
            return Err(TokenError::new(
                TokenErrorKind::UnsupportedTokenType,
                "the token has no `jti`, no `sid` or no `exp`",
            ));
        };
        let revoked = &Revocation::new(By::Jti, jti, Millis::floor(expires_at));
        let end = self
            .0
            .ledger
            .transact(|| self.revoke_in_session(Change::new(), sid, revoked.clone()));
        self.tell_end(end.await?).await
    }

    /// The end of one access token of a session, or of the session, if too many ended alone. One that has ended by something
    /// else needs none of its own: who has many of those would fill the list.
    async fn revoke_in_session(
        &self,
        change: Change,
        sid: &str,
        revoked: Revocation,
    ) -> Result<Decision<End>, TokenError> {
        let (session, holders) = self.session_of(sid).await?;
        let Some(session) = session else {
            return Ok(end_before(change, Vec::new()));
        };
        let mut after = session.record.clone();
        if !after.is_alive(&holders) {
            return Ok(end_before(change, after.cut_offs().into()));
        }
        let now = Millis::floor(self.now().wall);
        // One that is over, whoever reads it, need not be known to be revoked.
        if !Revocation::is_known_at(revoked.until, now) {
            return Ok(end_before(change, Vec::new()));
        }
        if self.0.ledger.find::<Revocation>(revoked.key()).await?.is_some() {
            return Ok(end_before(change, vec![revoked.key()]));
        }
        after
            .revoked_tokens
            .retain(|until| Revocation::is_known_at(*until, now));
        if after.revoked_tokens.len() >= MAX_REVOKED_ALONE {
            let (change, revoked) = ended(change, &session, now)?;
            return Ok(Decision::Commit(change, End::Now(revoked)));
        }
        after.revoked_tokens.push(revoked.until);
        let change = change.step(Session::key(sid), session.was(), after.put()?);
        self.revoke_alone(change, revoked).await
    }

    async fn revoke_alone(&self, change: Change, revoked: Revocation) -> Result<Decision<End>, TokenError> {
        // There is one already where the application has given two tokens the same `jti`: it is for both.
        let before = self.0.ledger.find::<Revocation>(revoked.key()).await?;
        let until = before
            .as_ref()
            .map_or(revoked.until, |before| before.record.until.max(revoked.until));
        let revoked = Revocation { until, ..revoked };
        let change = change.step(revoked.key(), was(before.as_ref()), revoked.put()?);
        Ok(Decision::Commit(change, End::Now(revoked)))
    }

    async fn tell_end(&self, end: End) -> Result<(), TokenError> {
        match end {
            End::Now(revoked) => self.tell(&revoked).await,
            // Whoever ended it may have been cut short.
            End::Before(keys) => self.tell_if_untold(&keys).await,
        }
    }
}

/// The end of a session, and what the list has to be told of it.
pub(super) fn ended(change: Change, session: &Found<Session>, now: Millis) -> Result<(Change, Revocation), StoreError> {
    let after = Session {
        revoked_at: Some(now),
        ..session.record.clone()
    };
    let revoked = Revocation::new(By::Sid, &after.sid, after.last_token_over_at);
    let change = change.step(Session::key(&after.sid), session.was(), after.put()?).step(
        revoked.key(),
        Was::Absent,
        revoked.put()?,
    );
    Ok((change, revoked))
}

/// By what a token ends.
enum End {
    /// By this, of which the list has to be told.
    Now(Revocation),
    /// By something before; by one of these, if there is one.
    Before(Vec<Key>),
}

/// What was to change all the same, if anything, where a token has ended before.
fn end_before(change: Change, untold: Vec<Key>) -> Decision<End> {
    let is_empty = change.steps().next().is_none();
    match is_empty {
        true => Decision::Answer(End::Before(untold)),
        false => Decision::Commit(change, End::Before(untold)),
    }
}

fn not_yours() -> TokenError {
    TokenError::new(TokenErrorKind::NotYours, "the token is another client's")
}
