//! The tokens that were verified.

use quick_cache::{Weighter, sync::Cache};

use crate::{
    clock::Moment,
    rejection::Rejection,
    token::{CurrentToken, Grounds},
    validate::TokenDigest,
};

/// How many tokens are remembered unless set.
const DEFAULT_CAPACITY: usize = 10_000;

/// What verification has found out, by token: that a key of the issuer signed it, and what it says. Whether it is over, or
/// enough, is judged anew on every request.
///
/// Refusals, and tokens that were over or not yet valid when they were first seen, have room of their own: no number of
/// them drives out a good token. Nobody can fill either without signatures of the issuer: what no key vouches for is not
/// remembered. When a key is withdrawn, whatever rests on it is forgotten with its next use.
pub(super) struct Remembered(Option<Caches>);

struct Caches {
    good: Cache<TokenDigest, CurrentToken, Weight>,
    useless: Cache<TokenDigest, Useless, Weight>,
}

/// What was signed by the issuer and did not help.
#[derive(Clone)]
enum Useless {
    OutOfTime(CurrentToken),
    Refused(Rejection, Option<Grounds>),
}

/// What an entry takes of the capacity: one, and one more for every 4 KiB, as clients may be able to choose long claims.
#[derive(Clone)]
struct Weight;

impl Weighter<TokenDigest, CurrentToken> for Weight {
    fn weight(&self, _: &TokenDigest, token: &CurrentToken) -> u64 {
        1 + token.size() as u64 / 4096
    }
}

impl Weighter<TokenDigest, Useless> for Weight {
    fn weight(&self, digest: &TokenDigest, useless: &Useless) -> u64 {
        match useless {
            Useless::OutOfTime(token) => self.weight(digest, token),
            Useless::Refused(..) => 1,
        }
    }
}

impl Default for Remembered {
    fn default() -> Self {
        Self::with_capacity(DEFAULT_CAPACITY)
    }
}

impl Remembered {
    /// For this many good tokens, and a tenth of it for others; zero for none.
    pub(super) fn with_capacity(tokens: usize) -> Self {
        Self((tokens > 0).then(|| {
            let others = tokens.div_ceil(10);
            Caches {
                good: Cache::with_weighter(tokens, tokens as u64, Weight),
                useless: Cache::with_weighter(others, others as u64, Weight),
            }
        }))
    }

    /// What was found out about a token, unless the key that vouched for it was withdrawn.
    pub(super) fn recall(&self, digest: &TokenDigest) -> Option<Result<CurrentToken, Rejection>> {
        let caches = self.0.as_ref()?;
        if let Some(token) = caches.good.get(digest) {
            if token.is_withdrawn() {
                caches.good.remove(digest);
                return None;
            }
            return Some(Ok(token));
        }
        let useless = caches.useless.get(digest)?;
        let is_withdrawn = match &useless {
            Useless::OutOfTime(token) => token.is_withdrawn(),
            Useless::Refused(_, grounds) => grounds.as_ref().is_some_and(Grounds::are_withdrawn),
        };
        if is_withdrawn {
            caches.useless.remove(digest);
            return None;
        }
        Some(match useless {
            Useless::OutOfTime(token) => Ok(token),
            Useless::Refused(rejection, _) => Err(rejection),
        })
    }

    /// Remembers what verification has found out, and on which grounds.
    pub(super) fn remember(
        &self,
        digest: TokenDigest,
        answer: &Result<CurrentToken, Rejection>,
        grounds: Option<Grounds>,
        now: Moment,
    ) {
        let Some(caches) = &self.0 else { return };
        match answer {
            Ok(token) if token.judge_time(now).is_ok() => caches.good.insert(digest, token.clone()),
            Ok(token) => caches.useless.insert(digest, Useless::OutOfTime(token.clone())),
            Err(rejection) => caches
                .useless
                .insert(digest, Useless::Refused(rejection.clone(), grounds)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant, SystemTime};

    use serde_json::json;

    use super::*;
    use crate::rejection::Reason;

    fn at(seconds: u64) -> Moment {
        Moment {
            wall: SystemTime::UNIX_EPOCH + Duration::from_secs(seconds),
            monotonic: Instant::now(),
        }
    }

    fn digest(n: usize) -> TokenDigest {
        TokenDigest::of(&format!("token {n}")).unwrap()
    }

    fn good(subject: &str) -> Result<CurrentToken, Rejection> {
        CurrentToken::vouch_for(&json!({ "sub": subject, "exp": 1000 }))
    }

    fn refused() -> Result<CurrentToken, Rejection> {
        Err(Rejection::invalid_token(Reason::Audience, "for others"))
    }

    #[test]
    fn no_number_of_useless_tokens_drives_out_a_good_one() {
        let remembered = Remembered::with_capacity(100);
        for n in 0..50 {
            remembered.remember(digest(n), &good("alice"), None, at(0));
        }
        for n in 1000..6000 {
            remembered.remember(digest(n), &refused(), None, at(0));
            // Over when it was first seen.
            remembered.remember(digest(10 * n), &good("mallory"), None, at(2000));
        }
        for n in 0..50 {
            assert!(matches!(remembered.recall(&digest(n)), Some(Ok(_))), "{n}");
        }
    }

    #[test]
    fn a_flood_of_good_tokens_that_nobody_has_seen_drives_out_none_that_is_in_use() {
        let remembered = Remembered::with_capacity(1000);
        let hot = 0..100;
        for n in hot.clone() {
            remembered.remember(digest(n), &good("alice"), None, at(0));
        }
        for n in hot.clone() {
            assert!(remembered.recall(&digest(n)).is_some(), "{n}");
        }
        // Between two uses of a hot token come a thousand new ones, as many as there is room for.
        for n in 0..30_000 {
            remembered.remember(digest(1000 + n), &good("mallory"), None, at(0));
            if n % 10 == 0 {
                let hot = n / 10 % hot.len();
                assert!(remembered.recall(&digest(hot)).is_some(), "{hot} after {n} new ones");
            }
        }
        let caches = remembered.0.as_ref().unwrap();
        assert!(caches.good.weight() <= 1000);
    }

    #[test]
    fn what_is_remembered_stays_within_its_capacity() {
        let remembered = Remembered::with_capacity(100);
        for n in 0..5000 {
            remembered.remember(digest(n), &good("alice"), None, at(0));
            remembered.remember(digest(10_000 + n), &refused(), None, at(0));
        }
        let caches = remembered.0.as_ref().unwrap();
        assert!(caches.good.weight() <= 100 && caches.useless.weight() <= 10);
    }

    #[test]
    fn a_full_memory_lets_go_of_some_tokens_and_never_of_all_nor_of_one_in_use() {
        let remembered = Remembered::with_capacity(100);
        for n in 0..5000 {
            remembered.remember(digest(n), &good("alice"), None, at(0));
            assert!(matches!(remembered.recall(&digest(0)), Some(Ok(_))), "{n}");
            let weight = remembered.0.as_ref().unwrap().good.weight();
            assert!(n < 100 || weight > 50, "{n}: {weight}");
        }
    }

    #[test]
    fn long_claims_count_for_more() {
        let remembered = Remembered::with_capacity(100);
        let long = CurrentToken::vouch_for(&json!({ "sub": "x".repeat(40_000), "exp": 1000 }));
        remembered.remember(digest(1), &long, None, at(0));
        assert_eq!(remembered.0.as_ref().unwrap().good.weight(), 10);
    }

    #[test]
    fn a_refusal_is_forgotten_with_the_key_that_vouched_for_the_token() {
        let (remembered, grounds) = (Remembered::default(), Grounds::default());
        remembered.remember(digest(1), &refused(), Some(grounds.clone()), at(0));
        assert!(matches!(remembered.recall(&digest(1)), Some(Err(_))));
        grounds.withdraw();
        assert!(remembered.recall(&digest(1)).is_none());
    }
}
