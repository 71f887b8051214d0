//! Who is logged in at the authorization server itself, and the proofs that its forms carry.

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use super::{
    browser::BrowserId,
    seal::{Purpose, SealingKey},
};
use crate::{random, store::StoreError, time::CLOCKS_DIFFER_BY};

/// The longest cookie of a log-in that is read, in bytes.
const MAX_LOGIN: usize = 2048;

/// How long after a log-in it counts as made for the request that asked for it.
const MADE_FOR: Duration = Duration::from_secs(600);

/// A log-in of a browser. It is no token: it lets its user have codes for clients, which lead to tokens.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Login {
    /// Who it is.
    #[serde(rename = "sub")]
    pub(super) subject: String,
    /// When the password was typed, in seconds since 1970.
    #[serde(rename = "at")]
    pub(super) auth_time: u64,
    /// When it is over, in seconds since 1970.
    #[serde(rename = "exp")]
    pub(super) expires_at: u64,
    /// Tells it from all others.
    #[serde(rename = "sid")]
    pub(super) session: String,
    /// How often the subject had been logged out everywhere.
    pub(super) epoch: u64,
}

/// Makes log-ins, and the proofs in forms.
#[derive(Clone, Debug)]
pub(super) struct Logins {
    key: SealingKey,
    lifetime: Duration,
}

impl Logins {
    /// Log-ins that last so long, however much they are used.
    pub(super) fn new(key: SealingKey, lifetime: Duration) -> Self {
        Self { key, lifetime }
    }

    /// Lets log-ins that are made from now on last so long.
    pub(super) fn set_lifetime(&mut self, lifetime: Duration) {
        self.lifetime = lifetime;
    }

    /// The log-in of somebody who has just typed the right password. Each has an identifier of its own: one that somebody
    /// else knew before tells nothing about it.
    pub(super) fn start(&self, subject: &str, epoch: u64, now: SystemTime) -> Result<Login, StoreError> {
        let auth_time = seconds(now);
        Ok(Login {
            subject: subject.to_owned(),
            auth_time,
            expires_at: auth_time.saturating_add(self.lifetime.as_secs()),
            session: random::text::<32>()?,
            epoch,
        })
    }

    /// What the browser keeps of a log-in.
    pub(super) fn cookie(&self, login: &Login) -> Result<String, StoreError> {
        let json = serde_json::to_string(login).map_err(|_| StoreError::new("a log-in cannot be written as JSON"))?;
        let body = URL_SAFE_NO_PAD.encode(json);
        let seal = self.key.seal(Purpose::Login, &[&body]);
        let cookie = format!("{body}.{seal}");
        if cookie.len() > MAX_LOGIN {
            return Err(StoreError::new("a subject is too long for a cookie"));
        }
        Ok(cookie)
    }

    /// The log-in that a browser keeps; `None` when there is none that is good. Whether it was ended since is for the caller
    /// to see, and whether its subject was logged out everywhere, by [`Login::epoch`].
    pub(super) fn read(&self, cookie: &str, now: SystemTime) -> Option<Login> {
        let (body, seal) = cookie.split_once('.').filter(|_| cookie.len() <= MAX_LOGIN)?;
        if !self.key.is_seal(Purpose::Login, &[body], seal) {
            return None;
        }
        let json = URL_SAFE_NO_PAD.decode(body).ok()?;
        let login: Login = serde_json::from_slice(&json).ok()?;
        let now = seconds(now);
        // A log-in of the future was made by a clock that was ahead; nobody knows how old it is.
        let is_good = login.auth_time <= now.saturating_add(CLOCKS_DIFFER_BY.as_secs()) && now < login.expires_at;
        is_good.then_some(login)
    }

    /// The proof that the form for this request was made for this browser, and for nobody who is logged in.
    pub(super) fn login_proof(&self, browser: &BrowserId, request: &str) -> String {
        self.key.seal(Purpose::LoginForm, &[browser.as_str(), request])
    }

    /// Whether a form has that proof.
    pub(super) fn is_login_proof(&self, browser: &BrowserId, request: &str, proof: &str) -> bool {
        let parts = [browser.as_str(), request];
        self.key.is_seal(Purpose::LoginForm, &parts, proof)
    }

    /// The proof that the form for this request was made for this browser and this log-in.
    pub(super) fn consent_proof(&self, browser: &BrowserId, login: &Login, request: &str) -> String {
        let parts = [browser.as_str(), login.session.as_str(), request];
        self.key.seal(Purpose::ConsentForm, &parts)
    }

    /// Whether a form has that proof.
    pub(super) fn is_consent_proof(&self, browser: &BrowserId, login: &Login, request: &str, proof: &str) -> bool {
        let parts = [browser.as_str(), login.session.as_str(), request];
        self.key.is_seal(Purpose::ConsentForm, &parts, proof)
    }

    /// The proof that the form that logs out was made for this browser and this log-in.
    pub(super) fn logout_proof(&self, browser: &BrowserId, login: &Login) -> String {
        let parts = [browser.as_str(), login.session.as_str()];
        self.key.seal(Purpose::LogoutForm, &parts)
    }

    /// Whether a form has that proof.
    pub(super) fn is_logout_proof(&self, browser: &BrowserId, login: &Login, proof: &str) -> bool {
        let parts = [browser.as_str(), login.session.as_str()];
        self.key.is_seal(Purpose::LogoutForm, &parts, proof)
    }

    /// The proof that this log-in was made because this request asked for one, so that it does not ask again.
    pub(super) fn made_for(&self, login: &Login, request: &str) -> String {
        self.key.seal(Purpose::LoggedInFor, &[&login.session, request])
    }

    /// Whether there is that proof, and the log-in is fresh.
    pub(super) fn is_made_for(&self, login: &Login, request: &str, proof: &str, now: SystemTime) -> bool {
        let parts = [login.session.as_str(), request];
        login.age(now) <= MADE_FOR && self.key.is_seal(Purpose::LoggedInFor, &parts, proof)
    }
}

impl Login {
    /// How long ago the password was typed.
    pub(super) fn age(&self, now: SystemTime) -> Duration {
        Duration::from_secs(seconds(now).saturating_sub(self.auth_time))
    }
}

impl fmt::Debug for Login {
    /// Without the identifier, which is in the proofs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login")
            .field("auth_time", &self.auth_time)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: &str = "client_id=notes&state=1";

    fn logins() -> Logins {
        let bytes: Vec<u8> = (0..32).collect();
        Logins::new(SealingKey::new(&bytes).unwrap(), Duration::from_secs(3600))
    }

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_800_000_000 + seconds)
    }

    fn browser(letter: char) -> BrowserId {
        BrowserId::parse(&format!("{}A", letter.to_string().repeat(42))).unwrap()
    }

    fn alice() -> Login {
        logins().start("alice", 3, at(0)).unwrap()
    }

    #[test]
    fn a_log_in_is_read_as_it_was_written_until_it_is_over() {
        let login = alice();
        let cookie = logins().cookie(&login).unwrap();
        assert_eq!(login.epoch, 3);
        assert_eq!(logins().read(&cookie, at(0)), Some(login.clone()));
        assert_eq!(logins().read(&cookie, at(3599)), Some(login));
        assert_eq!(logins().read(&cookie, at(3600)), None);
    }

    #[test]
    fn a_log_in_of_the_future_is_none() {
        let cookie = logins().cookie(&logins().start("alice", 0, at(61)).unwrap()).unwrap();
        assert_eq!(logins().read(&cookie, at(0)), None);
        assert!(logins().read(&cookie, at(1)).is_some());
    }

    #[test]
    fn a_cookie_that_was_changed_anywhere_is_none() {
        let cookie = logins().cookie(&alice()).unwrap();
        for at_byte in 0..cookie.len() {
            let mut bytes = cookie.clone().into_bytes();
            bytes[at_byte] = if bytes[at_byte] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            assert_eq!(logins().read(&changed, at(0)), None, "{at_byte}");
        }
        for changed in [
            "",
            ".",
            "x",
            &format!("{cookie}."),
            &format!("{cookie}="),
            &format!(" {cookie}"),
        ] {
            assert_eq!(logins().read(changed, at(0)), None, "{changed}");
        }
    }

    #[test]
    fn fixation_each_log_in_has_an_identifier_that_nobody_knew_before() {
        assert_ne!(alice().session, alice().session);
        let planted = alice();
        let proof = logins().consent_proof(&browser('b'), &planted, REQUEST);
        let own = alice();
        assert!(!logins().is_consent_proof(&browser('b'), &own, REQUEST, &proof));
    }

    #[test]
    fn csrf_a_proof_is_for_one_browser_one_request_and_one_form() {
        let (logins, alice) = (logins(), alice());
        let proof = logins.login_proof(&browser('b'), REQUEST);
        assert!(logins.is_login_proof(&browser('b'), REQUEST, &proof));
        assert!(!logins.is_login_proof(&browser('c'), REQUEST, &proof));
        assert!(!logins.is_login_proof(&browser('b'), "client_id=evil", &proof));
        assert!(!logins.is_login_proof(&browser('b'), REQUEST, ""));
        assert!(!logins.is_consent_proof(&browser('b'), &alice, REQUEST, &proof));
        let proof = logins.consent_proof(&browser('b'), &alice, REQUEST);
        assert!(logins.is_consent_proof(&browser('b'), &alice, REQUEST, &proof));
        assert!(!logins.is_consent_proof(&browser('c'), &alice, REQUEST, &proof));
        assert!(!logins.is_consent_proof(&browser('b'), &alice, "client_id=evil", &proof));
        assert!(!logins.is_logout_proof(&browser('b'), &alice, &proof));
        let proof = logins.logout_proof(&browser('b'), &alice);
        assert!(logins.is_logout_proof(&browser('b'), &alice, &proof));
        assert!(!logins.is_logout_proof(&browser('c'), &alice, &proof));
        assert!(!logins.is_logout_proof(&browser('b'), &super::tests::alice(), &proof));
    }

    #[test]
    fn two_tabs_each_send_their_own_form_in_any_order() {
        let (logins, alice) = (logins(), alice());
        let (first, second) = ("client_id=notes&state=1", "client_id=notes&state=2");
        let one = logins.login_proof(&browser('b'), first);
        let two = logins.login_proof(&browser('b'), second);
        assert!(logins.is_login_proof(&browser('b'), second, &two));
        // The first tab was open before somebody logged in with the second one.
        assert!(logins.is_login_proof(&browser('b'), first, &one));
        let one = logins.consent_proof(&browser('b'), &alice, first);
        let two = logins.consent_proof(&browser('b'), &alice, second);
        assert!(logins.is_consent_proof(&browser('b'), &alice, second, &two));
        assert!(logins.is_consent_proof(&browser('b'), &alice, first, &one));
    }

    #[test]
    fn a_log_in_counts_for_the_request_that_asked_for_it_and_no_other() {
        let (logins, alice) = (logins(), alice());
        let proof = logins.made_for(&alice, REQUEST);
        assert!(logins.is_made_for(&alice, REQUEST, &proof, at(600)));
        assert!(!logins.is_made_for(&alice, REQUEST, &proof, at(601)));
        assert!(!logins.is_made_for(&alice, "client_id=notes&state=2", &proof, at(0)));
        assert!(!logins.is_made_for(&super::tests::alice(), REQUEST, &proof, at(0)));
    }

    #[test]
    fn neither_subject_nor_identifier_stands_in_debug() {
        let login = alice();
        let debug = format!("{login:?}");
        assert!(!debug.contains("alice") && !debug.contains(&login.session), "{debug}");
    }
}
