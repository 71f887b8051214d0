//! New sessions, and access tokens for them.

use std::time::Duration;

use resource_protector::StoreError;
use serde_json::{Map, Value, json};

use super::{
    IssuedTokens, TokenError, TokenErrorKind, TokenIssuer, TokenRequest,
    access::Form,
    ledger::Decision,
    records::{AccessToken, Found, Record as _, RefreshToken, Session, Subject, was},
};
use crate::{
    random,
    store::{Becomes, Change, Key, Kind, Was},
    time::Millis,
};

/// What is random about tokens. It is drawn before the store is looked into: who looks again finds what it has written.
pub(super) struct Drawn {
    pub(super) sid: String,
    pub(super) refresh_token: String,
    opaque: String,
    jti: String,
}

impl Drawn {
    pub(super) fn draw() -> Result<Self, StoreError> {
        Ok(Self {
            sid: random::text::<16>()?,
            refresh_token: random::text::<32>()?,
            opaque: random::text::<32>()?,
            jti: random::text::<16>()?,
        })
    }

    pub(super) fn refresh_key(&self) -> Key {
        Key::of(Kind::RefreshToken, &self.refresh_token)
    }
}

/// An access token, and the row of its kind if it is opaque.
pub(super) struct Minted {
    token: String,
    issued_at: Millis,
    over_at: Millis,
    life: Duration,
    row: Option<AccessToken>,
}

impl Minted {
    /// Lets its session know of it.
    pub(super) fn note_in(&self, session: &mut Session) {
        session.last_token_over_at = session.last_token_over_at.max(self.over_at);
        session.last_token_issued_at = session.last_token_issued_at.max(self.issued_at);
    }

    /// Adds what the store has to know of it.
    pub(super) fn keep(&self, change: Change) -> Result<Change, StoreError> {
        match &self.row {
            None => Ok(change),
            Some(row) => Ok(change.step(Key::of(Kind::AccessToken, &self.token), Was::Absent, row.put()?)),
        }
    }

    pub(super) fn answer(self, sid: &str, scope: &str, refresh_token: Option<&str>) -> IssuedTokens {
        IssuedTokens {
            access_token: self.token,
            token_type: "Bearer",
            expires_in: self.life,
            refresh_token: refresh_token.map(str::to_owned),
            scope: scope.to_owned(),
            sid: sid.to_owned(),
        }
    }
}

impl TokenIssuer {
    /// Begins a session, and issues its first tokens.
    ///
    /// # Errors
    ///
    /// When the store cannot be reached.
    pub async fn issue(&self, request: TokenRequest) -> Result<IssuedTokens, TokenError> {
        let drawn = Drawn::draw()?;
        let (request, drawn) = (&request, &drawn);
        let ledger = &self.0.ledger;
        ledger
            .transact(|| async move {
                let keys = [Session::key(&drawn.sid), Subject::key(request.sub())];
                let rows = ledger.load(&keys).await?;
                if rows.read::<Session>()?.is_some() {
                    return Ok(Decision::Happened);
                }
                let (change, issued) = self.begin(request, drawn, rows.read()?.as_ref())?;
                Ok(Decision::Commit(change, issued))
            })
            .await
    }

    /// A session with its first tokens, for a subject of which this is known.
    pub(super) fn begin(
        &self,
        request: &TokenRequest,
        drawn: &Drawn,
        subject: Option<&Found<Subject>>,
    ) -> Result<(Change, IssuedTokens), TokenError> {
        let lives = self.0.lives;
        let now = Millis::floor(self.now().wall);
        let mut session = Session {
            sid: drawn.sid.clone(),
            subject: request.subject.clone(),
            client_id: request.client_id.clone(),
            scope: request.scope.clone(),
            audience: match request.audience.is_empty() {
                true => self.0.audience.clone(),
                false => request.audience.clone(),
            },
            auth_time: request.auth_time.map(Millis::floor),
            claims: request.claims.clone(),
            started_at: now,
            expires_at: now.after(lives.session),
            revoked_at: None,
            logouts: subject.map_or(0, |subject| subject.record.logouts),
            generation: 0,
            rotated_at: None,
            exchanged: None,
            last_token_over_at: now,
            last_token_issued_at: now,
        };
        let minted = self.mint(&session, &session.scope, request.fresh, drawn, subject)?;
        minted.note_in(&mut session);
        if !request.with_refresh_token {
            session.expires_at = minted.over_at;
        }
        let mut change = Change::new()
            .step(Session::key(&session.sid), Was::Absent, session.put()?)
            // Nobody is logged out everywhere between the look and the log-in.
            .step(Subject::key(session.sub()), was(subject), Becomes::Same);
        if request.with_refresh_token {
            let refresh = self.refresh_token_of(&session, now);
            change = change.step(drawn.refresh_key(), Was::Absent, refresh.put()?);
        }
        let change = minted.keep(change)?;
        let refresh_token = request.with_refresh_token.then_some(drawn.refresh_token.as_str());
        Ok((change, minted.answer(&session.sid, &session.scope, refresh_token)))
    }

    /// A refresh token for the present generation of a session.
    pub(super) fn refresh_token_of(&self, session: &Session, now: Millis) -> RefreshToken {
        RefreshToken {
            sid: session.sid.clone(),
            generation: session.generation,
            expires_at: now.after(self.0.lives.refresh_token).min(session.expires_at),
        }
    }

    /// An access token of a session.
    pub(super) fn mint(
        &self,
        session: &Session,
        scope: &str,
        fresh: bool,
        drawn: &Drawn,
        subject: Option<&Found<Subject>>,
    ) -> Result<Minted, TokenError> {
        let now = self.now().wall;
        let life = self.0.lives.access_token;
        // Whoever goes by a list goes by `iat`, in whole seconds: later than what the last log-out everywhere has cut off.
        let earliest = match (&self.0.access.list, subject) {
            (Some(_), Some(subject)) => subject.record.issued_before.seconds_up(),
            _ => 0,
        };
        let issued_at = Millis::from_seconds(Millis::floor(now).seconds().max(earliest));
        let over_at = issued_at.after(life);
        let mut claims = session.claims.clone();
        claims.insert("jti".to_owned(), json!(drawn.jti));
        claims.insert("sid".to_owned(), json!(session.sid));
        if let Some(auth_time) = session.auth_time {
            claims.insert("auth_time".to_owned(), json!(auth_time.seconds()));
        }
        if fresh {
            claims.insert("fresh".to_owned(), json!(true));
        }
        let (token, row) = match &self.0.access.form {
            Form::Jwt(keys) => {
                let claims = self.jwt_claims(session, scope, claims, issued_at, over_at);
                let signed = keys.sign("at+jwt", &Value::Object(claims), now);
                let token = signed.map_err(|error| TokenError::new(TokenErrorKind::Unavailable, error.to_string()))?;
                (token, None)
            }
            Form::Opaque => {
                claims.insert("iss".to_owned(), json!(self.0.issuer));
                let row = AccessToken {
                    subject: Some(session.sub().to_owned()),
                    client_id: Some(session.client_id.clone()),
                    scope: scope.to_owned(),
                    audience: session.audience.clone(),
                    issued_at: Some(issued_at),
                    expires_at: Some(over_at),
                    revoked_at: None,
                    sid: Some(session.sid.clone()),
                    is_of_session: true,
                    logouts: session.logouts,
                    claims,
                };
                (drawn.opaque.clone(), Some(row))
            }
        };
        Ok(Minted {
            token,
            issued_at,
            over_at,
            life,
            row,
        })
    }

    /// RFC 9068 §2.2.
    fn jwt_claims(
        &self,
        session: &Session,
        scope: &str,
        mut claims: Map<String, Value>,
        issued_at: Millis,
        over_at: Millis,
    ) -> Map<String, Value> {
        let audience = match session.audience.as_slice() {
            [one] => json!(one),
            several => json!(several),
        };
        claims.insert("iss".to_owned(), json!(self.0.issuer));
        claims.insert("sub".to_owned(), json!(session.sub()));
        claims.insert("client_id".to_owned(), json!(session.client_id));
        claims.insert("aud".to_owned(), audience);
        claims.insert("iat".to_owned(), json!(issued_at.seconds()));
        claims.insert("exp".to_owned(), json!(over_at.seconds()));
        if !scope.is_empty() {
            claims.insert("scope".to_owned(), json!(scope));
        }
        claims
    }
}
