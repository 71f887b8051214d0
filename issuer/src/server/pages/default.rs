//! The pages, unless the application has others.

use askama::Template;

use super::{ConsentPage, ErrorPage, GoOnPage, Limit, LoginPage, LoginProblem, LogoutPage, Page, Pages, Trouble};

/// One for all pages. It has no `</style` and no `{#`.
const CSS: &str = include_str!("../../../templates/style.css");

/// Plain pages in English.
#[derive(Clone, Copy, Debug, Default)]
pub struct DefaultPages;

#[derive(Template)]
#[template(path = "login.html")]
struct Login<'a> {
    css: &'static str,
    problem: Option<&'static str>,
    page: &'a LoginPage<'a>,
}

#[derive(Template)]
#[template(path = "consent.html")]
struct Consent<'a> {
    css: &'static str,
    page: &'a ConsentPage<'a>,
}

#[derive(Template)]
#[template(path = "go_on.html")]
struct GoOn<'a> {
    css: &'static str,
    page: &'a GoOnPage<'a>,
}

#[derive(Template)]
#[template(path = "logout.html")]
struct Logout<'a> {
    css: &'static str,
    page: &'a LogoutPage<'a>,
}

#[derive(Template)]
#[template(path = "error.html")]
struct Error<'a> {
    css: &'static str,
    heading: &'static str,
    explanation: String,
    detail: Option<&'a str>,
}

impl Pages for DefaultPages {
    fn login(&self, page: &LoginPage<'_>) -> Page {
        let problem = page.problem.map(|problem| match problem {
            LoginProblem::Refused => "Username or password is wrong.",
            LoginProblem::OutOfDate => "This page was out of date. Please try again.",
        });
        let css = CSS;
        rendered(&Login { css, problem, page })
    }

    fn consent(&self, page: &ConsentPage<'_>) -> Page {
        rendered(&Consent { css: CSS, page })
    }

    fn go_on(&self, page: &GoOnPage<'_>) -> Page {
        rendered(&GoOn { css: CSS, page })
    }

    fn logout(&self, page: &LogoutPage<'_>) -> Page {
        rendered(&Logout { css: CSS, page })
    }

    fn error(&self, page: &ErrorPage<'_>) -> Page {
        let (heading, explanation) = match page.trouble {
            Trouble::BadRequest => (
                "This link does not work",
                "The application that sent you here made a mistake. Go back to it and try again.".to_owned(),
            ),
            Trouble::CrossSite => (
                "This form cannot be accepted",
                "It was not sent by a page of this server. Go back to the application and try again.".to_owned(),
            ),
            Trouble::RateLimited { limit, wait } => {
                let minutes = wait.as_secs().div_ceil(60).max(1);
                let unit = if minutes == 1 { "minute" } else { "minutes" };
                let (heading, reason) = match limit {
                    Limit::Login => (
                        "Too many attempts",
                        "There were too many failed attempts to sign in with this username.",
                    ),
                    Limit::Peer => (
                        "Too many attempts",
                        "There were too many failed attempts to sign in from your network.",
                    ),
                    Limit::Codes => (
                        "Too many sign-ins",
                        "You were signed in to this application too often within a short time.",
                    ),
                };
                (heading, format!("{reason} Please wait {minutes} {unit} and try again."))
            }
            Trouble::Unavailable => ("Not available", "Please try again in a minute.".to_owned()),
        };
        rendered(&Error {
            css: CSS,
            heading,
            explanation,
            detail: page.detail,
        })
    }
}

fn rendered(template: &impl Template) -> Page {
    // Only what it is written to can fail, and a string does not.
    let html = template.render().unwrap_or_default();
    Page::new(html).style(CSS)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::server::pages::{HiddenField, ScopeText};

    /// Breaks out of a text, of an attribute, and of a script, if it can.
    const HOSTILE: &str = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>&lt;{{ 7*7 }}";

    fn login(client_name: &str, username: &str, value: &str, problem: Option<LoginProblem>) -> String {
        let hidden = [HiddenField { name: "request", value }];
        let page = LoginPage {
            client_name,
            action: "/authorize/login",
            hidden: &hidden,
            username,
            problem,
        };
        DefaultPages.login(&page).into_html()
    }

    fn consent(client_name: &str, user_name: &str, scope: ScopeText<'_>, value: &str) -> String {
        let page = ConsentPage {
            client_name,
            destination: "client.example",
            user_name,
            scopes: &[scope],
            resources: &[value.to_owned()],
            action: "/authorize/consent",
            hidden: &[HiddenField { name: "request", value }],
            is_shown_again: false,
        };
        DefaultPages.consent(&page).into_html()
    }

    fn logout(user_name: &str, value: &str) -> String {
        let page = LogoutPage::Ask {
            user_name,
            action: "/logout",
            hidden: &[HiddenField { name: "request", value }],
            is_shown_again: false,
        };
        DefaultPages.logout(&page).into_html()
    }

    fn limited(limit: Limit, seconds: u64) -> String {
        let wait = Duration::from_secs(seconds);
        let trouble = Trouble::RateLimited { limit, wait };
        DefaultPages.error(&ErrorPage { trouble, detail: None }).into_html()
    }

    fn assert_harmless(html: &str) {
        assert!(!html.contains("<script"), "{html}");
        assert!(!html.contains("<img"), "{html}");
        assert!(!html.contains("\"'>"), "{html}");
        assert!(html.contains("{{ 7*7 }}"), "{html}");
    }

    #[test]
    fn hostile_names_scopes_and_state_are_text_and_nothing_else() {
        assert_harmless(&login(HOSTILE, "", "", None));
        assert_harmless(&login("", HOSTILE, "", None));
        assert_harmless(&login("", "", HOSTILE, None));
        let scope = |name, description| ScopeText { name, description };
        assert_harmless(&consent(HOSTILE, "", scope("", None), ""));
        assert_harmless(&consent("", HOSTILE, scope("", None), ""));
        assert_harmless(&consent("", "", scope(HOSTILE, None), ""));
        assert_harmless(&consent("", "", scope("", Some(HOSTILE)), ""));
        assert_harmless(&consent("", "", scope("", None), HOSTILE));
        assert_harmless(&logout(HOSTILE, ""));
        assert_harmless(&logout("", HOSTILE));
        let url = HOSTILE;
        let go_on = GoOnPage { client_name: "", url };
        assert_harmless(&DefaultPages.go_on(&go_on).into_html());
        let go_on = GoOnPage {
            client_name: HOSTILE,
            url: "",
        };
        assert_harmless(&DefaultPages.go_on(&go_on).into_html());
    }

    #[test]
    fn every_field_has_a_label_and_tells_password_managers_what_it_is() {
        let html = login("Notes", "", "", None);
        assert!(html.contains(r#"<label for="username">"#) && html.contains(r#"<input id="username""#));
        assert!(html.contains(r#"<label for="password">"#) && html.contains(r#"<input id="password""#));
        assert!(html.contains(r#"autocomplete="username""#));
        assert!(html.contains(r#"autocomplete="current-password""#));
        assert!(html.contains(r#"<html lang="en">"#));
        assert!(html.contains(r#"name="viewport""#));
    }

    #[test]
    fn a_problem_is_announced_and_the_password_is_what_is_typed_next() {
        let html = login("Notes", "alice", "", Some(LoginProblem::Refused));
        assert!(html.contains(r#"role="alert""#), "{html}");
        assert!(html.contains("<title>Error: Sign in</title>"), "{html}");
        let focused = html.find("autofocus").unwrap();
        assert!(html.find("id=\"password\"").unwrap() < focused, "{html}");
    }

    #[test]
    fn the_password_is_never_sent_back() {
        let html = login("Notes", "alice", "", Some(LoginProblem::Refused));
        let field = html.lines().find(|line| line.contains("type=\"password\"")).unwrap();
        assert!(!field.contains("value="), "{field}");
    }

    #[test]
    fn the_style_of_a_page_is_the_one_that_its_policy_allows() {
        let page = DefaultPages.error(&ErrorPage {
            trouble: Trouble::Unavailable,
            detail: None,
        });
        let sources = page.sources();
        let html = page.into_html();
        let text = html.split_once("<style>").unwrap().1.split_once("</style>").unwrap().0;
        assert_eq!(Page::new("").style(text).sources(), sources);
        assert!(sources.starts_with("; style-src 'sha256-"), "{sources}");
    }

    #[test]
    fn no_page_has_scripts_or_anything_from_elsewhere() {
        for html in [
            login("Notes", "alice", "x", None),
            logout("Alice", "x"),
            DefaultPages.logout(&LogoutPage::LoggedOut).into_html(),
            DefaultPages.logout(&LogoutPage::NobodyLoggedIn).into_html(),
            consent(
                "Notes",
                "Alice",
                ScopeText {
                    name: "read",
                    description: None,
                },
                "x",
            ),
        ] {
            for part in [
                "<script",
                "javascript:",
                "src=",
                "style=",
                "onclick",
                "onload",
                "onsubmit",
                "http:",
                "https:",
            ] {
                assert!(!html.contains(part), "{part}");
            }
        }
    }

    #[test]
    fn who_tried_too_often_is_told_how_long_to_wait() {
        let html = |seconds| limited(Limit::Login, seconds);
        assert!(html(0).contains("wait 1 minute "));
        assert!(html(61).contains("wait 2 minutes "));
    }

    #[test]
    fn who_was_granted_too_many_codes_is_not_told_that_something_failed() {
        for limit in [Limit::Login, Limit::Peer] {
            let html = limited(limit, 60);
            assert!(html.contains("Too many attempts") && html.contains("failed"), "{html}");
        }
        let html = limited(Limit::Codes, 60);
        assert!(
            html.contains("Too many sign-ins") && html.contains("wait 1 minute "),
            "{html}"
        );
        assert!(!html.contains("attempt") && !html.contains("failed"), "{html}");
    }
}
