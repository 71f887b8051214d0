//! What people see.

mod default;

use std::{fmt, time::Duration};

use aws_lc_rs::digest;
use base64::{Engine as _, engine::general_purpose::STANDARD};

pub use self::default::DefaultPages;

/// The pages of the authorization server. Implement it to give them another look or another language; [`DefaultPages`] are
/// plain, need no script, and work without their style.
///
/// Every text in a model comes from outside or from a configuration, and stands in HTML: **escape all of it**, in attributes,
/// too. A form posts to its `action`, in the encoding that forms have by default, and has all the `hidden` fields as they are;
/// without them it is refused.
///
/// What there is to say may become more: [`LoginProblem`], [`LogoutPage`], [`Trouble`] and [`Limit`] may get further variants. Give
/// a model with one that your pages do not know to [`DefaultPages`].
///
/// The policy of contents allows no scripts, no frames, and nothing from other hosts; a page can have [styles](Page::style),
/// and files of [its own host](Page::own_files).
pub trait Pages: Send + Sync + 'static {
    /// Asks for `username` and `password`, the names of the fields.
    fn login(&self, page: &LoginPage<'_>) -> Page;

    /// Asks for the `decision`, the name of three buttons: `allow`, `deny`, `switch` (to another account).
    fn consent(&self, page: &ConsentPage<'_>) -> Page;

    /// Leads on to the client, at once by a `<meta http-equiv="refresh">` and by a link for who stays. No redirect can take
    /// its place: browsers hold redirects that follow a form against the `form-action` of the page with the password.
    fn go_on(&self, page: &GoOnPage<'_>) -> Page;

    /// Asks whether to log out of the server, or says that nobody is logged in any more.
    fn logout(&self, page: &LogoutPage<'_>) -> Page;

    /// Says what went wrong, where nobody can be sent back to the client. It has no link that a request brought.
    fn error(&self, page: &ErrorPage<'_>) -> Page;
}

/// A page with what it needs of the policy of contents.
#[derive(Clone)]
pub struct Page {
    html: String,
    styles: Vec<String>,
    has_own_files: bool,
}

impl Page {
    /// A page of this HTML.
    pub fn new(html: impl Into<String>) -> Self {
        Self {
            html: html.into(),
            styles: Vec::new(),
            has_own_files: false,
        }
    }

    /// Allows one `<style>` of exactly this text, by its digest.
    #[must_use]
    pub fn style(mut self, text: &str) -> Self {
        let digest = digest::digest(&digest::SHA256, text.as_bytes());
        self.styles.push(format!("'sha256-{}'", STANDARD.encode(digest)));
        self
    }

    /// Allows style sheets, images and fonts from the host of the page.
    #[must_use]
    pub fn own_files(mut self) -> Self {
        self.has_own_files = true;
        self
    }

    pub(crate) fn into_html(self) -> String {
        self.html
    }

    /// The sources of styles, images and fonts, as directives of a policy of contents.
    pub(crate) fn sources(&self) -> String {
        let own = if self.has_own_files { " 'self'" } else { "" };
        let mut directives = String::new();
        if self.has_own_files || !self.styles.is_empty() {
            let styles: String = self.styles.iter().map(|style| format!(" {style}")).collect();
            directives.push_str(&format!("; style-src{own}{styles}"));
        }
        if self.has_own_files {
            directives.push_str("; img-src 'self'; font-src 'self'");
        }
        directives
    }
}

impl fmt::Debug for Page {
    /// Without the text, which has a proof against forged forms in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Page").finish_non_exhaustive()
    }
}

/// A field of a form that nobody sees.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HiddenField<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its value, in which any character may stand.
    pub value: &'a str,
}

/// What the page shows that asks who somebody is.
#[derive(Debug)]
#[non_exhaustive]
pub struct LoginPage<'a> {
    /// What the client is called.
    pub client_name: &'a str,
    /// Where the form is posted to.
    pub action: &'a str,
    /// What the form has to have in it.
    pub hidden: &'a [HiddenField<'a>],
    /// What was typed as the username before; empty at first.
    pub username: &'a str,
    /// Why the page is shown again.
    pub problem: Option<LoginProblem>,
}

/// Why somebody is asked again who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LoginProblem {
    /// Username or password is wrong, or the user may not log in; a page must not tell which.
    Refused,
    /// The form was not made for this browser, or is too old.
    OutOfDate,
}

/// What the page shows that asks whether a client may have what it wants.
#[derive(Debug)]
#[non_exhaustive]
pub struct ConsentPage<'a> {
    /// What the client is called.
    pub client_name: &'a str,
    /// Where the browser goes afterwards: host, or scheme of an application, of the client.
    pub destination: &'a str,
    /// What the user is called.
    pub user_name: &'a str,
    /// What the client asks for.
    pub scopes: &'a [ScopeText<'a>],
    /// For which resource servers, by their addresses; none for the one that tokens are for unless others are named.
    pub resources: &'a [String],
    /// Where the form is posted to.
    pub action: &'a str,
    /// What the form has to have in it.
    pub hidden: &'a [HiddenField<'a>],
    /// Whether the form was sent and could not be heeded, because it was not made for this log-in.
    pub is_shown_again: bool,
}

/// A scope, for people.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ScopeText<'a> {
    /// Its name.
    pub name: &'a str,
    /// What it allows, in words.
    pub description: Option<&'a str>,
}

/// What the page shows that leads on to the client.
#[derive(Debug)]
#[non_exhaustive]
pub struct GoOnPage<'a> {
    /// What the client is called.
    pub client_name: &'a str,
    /// Where to: the client's redirect URI with the answer.
    pub url: &'a str,
}

/// What the page shows where somebody logs out of the server.
#[derive(Debug)]
#[non_exhaustive]
pub enum LogoutPage<'a> {
    /// Asks whether they want to: a form with one button, and nothing to fill in.
    #[non_exhaustive]
    Ask {
        /// What the user is called.
        user_name: &'a str,
        /// Where the form is posted to.
        action: &'a str,
        /// What the form has to have in it.
        hidden: &'a [HiddenField<'a>],
        /// Whether the form was sent and could not be heeded, because it was not made for this log-in.
        is_shown_again: bool,
    },
    /// Says that they are logged out. Sessions of clients go on.
    LoggedOut,
    /// Says that nobody is logged in.
    NobodyLoggedIn,
}

/// What the page shows when something went wrong.
#[derive(Debug)]
#[non_exhaustive]
pub struct ErrorPage<'a> {
    /// What went wrong.
    pub trouble: Trouble,
    /// A fixed sentence for who runs the client; nothing that came with the request.
    pub detail: Option<&'a str>,
}

/// What went wrong, where nobody can be sent back to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Trouble {
    /// The request cannot be trusted: an unknown client, or an address that is not the client's.
    BadRequest,
    /// The form does not come from a page of ours.
    CrossSite,
    /// Something was tried too often (RFC 6585 §4).
    #[non_exhaustive]
    RateLimited {
        /// What there was too much of.
        limit: Limit,
        /// How long it is until the next one is looked at.
        wait: Duration,
    },
    /// Something that is needed does not answer.
    Unavailable,
}

/// What there was too much of. The options that set the limits are those of the
/// [builder](crate::server::AuthorizationServerBuilder).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Limit {
    /// Failed log-ins under one username. They count whether there is such a user or not, so that the page does not tell.
    Login,
    /// Failed log-ins from one peer, under any usernames.
    Peer,
    /// Codes, or access tokens in the URL, that a user was granted for one client, or log-ins of one user. Nothing has failed.
    Codes,
}

impl Limit {
    pub(in crate::server) fn as_str(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Peer => "peer",
            Self::Codes => "codes",
        }
    }
}
