//! New sessions, and access tokens for them.

use std::time::Duration;

use resource_protector::StoreError;
use serde_json::{Map, Value, json};

use super::{
    IssuedTokens, TokenError, TokenErrorKind, TokenIssuer, TokenRequest,
    access::Form,
    grounds::Grounds,
    holders::{ClientEpoch, Holders, SubjectEpoch},
    ledger::Decision,
    records::{AccessToken, Record as _, Refresh, Session},
    refresh_token::RefreshToken,
    resources::narrowed,
};
use crate::{
    random,
    store::{Change, Key, Kind, Was},
    time::Millis,
};

/// What is random about tokens. It is drawn before the store is looked into: who looks again finds what it has written.
pub(super) struct Drawn {
    sid: [u8; 16],
    family: [u8; 16],
    pub(super) secret: [u8; 32],
    opaque: String,
    jti: String,
}

impl Drawn {
    pub(super) fn draw() -> Result<Self, StoreError> {
        Ok(Self {
            sid: random::bytes()?,
            family: random::bytes()?,
            secret: random::bytes()?,
            opaque: random::text::<32>()?,
            jti: random::text::<16>()?,
        })
    }

    /// The first refresh token of a session that begins with this.
    fn first_refresh_token(&self) -> RefreshToken {
        RefreshToken::new(self.sid, self.family, self.secret)
    }

    /// The `sid` of that session.
    pub(super) fn sid(&self) -> String {
        self.first_refresh_token().sid()
    }
}

/// What an access token is to say.
pub(super) struct Wanted<'a> {
    pub(super) scope: &'a str,
    pub(super) audience: &'a [String],
    pub(super) fresh: bool,
}

/// An access token, and the row of its kind if it is opaque.
pub(super) struct Minted {
    token: String,
    scope: String,
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

    pub(super) fn answer(self, session: &Session, refresh_token: Option<String>) -> IssuedTokens {
        IssuedTokens {
            access_token: self.token,
            token_type: "Bearer",
            expires_in: self.life,
            refresh_token,
            scope: self.scope,
            sid: session.sid.clone(),
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
                let keys = [
                    Session::key(&drawn.sid()),
                    SubjectEpoch::key(request.sub()),
                    ClientEpoch::key(&request.client_id),
                ];
                let rows = ledger.load(&keys).await?;
                if rows.read::<Session>()?.is_some() {
                    return Ok(Decision::Happened);
                }
                let grounds = self.grounds(request, rows.holders()?).await?;
                let (change, issued) = self.begin(request, &[], drawn, &grounds)?;
                Ok(Decision::Commit(change, issued))
            })
            .await
    }

    /// A session with its first tokens. The access token is for these resources, or for all that were granted.
    pub(super) fn begin(
        &self,
        request: &TokenRequest,
        resources: &[String],
        drawn: &Drawn,
        grounds: &Grounds,
    ) -> Result<(Change, IssuedTokens), TokenError> {
        let holders = &grounds.holders;
        let lives = self.0.lives;
        let now = Millis::floor(self.now().wall);
        let mut session = Session {
            sid: drawn.sid(),
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
            epochs: holders.epochs(),
            refresh: None,
            revoked_tokens: Vec::new(),
            last_token_over_at: now,
            last_token_issued_at: now,
        };
        let wanted = Wanted {
            scope: &session.scope,
            audience: narrowed(&session.audience, resources)?,
            fresh: request.fresh,
        };
        let minted = self.mint(&session, &wanted, drawn, holders)?;
        minted.note_in(&mut session);
        let first = drawn.first_refresh_token();
        match request.with_refresh_token {
            true => {
                session.refresh = Some(Refresh {
                    family: first.family(),
                    next: vec![first.digest()],
                    expires_at: self.refreshable_until(&session, now),
                    exchanged: None,
                });
            }
            false => session.expires_at = minted.over_at,
        }
        let change = Change::new().step(Session::key(&session.sid), Was::Absent, session.put()?);
        let change = grounds.unchanged(change, session.sub(), &session.client_id)?;
        let change = minted.keep(change)?;
        let refresh_token = request.with_refresh_token.then(|| first.text());
        Ok((change, minted.answer(&session, refresh_token)))
    }

    /// Until when the refresh tokens of a session can be exchanged that are issued now.
    pub(super) fn refreshable_until(&self, session: &Session, now: Millis) -> Millis {
        now.after(self.0.lives.refresh_token).min(session.expires_at)
    }

    /// An access token of a session.
    pub(super) fn mint(
        &self,
        session: &Session,
        wanted: &Wanted<'_>,
        drawn: &Drawn,
        holders: &Holders,
    ) -> Result<Minted, TokenError> {
        let now = self.now().wall;
        let life = self.0.lives.access_token;
        // Whoever goes by a list goes by `iat`, in whole seconds: later than what the last log-out everywhere, or revocation of
        // the client's tokens, has cut off.
        let earliest = match (&self.0.access.list, holders.cut_off_before()) {
            (Some(_), Some(before)) => before.seconds_up(),
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
        if wanted.fresh {
            claims.insert("fresh".to_owned(), json!(true));
        }
        let (token, row) = match &self.0.access.form {
            Form::Jwt(keys) => {
                let claims = self.jwt_claims(session, wanted, claims, issued_at, over_at);
                let signed = keys.sign("at+jwt", &Value::Object(claims), now);
                let token = signed.map_err(|error| TokenError::new(TokenErrorKind::Unavailable, error.to_string()))?;
                (token, None)
            }
            Form::Opaque => {
                claims.insert("iss".to_owned(), json!(self.0.issuer));
                let row = AccessToken {
                    subject: Some(session.sub().to_owned()),
                    client_id: Some(session.client_id.clone()),
                    scope: wanted.scope.to_owned(),
                    audience: wanted.audience.to_vec(),
                    issued_at: Some(issued_at),
                    expires_at: Some(over_at),
                    revoked_at: None,
                    sid: Some(session.sid.clone()),
                    is_of_session: true,
                    epochs: session.epochs,
                    claims,
                };
                (drawn.opaque.clone(), Some(row))
            }
        };
        Ok(Minted {
            token,
            scope: wanted.scope.to_owned(),
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
        wanted: &Wanted<'_>,
        mut claims: Map<String, Value>,
        issued_at: Millis,
        over_at: Millis,
    ) -> Map<String, Value> {
        let audience = match wanted.audience {
            [one] => json!(one),
            several => json!(several),
        };
        claims.insert("iss".to_owned(), json!(self.0.issuer));
        claims.insert("sub".to_owned(), json!(session.sub()));
        claims.insert("client_id".to_owned(), json!(session.client_id));
        claims.insert("aud".to_owned(), audience);
        claims.insert("iat".to_owned(), json!(issued_at.seconds()));
        claims.insert("exp".to_owned(), json!(over_at.seconds()));
        if !wanted.scope.is_empty() {
            claims.insert("scope".to_owned(), json!(wanted.scope));
        }
        claims
    }
}
