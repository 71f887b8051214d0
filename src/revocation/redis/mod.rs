//! Revocations that all processes know of, told by Redis.

mod freshness;
mod link;
mod mirror;
mod settling;
mod sweep;
mod wire;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use redis::{Client, ConnectionAddr, IntoConnectionInfo as _};
use tokio::{sync::Mutex, time::timeout};

use self::{
    freshness::{Freshness, Standing},
    link::{Link, LinkError},
};
use super::{CutOff, RevocationList, RevocationTerms, Revoke, RevokeError, Verdict, view::View};
use crate::{
    clock::{Clock, Moment, SystemClock},
    error::{SetupError, within},
    meter,
    token::CurrentToken,
};

/// How long a revocation waits for Redis.
const TOLD_WITHIN: Duration = Duration::from_secs(2);

/// A view that is all right is up to half a second old.
const SHORTEST_BOUND: Duration = Duration::from_secs(2);

const LONGEST_BOUND: Duration = Duration::from_secs(24 * 3600);

/// Revocations that several processes tell each other by a Redis server. Clones share them.
///
/// Every process has all of them in its own memory, its *mirror*, so that a request costs no network: the mirror is read at
/// start and fed by a stream from then on. What one process revokes, the others refuse some milliseconds later.
///
/// The mirror is a future that the application drives, [`run`](Self::run). While it is not driven, or Redis cannot be
/// reached, the mirror grows old, and beyond `unknown_after` every token is refused with 503: a revocation that was not heard
/// of would let somebody in. Give [`accept_stale_up_to`](Self::accept_stale_up_to) to be let in for some time longer.
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
/// is not encrypted: `rediss://` is refused, since which TLS there is would depend on other parts of the program. Keep Redis
/// on the same host or in a network that you trust, by `redis+unix://`, or by a tunnel (stunnel, a service mesh). Who
/// can change what is said there can log in whom he likes. A password in the URL shows in no log and no error.
#[derive(Clone)]
pub struct RedisRevocationList(Arc<Shared>);

/// What the clones and the mirror share.
struct Shared {
    client: Client,
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
    /// A list on the Redis server of this URL, `redis://[user]:[password]@host:port/[db]` or `redis+unix:///path`. Lists of
    /// the same name share their revocations.
    ///
    /// `unknown_after` is how old the mirror may be. A restart of Redis should fit in; 30 s are a good choice. It is
    /// also how long somebody who was logged out may still get in where Redis cannot be reached.
    ///
    /// Does no I/O.
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
        let name = name.as_ref();
        if name.is_empty() || name.len() > 200 || name.contains(['{', '}']) {
            return Err(SetupError::new(
                "name",
                "expected 1 to 200 bytes without braces, got something else",
            ));
        }
        let clock = SystemClock;
        let unknown_after = within("unknown_after", unknown_after, SHORTEST_BOUND..=LONGEST_BOUND)?;
        Ok(Self(Arc::new(Shared {
            client: client(url.as_ref())?,
            name: name.to_owned(),
            // In braces, so that a cluster keeps all keys of this name together.
            key: format!("{{{name}}}:cut-offs"),
            view: View::new(terms),
            freshness: Freshness::new(clock.now().monotonic, unknown_after),
            clock: Arc::new(clock),
            teller: Mutex::new(None),
            is_untold: AtomicBool::new(false),
            telling: AtomicUsize::new(0),
            said: AtomicU8::new(Said::Nothing as u8),
        })))
    }

    /// Lets tokens in by a mirror of up to this age, which is older than it should be. The event `mirror_stale` says when
    /// that begins.
    ///
    /// Somebody who was logged out meanwhile gets in for as long. What is known to be revoked is refused all the same.
    ///
    /// For a list that has no clones yet.
    ///
    /// # Errors
    ///
    /// When it is not longer than `unknown_after`, or longer than a day.
    pub fn accept_stale_up_to(mut self, age: Duration) -> Result<Self, SetupError> {
        let least = self.0.freshness.unknown_after();
        let age = within("accept_stale_up_to", age, least..=LONGEST_BOUND)?;
        if age == least {
            return Err(SetupError::new(
                "accept_stale_up_to",
                "expected longer than `unknown_after`, got the same",
            ));
        }
        if let Some(shared) = Arc::get_mut(&mut self.0) {
            shared.freshness.set_stale_up_to(age);
        }
        Ok(self)
    }

    /// How many revocations are kept at the most; a million unless set. With more of them nobody is let in, and the event
    /// `mirror_full` says so: whoever can cause any number of revocations can bring that about.
    ///
    /// One takes about 250 bytes beside its identifier, here and in Redis, and twice that while the stream is read.
    ///
    /// It counts for all clones.
    #[must_use]
    pub fn capacity(self, cut_offs: usize) -> Self {
        self.0.view.set_capacity(cut_offs);
        self
    }

    /// Takes the time from another clock than the system's; it has to be the protector's, too. How long Redis is waited for
    /// is told by the runtime's.
    ///
    /// For a list that has no clones yet.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        if let Some(shared) = Arc::get_mut(&mut self.0) {
            shared.freshness.set_origin(clock.now().monotonic);
            shared.clock = Arc::new(clock);
        }
        self
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
        let link = Link::connect(&self.client, &self.key).await?;
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

/// A client of this server. Errors do not quote the URL.
fn client(url: &str) -> Result<Client, SetupError> {
    let unusable = |problem: &str| Err(SetupError::new("url", problem));
    let Ok(info) = url.into_connection_info() else {
        return unusable("expected `redis://[user]:[password]@host:port/[db]`, got something else");
    };
    match info.addr() {
        ConnectionAddr::Tcp(..) | ConnectionAddr::Unix(_) => {}
        _ => return unusable("expected `redis://`, got a URL for TLS, which this list does not speak: use a tunnel"),
    }
    match Client::open(info) {
        Ok(client) => Ok(client),
        Err(_) => unusable("expected the URL of a Redis server, got one that cannot be used"),
    }
}

#[cfg(test)]
mod tests;
