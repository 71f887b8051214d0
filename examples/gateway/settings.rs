//! `gateway.toml`: what stands above the tables, and what goes together.

use std::{net::SocketAddr, sync::Arc};

use http::{HeaderName, Uri, uri::Authority};
use resource_protector::config::{
    self, ConfigError, IssuerConfig, ProtectorConfig, ResourceConfig, RevocationConfig, RouteConfig,
};
use serde::Deserialize;

use crate::{headers::GatewayOnly, inside::Inside, proxy::Proxy};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    listen: String,
    #[serde(default)]
    behind_tls: bool,
    upstream: Option<String>,
    #[serde(default)]
    forward_authorization: bool,
    #[serde(default)]
    strip_headers: Vec<String>,
    #[serde(default)]
    forward_auth: bool,
    #[serde(default)]
    fail_fast: bool,
    admin: Option<String>,
    resource: ResourceConfig,
    #[serde(default)]
    issuer: Vec<IssuerConfig>,
    revocation: Option<RevocationConfig>,
    #[serde(default)]
    route: Vec<RouteConfig>,
}

/// The settings, checked.
pub(crate) struct Settings {
    pub(crate) listen: SocketAddr,
    pub(crate) admin: Option<SocketAddr>,
    pub(crate) fail_fast: bool,
    pub(crate) hears_of_revocations: bool,
    pub(crate) inside: Inside,
    pub(crate) protector: ProtectorConfig,
}

impl Settings {
    pub(crate) fn from_toml(text: &str) -> Result<Self, ConfigError> {
        let file: File = config::from_toml(text)?;
        Self::check(file).map_err(|error| error.located_in(text))
    }

    fn check(file: File) -> Result<Self, ConfigError> {
        let gateway_only = GatewayOnly {
            forward_authorization: file.forward_authorization,
            strip: header_names(&file.strip_headers)?,
        };
        let inside = match (file.upstream, file.forward_auth) {
            (Some(_), true) => {
                let problem = "expected no `upstream` beside it: with `forward_auth` another proxy passes requests on";
                return Err(ConfigError::new("forward_auth", problem));
            }
            (Some(url), false) => Inside::Proxy(Box::new(Proxy::new(authority(&url)?, gateway_only, file.behind_tls))),
            (None, true) => Inside::ForwardAuth,
            (None, false) => Inside::Answer,
        };
        Ok(Self {
            listen: listen("listen", &file.listen, file.behind_tls)?,
            admin: file
                .admin
                .map(|address| listen("admin", &address, file.behind_tls))
                .transpose()?,
            fail_fast: file.fail_fast,
            hears_of_revocations: file.revocation.is_some(),
            inside,
            protector: ProtectorConfig::new(file.resource, file.issuer, file.route).revocation(file.revocation),
        })
    }
}

fn listen(key: &str, address: &str, behind_tls: bool) -> Result<SocketAddr, ConfigError> {
    let Ok(address) = address.parse::<SocketAddr>() else {
        let problem = "expected an IP address and a port, as in \"127.0.0.1:8080\", got something else";
        return Err(ConfigError::new(key, problem));
    };
    if !behind_tls && !address.ip().is_loopback() {
        // A bearer token that travels in clear belongs to whoever sees it (RFC 6750 §5.3).
        let problem = format!(
            "expected a loopback address, got {address}; to listen there, let TLS end in front and set `behind_tls = true`"
        );
        return Err(ConfigError::new(key, problem));
    }
    Ok(address)
}

/// Whom to connect to. What is not quoted may hold a password.
fn authority(url: &str) -> Result<Authority, ConfigError> {
    let expected = "expected \"http://HOST\" or \"http://HOST:PORT\", without user, path and query";
    let bad = || ConfigError::new("upstream", expected);
    let uri: Uri = url.parse().map_err(|_| bad())?;
    let whole =
        uri.scheme_str() == Some("http") && uri.path() == "/" && uri.query().is_none() && !url.contains(['#', '@']);
    match uri.authority() {
        Some(authority) if whole && has_usable_port(authority) => Ok(authority.clone()),
        _ => Err(bad()),
    }
}

fn has_usable_port(authority: &Authority) -> bool {
    authority.as_str() == authority.host() || authority.port_u16().is_some_and(|port| port != 0)
}

fn header_names(names: &[String]) -> Result<Arc<[HeaderName]>, ConfigError> {
    let name = |(index, name): (usize, &String)| {
        // `*` is a legal character of a name, and surely meant as something else.
        let whole = HeaderName::try_from(name).ok().filter(|_| !name.contains('*'));
        whole.ok_or_else(|| ConfigError::new(format!("strip_headers[{index}]"), "expected the whole name of a header"))
    };
    names.iter().enumerate().map(name).collect()
}
