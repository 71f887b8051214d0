//! Where a `JwtValidator` has its keys from, and how remote ones are kept.

use std::time::Duration;

use aws_lc_rs::hmac;
use rustls_pki_types::pem::{PemObject as _, SectionKind};

use super::{
    JwtValidator, Keys,
    algorithm::HmacAlgorithm,
    issuers::Issuers,
    jwks::{self, LIFETIMES, RemoteKeys, Settings},
    key_set::{KeySet, MAX_TRIED},
    keys::VerifyingKey,
    known_headers::KnownHeaders,
    remembered::Remembered,
    rules::Rules,
    tenants::{TenantIssuers, Tenants},
};
use crate::{
    audience::Audience,
    discovery::{Issuer, Place, Wanted},
    endpoint::Http,
    error::{SetupError, shown, within, within_timeout},
    fetch::{Fetch, Network},
    template::Template,
};

/// How keys are found.
impl JwtValidator {
    /// Keys from the JWK set that the issuer's metadata name (RFC 8414, OpenID Connect Discovery 1.0). The document's
    /// `issuer` must be exactly this one.
    ///
    /// # Errors
    ///
    /// When the issuer is not an `https` URL (`http` for a loopback host), or the audience is blank.
    pub fn discover(issuer: impl AsRef<str>, audience: impl Into<Audience>) -> Result<Self, SetupError> {
        Self::discovered(issuer.as_ref(), audience.into(), Http::OnLoopback)
    }

    /// As [`discover`](Self::discover), over plain `http` beyond a loopback host: **whoever is on the way can replace
    /// the issuer's keys by their own** and make any token. For a private network that is trusted with that.
    ///
    /// # Errors
    ///
    /// As [`discover`](Self::discover).
    pub fn discover_over_plain_http(
        issuer: impl AsRef<str>,
        audience: impl Into<Audience>,
    ) -> Result<Self, SetupError> {
        Self::discovered(issuer.as_ref(), audience.into(), Http::Everywhere)
    }

    /// Keys from the JWK set that the metadata at this URL name, for an issuer that is not a URL, or that cannot be reached
    /// under its own name. The document's `issuer` must be exactly this one all the same.
    ///
    /// # Errors
    ///
    /// When the URL is not `https` (`http` for a loopback host), the issuer is empty, or the audience is blank.
    pub fn discover_at(
        issuer: impl AsRef<str>,
        metadata_url: impl AsRef<str>,
        audience: impl Into<Audience>,
    ) -> Result<Self, SetupError> {
        Self::discovered_at(
            issuer.as_ref(),
            metadata_url.as_ref(),
            audience.into(),
            Http::OnLoopback,
        )
    }

    /// As [`discover_at`](Self::discover_at), over plain `http` beyond a loopback host: **whoever is on the way can
    /// replace the issuer's keys by their own** and make any token.
    ///
    /// # Errors
    ///
    /// As [`discover_at`](Self::discover_at).
    pub fn discover_at_over_plain_http(
        issuer: impl AsRef<str>,
        metadata_url: impl AsRef<str>,
        audience: impl Into<Audience>,
    ) -> Result<Self, SetupError> {
        Self::discovered_at(
            issuer.as_ref(),
            metadata_url.as_ref(),
            audience.into(),
            Http::Everywhere,
        )
    }

    /// Keys for the tenants of one authorization server, as Entra ID has them: each has an issuer of its own, and the
    /// metadata, which are at this URL, name a template for all of them as their `issuer`.
    ///
    /// ```
    /// # fn main() -> Result<(), resource_protector::SetupError> {
    /// use resource_protector::{JwtValidator, Tenants};
    ///
    /// let tokens = JwtValidator::discover_tenants(
    ///     "https://login.microsoftonline.com/{tenantid}/v2.0",
    ///     "https://login.microsoftonline.com/organizations/v2.0/.well-known/openid-configuration",
    ///     Tenants::only(["6babcaad-604b-40ac-a9d7-9fd97c0b779f"])?,
    ///     "5c2bc3ad-0b1d-4b3d-9d5f-3d1a4f1e8a11",
    /// )?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Besides what holds for every token, `tid` is a GUID, `iss` is the template with it in place of `{tenantid}`, it is
    /// an accepted tenant, and the key that signed has, as a member of its JWK, an `issuer` that becomes the token's in
    /// the same way: without that, who may sign for one kind of tenants could sign for all.
    /// [`CurrentToken::issuer`](crate::CurrentToken::issuer) is the tenant's. A subject is one only together with it.
    ///
    /// # Errors
    ///
    /// When the template has no `{tenantid}`, the URL is not `https` (`http` for a loopback host), or the audience is
    /// blank.
    pub fn discover_tenants(
        issuer_template: impl AsRef<str>,
        metadata_url: impl AsRef<str>,
        tenants: Tenants,
        audience: impl Into<Audience>,
    ) -> Result<Self, SetupError> {
        let template = issuer_template.as_ref();
        let source = Place::of(
            Issuer::at(template, metadata_url.as_ref(), Http::OnLoopback)?,
            Wanted::JwksUri,
        );
        let template = Template::read(template).ok_or_else(|| {
            SetupError::new(
                "issuer_template",
                format_args!("expected an issuer with {{tenantid}} in it, got {}", shown(template)),
            )
        })?;
        Self::remote(
            Issuers::tenants(TenantIssuers { template, tenants }),
            source,
            audience.into(),
        )
    }

    fn discovered(issuer: &str, audience: Audience, http: Http) -> Result<Self, SetupError> {
        let source = Place::of(Issuer::new(issuer, http)?, Wanted::JwksUri);
        Self::remote(Issuers::one(issuer)?, source, audience)
    }

    fn discovered_at(issuer: &str, url: &str, audience: Audience, http: Http) -> Result<Self, SetupError> {
        let source = Place::of(Issuer::at(issuer, url, http)?, Wanted::JwksUri);
        Self::remote(Issuers::one(issuer)?, source, audience)
    }

    /// Keys from the JWK set at this URL. The issuer need not be a URL then.
    ///
    /// # Errors
    ///
    /// As [`discover`](Self::discover), for the URL.
    pub fn with_jwks_uri(
        issuer: impl AsRef<str>,
        jwks_uri: impl AsRef<str>,
        audience: impl Into<Audience>,
    ) -> Result<Self, SetupError> {
        let source = Place::endpoint("jwks_uri", jwks_uri.as_ref(), Http::OnLoopback)?;
        Self::remote(Issuers::one(issuer.as_ref())?, source, audience.into())
    }

    /// As [`with_jwks_uri`](Self::with_jwks_uri), over plain `http` beyond a loopback host: **whoever is on the way can
    /// replace the issuer's keys by their own** and make any token.
    ///
    /// # Errors
    ///
    /// As [`with_jwks_uri`](Self::with_jwks_uri).
    pub fn with_jwks_uri_over_plain_http(
        issuer: impl AsRef<str>,
        jwks_uri: impl AsRef<str>,
        audience: impl Into<Audience>,
    ) -> Result<Self, SetupError> {
        let source = Place::endpoint("jwks_uri", jwks_uri.as_ref(), Http::Everywhere)?;
        Self::remote(Issuers::one(issuer.as_ref())?, source, audience.into())
    }

    fn remote(issuers: Issuers, source: Place, audience: Audience) -> Result<Self, SetupError> {
        Ok(Self {
            rules: Rules::new(issuers, audience)?,
            keys: Keys::Remote(RemoteKeys::new(Settings::new(source, Network::default_client()))),
            remembered: Remembered::default(),
            headers: KnownHeaders::default(),
        })
    }

    /// Keys from a JWK set that is at hand, as JSON (RFC 7517 §5). Keys in it that cannot be used are skipped and logged.
    ///
    /// # Errors
    ///
    /// When it is not a JWK set, or none of its keys can be used.
    pub fn with_jwks(
        issuer: impl AsRef<str>,
        jwks: impl AsRef<[u8]>,
        audience: impl Into<Audience>,
    ) -> Result<Self, SetupError> {
        let (set, skipped) = KeySet::parse(jwks.as_ref()).map_err(|problem| SetupError::new("jwks", problem))?;
        skipped.iter().for_each(jwks::log_skipped);
        Self::fixed(issuer.as_ref(), set, audience.into())
    }

    /// One or more public keys in PEM, 16 at the most: sections `PUBLIC KEY` (RFC 7468 §13). They go with tokens of any `kid`.
    ///
    /// # Errors
    ///
    /// When there is no such section, or one whose key cannot be used.
    pub fn with_public_key_pem(
        issuer: impl AsRef<str>,
        pem: impl AsRef<[u8]>,
        audience: impl Into<Audience>,
    ) -> Result<Self, SetupError> {
        let mut keys = Vec::new();
        for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(pem.as_ref()) {
            let (kind, der) = section.map_err(|_| SetupError::new("public_key", "expected PEM, got something else"))?;
            if kind != SectionKind::PublicKey {
                return Err(SetupError::new(
                    "public_key",
                    format_args!("expected the PEM section PUBLIC KEY, got {kind:?}; only the public key belongs here"),
                ));
            }
            keys.push(VerifyingKey::from_der(&der).map_err(unusable)?);
        }
        if keys.len() > MAX_TRIED {
            return Err(SetupError::new(
                "public_key",
                format_args!(
                    "expected at most {MAX_TRIED} keys, which are all tried, got {}",
                    keys.len()
                ),
            ));
        }
        if keys.is_empty() {
            return Err(SetupError::new(
                "public_key",
                "expected the PEM section PUBLIC KEY, got none",
            ));
        }
        Self::fixed(issuer.as_ref(), KeySet::of(keys), audience.into())
    }

    /// A public key in DER: a SubjectPublicKeyInfo (RFC 5280 §4.1), or PKCS#1 for RSA. It goes with tokens of any `kid`.
    ///
    /// # Errors
    ///
    /// When the key cannot be used.
    pub fn with_public_key_der(
        issuer: impl AsRef<str>,
        der: impl AsRef<[u8]>,
        audience: impl Into<Audience>,
    ) -> Result<Self, SetupError> {
        let key = VerifyingKey::from_der(der.as_ref()).map_err(unusable)?;
        Self::fixed(issuer.as_ref(), KeySet::of(vec![key]), audience.into())
    }

    fn fixed(issuer: &str, set: KeySet, audience: Audience) -> Result<Self, SetupError> {
        Ok(Self {
            rules: Rules::new(Issuers::one(issuer)?, audience)?,
            keys: Keys::Fixed(set),
            remembered: Remembered::default(),
            headers: KnownHeaders::default(),
        })
    }

    /// A secret that is shared with the issuer, for exactly one HMAC algorithm. **Everyone who can check such tokens can
    /// make them**: prefer public keys.
    ///
    /// # Errors
    ///
    /// When the secret is shorter than the algorithm's hash (RFC 7518 §3.2): 32, 48 or 64 bytes.
    pub fn with_shared_secret(
        issuer: impl AsRef<str>,
        algorithm: HmacAlgorithm,
        secret: impl AsRef<[u8]>,
        audience: impl Into<Audience>,
    ) -> Result<Self, SetupError> {
        let (secret, hash) = (secret.as_ref(), algorithm.hash());
        let needed = hash.digest_algorithm().output_len();
        if secret.len() < needed {
            return Err(SetupError::new(
                "shared_secret",
                format_args!(
                    "expected at least {needed} bytes for {}, got {}",
                    algorithm.name(),
                    secret.len()
                ),
            ));
        }
        let mut rules = Rules::new(Issuers::one(issuer.as_ref())?, audience.into())?;
        rules.algorithms.clear();
        Ok(Self {
            rules,
            keys: Keys::Secret(algorithm, Box::new(hmac::Key::new(hash, secret))),
            remembered: Remembered::default(),
            headers: KnownHeaders::default(),
        })
    }
}

/// How remote keys are kept. Without effect where keys are at hand.
impl JwtValidator {
    /// Fetches metadata and keys through this instead of the default client.
    #[must_use]
    pub fn fetch(self, fetch: impl Fetch) -> Self {
        self.settings(|settings| settings.network = Network::new(fetch))
    }

    /// How long a key set is believed whose server does not say by `Cache-Control: max-age`; 10 min unless set. What it
    /// says counts between 1 min and 24 h. A withdrawn key works no longer than that, unless no set can be fetched: see
    /// [`keep_stale_keys`](Self::keep_stale_keys).
    ///
    /// # Errors
    ///
    /// When it is not from 1 min to 24 h.
    pub fn refresh_interval(self, interval: Duration) -> Result<Self, SetupError> {
        let interval = within("refresh_interval", interval, LIFETIMES)?;
        Ok(self.settings(|settings| settings.lifetime = interval))
    }

    /// How much time passes, at least, between two fetches because of keys that are not in the set; 30 s unless set. The
    /// first such key causes a fetch at once, so that a rotation is usually noticed with the first new token.
    ///
    /// # Errors
    ///
    /// When it is not from 1 s to 10 min.
    pub fn refetch_cooldown(self, cooldown: Duration) -> Result<Self, SetupError> {
        let cooldown = within(
            "refetch_cooldown",
            cooldown,
            Duration::from_secs(1)..=Duration::from_secs(600),
        )?;
        Ok(self.settings(|settings| settings.cooldown = cooldown))
    }

    /// How long the last good key set is used while none can be fetched, counted from when it was; 1 h unless set. An
    /// answer without any usable key counts as none. Whoever can block the issuer's answers can keep a withdrawn key in
    /// use for as long.
    ///
    /// # Errors
    ///
    /// When it is more than 24 h.
    pub fn keep_stale_keys(self, bound: Duration) -> Result<Self, SetupError> {
        let bound = within(
            "keep_stale_keys",
            bound,
            Duration::ZERO..=Duration::from_secs(24 * 3600),
        )?;
        Ok(self.settings(|settings| settings.stale_bound = bound))
    }

    /// How long one exchange with the issuer may take; 5 s unless set. A request waits for its keys twice as long at
    /// the most.
    ///
    /// # Errors
    ///
    /// When it is not from 1 ms to 60 s.
    pub fn timeout(self, timeout: Duration) -> Result<Self, SetupError> {
        let timeout = within_timeout(timeout)?;
        Ok(self.settings(|settings| settings.deadline = timeout))
    }

    fn settings(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        if let Keys::Remote(remote) = &self.keys {
            let mut settings = remote.settings().clone();
            change(&mut settings);
            self.keys = Keys::Remote(RemoteKeys::new(settings));
        }
        self
    }
}

fn unusable(problem: &'static str) -> SetupError {
    SetupError::new("public_key", format_args!("the key cannot be used: {problem}"))
}
