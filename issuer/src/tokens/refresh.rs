//! One refresh token for the next.

use resource_protector::Scopes;

use super::{
    IssuedTokens, TokenError, TokenErrorKind, TokenIssuer,
    issue::Drawn,
    ledger::Decision,
    records::{By, Found, Record as _, RefreshToken, Revoked, Session, Subject, was},
    request::checked_scope,
    revoke::ended,
};
use crate::{
    store::{Becomes, Change, Id, Key, Kind, Was},
    time::Millis,
};

/// The refresh token that somebody comes with.
struct Presented<'a> {
    id: &'a Id,
    token: &'a RefreshToken,
}

/// What a refresh token is good for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Exchange {
    /// It is the one whose turn it is.
    Next,
    /// It was exchanged so short a time ago that the answer may have got lost.
    Again,
    /// It was exchanged before: it or its successor is in the wrong hands.
    Reused,
}

/// What became of an exchange.
enum Exchanged {
    Issued(IssuedTokens),
    Reused(Revoked),
    /// The session had been ended before.
    Ended {
        sid: String,
    },
}

impl TokenIssuer {
    /// Exchanges a refresh token of this client for an access token and the next refresh token (RFC 6749 §6). The access token
    /// grants `scope`, or all that was granted; the next one may grant all again.
    ///
    /// A refresh token that was exchanged before ends its session, with all its tokens: whoever comes with it, or whoever
    /// came before, is a thief (RFC 9700 §4.14.2). See [`rotation_grace`](super::TokenIssuerBuilder::rotation_grace).
    ///
    /// # Errors
    ///
    /// [`InvalidGrant`](TokenErrorKind::InvalidGrant) when the token is unknown, over, revoked, exchanged or another
    /// client's, or when the [rule](super::SubjectRule) says no; [`InvalidScope`](TokenErrorKind::InvalidScope) when the scope
    /// is more than was granted; [`Unavailable`](TokenErrorKind::Unavailable) when the store cannot be reached: then the token
    /// may be exchanged or not.
    pub async fn refresh(
        &self,
        refresh_token: &str,
        client_id: &str,
        scope: Option<&str>,
    ) -> Result<IssuedTokens, TokenError> {
        let (key, drawn) = (&Key::of(Kind::RefreshToken, refresh_token), &Drawn::draw()?);
        let scope = &scope.map(checked_scope).transpose()?;
        let ledger = &self.0.ledger;
        let exchanged = ledger
            .transact(|| async move {
                let refresh = ledger.find::<RefreshToken>(key.clone()).await?;
                let refresh = refresh.ok_or_else(|| TokenError::invalid_grant("the refresh token is unknown"))?;
                let (session, subject) = self.session_of(&refresh.record.sid).await?;
                let session = session.ok_or_else(|| TokenError::invalid_grant("the session is over"))?;
                if session.record.client_id != client_id {
                    return Err(TokenError::invalid_grant("the refresh token is another client's"));
                }
                if let Some(subject) = &session.record.subject {
                    self.judge_subject(subject).await?;
                }
                let own = ledger.find::<RefreshToken>(drawn.refresh_key()).await?;
                let presented = Presented {
                    id: &key.id,
                    token: &refresh.record,
                };
                self.exchange(
                    &presented,
                    own.as_ref(),
                    &session,
                    subject.as_ref(),
                    scope.as_deref(),
                    drawn,
                )
            })
            .await?;
        match exchanged {
            Exchanged::Issued(issued) => Ok(issued),
            Exchanged::Ended { sid } => {
                // Whoever ended it may have been cut short.
                self.tell_if_untold(&Revoked::key_of(By::Sid, &sid)).await?;
                Err(TokenError::invalid_grant("the session is over"))
            }
            Exchanged::Reused(revoked) => {
                tracing::warn!(
                    target: "resource_protector_issuer::tokens",
                    event = "refresh_token_reused",
                    client_id,
                    "a refresh token came again after it was exchanged: its session was ended"
                );
                self.tell(&revoked).await?;
                Err(TokenError::invalid_grant("the refresh token was exchanged before"))
            }
        }
    }

    /// A session and what is known of its subject.
    pub(super) async fn session_of(
        &self,
        sid: &str,
    ) -> Result<(Option<Found<Session>>, Option<Found<Subject>>), TokenError> {
        let session = self.0.ledger.find::<Session>(Session::key(sid)).await?;
        let subject = match &session {
            None => None,
            Some(session) => {
                let key = Subject::key(session.record.sub());
                self.0.ledger.find::<Subject>(key).await?
            }
        };
        Ok((session, subject))
    }

    fn exchange(
        &self,
        presented: &Presented<'_>,
        own: Option<&Found<RefreshToken>>,
        session: &Found<Session>,
        subject: Option<&Found<Subject>>,
        scope: Option<&str>,
        drawn: &Drawn,
    ) -> Result<Decision<Exchanged>, TokenError> {
        let now = Millis::floor(self.now().wall);
        let Found { record: before, .. } = session;
        if before.revoked_at.is_some() {
            let sid = before.sid.clone();
            return Ok(Decision::Answer(Exchanged::Ended { sid }));
        }
        if !before.is_alive(subject) || before.expires_at <= now {
            return Err(TokenError::invalid_grant("the session is over"));
        }
        if own.is_some() {
            return Ok(Decision::Happened);
        }
        // Before its scope is looked at: nobody finds out by a wrong one whether a stolen token still leads somewhere.
        let turn = self.turn_of(presented, before, now);
        if turn == Exchange::Reused {
            let (change, revoked) = ended(session, now)?;
            return Ok(Decision::Commit(change, Exchanged::Reused(revoked)));
        }
        if presented.token.expires_at <= now {
            return Err(TokenError::invalid_grant("the refresh token is over"));
        }
        let scope = match scope {
            None => before.scope.as_str(),
            Some(scope) if covers(&before.scope, scope) => scope,
            Some(_) => {
                return Err(TokenError::new(
                    TokenErrorKind::InvalidScope,
                    "more was asked for than was granted",
                ));
            }
        };
        let mut after = before.clone();
        if turn == Exchange::Next {
            after.generation += 1;
            after.rotated_at = Some(now);
            after.exchanged = Some(presented.id.as_str().to_owned());
        }
        let minted = self.mint(&after, scope, false, drawn, subject)?;
        minted.note_in(&mut after);
        let next = self.refresh_token_of(&after, now);
        // Who comes again and again changes nothing, and is in no log-out's way.
        let becomes = match after == *before {
            true => Becomes::Same,
            false => after.put()?,
        };
        let change = Change::new()
            .step(Session::key(&after.sid), session.was(), becomes)
            .step(drawn.refresh_key(), Was::Absent, next.put()?)
            // Nobody is logged out everywhere between the look and the exchange.
            .step(Subject::key(after.sub()), was(subject), Becomes::Same);
        let change = minted.keep(change)?;
        let issued = minted.answer(&after.sid, scope, Some(&drawn.refresh_token));
        Ok(Decision::Commit(change, Exchanged::Issued(issued)))
    }

    fn turn_of(&self, presented: &Presented<'_>, session: &Session, now: Millis) -> Exchange {
        if presented.token.generation == session.generation {
            return Exchange::Next;
        }
        // No other of its generation: a thief with that one would follow each exchange within the grace, and never be found.
        let is_last = session.exchanged.as_deref() == Some(presented.id.as_str());
        let grace_ends = session.rotated_at.map(|at| at.after(self.0.lives.rotation_grace));
        match is_last && grace_ends.is_some_and(|end| now < end) {
            true => Exchange::Again,
            false => Exchange::Reused,
        }
    }
}

/// Whether all of the scope was granted.
fn covers(granted: &str, asked: &str) -> bool {
    let granted = Scopes::parse(granted);
    Scopes::parse(asked).iter().all(|scope| granted.contains(scope))
}
