//! The future that keeps the view in step with the stream.

use std::{
    convert::Infallible,
    sync::{Arc, atomic::Ordering},
    time::{Duration, SystemTime},
};

use tokio::time::sleep;

use super::{
    super::{
        RevokeError,
        view::{MARGIN, View},
    },
    Shared,
    link::{self, Entry, Link, LinkError, PAGE},
    settling::Settling,
    sweep::Sweep,
    wire::{self, Unreadable},
};
use crate::clock::Moment;

/// How long Redis is asked to wait for an entry, before it answers that there is none.
const WAIT: Duration = Duration::from_millis(400);

/// When Redis is tried again after a failure: twice as late each time, up to a second.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// When a stream is read again of which something was missed.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// Never ends.
pub(super) async fn run(list: Arc<Shared>) {
    let mut mirror = Mirror {
        list,
        lost: None,
        pause: FIRST_PAUSE,
    };
    loop {
        let Err(error) = mirror.follow().await;
        // An outage is told once, and again when its cause changes.
        if mirror.lost.as_ref() != Some(&error) {
            tracing::warn!(
                target: "resource_protector::revocation",
                event = "mirror_lost",
                list = mirror.list.name,
                problem = %error,
                "revocations made elsewhere are not heard of",
            );
            mirror.lost = Some(error);
        }
        sleep(mirror.pause).await;
        mirror.pause = (mirror.pause * 2).min(LONGEST_PAUSE);
    }
}

struct Mirror {
    list: Arc<Shared>,
    /// Why nothing is heard, since everything was known last.
    lost: Option<LinkError>,
    pause: Duration,
}

/// The stream as it was read.
struct Loaded {
    mark: Vec<u8>,
    /// The last entry that was read.
    last: String,
    settling: Settling,
    /// A view of what is in the stream, and of nothing else, while that is compared with what is known.
    there: Option<View>,
    is_complete: bool,
}

impl Mirror {
    /// One connection, for as long as it lasts.
    async fn follow(&mut self) -> Result<Infallible, LinkError> {
        let mut link = Link::connect(&self.list.server, &self.list.key).await?;
        let connected_at = self.list.clock.now().monotonic;
        let uptime = link.uptime().await?;
        loop {
            // Before the stream is read: what could not be told until now is noticed then.
            self.list.is_untold.store(false, Ordering::Release);
            let mut loaded = self.load(&mut link, Settling::new(connected_at, uptime)).await?;
            self.tell_again(&mut link, &mut loaded).await?;
            self.listen(&mut link, loaded).await?;
        }
    }

    /// Reads the whole stream.
    async fn load(&self, link: &mut Link, settling: Settling) -> Result<Loaded, LinkError> {
        link.begin().await?;
        let mut loaded = Loaded {
            mark: Vec::new(),
            last: link::MARK.to_owned(),
            settling,
            there: Some(self.list.view.empty()),
            is_complete: true,
        };
        let (mut page, mut time) = link.page(None).await?;
        if page.is_empty() {
            return Err(LinkError::Gone);
        }
        let first = page
            .first()
            .and_then(|first| Some((link::mark_of(first)?, link::begun_at(first)?)));
        match first {
            Some((mark, begun_at)) => {
                page.remove(0);
                loaded.mark = mark;
                self.loss_seen(&mut loaded, begun_at, time);
            }
            None => self.miss(
                &mut loaded,
                link::MARK,
                Unreadable("the stream does not begin with its mark"),
            ),
        }
        // The mark was one of the page.
        let mut is_last = page.len() + 1 < PAGE;
        loop {
            self.take_all(&mut loaded, page, time);
            if is_last {
                break;
            }
            (page, time) = link.page(Some(&loaded.last)).await?;
            is_last = page.len() < PAGE;
        }
        self.list.freshness.set_incomplete(!loaded.is_complete);
        Ok(loaded)
    }

    /// Tells what is known here and not in the stream: what was revoked while Redis was away, or what it lost.
    async fn tell_again(&self, link: &mut Link, loaded: &mut Loaded) -> Result<(), LinkError> {
        let Some(there) = &loaded.there else { return Ok(()) };
        let mut names = self.list.view.names_beyond(there).into_iter();
        let mut told = 0_usize;
        loop {
            let now = self.list.clock.now();
            let missing = names.by_ref().filter_map(|name| self.list.view.known_of(&name, now));
            let missing = missing.filter(|cut_off| !is_over(cut_off.until, now));
            let missing = missing.filter(|cut_off| match &loaded.there {
                Some(there) => matches!(there.record(cut_off, now), Ok(Some(_))),
                None => false,
            });
            let missing: Vec<_> = missing.take(PAGE).collect();
            if missing.is_empty() {
                break;
            }
            link.tell(&missing, true).await?;
            told += missing.len();
            // The others are at it, too, each in its own order: what they have told need not be told by everybody.
            loop {
                let (page, time) = link.page(Some(&loaded.last)).await?;
                let is_last = page.len() < PAGE;
                self.take_all(loaded, page, time);
                if is_last {
                    break;
                }
            }
        }
        if told > 0 {
            tracing::warn!(
                target: "resource_protector::revocation",
                event = "mirror_told_again",
                list = self.list.name,
                cut_offs = told,
                "Redis was told of revocations that it did not have",
            );
        }
        Ok(())
    }

    /// Follows the stream, until it has to be read again.
    async fn listen(&mut self, link: &mut Link, mut loaded: Loaded) -> Result<(), LinkError> {
        let loaded_at = self.list.clock.now();
        loaded.there = None;
        let mut sweep = Sweep::default();
        let mut is_settled = false;
        let mut wait = Duration::ZERO;
        loop {
            let asked = self.list.clock.now();
            let heard = link.listen(&loaded.last, wait).await?;
            wait = WAIT;
            self.pause = FIRST_PAUSE;
            if loaded.is_complete && heard.mark.as_ref() != Some(&loaded.mark) {
                tracing::warn!(
                    target: "resource_protector::revocation",
                    event = "mirror_reset",
                    list = self.list.name,
                    "Redis has lost what it knew of revocations",
                );
                return Ok(());
            }
            let caught_up = heard.entries.len() < PAGE;
            self.take_all(&mut loaded, heard.entries, heard.time);
            let now = self.list.clock.now();
            if !loaded.is_complete {
                self.list.freshness.set_incomplete(true);
                if now.since(loaded_at.monotonic) >= LOOK_AGAIN {
                    return Ok(());
                }
                continue;
            }
            if !is_settled && loaded.settling.is_over(now.monotonic) {
                is_settled = true;
                self.lost = None;
                tracing::info!(
                    target: "resource_protector::revocation",
                    event = "mirror_loaded",
                    list = self.list.name,
                    cut_offs = self.list.view.len(),
                    "all revocations are known",
                );
            }
            if is_settled && caught_up {
                self.list.freshness.heard(asked.monotonic);
            }
            if self.list.is_untold.load(Ordering::Acquire) {
                return Ok(());
            }
            sweep.go_on(link, now, heard.time).await?;
        }
    }

    fn take_all(&self, loaded: &mut Loaded, entries: Vec<Entry>, time: u64) {
        for entry in entries {
            self.take(loaded, &entry, time);
            loaded.last = entry.id;
        }
    }

    fn take(&self, loaded: &mut Loaded, entry: &Entry, time: u64) {
        let told = match wire::read(&entry.fields) {
            Ok(told) => told,
            Err(problem) => return self.miss(loaded, &entry.id, problem),
        };
        if told.again {
            self.loss_seen(loaded, link::written_at(&entry.id).unwrap_or(time), time);
        }
        let now = self.list.clock.now();
        // A kind that this list does not go by concerns none of its tokens.
        if !self.list.view.terms().include(told.cut_off.by) || is_over(told.cut_off.until, now) {
            return;
        }
        let cut_off = wire::rounded(told.cut_off, self.list.last_end(now));
        match self.list.view.record(&cut_off, now) {
            Ok(_) => {
                // It has room for what the other has room for.
                let _ = loaded.there.as_ref().map(|there| there.record(&cut_off, now));
            }
            Err(RevokeError::Full(capacity)) => {
                if loaded.is_complete {
                    tracing::error!(
                        target: "resource_protector::revocation",
                        event = "mirror_full",
                        list = self.list.name,
                        capacity,
                        "there are more revocations than the list may hold: nobody is let in",
                    );
                }
                loaded.is_complete = false;
            }
            Err(_) => self.miss(loaded, &entry.id, Unreadable("an issuer or an identifier that is none")),
        }
    }

    fn miss(&self, loaded: &mut Loaded, id: &str, problem: Unreadable) {
        // One is enough to find out what is wrong, and there may be any number.
        if loaded.is_complete {
            tracing::error!(
                target: "resource_protector::revocation",
                event = "mirror_unreadable",
                list = self.list.name,
                entry = id,
                %problem,
                "it cannot be said what an entry revokes: nobody is let in while it is there",
            );
        }
        loaded.is_complete = false;
    }

    fn loss_seen(&self, loaded: &mut Loaded, at: u64, time: u64) {
        let age = Duration::from_millis(time.saturating_sub(at));
        loaded.settling.loss_seen(age, self.list.clock.now().monotonic);
    }
}

/// Whether every token that it concerns has expired, whatever the leeway.
fn is_over(until: Option<SystemTime>, now: Moment) -> bool {
    let end = until.and_then(|until| until.checked_add(MARGIN));
    end.is_some_and(|end| end <= now.wall)
}
