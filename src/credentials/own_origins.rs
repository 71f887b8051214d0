//! Whether a page of our own sent a request: what browsers say about it, and pages cannot.

use http::{HeaderMap, HeaderName, header};

use super::at_most_one;
use crate::{
    endpoint::{Endpoint, Http},
    error::{SetupError, shown},
};

/// <https://www.w3.org/TR/fetch-metadata/#sec-fetch-site-header>
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The origins, beside that of the service itself, whose pages may do what a user may do.
#[derive(Clone, Debug)]
pub(super) struct OwnOrigins(Vec<String>);

impl OwnOrigins {
    pub(super) fn new<O: AsRef<str>>(
        option: &'static str,
        origins: impl IntoIterator<Item = O>,
    ) -> Result<Self, SetupError> {
        let checked = origins.into_iter().map(|origin| {
            let origin = origin.as_ref();
            Endpoint::parse(option, origin, Http::OnLoopback)?;
            if !is_as_browsers_write_it(origin) {
                return Err(SetupError::new(
                    option,
                    format_args!(
                        "expected an origin as browsers write it, https://host or https://host:port, in lower case, \
                         without path and without the scheme's own port, got {}",
                        shown(origin)
                    ),
                ));
            }
            Ok(origin.to_owned())
        });
        Ok(Self(checked.collect::<Result<_, _>>()?))
    }

    /// Whether the browser says that a page of one of these origins, or of the service's own, sent the request. What
    /// it does not say, or says twice, is no proof.
    pub(super) fn sent(&self, headers: &HeaderMap) -> bool {
        let (Ok(origin), Ok(site)) = (
            at_most_one(headers.get_all(header::ORIGIN).iter()),
            at_most_one(headers.get_all(SEC_FETCH_SITE).iter()),
        ) else {
            return false;
        };
        match origin {
            // What has no origin is nobody's page, wherever it was sent from.
            Some(origin) if origin == "null" => false,
            Some(origin) if self.0.iter().any(|own| origin == own.as_str()) => true,
            _ => site.is_some_and(|site| site == "same-origin"),
        }
    }
}

/// RFC 6454 §6.2, for an `https` or `http` URL.
fn is_as_browsers_write_it(url: &str) -> bool {
    let Some((scheme, authority)) = url.split_once("://") else {
        return false;
    };
    let own_port = if scheme == "https" { ":443" } else { ":80" };
    !authority.contains(['/', '?', '*'])
        && !authority.ends_with(own_port)
        && !url.bytes().any(|b| b.is_ascii_uppercase())
        && !authority.ends_with(':')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_browser_says_decides_and_silence_proves_nothing() {
        let own = OwnOrigins::new("x", ["https://app.test", "http://localhost:3000"]).unwrap();
        for (origins, sites, sent) in [
            (&[][..], &[][..], false),
            (&[], &["same-origin"], true),
            (&[], &["same-site"], false),
            (&[], &["cross-site"], false),
            (&[], &["none"], false),
            (&[], &["same-origin", "same-origin"], false),
            (&[], &["Same-Origin"], false),
            (&["https://app.test"], &[], true),
            (&["https://app.test"], &["same-site"], true),
            (&["https://app.test"], &["cross-site"], true),
            (&["https://app.test"], &["same-origin", "cross-site"], false),
            (&["https://app.test", "https://app.test"], &["same-origin"], false),
            (&["http://localhost:3000"], &[], true),
            (&["https://evil.test"], &[], false),
            (&["https://evil.test"], &["cross-site"], false),
            (&["https://evil.test"], &["same-site"], false),
            // The service's own origin, which need not be named.
            (&["https://api.test"], &["same-origin"], true),
            (&["https://app.test."], &[], false),
            (&["https://app.test:443"], &[], false),
            (&["https://app.test.evil.test"], &[], false),
            (&["https://app.test/"], &[], false),
            (&["http://app.test"], &[], false),
            (&["https://app.test https://evil.test"], &[], false),
            (&[""], &[], false),
            (&["null"], &[], false),
            (&["null"], &["same-origin"], false),
            (&["null"], &["cross-site"], false),
        ] {
            let mut headers = HeaderMap::new();
            for origin in origins {
                headers.append(header::ORIGIN, origin.parse().unwrap());
            }
            for site in sites {
                headers.append(SEC_FETCH_SITE, site.parse().unwrap());
            }
            assert_eq!(own.sent(&headers), sent, "{origins:?} {sites:?}");
        }
    }

    #[test]
    fn without_origins_of_our_own_only_the_services_own_pages_count() {
        let own = OwnOrigins::new("x", [""; 0]).unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(header::ORIGIN, "https://app.test".parse().unwrap());
        assert!(!own.sent(&headers));
        headers.insert(SEC_FETCH_SITE, "same-origin".parse().unwrap());
        assert!(own.sent(&headers));
    }
}
