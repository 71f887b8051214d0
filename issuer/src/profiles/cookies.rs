//! Tokens in cookies, and what goes beside them.

use http::{HeaderName, HeaderValue};
use resource_protector::SetupError;

use super::{double_submit::DoubleSubmitLayer, new_token::MintedToken};
use crate::{
    setup::shown,
    tokens::{TokenError, TokenErrorKind},
};

/// The names of the cookies for tokens, how they are set and taken away, and the layers that read them.
///
/// The token is in a cookie that no script can read, and its claim `csrf` in one that only scripts of this host can read:
/// they send it back in a header, which pages of others cannot. Cookies are always `Secure` and `SameSite=Lax`, and end with
/// the browser's session. They name no domain: another host of it is not given any.
///
/// ```
/// use axum::{Router, http::header::SET_COOKIE, response::AppendHeaders, routing::{get, post}};
/// use resource_protector::{CurrentToken, ResourceProtectorLayer};
/// use resource_protector_issuer::profiles::{FlaskJwtExtended, TokenCookies};
///
/// async fn me(token: CurrentToken) -> String {
///     token.subject().unwrap_or_default().to_owned()
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let profile = FlaskJwtExtended::new("the JWT_SECRET_KEY of the Flask application")?;
/// let cookies = TokenCookies::flask_jwt_extended();
/// let app: Router = Router::new()
///     .route("/me", get(me).post(me))
///     .layer(ResourceProtectorLayer::new(profile.access_tokens()?))
///     .layer(cookies.access_layer()); // outside of the protector
///
/// // after a login
/// let token = profile.mint_access("alice")?;
/// let response = AppendHeaders(cookies.set_access(&token)?.map(|cookie| (SET_COOKIE, cookie)));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct TokenCookies {
    access: Names,
    refresh: Names,
    csrf_header: HeaderName,
}

/// A cookie for a token, the one beside it, and where the former is sent.
#[derive(Clone, Debug)]
struct Names {
    token: String,
    csrf: String,
    path: String,
}

impl TokenCookies {
    /// As they are called there unless set: `access_token_cookie` with `csrf_access_token`, `refresh_token_cookie` with
    /// `csrf_refresh_token`, and the header `X-CSRF-TOKEN`.
    ///
    /// Any host of the domain can set cookies of these names, and log a user in as somebody else by it. Where both services
    /// can be told other names, [`host_only`](Self::host_only) is better.
    pub fn flask_jwt_extended() -> Self {
        Self::of(
            ["access_token_cookie", "csrf_access_token"],
            ["refresh_token_cookie", "csrf_refresh_token"],
        )
    }

    /// The same, each name with `__Host-` before it: browsers let no other host set those (RFC 6265bis §4.1.3.2). Over there:
    /// `JWT_ACCESS_COOKIE_NAME = "__Host-access_token_cookie"`, and so on for all four, with `JWT_COOKIE_SECURE = True`.
    pub fn host_only() -> Self {
        Self::of(
            ["__Host-access_token_cookie", "__Host-csrf_access_token"],
            ["__Host-refresh_token_cookie", "__Host-csrf_refresh_token"],
        )
    }

    fn of(access: [&str; 2], refresh: [&str; 2]) -> Self {
        let names = |[token, csrf]: [&str; 2]| Names {
            token: token.to_owned(),
            csrf: csrf.to_owned(),
            path: "/".to_owned(),
        };
        Self {
            access: names(access),
            refresh: names(refresh),
            csrf_header: HeaderName::from_static("x-csrf-token"),
        }
    }

    /// Calls the cookie for the access token and the one beside it so: `JWT_ACCESS_COOKIE_NAME`,
    /// `JWT_ACCESS_CSRF_COOKIE_NAME`.
    ///
    /// # Errors
    ///
    /// When one is not a cookie's name (RFC 6265 §4.1.1), or is taken.
    pub fn access_names(mut self, token: impl Into<String>, csrf: impl Into<String>) -> Result<Self, SetupError> {
        (self.access.token, self.access.csrf) = (token.into(), csrf.into());
        self.checked("access_names")
    }

    /// Calls the cookie for the refresh token and the one beside it so: `JWT_REFRESH_COOKIE_NAME`,
    /// `JWT_REFRESH_CSRF_COOKIE_NAME`.
    ///
    /// # Errors
    ///
    /// When one is not a cookie's name (RFC 6265 §4.1.1), or is taken.
    pub fn refresh_names(mut self, token: impl Into<String>, csrf: impl Into<String>) -> Result<Self, SetupError> {
        (self.refresh.token, self.refresh.csrf) = (token.into(), csrf.into());
        self.checked("refresh_names")
    }

    /// Sends the cookie for the refresh token to this path only: `JWT_REFRESH_COOKIE_PATH`.
    ///
    /// # Errors
    ///
    /// When it does not begin with `/`, has characters that no path has, or the name begins with `__Host-`, which goes with
    /// no path but `/`.
    pub fn refresh_path(mut self, path: impl Into<String>) -> Result<Self, SetupError> {
        self.refresh.path = path.into();
        self.checked("refresh_path")
    }

    /// Expects the claim `csrf` in this header: `JWT_ACCESS_CSRF_HEADER_NAME` and `JWT_REFRESH_CSRF_HEADER_NAME`.
    ///
    /// # Errors
    ///
    /// When it is no field name, or one that pages of others can set: `Accept`, `Content-Type` and their like.
    pub fn csrf_header(mut self, name: impl AsRef<str>) -> Result<Self, SetupError> {
        let given = name.as_ref();
        let name = HeaderName::try_from(given).ok();
        // Others make the browser ask first (https://fetch.spec.whatwg.org/#cors-safelisted-request-header).
        let is_ours = |name: &HeaderName| name.as_str().starts_with("x-");
        self.csrf_header = name.filter(is_ours).ok_or_else(|| {
            SetupError::new(
                "csrf_header",
                format_args!(
                    "expected a header that begins with X-, such as X-CSRF-TOKEN, got {}",
                    shown(given)
                ),
            )
        })?;
        Ok(self)
    }

    /// Reads the cookie for the access token.
    pub fn access_layer(&self) -> DoubleSubmitLayer {
        DoubleSubmitLayer::new(self.access.token.clone(), self.csrf_header.clone())
    }

    /// Reads the cookie for the refresh token: for the routes that expect one.
    pub fn refresh_layer(&self) -> DoubleSubmitLayer {
        DoubleSubmitLayer::new(self.refresh.token.clone(), self.csrf_header.clone())
    }

    /// Two values of `Set-Cookie`, as `set_access_cookies` sets them. Append both.
    ///
    /// # Errors
    ///
    /// When the token has no claim `csrf`: simplejwt's do not.
    pub fn set_access(&self, token: &MintedToken) -> Result<[HeaderValue; 2], TokenError> {
        self.access.set(token)
    }

    /// Two values of `Set-Cookie`, as `set_refresh_cookies` sets them. Append both.
    ///
    /// # Errors
    ///
    /// As [`set_access`](Self::set_access).
    pub fn set_refresh(&self, token: &MintedToken) -> Result<[HeaderValue; 2], TokenError> {
        self.refresh.set(token)
    }

    /// Four values of `Set-Cookie` that take all of them away, as `unset_jwt_cookies` does. Append all. The tokens stay good:
    /// revoke them as well.
    pub fn unset(&self) -> Vec<HeaderValue> {
        let unset = |names: &Names| names.written("", "", "; Max-Age=0");
        [&self.access, &self.refresh]
            .into_iter()
            .filter_map(unset)
            .flatten()
            .collect()
    }

    fn checked(self, option: &'static str) -> Result<Self, SetupError> {
        let names = [
            &self.access.token,
            &self.access.csrf,
            &self.refresh.token,
            &self.refresh.csrf,
        ];
        let is_char = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        let is_name = |name: &&String| !name.is_empty() && name.bytes().all(is_char);
        let is_twice = names
            .iter()
            .enumerate()
            .any(|(i, name)| names.iter().take(i).any(|other| other == name));
        if !names.iter().all(is_name) || is_twice {
            return Err(SetupError::new(
                option,
                format_args!("expected four different names of cookies (RFC 6265 §4.1.1), got {names:?}"),
            ));
        }
        let path = &self.refresh.path;
        let is_path = path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b';');
        if !is_path || (path != "/" && self.refresh.token.starts_with("__Host-")) {
            return Err(SetupError::new(
                option,
                format_args!(
                    "expected a path that begins with /, and no other for a name with __Host-, got {} for {}",
                    shown(path),
                    shown(&self.refresh.token)
                ),
            ));
        }
        Ok(self)
    }
}

impl Names {
    fn set(&self, token: &MintedToken) -> Result<[HeaderValue; 2], TokenError> {
        let unusable = |detail| TokenError::new(TokenErrorKind::Unusable, detail);
        let csrf = token
            .csrf()
            .ok_or_else(|| unusable("the token has no `csrf` for a cookie beside it"))?;
        let written = self.written(token.token(), csrf, "");
        written.ok_or_else(|| unusable("the token cannot be a cookie"))
    }

    fn written(&self, token: &str, csrf: &str, more: &str) -> Option<[HeaderValue; 2]> {
        let Self {
            token: name,
            csrf: beside,
            path,
        } = self;
        let token = format!("{name}={token}; Path={path}; HttpOnly; Secure; SameSite=Lax{more}");
        // Scripts read it on all pages.
        let csrf = format!("{beside}={csrf}; Path=/; Secure; SameSite=Lax{more}");
        let mut values = [HeaderValue::try_from(token).ok()?, HeaderValue::try_from(csrf).ok()?];
        values.iter_mut().for_each(|value| value.set_sensitive(true));
        Some(values)
    }
}
