//! What an authorization server says about itself: RFC 8414 and OpenID Connect Discovery 1.0.

mod place;

use std::{borrow::Cow, time::Duration};

use bytes::Bytes;
use http::{Request, Response, header};

pub(crate) use self::place::{Place, Wanted};
use crate::{
    endpoint::{Endpoint, Http},
    error::{SetupError, shown},
    fetch::{FetchError, Network, expect_ok, is_json},
    json::Object,
};

/// The longest metadata document that is read.
const MAX_DOCUMENT: usize = 256 * 1024;

/// An issuer that can be discovered, and how.
#[derive(Clone, Debug)]
pub(crate) struct Issuer {
    identifier: String,
    /// Where its metadata are, if not on its own host.
    metadata_url: Option<Endpoint>,
    http: Http,
}

/// Of the metadata, what a resource server needs. Its members are used only if the document's `issuer` is right.
#[derive(Debug)]
struct Metadata {
    jwks_uri: Option<String>,
    introspection_endpoint: Option<String>,
}

impl Issuer {
    /// An issuer whose metadata can be looked for: an `https` URL without query and fragment (RFC 8414 §2).
    pub(crate) fn new(identifier: &str, http: Http) -> Result<Self, SetupError> {
        Endpoint::parse("issuer", identifier, http)?;
        if identifier.contains('?') {
            return Err(SetupError::new(
                "issuer",
                format_args!(
                    "expected a URL without query, got one with a query: {}",
                    shown(without_query(identifier))
                ),
            ));
        }
        Ok(Self {
            identifier: identifier.to_owned(),
            metadata_url: None,
            http,
        })
    }

    /// An issuer of any name whose metadata are at this URL.
    pub(crate) fn at(identifier: &str, metadata_url: &str, http: Http) -> Result<Self, SetupError> {
        Ok(Self {
            identifier: identifier.to_owned(),
            metadata_url: Some(Endpoint::parse("metadata_url", metadata_url, http)?),
            http,
        })
    }

    fn identifier(&self) -> &str {
        &self.identifier
    }

    /// Where the endpoints that its metadata name may be plain `http`. A document that came by `https` cannot send us to
    /// a port of this very machine.
    fn http_of_endpoints(&self) -> Http {
        match self.http {
            Http::OnLoopback if self.metadata_origin().starts_with("https:") => Http::Nowhere,
            http => http,
        }
    }

    fn metadata_origin(&self) -> &str {
        self.metadata_url.as_ref().map_or(&self.identifier, Endpoint::as_str)
    }

    /// Looks at the places where metadata may be, and takes the first document whose `issuer` is exactly this one.
    ///
    /// A place without such a document is passed over.
    async fn discover(&self, network: &Network, deadline: Duration) -> Result<Metadata, FetchError> {
        let (mut problems, mut wish) = (Vec::new(), None);
        for url in self.well_known() {
            let request = Request::get(&url)
                .header(header::ACCEPT, "application/json")
                .body(Bytes::new())
                .map_err(FetchError::new)?;
            let response = network.exchange(request, MAX_DOCUMENT, deadline).await;
            match response.and_then(|response| self.read(&response)) {
                Ok(metadata) => return Ok(metadata),
                Err(problem) => {
                    wish = wish.max(problem.wish());
                    problems.push(format!("{}: {problem}", without_query(&url)));
                }
            }
        }
        Err(FetchError::new(format_args!("no usable metadata: {}", problems.join("; "))).wishing(wish))
    }

    /// The places, all on the issuer's own host: inserted before its path (RFC 8414 §3.1), appended to it (OpenID
    /// Connect Discovery 1.0 §4), and the two mixtures that are met.
    fn well_known(&self) -> Vec<String> {
        if let Some(url) = &self.metadata_url {
            return vec![url.as_str().to_owned()];
        }
        let issuer = self.identifier.trim_end_matches('/');
        let host_end = issuer
            .find("://")
            .and_then(|scheme| issuer.get(scheme + 3..)?.find('/').map(|path| scheme + 3 + path))
            .unwrap_or(issuer.len());
        let (host, path) = issuer.split_at(host_end);
        let mut urls = vec![
            format!("{host}/.well-known/oauth-authorization-server{path}"),
            format!("{host}{path}/.well-known/openid-configuration"),
        ];
        if !path.is_empty() {
            urls.push(format!("{host}/.well-known/openid-configuration{path}"));
            urls.push(format!("{host}{path}/.well-known/oauth-authorization-server"));
        }
        urls
    }

    fn read(&self, response: &Response<Bytes>) -> Result<Metadata, FetchError> {
        expect_ok(response)?;
        if !is_json(response) {
            return Err(FetchError::new("expected content type application/json"));
        }
        let document = Object::parse(response.body()).map_err(FetchError::new)?;
        let text = |name: &str| document.text(name).ok().flatten().map(Cow::into_owned);
        let issuer = text("issuer").unwrap_or_default();
        // RFC 8414 §3.3: "The 'issuer' value returned MUST be identical to the authorization server's issuer identifier
        // value […]. If these values are not identical, the data contained in the response MUST NOT be used."
        if issuer != self.identifier {
            return Err(FetchError::new(format_args!(
                "expected the issuer {}, got {}",
                shown(&self.identifier),
                shown(&issuer)
            )));
        }
        Ok(Metadata {
            jwks_uri: text("jwks_uri"),
            introspection_endpoint: text("introspection_endpoint"),
        })
    }
}

/// A query may hold a secret.
fn without_query(url: &str) -> &str {
    url.split('?').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(issuer: &str) -> Vec<String> {
        Issuer::new(issuer, Http::OnLoopback).unwrap().well_known()
    }

    #[test]
    fn the_well_known_part_is_inserted_first_and_appended_as_a_fallback() {
        assert_eq!(
            places("https://a.example"),
            [
                "https://a.example/.well-known/oauth-authorization-server",
                "https://a.example/.well-known/openid-configuration",
            ]
        );
        assert_eq!(places("https://a.example/"), places("https://a.example"));
        assert_eq!(
            places("https://a.example:8443/t/1/"),
            [
                "https://a.example:8443/.well-known/oauth-authorization-server/t/1",
                "https://a.example:8443/t/1/.well-known/openid-configuration",
                "https://a.example:8443/.well-known/openid-configuration/t/1",
                "https://a.example:8443/t/1/.well-known/oauth-authorization-server",
            ]
        );
    }

    #[test]
    fn an_issuer_to_be_discovered_is_an_https_url_without_query() {
        for bad in [
            "acme.com",
            "https://a.example/?x",
            "https://a.example/#x",
            "http://a.example",
        ] {
            assert!(Issuer::new(bad, Http::OnLoopback).is_err(), "{bad}");
        }
    }
}
