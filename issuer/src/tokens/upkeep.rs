//! What has to be done from time to time, and at the start.

use std::{convert::Infallible, time::Duration};

use resource_protector::SetupError;

use super::{
    TokenError, TokenErrorKind, TokenIssuer,
    error::Worst,
    ledger::Decision,
    records::{Record as _, Session, StoreIssuer},
    revocation::{By, Revocation},
};
use crate::{
    store::{Change, Id, Key, Kind, Was},
    time::Millis,
};

/// How often there is upkeep.
const INTERVAL: Duration = Duration::from_secs(30);

impl TokenIssuer {
    /// Keeps house, for as long as it is polled: every 30 s it tells the list of revocations what the store knows, because a
    /// process was stopped in between, the list could not be reached, or another process has told a list of its own;
    /// deletes what has expired; and sees to the keys: it has what another process has changed in their file, and, on a
    /// thread that may block, rolls over when [the time has come](crate::KeyRingBuilder::roll_over_every) and forgets retired
    /// ones. Each of these is done whether or not the others fail, and an error is the event `upkeep_failed`. Spawn it, or
    /// poll it beside the server; dropping it does no harm. Any number of processes may run it.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with its timer.
    pub async fn run(&self) -> Infallible {
        loop {
            if let Err(error) = self.upkeep().await {
                tracing::warn!(
                    target: "resource_protector_issuer::upkeep",
                    event = "upkeep_failed",
                    %error,
                    "upkeep is tried again in 30 s"
                );
            }
            tokio::time::sleep(INTERVAL).await;
        }
    }

    /// One round of [`run`](Self::run), for who has a scheduler of their own. Says how many rows were deleted.
    ///
    /// # Errors
    ///
    /// When the store or the list cannot be reached, a row cannot be read, or the file of keys cannot be read, locked or replaced,
    /// which is waited for for 10 s. The rest was done all the same.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with its timer, if access tokens are JWTs.
    pub async fn upkeep(&self) -> Result<usize, TokenError> {
        // All of it, told or not: another process on the same store may have told a list of its own.
        let told = self.tell_all().await;
        // What is over goes whatever the others say: rows would pile up for as long as a list is full or away.
        let deleted = self.delete_expired().await;
        // Last, since a file may keep it waiting.
        let keys = self.keep_keys().await;
        told.and(keys).and(deleted)
    }

    async fn keep_keys(&self) -> Result<(), TokenError> {
        let Some(keys) = self.keys() else {
            return Ok(());
        };
        let kept = keys.upkeep_on_another_thread(self.now().wall).await;
        kept.map_err(|error| TokenError::new(TokenErrorKind::Unavailable, format!("keys: {error}")))
    }

    /// Deletes what has expired, and says how many rows that were.
    ///
    /// # Errors
    ///
    /// When the store cannot be reached.
    pub async fn delete_expired(&self) -> Result<usize, TokenError> {
        Ok(self.0.ledger.store().delete_expired(self.now().wall).await?)
    }

    /// Tells the list of a revocation that the store has. Only then is it revoked everywhere.
    pub(super) async fn tell(&self, revoked: &Revocation) -> Result<(), TokenError> {
        // First, since it concerns nearly all: what comes then takes long, and may fail.
        let mut worst = Worst::default();
        worst.note(self.tell_list(revoked).await);
        if let (Some(epoch), Some(before)) = (revoked.epoch, revoked.issued_before) {
            worst.note(self.end_what_is_issued_later(revoked, epoch, before).await);
        }
        worst.into_result()?;
        self.note_as_told(revoked).await;
        Ok(())
    }

    /// Tells the list of these revocations, as far as the store has them and the list was not told.
    pub(super) async fn tell_if_untold(&self, keys: &[Key]) -> Result<(), TokenError> {
        for key in keys {
            match self.0.ledger.find::<Revocation>(key.clone()).await? {
                Some(found) if !found.record.told => self.tell(&found.record).await?,
                _ => {}
            }
        }
        Ok(())
    }

    /// Ends, one by one, the sessions that a subject was logged out of, or a client's tokens were revoked with, though a token of
    /// theirs says that it was issued afterwards: by the clock of another machine, between the look at the clock and the
    /// revocation, or ahead of time, because the one before was in the same second. The list would not know them by their `iat`.
    async fn end_what_is_issued_later(
        &self,
        revoked: &Revocation,
        epoch: u64,
        before: Millis,
    ) -> Result<(), TokenError> {
        if self.0.access.list.is_none() {
            return Ok(());
        }
        let began_before = |session: &Session| match revoked.by {
            By::Sub => session.sub() == revoked.id && session.epochs.subject < epoch,
            By::Client => session.client_id == revoked.id && session.epochs.client < epoch,
            By::Jti | By::Sid => false,
        };
        // Sessions are listed by their subjects only.
        let of_subject = (revoked.by == By::Sub).then(|| Id::of(&revoked.id));
        let mut worst = Worst::default();
        let mut sessions = self.0.ledger.pages::<Session>(of_subject);
        while let Some(page) = sessions.next().await? {
            for session in page {
                if let Some(session) = worst.note(session)
                    && began_before(&session)
                    && session.last_token_issued_at >= before
                {
                    worst.note(self.end_told(&session.sid).await);
                }
            }
        }
        worst.into_result()
    }

    /// Ends a session, and tells the list.
    async fn end_told(&self, sid: &str) -> Result<(), TokenError> {
        let Some(revoked) = self.end_session(sid).await? else {
            return Ok(());
        };
        self.tell_list(&revoked).await?;
        self.note_as_told(&revoked).await;
        Ok(())
    }

    async fn tell_list(&self, revoked: &Revocation) -> Result<(), TokenError> {
        match &self.0.access.list {
            Some(list) => Ok(list.revoke(revoked.cut_off(&self.0.issuer)).await?),
            None => Ok(()),
        }
    }

    /// If this is left undone, the list is told once more.
    async fn note_as_told(&self, revoked: &Revocation) {
        let ledger = &self.0.ledger;
        if let Ok(Some(found)) = ledger.find::<Revocation>(revoked.key()).await
            && found.record.is_said_by(revoked)
        {
            let told = Revocation {
                told: true,
                ..found.record.clone()
            };
            if let Ok(told) = told.put() {
                let change = Change::new().step(revoked.key(), found.was(), told);
                let _ = ledger.store().commit(&change).await;
            }
        }
    }

    /// Tells the list everything, because it may know nothing.
    pub(super) async fn tell_all(&self) -> Result<(), TokenError> {
        if self.0.access.list.is_none() {
            return Ok(());
        }
        let mut worst = Worst::default();
        let mut all = self.0.ledger.pages::<Revocation>(None);
        while let Some(page) = all.next().await? {
            for revoked in page {
                // The others are told all the same.
                let Some(revoked) = worst.note(revoked) else { continue };
                let told = match revoked.told {
                    false => self.tell(&revoked).await,
                    true => self.tell_list(&revoked).await,
                };
                match told {
                    // A server starts all the same.
                    Err(error) if error.kind() == TokenErrorKind::Unusable => tracing::error!(
                        target: "resource_protector_issuer::upkeep",
                        event = "revocation_unusable",
                        %error,
                        "the list of revocations will never take one of them"
                    ),
                    told => drop(worst.note(told)),
                }
            }
        }
        worst.into_result()
    }

    /// Tells the list everything at the start. Where it is in force here, others are told later: they notice by its age that they
    /// have heard nothing. Where it is not, a process that starts would let in whom it has logged out.
    pub(super) async fn tell_at_start(&self) -> Result<(), SetupError> {
        match self.tell_all().await {
            Err(error) if error.is_of_others() => {
                tracing::warn!(
                    target: "resource_protector_issuer::upkeep",
                    event = "upkeep_failed",
                    %error,
                    "the list of revocations is told with the next upkeep"
                );
                Ok(())
            }
            told => told.map_err(|error| SetupError::new("revocations", error)),
        }
    }

    /// Makes sure that the store has no other issuer's tokens, which would be good here.
    pub(super) async fn claim_store(&self) -> Result<(), SetupError> {
        let ledger = &self.0.ledger;
        let key = &Key::of(Kind::Issuer, "issuer");
        let claimed = ledger.transact(|| async move {
            if let Some(found) = ledger.find::<StoreIssuer>(key.clone()).await? {
                return Ok(Decision::Answer(found.record.issuer));
            }
            let issuer = self.0.issuer.clone();
            let record = StoreIssuer { issuer: issuer.clone() };
            Ok(Decision::Commit(
                Change::new().step(key.clone(), Was::Absent, record.put()?),
                issuer,
            ))
        });
        match claimed.await {
            Ok(issuer) if issuer == self.0.issuer => Ok(()),
            Ok(other) => Err(SetupError::new(
                "store",
                format_args!(
                    "expected a store of the issuer {:?}, got one of {other:?}: give each issuer a store of its own",
                    self.0.issuer
                ),
            )),
            Err(error) => Err(SetupError::new("store", error)),
        }
    }
}
