//! What this process knows of revocations.

use std::{
    sync::{
        PoisonError, RwLock,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use super::{
    CutOff, RevocationTerms, RevokeError,
    known::{Entry, Known, Name},
    next_number,
    terms::LONGEST,
};
use crate::{clock::Moment, token::CurrentToken};

/// How many revocations are known at the most, unless set.
pub(super) const CAPACITY: usize = 1_000_000;

/// The longest identifier and issuer, in bytes. No token that is read has a longer one.
const LONGEST_NAME: usize = 16 * 1024;

/// For how much longer than it has to be a revocation is known: tokens live longer by a leeway, 300 s at the most.
pub(super) const MARGIN: Duration = Duration::from_secs(360);

/// Revocations, and which tokens were found clear of them.
///
/// A token that was found clear keeps the version by which it was: until something is added, one comparison finds it clear
/// again. So the usual request looks nothing up, however many revocations there are.
pub(super) struct View {
    terms: RevocationTerms,
    capacity: AtomicUsize,
    version: AtomicU64,
    known: RwLock<Known>,
}

impl View {
    pub(super) fn new(terms: RevocationTerms) -> Self {
        Self {
            terms,
            capacity: AtomicUsize::new(CAPACITY),
            version: AtomicU64::new(next_number()),
            known: RwLock::default(),
        }
    }

    /// A view of the same kind, without revocations.
    pub(super) fn empty(&self) -> Self {
        let empty = Self::new(self.terms.clone());
        empty.set_capacity(self.capacity.load(Ordering::Relaxed));
        empty
    }

    pub(super) fn set_capacity(&self, cut_offs: usize) {
        self.capacity.store(cut_offs.max(1), Ordering::Relaxed);
    }

    pub(super) fn terms(&self) -> &RevocationTerms {
        &self.terms
    }

    /// Whether a revocation concerns this token.
    pub(super) fn cuts_off(&self, token: &CurrentToken) -> bool {
        // Taken before the look, so that what is added meanwhile makes it look again.
        let version = self.version.load(Ordering::Acquire);
        !token.was_cleared_by(version) && self.look_up(token, version)
    }

    /// Whether a revocation concerns this token. If none does, it is clear by the version that there was before.
    fn look_up(&self, token: &CurrentToken, version: u64) -> bool {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let is_cut_off = known.concern(token, &self.terms);
        drop(known);
        if !is_cut_off {
            token.clear_by(version);
        }
        is_cut_off
    }

    /// Learns of a revocation. Says what is known of it now, if that is new.
    pub(super) fn record(&self, cut_off: &CutOff, now: Moment) -> Result<Option<CutOff>, RevokeError> {
        let entry = self.entry(cut_off, now).map_err(RevokeError::Unusable)?;
        let capacity = self.capacity.load(Ordering::Relaxed);
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let Some(kept) = known.keep(cut_off, entry, now.monotonic, capacity)? else {
            return Ok(None);
        };
        // Before the lock is given back: who finds this version finds what was added, too.
        self.version.store(next_number(), Ordering::Release);
        drop(known);
        Ok(Some(CutOff {
            issued_before: kept.issued_before,
            until: Some(kept.until),
            ..cut_off.clone()
        }))
    }

    /// What is to be known of it, and for how long; or why that would concern no token.
    fn entry(&self, cut_off: &CutOff, now: Moment) -> Result<Entry, String> {
        let unusable = |problem: &str| Err(problem.to_owned());
        if !self.terms.include(cut_off.by) {
            return Err(format!(
                "expected a revocation by one of {:?}, which the list goes by, got one by {:?}",
                self.terms.revoked_by(),
                cut_off.by
            ));
        }
        if cut_off.issuer.is_empty() || cut_off.id.is_empty() {
            return unusable("expected an issuer and an identifier, got an empty one");
        }
        if cut_off.issuer.len() > LONGEST_NAME || cut_off.id.len() > LONGEST_NAME {
            return unusable("expected an issuer and an identifier of 16 KiB at the most, got a longer one");
        }
        // The last of the tokens that it concerns may be issued then.
        let issued = cut_off.issued_before.map_or(now.wall, |before| before.max(now.wall));
        if issued.duration_since(now.wall).unwrap_or_default() > LONGEST {
            return unusable("expected tokens that are issued within 366 days, got a moment that lies further ahead");
        }
        let Some(last) = issued.checked_add(self.terms.longest_lifetime()) else {
            return unusable("the clock shows no time that can be reckoned with");
        };
        let until = match cut_off.until {
            // Nobody revokes what has been over for long: the clock is ahead, and may be corrected.
            Some(until) if is_long_over(until, now.wall) => last,
            Some(until) => until.min(last),
            None => last,
        };
        let left = until.duration_since(now.wall).unwrap_or_default() + MARGIN;
        match now.monotonic.checked_add(left) {
            Some(over_at) => Ok(Entry {
                issued_before: cut_off.issued_before,
                until,
                over_at,
            }),
            None => unusable("it would have to be known for too long"),
        }
    }

    /// How many revocations are known.
    pub(super) fn len(&self) -> usize {
        self.known.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// What is known of one name, unless it is over.
    pub(super) fn known_of(&self, name: &Name, now: Moment) -> Option<CutOff> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.known_of(name, now.monotonic)
    }

    /// The names of which another view knows nothing, or less, in no order.
    pub(super) fn names_beyond(&self, other: &Self) -> Vec<Name> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let theirs = other.known.read().unwrap_or_else(PoisonError::into_inner);
        known.names_beyond(&theirs)
    }
}

fn is_long_over(until: SystemTime, now: SystemTime) -> bool {
    now.duration_since(until).is_ok_and(|ago| ago >= MARGIN)
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{Arc, atomic::AtomicBool},
        thread,
        time::Instant,
    };

    use serde_json::{Value, json};

    use super::*;
    use crate::revocation::RevokedBy;

    const ISSUER: &str = "https://auth.test";
    const HOUR: Duration = Duration::from_secs(3600);

    /// At so many seconds since 1970, and after the start on the monotonic clock.
    fn at(wall: u64, start: Instant, elapsed: u64) -> Moment {
        Moment {
            wall: seconds(wall),
            monotonic: start + Duration::from_secs(elapsed),
        }
    }

    fn now() -> Moment {
        at(10_000, Instant::now(), 0)
    }

    fn seconds(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn view_by(by: impl IntoIterator<Item = RevokedBy>) -> View {
        View::new(RevocationTerms::new(by, HOUR).unwrap())
    }

    fn view() -> View {
        view_by([
            RevokedBy::TokenId,
            RevokedBy::Session,
            RevokedBy::Subject,
            RevokedBy::Client,
        ])
    }

    /// With everything by which tokens are revoked; issued at 9,000.
    fn claims() -> Value {
        json!({
            "iss": ISSUER, "jti": "j", "sid": "s", "sub": "alice", "client_id": "app", "iat": 9000, "exp": 12_600,
        })
    }

    fn token_with(name: &str, value: impl Into<Value>) -> CurrentToken {
        let mut claims = claims();
        claims[name] = value.into();
        CurrentToken::vouch_for(&claims).unwrap()
    }

    fn token_without(name: &str) -> CurrentToken {
        let mut claims = claims();
        claims.as_object_mut().unwrap().remove(name);
        CurrentToken::vouch_for(&claims).unwrap()
    }

    fn token() -> CurrentToken {
        CurrentToken::vouch_for(&claims()).unwrap()
    }

    #[test]
    fn each_identifier_cuts_off_its_tokens_and_no_others() {
        for (cut_off, claim) in [
            (CutOff::token(ISSUER, "j"), "jti"),
            (CutOff::session(ISSUER, "s"), "sid"),
            (CutOff::subject(ISSUER, "alice", seconds(10_000)), "sub"),
            (CutOff::client(ISSUER, "app"), "client_id"),
        ] {
            let view = view();
            view.record(&cut_off, now()).unwrap();
            assert!(view.cuts_off(&token()), "{claim}");
            assert!(!view.cuts_off(&token_with(claim, "another")), "{claim}");
            // Of the same name, and another's.
            assert!(!view.cuts_off(&token_with("iss", "https://other.test")), "{claim}");
        }
    }

    #[test]
    fn an_identifier_of_one_kind_is_none_of_another() {
        for cut_off in [
            CutOff::token(ISSUER, "x"),
            CutOff::session(ISSUER, "x"),
            CutOff::subject(ISSUER, "x", seconds(10_000)),
            CutOff::client(ISSUER, "x"),
        ] {
            let view = view();
            view.record(&cut_off, now()).unwrap();
            let concerned = ["jti", "sid", "sub", "client_id"].map(|claim| view.cuts_off(&token_with(claim, "x")));
            assert_eq!(
                concerned.iter().filter(|is_cut_off| **is_cut_off).count(),
                1,
                "{cut_off:?}"
            );
        }
    }

    #[test]
    fn a_cut_off_spares_what_is_issued_at_its_moment_or_later_and_nothing_that_does_not_say_when() {
        for cut_off in [
            CutOff::subject(ISSUER, "alice", seconds(9500)),
            CutOff::client(ISSUER, "app").issued_before(seconds(9500)),
            CutOff::session(ISSUER, "s").issued_before(seconds(9500)),
        ] {
            let view = view();
            view.record(&cut_off, now()).unwrap();
            assert!(view.cuts_off(&token_with("iat", 9499)));
            assert!(!view.cuts_off(&token_with("iat", 9500)));
            assert!(view.cuts_off(&token_without("iat")));
        }
    }

    #[test]
    fn a_token_issued_in_the_same_second_before_the_moment_is_cut_off() {
        let view = view();
        let moment = seconds(9500) + Duration::from_millis(700);
        view.record(&CutOff::subject(ISSUER, "alice", moment), now()).unwrap();
        // It was issued at 9500.2, and says so in whole seconds.
        assert!(view.cuts_off(&token_with("iat", 9500)));
        assert!(!view.cuts_off(&token_with("iat", 9501)));
    }

    #[test]
    fn a_token_that_was_found_clear_is_looked_up_again_after_a_revocation() {
        let (view, token) = (view(), token());
        assert!(!view.cuts_off(&token));
        view.record(&CutOff::token(ISSUER, "another"), now()).unwrap();
        assert!(!view.cuts_off(&token));
        view.record(&CutOff::token(ISSUER, "j"), now()).unwrap();
        assert!(view.cuts_off(&token));
        // And by every copy of it, for good.
        assert!(view.cuts_off(&token.clone()) && view.cuts_off(&token));
    }

    #[test]
    fn a_look_that_began_before_a_revocation_leaves_no_token_clear_after_it() {
        let (view, token) = (view(), token());
        let began = view.version.load(Ordering::Acquire);
        view.record(&CutOff::token(ISSUER, "another"), now()).unwrap();
        assert!(!view.look_up(&token, began));
        assert!(!token.was_cleared_by(view.version.load(Ordering::Acquire)));
    }

    #[test]
    fn what_one_list_found_clear_is_not_clear_for_another() {
        let (one, other, token) = (view(), view(), token());
        other.record(&CutOff::token(ISSUER, "j"), now()).unwrap();
        for _ in 0..3 {
            assert!(!one.cuts_off(&token));
            assert!(other.cuts_off(&token));
        }
        // As many revocations in both do not make their versions the same.
        one.record(&CutOff::token(ISSUER, "another"), now()).unwrap();
        assert!(!one.cuts_off(&token) && other.cuts_off(&token));
    }

    #[test]
    fn no_request_finds_a_token_clear_once_its_revocation_has_returned() {
        for round in 0..200 {
            let (view, token, revoked) = (view(), token(), AtomicBool::new(false));
            thread::scope(|scope| {
                for _ in 0..2 {
                    scope.spawn(|| {
                        loop {
                            let was_revoked = revoked.load(Ordering::SeqCst);
                            let is_cut_off = view.cuts_off(&token);
                            assert!(is_cut_off || !was_revoked, "round {round}");
                            if was_revoked {
                                break;
                            }
                        }
                    });
                }
                // What concerns nobody shifts the version under the others' feet.
                for other in 0..round % 8 {
                    view.record(&CutOff::token(ISSUER, format!("o{other}")), now()).unwrap();
                }
                view.record(&CutOff::session(ISSUER, "s"), now()).unwrap();
                revoked.store(true, Ordering::SeqCst);
            });
        }
    }

    #[test]
    fn revocations_from_many_threads_are_all_in_force() {
        let view = Arc::new(view());
        thread::scope(|scope| {
            for worker in 0..4 {
                let view = Arc::clone(&view);
                scope.spawn(move || {
                    for number in 0..250 {
                        let id = format!("{worker}-{number}");
                        view.record(&CutOff::token(ISSUER, &id), now()).unwrap();
                        assert!(view.cuts_off(&token_with("jti", id)));
                    }
                });
            }
        });
        assert_eq!(view.len(), 1000);
        assert!(view.known.read().unwrap().is_counted_right());
    }

    #[test]
    fn a_revocation_is_known_for_as_long_as_a_token_with_the_greatest_leeway_may_live() {
        let (view, start) = (view(), Instant::now());
        // Issued in the last moment before, for the longest life.
        let token = token_with("iat", 10_000).with_leeway(Duration::from_secs(300));
        view.record(&CutOff::token(ISSUER, "j"), at(10_000, start, 0)).unwrap();
        for elapsed in [0, 3599, 3600, 3899] {
            let other = CutOff::token(ISSUER, format!("at {elapsed}"));
            view.record(&other, at(10_000 + elapsed, start, elapsed)).unwrap();
            assert!(view.cuts_off(&token), "{elapsed}");
        }
        // After that no token is left, and some minutes later nothing is known of it.
        let later = at(10_000 + 4080, start, 4080);
        view.record(&CutOff::token(ISSUER, "last"), later).unwrap();
        assert!(!view.cuts_off(&token_with("jti", "j")));
    }

    #[test]
    fn a_revocation_of_what_is_over_earlier_is_forgotten_earlier() {
        let (view, start) = (view(), Instant::now());
        let kept = view.record(&CutOff::token(ISSUER, "j").until(seconds(10_300)), at(10_000, start, 0));
        assert_eq!(kept.unwrap().unwrap().until, Some(seconds(10_300)));
        view.record(&CutOff::token(ISSUER, "k"), at(10_000, start, 0)).unwrap();
        // The token's 300 s and the greatest leeway.
        view.record(&CutOff::token(ISSUER, "l"), at(10_599, start, 599))
            .unwrap();
        assert_eq!((view.len(), view.cuts_off(&token())), (3, true));
        view.record(&CutOff::token(ISSUER, "m"), at(10_780, start, 780))
            .unwrap();
        assert_eq!((view.len(), view.cuts_off(&token())), (3, false));
    }

    #[test]
    fn no_end_lies_further_away_than_the_longest_life() {
        let kept = |cut_off: CutOff| view().record(&cut_off, now()).unwrap().unwrap().until;
        assert_eq!(kept(CutOff::token(ISSUER, "j")), Some(seconds(13_600)));
        assert_eq!(
            kept(CutOff::token(ISSUER, "j").until(seconds(20_000))),
            Some(seconds(13_600))
        );
        // Tokens that are issued until then are meant, too.
        let announced = CutOff::subject(ISSUER, "alice", seconds(15_000));
        assert_eq!(kept(announced), Some(seconds(18_600)));
    }

    #[test]
    fn a_wall_clock_that_is_set_forward_and_back_forgets_nothing_early() {
        let (view, start) = (view(), Instant::now());
        let exp = seconds(12_600);
        view.record(&CutOff::token(ISSUER, "j").until(exp), at(10_000, start, 0))
            .unwrap();
        // A day ahead for a while, during which others are revoked, one of them a token that is over by this clock.
        let ahead = at(10_060 + 86_400, start, 60);
        view.record(&CutOff::session(ISSUER, "s").until(exp), ahead).unwrap();
        view.record(&CutOff::token(ISSUER, "k"), at(12_000, start, 2000))
            .unwrap();
        assert!(view.cuts_off(&token()));
        assert!(view.cuts_off(&token_with("jti", "another")), "by its session");
    }

    #[test]
    fn what_was_said_by_a_wrong_clock_lasts_when_it_is_said_again_by_the_right_one() {
        let (view, start) = (view(), Instant::now());
        let cut_off = CutOff::token(ISSUER, "j").until(seconds(12_600));
        view.record(&cut_off, at(12_500, start, 0)).unwrap();
        // Nothing that others would have to be told.
        assert_eq!(view.record(&cut_off, at(10_000, start, 10)).unwrap(), None);
        view.record(&CutOff::token(ISSUER, "k"), at(12_500, start, 2510))
            .unwrap();
        assert!(view.cuts_off(&token()));
    }

    #[test]
    fn a_list_that_is_full_says_so_and_goes_on_refusing_what_it_knows() {
        let (view, start) = (view(), Instant::now());
        view.set_capacity(2);
        for id in ["j", "k"] {
            view.record(&CutOff::token(ISSUER, id), at(10_000, start, 0)).unwrap();
        }
        let third = CutOff::token(ISSUER, "l");
        assert_eq!(view.record(&third, at(10_000, start, 0)), Err(RevokeError::Full(2)));
        assert!(view.cuts_off(&token()) && !view.cuts_off(&token_with("jti", "l")));
        // What is known can be said again, and when it is over there is room.
        let longer = CutOff::token(ISSUER, "j");
        assert!(view.record(&longer, at(10_600, start, 600)).unwrap().is_some());
        let later = at(14_100, start, 4100);
        assert!(view.record(&third, later).unwrap().is_some());
        assert_eq!(view.len(), 2);
        assert!(view.cuts_off(&token()) && view.cuts_off(&token_with("jti", "l")));
    }

    #[test]
    fn a_full_list_makes_room_among_any_number_that_are_over_or_were_said_again() {
        let (view, start) = (view(), Instant::now());
        view.set_capacity(1001);
        let say = |elapsed, numbers: std::ops::Range<u32>| {
            for number in numbers {
                let cut_off = CutOff::token(ISSUER, format!("{number}"));
                view.record(&cut_off, at(10_000 + elapsed, start, elapsed)).unwrap();
            }
        };
        say(0, 0..1001);
        // All but the first, which is at the bottom of those that are over at the same time.
        say(3000, 1..1001);
        assert_eq!(view.len(), 1001);
        say(4100, 2000..2001);
        assert_eq!(view.len(), 1001);
        assert!(view.cuts_off(&token_with("jti", "1000")) && view.cuts_off(&token_with("jti", "2000")));
        assert!(!view.cuts_off(&token_with("jti", "0")));
    }

    #[test]
    fn any_number_that_is_over_is_forgotten_little_by_little() {
        let (view, start) = (view(), Instant::now());
        for number in 0..1000 {
            view.record(&CutOff::token(ISSUER, format!("{number}")), at(10_000, start, 0))
                .unwrap();
        }
        let mut lengths = Vec::new();
        for number in 0..5 {
            let cut_off = CutOff::session(ISSUER, format!("{number}"));
            view.record(&cut_off, at(20_000, start, 10_000)).unwrap();
            lengths.push(view.len());
        }
        assert!(lengths[0] >= 1000 - 256, "{lengths:?}");
        assert_eq!(lengths[4], 5, "{lengths:?}");
    }

    #[test]
    fn what_is_known_of_one_identifier_only_grows() {
        let (view, start) = (view(), Instant::now());
        let subject = |before: u64, until: u64| CutOff::subject(ISSUER, "alice", seconds(before)).until(seconds(until));
        let record = |cut_off: CutOff| view.record(&cut_off, at(10_000, start, 0)).unwrap();
        assert!(record(subject(9000, 11_000)).is_some());
        assert_eq!(record(subject(9000, 11_000)), None);
        assert_eq!(record(subject(8000, 10_500)), None);
        // The greater of both, each for itself.
        assert_eq!(record(subject(8000, 12_000)), Some(subject(9000, 12_000)));
        assert_eq!(record(subject(9500, 11_000)), Some(subject(9500, 12_000)));
        assert!(view.cuts_off(&token_with("iat", 9499)) && !view.cuts_off(&token_with("iat", 9500)));
        assert_eq!(view.len(), 1);
        // All of them, whenever they are issued, and that stays.
        let client = CutOff::client(ISSUER, "app").until(seconds(11_000));
        assert!(record(client.clone().issued_before(seconds(9000))).is_some());
        assert_eq!(record(client.clone()), Some(client.clone()));
        assert_eq!(record(client.issued_before(seconds(9000))), None);
        assert!(view.cuts_off(&token_with("iat", 9999)));
    }

    #[test]
    fn what_says_nothing_new_makes_no_token_be_looked_up_again() {
        let view = view();
        let cut_off = CutOff::token(ISSUER, "another").until(seconds(11_000));
        view.record(&cut_off, now()).unwrap();
        let token = token();
        view.cuts_off(&token);
        let version = view.version.load(Ordering::Relaxed);
        assert!(token.was_cleared_by(version));
        assert_eq!(view.record(&cut_off, now()).unwrap(), None);
        assert_eq!(view.version.load(Ordering::Relaxed), version);
    }

    #[test]
    fn a_cut_off_that_would_concern_no_token_is_an_error() {
        let by_session = view_by([RevokedBy::Session]);
        let far_ahead = seconds(10_000) + Duration::from_secs(367 * 24 * 3600);
        for (cut_off, problem) in [
            (CutOff::token(ISSUER, "j"), "one of [Session]"),
            (CutOff::session("", "s"), "got an empty one"),
            (CutOff::session(ISSUER, ""), "got an empty one"),
            (CutOff::session(ISSUER, "s".repeat(16 * 1024 + 1)), "got a longer one"),
            (CutOff::session("i".repeat(16 * 1024 + 1), "s"), "got a longer one"),
            (CutOff::session(ISSUER, "s").issued_before(far_ahead), "further ahead"),
        ] {
            let error = by_session.record(&cut_off, now()).unwrap_err();
            let RevokeError::Unusable(text) = &error else {
                panic!("{error:?}")
            };
            assert!(text.contains(problem), "{text}");
        }
        assert_eq!(by_session.len(), 0);
    }

    #[test]
    fn no_moment_however_odd_panics() {
        let ages = [0, 1, u64::from(u32::MAX), i64::MAX as u64 / 2];
        let moments = ages.map(|age| SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(age)));
        for moment in moments.into_iter().flatten() {
            for wall in moments.into_iter().flatten() {
                let now = Moment { wall, ..now() };
                let _ = view().record(&CutOff::subject(ISSUER, "alice", moment), now);
                let _ = view().record(&CutOff::token(ISSUER, "j").until(moment), now);
            }
        }
    }

    #[test]
    fn a_token_without_issuer_is_one_of_the_issuer_that_is_assumed() {
        let terms = RevocationTerms::new([RevokedBy::Subject], HOUR).unwrap();
        let view = View::new(terms.assume_issuer(ISSUER).unwrap());
        view.record(&CutOff::subject(ISSUER, "alice", seconds(10_000)), now())
            .unwrap();
        assert!(view.cuts_off(&token_without("iss")));
        assert!(!view.cuts_off(&token_with("iss", "https://other.test")));
    }
}
