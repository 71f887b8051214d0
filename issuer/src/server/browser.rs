//! Which browser a request is from, and whether a page of ours sent it.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderValue, Uri, header};
use resource_protector::SetupError;

use crate::{random, setup::shown, store::StoreError};

/// The longest cookie that is read, in bytes.
const MAX_COOKIE: usize = 4096;

/// The origin of the issuer, and what cookies are called there.
///
/// Over https they have the prefix `__Host-`: no other host of the domain, and nobody on a connection in clear, can plant
/// one. Over http, which is for loopback hosts, browsers would not take it.
#[derive(Clone, Debug)]
pub(super) struct Site {
    origin: String,
    is_https: bool,
}

/// What a cookie is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cookie {
    /// The identifier of the browser.
    Browser,
    /// A log-in.
    Login,
}

/// The random identifier of a browser: what its forms are made for. It says nothing about who is logged in.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct BrowserId(String);

impl Site {
    /// The site of this issuer.
    pub(super) fn new(issuer: &str) -> Result<Self, SetupError> {
        let wrong = |expected: &str| SetupError::new("issuer", format_args!("{expected}, got {}", shown(issuer)));
        let uri: Uri = issuer.parse().map_err(|_| wrong("expected an absolute URL"))?;
        let authority = uri.authority().ok_or_else(|| wrong("expected an absolute URL"))?;
        if authority.as_str().contains('@') {
            // It may have a password with it.
            return Err(SetupError::new("issuer", "expected no user in the URL, got one"));
        }
        let host = authority.host().to_ascii_lowercase();
        let is_loopback = matches!(host.as_str(), "localhost" | "127.0.0.1" | "[::1]");
        let (is_https, default_port) = match uri.scheme_str() {
            Some("https") => (true, 443),
            Some("http") if is_loopback => (false, 80),
            _ => return Err(wrong("expected https, or http on a loopback host")),
        };
        let scheme = if is_https { "https" } else { "http" };
        let origin = match authority.port_u16() {
            Some(port) if port != default_port => format!("{scheme}://{host}:{port}"),
            _ => format!("{scheme}://{host}"),
        };
        Ok(Self { origin, is_https })
    }

    /// Whether a form was sent by a page of this site, as far as the browser says. An old browser says nothing; then the
    /// proof in the form is all there is.
    ///
    /// What it says must fit: another host of the same domain is somebody else, and `null` is nobody.
    pub(super) fn is_own_form(&self, headers: &HeaderMap) -> bool {
        let all_are = |name: &str, expected: &str| headers.get_all(name).iter().all(|value| value == expected);
        all_are("sec-fetch-site", "same-origin") && all_are("origin", &self.origin)
    }

    /// The value of a cookie; `None` as well when there are two of the name, because one was planted.
    pub(super) fn cookie<'a>(&self, headers: &'a HeaderMap, cookie: Cookie) -> Option<&'a str> {
        let name = self.name(cookie);
        let mut values = headers
            .get_all(header::COOKIE)
            .iter()
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .filter(|(found, _)| *found == name)
            .map(|(_, value)| value);
        let value = values.next().filter(|value| value.len() <= MAX_COOKIE)?;
        values.next().is_none().then_some(value)
    }

    /// Sets a cookie until the browser is closed. No script can read it, and other sites cannot send it with a form.
    ///
    /// `None` when the value has characters that no cookie has.
    pub(super) fn set(&self, cookie: Cookie, value: &str) -> Option<HeaderValue> {
        let is_plain = value
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        let line = format!("{}={value}; {}", self.name(cookie), self.attributes());
        HeaderValue::from_str(&line).ok().filter(|_| is_plain)
    }

    /// Takes a cookie back.
    pub(super) fn unset(&self, cookie: Cookie) -> Option<HeaderValue> {
        let line = format!("{}=; {}; Max-Age=0", self.name(cookie), self.attributes());
        HeaderValue::from_str(&line).ok()
    }

    fn name(&self, cookie: Cookie) -> &'static str {
        match (cookie, self.is_https) {
            (Cookie::Browser, true) => "__Host-authorize-browser",
            (Cookie::Browser, false) => "authorize-browser",
            (Cookie::Login, true) => "__Host-authorize-login",
            (Cookie::Login, false) => "authorize-login",
        }
    }

    /// Lax: a client sends the browser here by a link, and the cookies have to come along.
    fn attributes(&self) -> &'static str {
        if self.is_https {
            "Path=/; Secure; HttpOnly; SameSite=Lax"
        } else {
            "Path=/; HttpOnly; SameSite=Lax"
        }
    }
}

impl BrowserId {
    /// The identifier of a browser that has none.
    pub(super) fn draw() -> Result<Self, StoreError> {
        Ok(Self(random::text::<32>()?))
    }

    /// The identifier that a browser sent; `None` when it is not one that could have been drawn.
    pub(super) fn parse(value: &str) -> Option<Self> {
        let is_one = value.len() == 43 && URL_SAFE_NO_PAD.decode(value).is_ok();
        is_one.then(|| Self(value.to_owned()))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site() -> Site {
        Site::new("https://auth.example.com/tenant").unwrap()
    }

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn csrf_a_form_of_another_origin_is_not_ours() {
        let is_own = |fields: &[_]| site().is_own_form(&headers(fields));
        assert!(is_own(&[]));
        assert!(is_own(&[("origin", "https://auth.example.com")]));
        assert!(is_own(&[("sec-fetch-site", "same-origin")]));
        assert!(!is_own(&[("origin", "https://evil.example.com")]));
        assert!(!is_own(&[("origin", "https://auth.example.com.evil.example")]));
        assert!(!is_own(&[("origin", "http://auth.example.com")]));
        assert!(!is_own(&[("origin", "https://auth.example.com:8443")]));
        assert!(!is_own(&[("origin", "null")]));
        assert!(!is_own(&[("sec-fetch-site", "cross-site")]));
        assert!(!is_own(&[("sec-fetch-site", "same-site")]));
        assert!(!is_own(&[("sec-fetch-site", "none")]));
    }

    #[test]
    fn csrf_one_sign_that_fits_does_not_make_up_for_one_that_does_not() {
        let good = ("sec-fetch-site", "same-origin");
        assert!(!site().is_own_form(&headers(&[good, ("origin", "null")])));
        assert!(!site().is_own_form(&headers(&[good, ("sec-fetch-site", "cross-site")])));
    }

    #[test]
    fn an_issuer_has_https_or_is_on_a_loopback_host() {
        for issuer in [
            "https://auth.example.com",
            "http://localhost:8080",
            "http://127.0.0.1:1",
            "http://[::1]:1/x",
        ] {
            assert!(Site::new(issuer).is_ok(), "{issuer}");
        }
        for issuer in [
            "http://auth.example.com",
            "http://localhost:80@evil.example",
            "https://a@auth.example.com",
            "/authorize",
            "ftp://localhost",
            "http://localhost.evil.example",
        ] {
            assert!(Site::new(issuer).is_err(), "{issuer}");
        }
    }

    #[test]
    fn the_origin_is_written_as_browsers_write_it() {
        let origin = |issuer| Site::new(issuer).unwrap().origin;
        assert_eq!(origin("https://Auth.Example.com:443/x"), "https://auth.example.com");
        assert_eq!(origin("http://127.0.0.1:8080/"), "http://127.0.0.1:8080");
        assert_eq!(origin("http://[::1]:8080"), "http://[::1]:8080");
    }

    #[test]
    fn cookies_are_bound_to_the_host_and_hidden_from_scripts() {
        let set = site().set(Cookie::Login, "x").unwrap();
        assert_eq!(set, "__Host-authorize-login=x; Path=/; Secure; HttpOnly; SameSite=Lax");
        let plain = Site::new("http://localhost:1").unwrap();
        let set = plain.set(Cookie::Browser, "x").unwrap();
        assert_eq!(set, "authorize-browser=x; Path=/; HttpOnly; SameSite=Lax");
        let unset = site().unset(Cookie::Login).unwrap();
        assert!(unset.to_str().unwrap().ends_with("; Max-Age=0"));
        assert!(site().set(Cookie::Login, "x; Domain=example.com").is_none());
    }

    #[test]
    fn a_cookie_is_found_among_others_and_two_of_a_name_are_none() {
        let found = |fields: &[_]| {
            let headers = headers(fields);
            site().cookie(&headers, Cookie::Login).map(str::to_owned)
        };
        let good = ("cookie", "a=b; __Host-authorize-login=x.y; c=d");
        assert_eq!(found(&[good]), Some("x.y".to_owned()));
        assert_eq!(found(&[("cookie", "a=b"), good]), Some("x.y".to_owned()));
        assert_eq!(found(&[good, ("cookie", "__Host-authorize-login=z")]), None);
        assert_eq!(found(&[("cookie", "authorize-login=x.y")]), None);
        assert_eq!(found(&[("cookie", "x__Host-authorize-login=x.y")]), None);
    }

    #[test]
    fn an_identifier_that_was_never_drawn_is_none() {
        let drawn = BrowserId::draw().unwrap();
        assert!(BrowserId::parse(drawn.as_str()).is_some_and(|id| id == drawn));
        assert!(BrowserId::draw().unwrap() != drawn);
        for value in [
            "",
            "x",
            &"!".repeat(43),
            &"A".repeat(44),
            &format!("{}B", "A".repeat(42)),
        ] {
            assert!(BrowserId::parse(value).is_none(), "{value}");
        }
    }
}
