//! What goes with every page.

use http::{HeaderName, HeaderValue, Response, StatusCode, header};

use super::pages::Page;
use crate::endpoints::{Answer, ResponseBody};

/// Where the forms of a page may be sent to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Forms {
    /// There are none.
    Nowhere,
    /// To this server, and from there to this server only: Chromium holds the redirects that follow a form against the
    /// policy of the page that had it.
    Here,
    /// To this server, which redirects to the client. The client may redirect on, to hosts that nobody here knows of, and
    /// Chromium follows none that the policy leaves out. So it has every https URL in it, and the client's own scheme. There
    /// is no password on such a page that a form could carry away.
    HereAndOnTo {
        /// The scheme of the redirect URI.
        scheme: String,
    },
}

impl Forms {
    fn directive(&self) -> String {
        match self {
            Self::Nowhere => "'none'".to_owned(),
            Self::Here => "'self'".to_owned(),
            Self::HereAndOnTo { scheme } if is_scheme(scheme) && scheme != "https" => {
                format!("'self' https: {scheme}:")
            }
            Self::HereAndOnTo { .. } => "'self' https:".to_owned(),
        }
    }
}

/// A page with everything that protects it: no frames around it, nothing in it that is not its own, no copy of it kept, and
/// its address told to nobody else.
pub(super) fn html(status: StatusCode, page: Page, forms: &Forms) -> Answer {
    let policy = format!(
        "default-src 'none'{}; form-action {}; frame-ancestors 'none'; base-uri 'none'",
        page.sources(),
        forms.directive()
    );
    let mut response = Response::new(page.into_html().into());
    *response.status_mut() = status;
    let fixed: [(HeaderName, &'static str); 7] = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // For browsers that do not know `frame-ancestors`.
        (header::X_FRAME_OPTIONS, "DENY"),
        // Not `no-referrer`: by that, browsers send `Origin: null` with the form.
        (header::REFERRER_POLICY, "same-origin"),
        // Who opened the window cannot lead it elsewhere while a password is typed.
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    let headers = response.headers_mut();
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // Digests and schemes have no character that a header has not; a policy that allows nothing is what is left otherwise.
    let policy = HeaderValue::from_str(&policy);
    let closed = HeaderValue::from_static("default-src 'none'; form-action 'none'; frame-ancestors 'none'");
    headers.insert(header::CONTENT_SECURITY_POLICY, policy.unwrap_or(closed));
    response
}

/// A redirect that a browser follows by GET, whatever it sent (RFC 9700, section 4.12: 307 would send the password on).
/// `None` when the URL has characters that no header has.
pub(super) fn redirect(url: &str) -> Option<Answer> {
    let mut response = Response::new(ResponseBody::empty());
    *response.status_mut() = StatusCode::SEE_OTHER;
    let headers = response.headers_mut();
    headers.insert(header::LOCATION, HeaderValue::from_str(url).ok()?);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    Some(response)
}

/// The answer to a method that the path does not have (RFC 9110 §15.5.6).
pub(super) fn not_allowed(allowed: &'static str) -> Answer {
    let mut response = Response::new(ResponseBody::empty());
    *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    response
        .headers_mut()
        .insert(header::ALLOW, HeaderValue::from_static(allowed));
    response
}

/// RFC 3986, section 3.1.
fn is_scheme(scheme: &str) -> bool {
    let is_rest = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    scheme.starts_with(|first: char| first.is_ascii_alphabetic()) && scheme.bytes().all(is_rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(page: Page, forms: &Forms) -> String {
        let response = html(StatusCode::OK, page, forms);
        let policy = &response.headers()[header::CONTENT_SECURITY_POLICY];
        policy.to_str().unwrap().to_owned()
    }

    #[test]
    fn clickjacking_no_page_is_shown_in_a_frame() {
        let response = html(StatusCode::OK, Page::new(""), &Forms::Here);
        assert_eq!(response.headers()[header::X_FRAME_OPTIONS], "DENY");
        let on_to = |scheme: &str| Forms::HereAndOnTo {
            scheme: scheme.to_owned(),
        };
        for forms in [Forms::Nowhere, Forms::Here, on_to("https"), on_to("x y"), on_to("x\ny")] {
            assert!(policy(Page::new(""), &forms).contains("; frame-ancestors 'none'"));
        }
    }

    #[test]
    fn clickjacking_who_opened_the_window_has_no_hold_of_it() {
        let response = html(StatusCode::OK, Page::new(""), &Forms::Here);
        assert_eq!(response.headers()["cross-origin-opener-policy"], "same-origin");
    }

    #[test]
    fn a_page_is_kept_nowhere_and_its_address_told_to_no_other_site() {
        let response = html(StatusCode::OK, Page::new(""), &Forms::Here);
        assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
        assert_eq!(response.headers()[header::REFERRER_POLICY], "same-origin");
        assert_eq!(response.headers()[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert_eq!(response.headers()[header::CONTENT_TYPE], "text/html; charset=utf-8");
    }

    #[test]
    fn a_page_has_nothing_but_what_it_names() {
        // printf 'a{}' | openssl dgst -sha256 -binary | base64
        let digest = "X1RutGBrXCt9KkSaXMK7tHftWiRscFHOhxsS8tv8hBk=";
        assert_eq!(
            policy(Page::new("").style("a{}"), &Forms::Here),
            format!(
                "default-src 'none'; style-src 'sha256-{digest}'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
            )
        );
        assert_eq!(
            policy(Page::new("").own_files(), &Forms::Nowhere),
            "default-src 'none'; style-src 'self'; img-src 'self'; font-src 'self'; form-action 'none'; frame-ancestors 'none'; \
             base-uri 'none'"
        );
    }

    #[test]
    fn the_form_that_leads_to_the_client_may_go_on_to_it() {
        let form_action = |scheme: &str| {
            let forms = Forms::HereAndOnTo {
                scheme: scheme.to_owned(),
            };
            let policy = policy(Page::new(""), &forms);
            let directives: Vec<&str> = policy.split("; ").collect();
            directives[1].to_owned()
        };
        assert_eq!(form_action("https"), "form-action 'self' https:");
        assert_eq!(form_action("http"), "form-action 'self' https: http:");
        assert_eq!(
            form_action("com.example.app"),
            "form-action 'self' https: com.example.app:"
        );
        assert_eq!(form_action("x; script-src *"), "form-action 'self' https:");
        assert_eq!(form_action(""), "form-action 'self' https:");
    }

    #[test]
    fn a_redirect_is_followed_by_get_and_tells_the_client_nothing_of_the_page_before() {
        let response = redirect("https://client.example/cb?code=1").unwrap();
        assert_eq!(response.status(), StatusCode::SEE_OTHER);
        assert_eq!(response.headers()[header::LOCATION], "https://client.example/cb?code=1");
        assert_eq!(response.headers()[header::REFERRER_POLICY], "no-referrer");
        assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
    }

    #[test]
    fn a_url_with_line_breaks_is_redirected_to_by_nobody() {
        assert!(redirect("https://client.example/\r\nSet-Cookie: a=b").is_none());
    }
}
