//! URLs that were configured or discovered, and are asked only if they can be trusted to be what they say.

use std::net::{Ipv4Addr, Ipv6Addr};

use http::Uri;

use crate::error::{SetupError, shown};

/// An absolute `https` URL, without user info and fragment (RFC 8414 §2, RFC 7662 §4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint(String);

/// Where plain `http` is good enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Http {
    /// Nowhere at all.
    Nowhere,
    /// On the machine itself, where nobody listens in.
    OnLoopback,
    /// Everywhere, because the user said so.
    Everywhere,
}

impl Endpoint {
    pub(crate) fn parse(option: &'static str, url: &str, http: Http) -> Result<Self, SetupError> {
        Self::check(url, http)
            .map(|()| Self(url.to_owned()))
            .map_err(|problem| {
                SetupError::new(option, format_args!("expected {problem}, got {}", without_secrets(url)))
            })
    }

    fn check(url: &str, http: Http) -> Result<(), &'static str> {
        let uri: Uri = url.parse().map_err(|_| "an absolute https URL")?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err("an absolute https URL");
        };
        // What stands before an @ is not the host, however much it looks like one.
        if authority.as_str().contains('@') || authority.host().is_empty() {
            return Err("a URL with a host and without user info");
        }
        // `Uri` takes what follows a bracketed address for neither host nor port.
        let after_host = authority.as_str().strip_prefix(authority.host()).unwrap_or_default();
        let is_port = |port: &str| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
        if !after_host.is_empty() && !after_host.strip_prefix(':').is_some_and(is_port) {
            return Err("a URL with nothing but a port after its host");
        }
        // `Uri` drops a fragment; nobody who writes one means that.
        if url.contains('#') {
            return Err("a URL without fragment");
        }
        match scheme {
            "https" => Ok(()),
            "http" if http == Http::Everywhere => Ok(()),
            "http" if http == Http::OnLoopback && is_loopback(authority.host()) => Ok(()),
            "http" => {
                Err("https, in place of which plain http is only allowed on loopback hosts or by explicit choice")
            }
            _ => Err("an absolute https URL"),
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// For logs: a query may hold a secret.
    pub(crate) fn without_query(&self) -> &str {
        self.0.split('?').next().unwrap_or_default()
    }
}

/// For messages: user info, query and fragment may hold secrets, and what is no URL may be one.
fn without_secrets(url: &str) -> String {
    if url.contains('@') {
        return "one with user info".to_owned();
    }
    if !url.contains("://") {
        return "something else".to_owned();
    }
    shown(url.split(['?', '#']).next().unwrap_or_default())
}

fn is_loopback(host: &str) -> bool {
    let bracketed = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
        || bracketed.is_some_and(|address| address.parse::<Ipv6Addr>().is_ok_and(|address| address.is_loopback()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_for_loopback_hosts() {
        for url in [
            "https://a.example/x?y=z",
            "http://127.0.0.1:1/",
            "http://[::1]:1/",
            "http://localhost",
            "http://127.9.9.9",
        ] {
            assert!(Endpoint::parse("x", url, Http::OnLoopback).is_ok(), "{url}");
        }
        for url in [
            "http://a.example/",
            "http://localhost:80@evil.example/",
            "https://user@a.example/",
            "http://127.0.0.1.evil.example/",
            "http://localhost.evil.example/",
            "http://[::1].evil.example/",
            "https://a.example/#f",
            "https:///x",
            "ftp://a.example/",
            "/path",
            "a.example",
            "",
        ] {
            assert!(Endpoint::parse("x", url, Http::OnLoopback).is_err(), "{url}");
        }
        assert!(Endpoint::parse("x", "http://a.example/", Http::Everywhere).is_ok());
    }

    #[test]
    fn a_url_that_is_refused_is_quoted_without_its_secrets() {
        for url in [
            "https://api:s3cret@a.example/",
            "http://a.example/?code=s3cret",
            "https://a.example/#s3cret",
            "s3cret",
        ] {
            let error = Endpoint::parse("x", url, Http::OnLoopback).unwrap_err();
            assert!(!error.to_string().contains("s3cret"), "{error}");
        }
    }
}
