//! Revocations that all processes know of, told by Redis.

mod builder;
mod freshness;
mod link;
mod mirror;
mod server;
mod settling;
mod sweep;
#[cfg_attr(not(feature = "redis-tls"), path = "no_tls.rs")]
mod tls;
mod wire;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use tokio::{sync::Mutex, time::timeout};

pub use self::builder::RedisRevocationListBuilder;
use self::{
    freshness::{Freshness, Standing},
    link::{Link, LinkError},
    server::Server,
};
use super::{CutOff, RevocationList, RevocationTerms, Revoke, RevokeError, Verdict, view::View};
use crate::{
    clock::{Clock, Moment},
    error::SetupError,
    meter,
    token::CurrentToken,
};

/// How long a revocation waits for Redis.
const TOLD_WITHIN: Duration = Duration::from_secs(2);

/// Revocations that several processes tell each other by a Redis server. Clones share them.
///
/// Every process has all of them in its own memory, its *mirror*, so that a request costs no network: the mirror is read at
/// start and fed by a stream from then on. What one process revokes, the others refuse some milliseconds later.
///
/// The mirror is a future that the application drives, [`run`](Self::run). While it is not driven, or Redis cannot be
/// reached, the mirror grows old, and beyond `unknown_after` every token is refused with 503: a revocation that was not heard
/// of would let somebody in. [`accept_stale_up_to`](RedisRevocationListBuilder::accept_stale_up_to) lets them in for some time
/// longer.
///
/// ```no_run
/// use std::time::{Duration, SystemTime};
///
/// use resource_protector::{
///     CutOff, JwtValidator, RedisRevocationList, ResourceProtectorLayer, RevocationTerms, Revoke, RevokedBy,
/// };
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let terms = RevocationTerms::new([RevokedBy::Subject], Duration::from_secs(3600))?;
/// let revoked = RedisRevocationList::new("redis://127.0.0.1/", "example", terms, Duration::from_secs(30))?;
/// tokio::spawn(revoked.run());
///
/// let tokens = JwtValidator::discover("https://auth.example.com", "https://api.example.com")?;
/// let protector = ResourceProtectorLayer::new(tokens).revocation(revoked.clone());
///
/// // Alice has changed her password: whoever holds an older token of hers is out, everywhere.
/// revoked.revoke(CutOff::subject("https://auth.example.com", "alice", SystemTime::now())).await?;
/// # Ok(()) }
/// ```
///
/// # What stands in Redis
///
/// One stream, `{name}:cut-offs`, which is both what is known and the news of it; nothing else. Version 6.2 of Redis, or a
/// server that speaks as it does. The account needs `EXISTS`, `TIME`, `XADD`, `XRANGE`, `XREAD` and `XDEL` on this key, and
/// should be allowed `INFO`: without, nobody is let in for the first 3 s of each connection. Whoever else can write there
/// can log out everybody; whoever can delete there lets revoked tokens in at processes that are started later.
///
/// Entries are taken out of the stream an hour after the last token that they concern has expired. An entry that cannot be
/// read, perhaps of a later version of this library, may revoke anything: while it is there nobody is let in, and
/// `mirror_unreadable` says the identifier of the first, for `XDEL`. The same holds when something else takes away the
/// entry `0-1`, with which the stream begins: delete the stream, and every process tells what it knows again. So no
/// eviction of keys without an expiry: `maxmemory-policy noeviction`, or one of `volatile-…`.
///
/// All processes with the same name name the same [terms](RevocationTerms), or differ with a reason: what a process does
/// not go by, it passes over.
///
/// # When Redis fails
///
/// Revoking while Redis is away is in force here at once, is [`RevokeError::Unpublished`], and is told to the others as soon
/// as Redis is back. Each process reads the whole stream when it connects again, and tells what is missing there: so Redis
/// may be restarted empty, or with an older snapshot, without any revocation being lost that some running process knows.
///
/// A process that has just been started knows nothing itself, and must not believe such a Redis before the others have told
/// it. So whatever is read counts only 3 s after the stream was begun or something was told again, and, in the first ten
/// minutes of Redis' own life, 3 s after the connection was made. The others go on by what they know meanwhile: let
/// `unknown_after` be longer than a restart of Redis takes, and these 3 s. If all processes and Redis' data are lost
/// at once, so are the revocations; an append-only file in Redis and short-lived tokens are what helps.
///
/// A revocation is told when the server that is asked knows it, not its replicas. A replica that takes over without knowing
/// it learns it from the running processes when they connect to it; but of that a process started in the same
/// moment knows nothing, since the replica has run for long. Read from the primary only.
///
/// # The way to Redis
///
/// is encrypted by `rediss://` only, which needs the feature `redis-tls`: TLS 1.2 or newer, with the certificate authorities of the
/// operating system, or [others](RedisRevocationListBuilder::trusting_only). The server has to prove that it is the host that
/// the URL names; this client shows no certificate of its own, so that Redis needs `tls-auth-clients no`. The cryptography is that
/// of aws-lc-rs, whichever provider the rest of the program has chosen. With `redis://` keep
/// Redis on the same host or in a network that you trust, use `redis+unix://`, or a tunnel (stunnel, a service mesh). Who
/// can change what is said there can log in whom he likes. A password in the URL shows in no log and no error.
#[derive(Clone)]
pub struct RedisRevocationList(Arc<Shared>);

/// What the clones and the mirror share.
struct Shared {
    server: Server,
    name: String,
    key: String,
    view: View,
    freshness: Freshness,
    clock: Arc<dyn Clock>,
    /// Where revocations are told. The mirror has a connection of its own, where waiting for news is in nobody's way.
    teller: Mutex<Option<Link>>,
    /// Something that is in force here may not have been told.
    is_untold: AtomicBool,
    /// How many are about to tell Redis something.
    telling: AtomicUsize,
    /// How the view stood when that was said last.
    said: AtomicU8,
}

impl RedisRevocationList {
    /// A list on the Redis server of this URL, `redis://[user]:[password]@host:port/[db]`, the same with `rediss://` for TLS
    /// (feature `redis-tls`), or `redis+unix:///path`. Lists of the same name share their revocations.
    ///
    /// `unknown_after` is how old the mirror may be. A restart of Redis should fit in; 30 s are a good choice. It is
    /// also how long somebody who was logged out may still get in where Redis cannot be reached.
    ///
    /// Does no I/O. A list with options is made by [`builder`](Self::builder).
    ///
    /// # Errors
    ///
    /// When the URL cannot be used, the name is empty, longer than 200 bytes or has braces in it, or the bound is not from
    /// 2 s to a day.
    pub fn new(
        url: impl AsRef<str>,
        name: impl AsRef<str>,
        terms: RevocationTerms,
        unknown_after: Duration,
    ) -> Result<Self, SetupError> {
        Ok(Self::builder(url, name, terms, unknown_after)?.build())
    }

    /// The same list before it is made, with the options that it may have besides.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn builder(
        url: impl AsRef<str>,
        name: impl AsRef<str>,
        terms: RevocationTerms,
        unknown_after: Duration,
    ) -> Result<RedisRevocationListBuilder, SetupError> {
        RedisRevocationListBuilder::new(url.as_ref(), name.as_ref(), terms, unknown_after)
    }

    fn of(server: Server, name: String, view: View, freshness: Freshness, clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Shared {
            server,
            // In braces, so that a cluster keeps all keys of this name together.
            key: format!("{{{name}}}:cut-offs"),
            name,
            view,
            freshness,
            clock,
            teller: Mutex::new(None),
            is_untold: AtomicBool::new(false),
            telling: AtomicUsize::new(0),
            said: AtomicU8::new(Said::Nothing as u8),
        }))
    }

    /// Keeps the mirror in step with Redis, for as long as it is driven: `tokio::spawn(list.run())`, or a branch of a
    /// `select!`. It never ends by itself; when it is dropped, its connection is closed.
    ///
    /// Needs a tokio runtime with I/O and timer. Driving it twice is of no use, and does no harm.
    pub fn run(&self) -> impl Future<Output = ()> + Send + 'static {
        mirror::run(Arc::clone(&self.0))
    }
}

impl RevocationList for RedisRevocationList {
    fn verdict(&self, token: &CurrentToken, now: Moment) -> Verdict {
        // However old the view is: what was revoked stays so.
        if self.0.view.cuts_off(token) {
            return Verdict::CutOff;
        }
        match self.0.standing(now) {
            Standing::InStep | Standing::Stale => Verdict::Clear,
            Standing::Unknown => Verdict::Unknown,
        }
    }

    fn terms(&self) -> &RevocationTerms {
        self.0.view.terms()
    }

    fn is_in_step(&self, now: Moment) -> bool {
        if let Some(age) = self.0.freshness.age(now) {
            meter::revocations_age(&self.0.name, age);
        }
        self.0.standing(now) != Standing::Unknown
    }

    fn age(&self, now: Moment) -> Option<Duration> {
        Some(self.0.freshness.known_age(now))
    }
}

impl Revoke for RedisRevocationList {
    /// Puts a revocation into force here, and tells the others: when it returns `Ok`, Redis knows it, and every process that
    /// hears of Redis refuses the tokens some milliseconds later. Waits for 2 s at the most. The mirror need not be driven.
    ///
    /// # Errors
    ///
    /// [`RevokeError::Unpublished`] when Redis does not say within 2 s that it knows; the mirror, which has to be driven for
    /// that, tells it later. Otherwise, nothing was revoked.
    async fn revoke(&self, cut_off: CutOff) -> Result<(), RevokeError> {
        let shared = &self.0;
        let now = shared.clock.now();
        let cut_off = wire::rounded(cut_off, shared.last_end(now));
        let telling = Telling::one_more(&shared.telling);
        let news = shared.view.record(&cut_off, now)?;
        let is_told = !shared.is_untold.load(Ordering::Acquire) && telling.is_alone();
        if news.is_none() && is_told && shared.standing(now) == Standing::InStep {
            // Who says everything again, after a restart or from time to time, makes the stream no longer.
            return Ok(());
        }
        // What is no news here may be news there: this may be another try.
        let known = news.unwrap_or(cut_off);
        let mut untold = Untold(Some(&shared.is_untold));
        let told = timeout(TOLD_WITHIN, shared.tell(known)).await;
        match told.unwrap_or(Err(LinkError::Late)) {
            Ok(()) => {
                untold.0 = None;
                Ok(())
            }
            Err(error) => {
                tracing::warn!(
                    target: "resource_protector::revocation",
                    event = "revocation_untold",
                    list = shared.name,
                    problem = %error,
                    "a revocation is in force in this process only",
                );
                Err(RevokeError::Unpublished(error.to_string()))
            }
        }
    }

    fn terms(&self) -> &RevocationTerms {
        self.0.view.terms()
    }
}

impl fmt::Debug for RedisRevocationList {
    /// Without the URL, which may have a password in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisRevocationList")
            .field("name", &self.0.name)
            .field("terms", self.0.view.terms())
            .field("freshness", &self.0.freshness)
            .finish_non_exhaustive()
    }
}

/// Has the mirror tell what was revoked, unless that was told: also when nobody waits for it any more.
struct Untold<'a>(Option<&'a AtomicBool>);

impl Drop for Untold<'_> {
    fn drop(&mut self) {
        if let Some(is_untold) = self.0 {
            is_untold.store(true, Ordering::Release);
        }
    }
}

/// One that is about to tell Redis something.
struct Telling<'a>(&'a AtomicUsize);

impl<'a> Telling<'a> {
    fn one_more(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::AcqRel);
        Self(count)
    }

    /// Whether nobody else is, so that whatever is known here and is not marked as untold is known to Redis.
    fn is_alone(&self) -> bool {
        self.0.load(Ordering::Acquire) == 1
    }
}

impl Drop for Telling<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// What was last said of the view in a log.
#[derive(Clone, Copy)]
enum Said {
    Nothing,
    InStep,
    Stale,
    Unknown,
}

impl Shared {
    /// When every token has expired that has been issued until now.
    fn last_end(&self, now: Moment) -> SystemTime {
        let longest_lifetime = self.view.terms().longest_lifetime();
        now.wall.checked_add(longest_lifetime).unwrap_or(now.wall)
    }

    fn standing(&self, now: Moment) -> Standing {
        let standing = self.freshness.standing(now);
        let is = match standing {
            Standing::InStep => Said::InStep,
            Standing::Stale => Said::Stale,
            Standing::Unknown => Said::Unknown,
        };
        // A look alone is for everybody; a change is said by one.
        if self.said.load(Ordering::Relaxed) != is as u8 {
            let said = self.said.swap(is as u8, Ordering::Relaxed);
            if said != is as u8 {
                self.say(said, standing, now);
            }
        }
        standing
    }

    fn say(&self, said: u8, standing: Standing, now: Moment) {
        let age_seconds = self.freshness.age(now).map(|age| age.as_secs());
        match standing {
            Standing::InStep if said == Said::Nothing as u8 => {}
            Standing::InStep => tracing::info!(
                target: "resource_protector::revocation",
                event = "mirror_in_step",
                list = self.name,
                "tokens are judged by what is known of revocations again",
            ),
            Standing::Stale => tracing::warn!(
                target: "resource_protector::revocation",
                event = "mirror_stale",
                list = self.name,
                age_seconds,
                "what is known of revocations is out of date, and used all the same",
            ),
            Standing::Unknown => tracing::warn!(
                target: "resource_protector::revocation",
                event = "mirror_unknown",
                list = self.name,
                age_seconds,
                "too little is known of revocations to let anybody in",
            ),
        }
    }

    async fn tell(&self, cut_off: CutOff) -> Result<(), LinkError> {
        // Redis may have been restarted since the connection was made: that is no reason not to tell it.
        let kept = self.teller.lock().await.clone();
        if let Some(link) = kept
            && tell_over(link, &cut_off).await.is_ok()
        {
            return Ok(());
        }
        let mut teller = self.teller.lock().await;
        *teller = None;
        let link = Link::connect(&self.server, &self.key).await?;
        let kept = teller.insert(link).clone();
        drop(teller);
        tell_over(kept, &cut_off).await
    }
}

async fn tell_over(mut link: Link, cut_off: &CutOff) -> Result<(), LinkError> {
    let cut_off = std::slice::from_ref(cut_off);
    match link.tell(cut_off, false).await {
        Err(LinkError::Gone) => {
            link.begin().await?;
            link.tell(cut_off, false).await
        }
        told => told,
    }
}

#[cfg(test)]
mod tests;
