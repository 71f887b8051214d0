//! What an issuer does in any order, against a few sets of tokens that say what they are worth.

use std::time::Duration;

use resource_protector::testing::TestClock;
use resource_protector_issuer::{RefreshRequest, TokenErrorKind, store::MemoryStore};

use super::{Countdown, Hooked, Node, Setup, Step, refresh_token, setups};
use crate::support::present;

const SEQUENCES: u64 = 200;
const STEPS: usize = 30;

const GRACE: u64 = 10_000;
/// What an issuer has unless told otherwise, in milliseconds.
const ACCESS_TOKEN_LIFE: u64 = 600_000;
const REFRESH_TOKEN_LIFE: u64 = 14 * DAY;
const SESSION_LIFE: u64 = 90 * DAY;
/// For how long what is over may be good by the leeway of others, and a minute.
const MARGIN: u64 = 360_000;
const DAY: u64 = 86_400_000;

/// Numbers that are the same for the same seed (SplitMix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % sides as u64).unwrap()
    }
}

/// A log-in.
struct Family {
    subject: &'static str,
    is_over_at: u64,
    is_dead: bool,
    /// The refresh tokens whose turn it is, and those before them, with the moment of the first exchange.
    next: Vec<usize>,
    last: Vec<usize>,
    exchanged_at: u64,
    /// Until when it is the turn of the next ones.
    next_until: u64,
    last_access_at: u64,
}

struct Refresh {
    text: String,
    family: usize,
}

struct Access {
    text: String,
    family: usize,
    issued_at: u64,
    is_revoked: bool,
}

/// What ought to be. Time is counted from the start, in milliseconds.
#[derive(Default)]
struct Oracle {
    now: u64,
    families: Vec<Family>,
    refresh: Vec<Refresh>,
    access: Vec<Access>,
}

impl Oracle {
    fn begin(&mut self, subject: &'static str) -> usize {
        self.families.push(Family {
            subject,
            is_over_at: self.now + SESSION_LIFE,
            is_dead: false,
            next: Vec::new(),
            last: Vec::new(),
            exchanged_at: 0,
            next_until: (self.now + REFRESH_TOKEN_LIFE).min(self.now + SESSION_LIFE),
            last_access_at: self.now,
        });
        self.families.len() - 1
    }

    fn add(&mut self, family: usize, tokens: &resource_protector_issuer::IssuedTokens) {
        self.families[family].next.push(self.refresh.len());
        self.families[family].last_access_at = self.now;
        self.refresh.push(Refresh {
            text: refresh_token(tokens).to_owned(),
            family,
        });
        self.access.push(Access {
            text: tokens.access_token().to_owned(),
            family,
            issued_at: self.now,
            is_revoked: false,
        });
    }

    fn is_alive(&self, family: usize) -> bool {
        !self.families[family].is_dead
    }

    /// Whether it gives tokens; what that changes has changed.
    fn exchange(&mut self, token: usize) -> bool {
        let family = &mut self.families[self.refresh[token].family];
        // Where those are over whose turn it is, all is.
        if family.is_dead || family.next_until <= self.now {
            return false;
        }
        if family.next.contains(&token) {
            // The others of its generation are old at once.
            family.next.clear();
            family.last = [token].into();
            family.exchanged_at = self.now;
            family.next_until = (self.now + REFRESH_TOKEN_LIFE).min(family.is_over_at);
            return true;
        }
        let is_in_time = family.last.contains(&token) && self.now < family.exchanged_at + GRACE;
        family.is_dead = !is_in_time;
        is_in_time
    }

    fn is_refresh_good(&self, token: usize) -> bool {
        let family = &self.families[self.refresh[token].family];
        !family.is_dead && self.now < family.next_until && family.next.contains(&token)
    }

    fn age(&self, access_token: usize) -> u64 {
        self.now - self.access[access_token].issued_at
    }

    /// `None` in the second in which it may be over or not: claims are in whole seconds, and up to one ahead.
    fn is_access_good(&self, index: usize) -> Option<bool> {
        let token = &self.access[index];
        if token.is_revoked || !self.is_alive(token.family) {
            return Some(false);
        }
        match self.age(index) {
            age if age < ACCESS_TOKEN_LIFE - 1_000 => Some(true),
            age if age > ACCESS_TOKEN_LIFE + 2_000 => Some(false),
            _ => None,
        }
    }
}

struct Run {
    dice: Dice,
    clock: TestClock,
    store: MemoryStore,
    setup: Setup,
    losing: Countdown,
    node: Node,
    oracle: Oracle,
}

impl Run {
    async fn new(seed: u64, setup: Setup) -> Self {
        let (clock, store, losing) = (TestClock::new(), MemoryStore::new(), Countdown::default());
        let setup = setup.grace(Duration::from_millis(GRACE));
        Self {
            dice: Dice(seed),
            node: start(&setup, &store, &clock, &losing).await,
            clock,
            store,
            setup,
            losing,
            oracle: Oracle::default(),
        }
    }

    fn pick(&mut self, many: usize) -> Option<usize> {
        // The latest ones more often.
        (many > 0).then(|| many - 1 - self.dice.roll(many).min(self.dice.roll(many)))
    }

    async fn step(&mut self) {
        if self.dice.roll(4) == 0 {
            self.losing.set(1);
        }
        match self.dice.roll(14) {
            0 | 1 => {
                let subject = ["alice", "bob"][self.dice.roll(2)];
                let family = self.oracle.begin(subject);
                let tokens = match self.dice.roll(2) {
                    0 => self.node.issue(subject).await,
                    _ => {
                        let code = self.node.code(subject).await;
                        self.node.redeem(&code).await.unwrap()
                    }
                };
                self.oracle.add(family, &tokens);
            }
            2..=5 => self.refresh().await,
            6 => {
                if let Some(token) = self.pick(self.oracle.access.len()) {
                    let text = &self.oracle.access[token].text;
                    self.node.issuer.revoke(text, "app").await.unwrap();
                    self.oracle.access[token].is_revoked = true;
                }
            }
            7 => {
                if let Some(token) = self.pick(self.oracle.refresh.len()) {
                    let Refresh { text, family } = &self.oracle.refresh[token];
                    let family = &mut self.oracle.families[*family];
                    // When all of a session is over it may be deleted, and nobody knows whose the token was. Its last access token
                    // is over at the second.
                    let over_at = family
                        .next_until
                        .max(family.last_access_at + ACCESS_TOKEN_LIFE + MARGIN);
                    if over_at.abs_diff(self.oracle.now) > 2_000 {
                        self.node.issuer.revoke(text, "app").await.unwrap();
                        family.is_dead |= over_at > self.oracle.now;
                    }
                }
            }
            8 => {
                // Of an opaque token that was deleted, nobody knows whose it was.
                let picked = self.pick(self.oracle.access.len());
                if let Some(token) = picked.filter(|token| self.oracle.age(*token) < ACCESS_TOKEN_LIFE) {
                    let Access { text, family, .. } = &self.oracle.access[token];
                    self.node.issuer.logout(text).await.unwrap();
                    self.oracle.families[*family].is_dead = true;
                }
            }
            9 => {
                let subject = ["alice", "bob", "nobody"][self.dice.roll(3)];
                self.node.issuer.logout_everywhere(subject).await.unwrap();
                for family in &mut self.oracle.families {
                    family.is_dead |= family.subject == subject;
                }
            }
            10 => {
                // Somebody else's token is nobody's business.
                if let Some(token) = self.pick(self.oracle.refresh.len()) {
                    let text = &self.oracle.refresh[token].text;
                    let refused = self
                        .node
                        .issuer
                        .refresh(RefreshRequest::new(text, "other"))
                        .await
                        .unwrap_err();
                    assert_eq!(refused.kind(), TokenErrorKind::InvalidGrant);
                    drop(self.node.issuer.revoke(text, "other").await);
                }
            }
            11 => {
                self.losing.set(0);
                // Neither deleting what is over nor a restart changes anything.
                self.node.issuer.upkeep().await.unwrap();
                self.node = start(&self.setup, &self.store, &self.clock, &self.losing).await;
            }
            _ => {
                let times = [
                    1,
                    300,
                    1_000,
                    GRACE - 1,
                    GRACE,
                    120_000,
                    ACCESS_TOKEN_LIFE,
                    DAY,
                    REFRESH_TOKEN_LIFE,
                ];
                let time = times[self.dice.roll(times.len())];
                self.clock.advance(Duration::from_millis(time));
                self.oracle.now += time;
            }
        }
        self.losing.set(0);
    }

    async fn refresh(&mut self) {
        let Some(token) = self.pick(self.oracle.refresh.len()) else {
            return;
        };
        let Refresh { text, family } = &self.oracle.refresh[token];
        let (text, family) = (text.clone(), *family);
        match (self.node.refresh(&text).await, self.oracle.exchange(token)) {
            (Ok(tokens), true) => self.oracle.add(family, &tokens),
            (Err(TokenErrorKind::InvalidGrant), false) => {}
            (answer, expected) => panic!("expected {expected}, got {:?}", answer.map(|_| ())),
        }
    }

    async fn compare(&mut self, looks: usize) {
        for _ in 0..looks {
            let Some(token) = self.pick(self.oracle.access.len()) else {
                return;
            };
            let text = &self.oracle.access[token].text;
            if let Some(is_good) = self.oracle.is_access_good(token) {
                assert_eq!(self.node.is_active(text).await, is_good, "access token {token}");
                let seen = present(&self.node.protector, text).await;
                // It grants a leeway to what is over, and none to what was revoked.
                let is_dead = !self.oracle.is_alive(self.oracle.access[token].family);
                if is_good || is_dead || self.oracle.access[token].is_revoked {
                    assert_eq!(seen.is_ok(), is_good, "access token {token} at the resource server");
                }
            }
            let Some(token) = self.pick(self.oracle.refresh.len()) else {
                return;
            };
            let text = &self.oracle.refresh[token].text;
            let is_good = self.oracle.is_refresh_good(token);
            assert_eq!(self.node.is_active(text).await, is_good, "refresh token {token}");
        }
    }
}

async fn start(setup: &Setup, store: &MemoryStore, clock: &TestClock, losing: &Countdown) -> Node {
    let losing = losing.clone();
    let hook = move |step| {
        std::future::ready(match step == Step::AfterCommit && losing.is_over() {
            true => Err(resource_protector::StoreError::new("the answer was lost")),
            false => Ok(()),
        })
    };
    setup.start(Hooked::new(store.clone(), hook), clock.clone()).await
}

/// Says which sequence it was that failed.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the seed is {}", self.0);
        }
    }
}

#[tokio::test]
async fn whatever_comes_in_whatever_order_tokens_are_worth_what_they_ought_to_be() {
    let setups = setups();
    let mut worth = [0; 2];
    for seed in 0..SEQUENCES {
        let failing = Seed(seed);
        let setup = setups[usize::try_from(seed % 2).unwrap()].clone();
        let mut run = Run::new(seed, setup).await;
        for _ in 0..STEPS {
            run.step().await;
            run.compare(2).await;
        }
        run.compare(10).await;
        for token in 0..run.oracle.access.len() {
            worth[usize::from(run.oracle.is_access_good(token) == Some(true))] += 1;
        }
        drop(failing);
    }
    // Neither is rare.
    assert!(worth.iter().all(|count| *count > 100), "{worth:?}");
}
