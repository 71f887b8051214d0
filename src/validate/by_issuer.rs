//! Several issuers behind one layer.

use std::{collections::HashMap, fmt, sync::Arc};

use quick_cache::sync::Cache;

use super::{About, AnyValidator, Presented, TokenDigest, TokenValidator, all, on_demand::OnDemand};
use crate::{
    clock::Moment,
    error::{SetupError, at_start, shown},
    peek,
    rejection::{Reason, Rejection},
    template::Template,
    token::CurrentToken,
};

/// Sends every token to the one validator that is responsible for it.
///
/// A JWT goes to the validator of the issuer that it names, by exact string; any other token to the opaque validator,
/// by its prefix where there are several. The issuer in an unverified token only chooses; the validator decides. A
/// token of an unknown issuer is refused without any network call, and what one validator refuses is never tried at
/// another: that would hand the token to a server it was not meant for, and let the most lenient one decide.
///
/// Which issuer a good JWT names is remembered, of 10 000 tokens at a time, so that those are not taken apart again. What
/// the token is worth is remembered by its validator alone.
///
/// ```
/// use resource_protector::{ByIssuer, ClientAuth, IntrospectionValidator, JwtValidator};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let api = "https://api.example.com";
/// let tokens = ByIssuer::new()
///     .issuer("https://a.example", JwtValidator::discover("https://a.example", api)?)
///     .issuer("https://b.example", JwtValidator::discover("https://b.example", api)?)
///     .opaque(IntrospectionValidator::new("https://c.example/introspect", ClientAuth::basic("api", "secret"), api)?);
/// # Ok(())
/// # }
/// ```
#[derive(Default)]
pub struct ByIssuer {
    /// All names that were given, as they were.
    names: Vec<String>,
    issuers: HashMap<String, Arc<dyn AnyValidator>>,
    templates: Vec<(Template, Arc<dyn AnyValidator>)>,
    tenants: Option<OnDemand>,
    opaque: Vec<(String, Arc<dyn AnyValidator>)>,
    /// The prefixes among them, as they were given.
    prefixes: Vec<String>,
    seen: Seen,
}

/// The one validator that is responsible for a token, and the issuer for which it is.
struct Route {
    validator: Arc<dyn AnyValidator>,
    issuer: Option<Arc<str>>,
}

/// The issuers that good JWTs name, so that those need not be taken apart again. It depends on nothing but the token.
struct Seen(Cache<TokenDigest, Arc<str>>);

impl Default for Seen {
    fn default() -> Self {
        Self(Cache::new(10_000))
    }
}

impl ByIssuer {
    /// Knows no issuer yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// JWTs that name this issuer go to this validator, which may verify them or introspect them. If the validator knows
    /// the issuer under other names, or as a template for tenants, it gets what is issued under those, too.
    ///
    /// # Panics
    ///
    /// When the issuer has a validator already, is empty, or is not the one that the validator is for: meant for
    /// literals, at start.
    /// [`try_issuer`](Self::try_issuer) is the fallible twin.
    #[must_use]
    #[track_caller]
    pub fn issuer(self, issuer: impl Into<String>, validator: impl TokenValidator) -> Self {
        at_start(self.try_issuer(issuer, validator))
    }

    /// JWTs that name this issuer go to this validator.
    ///
    /// # Errors
    ///
    /// When the issuer has a validator already, is empty, or is not the one that the validator is for.
    pub fn try_issuer(mut self, issuer: impl Into<String>, validator: impl TokenValidator) -> Result<Self, SetupError> {
        let issuer = issuer.into();
        if issuer.is_empty() {
            return Err(SetupError::new(
                "issuer",
                "expected the `iss` of an issuer's tokens, got an empty string",
            ));
        }
        let own = validator.about().issuers();
        if own.is_empty() && Template::read(&issuer).is_some() {
            return Err(SetupError::new(
                "issuer",
                "a template for tenants needs a validator that knows them, made by `JwtValidator::discover_tenants`",
            ));
        }
        if !own.is_empty() && !own.contains(&issuer) {
            return Err(SetupError::new(
                "issuer",
                format_args!(
                    "{} was given a validator for {}; they must be the same",
                    shown(&issuer),
                    own.iter().map(|name| shown(name)).collect::<Vec<_>>().join(" or ")
                ),
            ));
        }
        let names = if own.is_empty() { vec![issuer] } else { own.to_vec() };
        let validator: Arc<dyn AnyValidator> = Arc::new(validator);
        for name in names {
            self.add(name, Arc::clone(&validator))?;
        }
        Ok(self)
    }

    fn add(&mut self, name: String, validator: Arc<dyn AnyValidator>) -> Result<(), SetupError> {
        let template = Template::read(&name);
        let is_taken = match &template {
            None => self.issuers.contains_key(&name),
            Some(template) => self.templates.iter().any(|(taken, _)| taken == template),
        };
        if is_taken {
            return Err(SetupError::new(
                "issuer",
                format_args!("{} has a validator already; an issuer has exactly one", shown(&name)),
            ));
        }
        self.names.push(name.clone());
        match template {
            None => drop(self.issuers.insert(name, validator)),
            Some(template) => self.templates.push((template, validator)),
        }
        Ok(())
    }

    /// JWTs of any other issuer go to the validator that the function makes for it, if it knows it: for tenants that are
    /// authorization servers of their own, each with its metadata. Tenants of one server that share its keys need one
    /// validator only, made by `JwtValidator::discover_tenants`.
    ///
    /// The function is called with whatever a request's token claims, so it must not do I/O, and should compare with a
    /// list of tenants. With a pattern instead, anybody can make it make validators, each of which asks its issuer for
    /// keys: give them one [`Fetch`](crate::Fetch) to share, and the pattern no host but your own. What it makes is kept,
    /// `capacity` validators at the most; those go first that never found a token good, then those longest out of use.
    #[must_use]
    pub fn tenants<V: TokenValidator>(
        mut self,
        capacity: usize,
        make: impl Fn(&str) -> Option<V> + Send + Sync + 'static,
    ) -> Self {
        self.tenants = Some(OnDemand::new(capacity, move |issuer| {
            make(issuer).map(|validator| Arc::new(validator) as Arc<dyn AnyValidator>)
        }));
        self
    }

    /// Tokens that are not JWTs go to this validator.
    ///
    /// # Panics
    ///
    /// When there is an opaque validator already; then each needs a prefix. Meant for literals, at start;
    /// [`try_opaque`](Self::try_opaque) is the fallible twin.
    #[must_use]
    #[track_caller]
    pub fn opaque(self, validator: impl TokenValidator) -> Self {
        self.opaque_with_prefix("", validator)
    }

    /// Tokens that are not JWTs go to this validator.
    ///
    /// # Errors
    ///
    /// When there is an opaque validator already; then each needs a prefix.
    pub fn try_opaque(self, validator: impl TokenValidator) -> Result<Self, SetupError> {
        self.try_opaque_with_prefix("", validator)
    }

    /// Tokens that are not JWTs and begin with this prefix go to this validator. The longest matching prefix counts.
    ///
    /// # Panics
    ///
    /// When the prefix has a validator already: meant for literals, at start.
    /// [`try_opaque_with_prefix`](Self::try_opaque_with_prefix) is the fallible twin.
    #[must_use]
    #[track_caller]
    pub fn opaque_with_prefix(self, prefix: impl Into<String>, validator: impl TokenValidator) -> Self {
        at_start(self.try_opaque_with_prefix(prefix, validator))
    }

    /// Tokens that are not JWTs and begin with this prefix go to this validator.
    ///
    /// # Errors
    ///
    /// When the prefix has a validator already.
    pub fn try_opaque_with_prefix(
        mut self,
        prefix: impl Into<String>,
        validator: impl TokenValidator,
    ) -> Result<Self, SetupError> {
        let prefix = prefix.into();
        if self.opaque.iter().any(|(taken, _)| *taken == prefix) {
            return Err(SetupError::new(
                "opaque_prefix",
                format_args!("{prefix:?} has a validator already; each opaque validator needs a prefix of its own"),
            ));
        }
        self.prefixes.push(prefix.clone());
        self.opaque.push((prefix, Arc::new(validator)));
        self.opaque.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        Ok(self)
    }

    /// All validators but those that are made on demand. One that has several names is there as often.
    fn validators(&self) -> impl Iterator<Item = &Arc<dyn AnyValidator>> {
        let by_template = self.templates.iter().map(|(_, validator)| validator);
        let opaque = self.opaque.iter().map(|(_, validator)| validator);
        self.issuers.values().chain(by_template).chain(opaque)
    }

    /// The validator that was given for this issuer, by its name before any template that it fits.
    fn known(&self, issuer: &str) -> Option<Arc<dyn AnyValidator>> {
        let by_template = || {
            let mut fitting = self.templates.iter();
            fitting.find(|(template, _)| template.tenant_of(issuer).is_some())
        };
        let by_name = self.issuers.get(issuer);
        by_name.or_else(|| Some(&by_template()?.1)).cloned()
    }

    /// The validator for this issuer, which may be made for it now.
    fn validator(&self, issuer: &str) -> Option<Arc<dyn AnyValidator>> {
        self.known(issuer).or_else(|| self.tenants.as_ref()?.validator(issuer))
    }

    fn route(&self, presented: &Presented<'_>) -> Result<Route, Rejection> {
        let token = presented.token();
        let seen = presented.digest().and_then(|digest| self.seen.0.get(&digest));
        if let Some((validator, issuer)) = seen.and_then(|issuer| Some((self.validator(&issuer)?, issuer))) {
            let issuer = Some(issuer);
            return Ok(Route { validator, issuer });
        }
        if !peek::looks_like_jwt(token) {
            let matching = self.opaque.iter().find(|(prefix, _)| token.starts_with(prefix));
            return match matching {
                Some((_, validator)) => Ok(Route {
                    validator: Arc::clone(validator),
                    issuer: None,
                }),
                None => Err(Rejection::invalid_token(
                    Reason::Format,
                    "no validator is responsible for opaque tokens like this",
                )),
            };
        }
        let Some(issuer) = peek::unverified_issuer(token) else {
            return Err(Rejection::invalid_token(Reason::Issuer, "the JWT names no issuer"));
        };
        match self.validator(&issuer) {
            Some(validator) => Ok(Route {
                validator,
                issuer: Some(issuer.into()),
            }),
            None => Err(Rejection::invalid_token(
                Reason::Issuer,
                format!("no validator is responsible for the issuer {}", shown(&issuer)),
            )),
        }
    }
}

impl ByIssuer {
    /// The validator that was chosen by an issuer must have found that issuer, if it found any.
    fn same_issuer(
        &self,
        token: CurrentToken,
        presented: &Presented<'_>,
        routed: Option<&Arc<str>>,
    ) -> Result<CurrentToken, Rejection> {
        let Some(routed) = routed else {
            return Ok(token);
        };
        if let Some(found) = token.issuer().filter(|found| **found != **routed) {
            return Err(Rejection::invalid_token(
                Reason::Issuer,
                format!(
                    "the token names the issuer {}, its validator {}",
                    shown(routed),
                    shown(found)
                ),
            ));
        }
        if let Some(tenants) = self.tenants.as_ref().filter(|_| self.known(routed).is_none()) {
            tenants.prove(routed);
        }
        if let Some(digest) = presented.digest()
            && self.seen.0.peek(&digest).is_none()
        {
            self.seen.0.insert(digest, Arc::clone(routed));
        }
        Ok(token)
    }
}

impl TokenValidator for ByIssuer {
    async fn validate(&self, presented: &Presented<'_>) -> Result<CurrentToken, Rejection> {
        let presented = &presented.named();
        let Route { validator, issuer } = self.route(presented)?;
        self.same_issuer(validator.later(presented).await?, presented, issuer.as_ref())
    }

    fn validate_now(&self, presented: &Presented<'_>) -> Option<Result<CurrentToken, Rejection>> {
        let presented = &presented.named();
        match self.route(presented) {
            Err(rejection) => Some(Err(rejection)),
            Ok(Route { validator, issuer }) => {
                let answer = validator.now(presented)?;
                Some(answer.and_then(|token| self.same_issuer(token, presented, issuer.as_ref())))
            }
        }
    }

    fn about(&self) -> About<'_> {
        let about = About::default()
            .with_issuers(&self.names)
            .with_opaque_prefixes(&self.prefixes);
        // Nothing is known of those that are made on demand.
        if self.tenants.is_none() && self.validators().all(|validator| validator.about().asks_anew()) {
            return about.with_asking_anew();
        }
        about
    }

    /// All of them have to be; they are asked at the same time.
    async fn ready(&self, now: Moment) -> Result<(), Rejection> {
        let asking = self.validators().map(|validator| validator.ready(now)).collect();
        all(asking).await.into_iter().collect()
    }
}

impl fmt::Debug for ByIssuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByIssuer")
            .field("issuers", &self.issuers.keys())
            .field(
                "templates",
                &self.templates.iter().map(|(template, _)| template).collect::<Vec<_>>(),
            )
            .field(
                "opaque",
                &self.opaque.iter().map(|(prefix, _)| prefix).collect::<Vec<_>>(),
            )
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    use serde_json::json;

    use super::*;
    use crate::clock::{Clock as _, SystemClock};

    /// Lets in whatever ends with `good`.
    struct Ending;

    impl TokenValidator for Ending {
        async fn validate(&self, presented: &Presented<'_>) -> Result<CurrentToken, Rejection> {
            if presented.token().ends_with("good") {
                return CurrentToken::vouch_for(&json!({ "sub": "alice" }));
            }
            Err(Rejection::invalid_token(Reason::Signature, "a bad end"))
        }
    }

    #[tokio::test]
    async fn the_issuer_that_a_token_names_is_remembered_once_the_token_was_found_good() {
        let tokens = ByIssuer::new().issuer("https://a", Ending).opaque(Ending);
        let request = http::Request::new(()).into_parts().0;
        let jwt = |signature: &str| {
            let encode = |json: &str| URL_SAFE_NO_PAD.encode(json);
            let (header, payload) = (encode(r#"{"alg":"ES256"}"#), encode(r#"{"iss":"https://a"}"#));
            format!("{header}.{payload}.{signature}")
        };
        for (token, remembered) in [
            (jwt("bad"), 0),
            ("opaque-and-good".to_owned(), 0),
            (jwt("good"), 1),
            (jwt("good"), 1),
        ] {
            let presented = Presented::new(&token, &request, SystemClock.now());
            assert_eq!(tokens.validate(&presented).await.is_ok(), token.ends_with("good"));
            assert_eq!(tokens.seen.0.len(), remembered, "{token}");
        }
    }
}
