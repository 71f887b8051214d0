//! One refresh token for the next.

use std::fmt;

use resource_protector::Scopes;

use super::{
    IssuedTokens, TokenError, TokenErrorKind, TokenIssuer,
    holders::Holders,
    issue::{Drawn, Wanted},
    ledger::Decision,
    records::{Exchanged, Found, Record as _, Refresh, Session},
    refresh_token::{RefreshToken, is_same},
    request::{checked_scope, each_once},
    resources::narrowed,
    revocation::{By, Revocation},
    revoke::ended,
};
use crate::{store::Change, time::Millis};

/// How many may come with one refresh token within the window of grace.
const MAX_NEXT: usize = 32;

/// What a client asks for with a refresh token (RFC 6749 §6).
///
/// ```
/// use resource_protector_issuer::RefreshRequest;
///
/// # fn main() -> Result<(), resource_protector_issuer::TokenError> {
/// # let (refresh_token, client_id) = ("", "");
/// let request = RefreshRequest::new(refresh_token, client_id).scope("profile")?.resources(["https://api.example.com"]);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct RefreshRequest {
    refresh_token: String,
    client_id: String,
    scope: Option<String>,
    resources: Vec<String>,
}

impl RefreshRequest {
    /// A refresh token that this client comes with. Whoever makes one has authenticated the client, or knows that it is a public
    /// one.
    pub fn new(refresh_token: impl Into<String>, client_id: impl Into<String>) -> Self {
        Self {
            refresh_token: refresh_token.into(),
            client_id: client_id.into(),
            scope: None,
            resources: Vec::new(),
        }
    }

    /// What the access token is to grant, separated by spaces; all that was granted unless set.
    ///
    /// # Errors
    ///
    /// [`InvalidScope`](TokenErrorKind::InvalidScope) when there are characters in it that no scope has (RFC 6749 §3.3).
    pub fn scope(mut self, scope: impl AsRef<str>) -> Result<Self, TokenError> {
        self.scope = Some(checked_scope(scope.as_ref())?);
        Ok(self)
    }

    /// For which of the resource servers that were granted the access token is to be (RFC 8707 §2.2); for all of them unless
    /// set.
    #[must_use]
    pub fn resources<R: Into<String>>(mut self, resources: impl IntoIterator<Item = R>) -> Self {
        self.resources = each_once(resources);
        self
    }
}

/// What a refresh token is good for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// It is the one whose turn it is.
    Next,
    /// It was exchanged so short a time ago that the answer may have got lost.
    Again,
    /// It was exchanged before: it or its successor is in the wrong hands.
    Reused,
}

/// What became of an exchange.
enum Outcome {
    Issued(IssuedTokens),
    Reused(Revocation),
    /// The session had been ended before.
    Ended,
}

impl TokenIssuer {
    /// Exchanges a refresh token for an access token and the next refresh token (RFC 6749 §6). The next one may grant again all
    /// that was granted, whatever this access token is to grant.
    ///
    /// A refresh token that was exchanged before ends its session, with all its tokens: whoever comes with it, or whoever
    /// came before, is a thief (RFC 9700 §4.14.2). See [`rotation_grace`](super::TokenIssuerBuilder::rotation_grace).
    ///
    /// # Errors
    ///
    /// [`InvalidGrant`](TokenErrorKind::InvalidGrant) when the token is unknown, over, revoked, exchanged or another
    /// client's, or when the [rule](super::SubjectRule) says no; [`InvalidScope`](TokenErrorKind::InvalidScope) and
    /// [`InvalidTarget`](TokenErrorKind::InvalidTarget) when more is asked for than was granted;
    /// [`Unavailable`](TokenErrorKind::Unavailable) when the store cannot be reached: then the token may be exchanged or not.
    pub async fn refresh(&self, request: RefreshRequest) -> Result<IssuedTokens, TokenError> {
        let unknown = || TokenError::invalid_grant("the refresh token is unknown");
        let presented = RefreshToken::parse(&request.refresh_token).ok_or_else(unknown)?;
        let (request, drawn, sid) = (&request, &Drawn::draw()?, &presented.sid());
        let ledger = &self.0.ledger;
        let exchanged = ledger
            .transact(|| async move {
                let (session, holders) = self.session_of(sid).await?;
                let session = session.ok_or_else(unknown)?;
                let refresh = session.record.refresh_of(&presented).ok_or_else(unknown)?;
                if session.record.client_id != request.client_id {
                    return Err(TokenError::invalid_grant("the refresh token is another client's"));
                }
                if let Some(subject) = &session.record.subject {
                    self.judge_subject(subject).await?;
                }
                self.exchange(&presented, refresh, &session, &holders, request, drawn)
            })
            .await?;
        match exchanged {
            Outcome::Issued(issued) => Ok(issued),
            Outcome::Ended => {
                // Whoever ended it may have been cut short.
                self.tell_if_untold(&[Revocation::key_of(By::Sid, sid)]).await?;
                Err(TokenError::invalid_grant("the session is over"))
            }
            Outcome::Reused(revoked) => {
                tracing::warn!(
                    target: "resource_protector_issuer::tokens",
                    event = "refresh_token_reused",
                    client_id = request.client_id,
                    session_id = sid,
                    "a refresh token came again after it was exchanged: its session was ended"
                );
                self.tell(&revoked).await?;
                Err(TokenError::invalid_grant("the refresh token was exchanged before"))
            }
        }
    }

    /// A session, and what is known of its subject and its client.
    pub(super) async fn session_of(&self, sid: &str) -> Result<(Option<Found<Session>>, Holders), TokenError> {
        let ledger = &self.0.ledger;
        let Some(session) = ledger.find::<Session>(Session::key(sid)).await? else {
            return Ok((None, Holders::default()));
        };
        let holders = ledger.holders(session.record.sub(), &session.record.client_id).await?;
        Ok((Some(session), holders))
    }

    fn exchange(
        &self,
        presented: &RefreshToken,
        refresh: &Refresh,
        session: &Found<Session>,
        holders: &Holders,
        request: &RefreshRequest,
        drawn: &Drawn,
    ) -> Result<Decision<Outcome>, TokenError> {
        let now = Millis::floor(self.now().wall);
        let Found { record: before, .. } = session;
        if before.revoked_at.is_some() {
            return Ok(Decision::Answer(Outcome::Ended));
        }
        if !before.is_alive(holders) || refresh.expires_at <= now {
            return Err(TokenError::invalid_grant("the session is over"));
        }
        let next = presented.followed_by(drawn.secret);
        if refresh.is_next(&next.digest()) {
            return Ok(Decision::Happened);
        }
        // Before it is looked at what is asked for: nobody finds out by asking for too much whether a stolen token still leads
        // somewhere.
        let turn = self.turn_of(presented, refresh, now);
        if turn == Turn::Reused {
            let (change, revoked) = ended(Change::new(), session, now)?;
            return Ok(Decision::Commit(change, Outcome::Reused(revoked)));
        }
        let wanted = Wanted {
            scope: covered(&before.scope, request.scope.as_deref())?,
            audience: narrowed(&before.audience, &request.resources)?,
            fresh: false,
        };
        let mut after = before.clone();
        after.refresh = Some(match turn {
            Turn::Again if refresh.next.len() >= MAX_NEXT => {
                return Err(TokenError::invalid_grant(
                    "too many have come with the refresh token within the window of grace",
                ));
            }
            Turn::Again => Refresh {
                next: [refresh.next.as_slice(), &[next.digest()]].concat(),
                ..refresh.clone()
            },
            Turn::Next | Turn::Reused => Refresh {
                family: refresh.family.clone(),
                next: vec![next.digest()],
                expires_at: self.refreshable_until(before, now),
                exchanged: Some(Exchanged {
                    digest: presented.digest(),
                    at: now,
                }),
            },
        });
        let minted = self.mint(&after, &wanted, drawn, holders)?;
        minted.note_in(&mut after);
        let change = Change::new().step(Session::key(&after.sid), session.was(), after.put()?);
        // Nobody is logged out everywhere between the look and the exchange.
        let change = holders.unchanged(change, after.sub(), &after.client_id);
        let change = minted.keep(change)?;
        let issued = minted.answer(&after, Some(next.text()));
        Ok(Decision::Commit(change, Outcome::Issued(issued)))
    }

    fn turn_of(&self, presented: &RefreshToken, refresh: &Refresh, now: Millis) -> Turn {
        let digest = presented.digest();
        if refresh.is_next(&digest) {
            return Turn::Next;
        }
        // No other of its generation: a thief with that one would follow each exchange within the grace, and never be found.
        let last = refresh.exchanged.as_ref().filter(|last| is_same(&last.digest, &digest));
        let grace = self.0.lives.rotation_grace;
        match last.is_some_and(|last| now < last.at.after(grace)) {
            true => Turn::Again,
            false => Turn::Reused,
        }
    }
}

impl Session {
    /// Its refresh tokens, if this is one of them, be it now or some time ago.
    pub(super) fn refresh_of(&self, token: &RefreshToken) -> Option<&Refresh> {
        let family = token.family();
        self.refresh
            .as_ref()
            .filter(|refresh| is_same(&refresh.family, &family))
    }
}

impl Refresh {
    /// Whether it is this one's turn.
    pub(super) fn is_next(&self, digest: &str) -> bool {
        self.next.iter().any(|next| is_same(next, digest))
    }
}

/// The scope that is asked for, if all of it was granted; what was granted, if none is asked for.
fn covered<'a>(granted: &'a str, asked: Option<&'a str>) -> Result<&'a str, TokenError> {
    let Some(asked) = asked else { return Ok(granted) };
    let known = Scopes::parse(granted);
    match Scopes::parse(asked).iter().all(|scope| known.contains(scope)) {
        true => Ok(asked),
        false => Err(TokenError::new(
            TokenErrorKind::InvalidScope,
            "more was asked for than was granted",
        )),
    }
}

impl fmt::Debug for RefreshRequest {
    /// Without the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefreshRequest")
            .field("client_id", &self.client_id)
            .field("scope", &self.scope)
            .field("resources", &self.resources)
            .finish_non_exhaustive()
    }
}
