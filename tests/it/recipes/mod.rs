//! The recipes of `docs/issuers.md`, tried with tokens, metadata and answers of the shape that each server gives them.
//!
//! What a recipe's code and its gateway configuration say is taken from the page or compared with it, so that what is
//! tested and what is read cannot drift apart.

mod answers;
mod auth0;
mod authentik;
mod cognito;
mod entra;
mod github;
mod google;
mod hydra;
mod keycloak;
mod kubernetes;
mod okta;
mod server;
mod zitadel;

use std::{
    convert::Infallible,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use resource_protector::{
    CurrentToken, Reason, Rejection, ResourceProtectorLayer, TokenValidator, config::ProtectorConfig,
    testing::TestClock,
};
use serde_json::{Value, json};
use tower::Layer as _;

use self::server::Server;
use crate::support::{ask, request};

const PAGE: &str = include_str!("../../../docs/issuers.md");

/// 2026-06-01T12:00:00Z, the time of all tests here. Their tokens are from a minute before until five minutes after.
const NOW: u64 = 1_780_315_200;

/// What the page says under a heading.
fn section(title: &str) -> &'static str {
    let (_, rest) = PAGE.split_once(&format!("\n## {title}\n")).expect("the section");
    rest.split("\n## ").next().unwrap()
}

/// A block of a section, by its language, counted from zero.
fn block(title: &str, language: &str, index: usize) -> &'static str {
    let start = format!("\n```{language}\n");
    let block = section(title).split(&start).nth(index + 1).expect("the block");
    block.split("\n```").next().unwrap()
}

/// Asserts that the code blocks of a section are the marked parts of a file of tests, one after the other.
#[track_caller]
fn assert_code_is_on_the_page(title: &str, source: &str) {
    let marked = source.split("// recipe\n").skip(1);
    let tested: Vec<&str> = marked
        .map(|rest| rest.split("// end of recipe").next().unwrap())
        .collect();
    assert!(!tested.is_empty(), "{title}");
    for (index, code) in tested.iter().enumerate() {
        let shown = block(title, "rust", index);
        let shown = &shown[shown.find("\nfn ").expect("a function")..];
        let words = |code: &str| code.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(words(shown), words(code), "{title}, code block {index}");
    }
    assert_eq!(section(title).matches("\n```rust\n").count(), tested.len(), "{title}");
}

/// One way to accept an issuer's tokens, as code and as a gateway's configuration.
struct Recipe {
    forms: [(&'static str, ResourceProtectorLayer); 2],
}

impl Recipe {
    /// The configuration is the block of this section of the page, counted from zero.
    #[track_caller]
    fn new(tokens: impl TokenValidator, section: &str, toml: usize, server: &Server) -> Self {
        let secret = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(secret.path(), "s3cret").unwrap();
        let toml = block(section, "toml", toml).replace("/run/secrets/orders-api", secret.path().to_str().unwrap());
        let config = ProtectorConfig::from_toml(&toml).expect("a configuration");
        let configured = config.protector_with(server.clone()).expect("a protector");
        let clock = TestClock::at(SystemTime::UNIX_EPOCH + Duration::from_secs(NOW));
        Self {
            forms: [
                ("code", ResourceProtectorLayer::new(tokens).clock(clock.clone())),
                ("gateway", configured.clock(clock)),
            ],
        }
    }

    /// Both forms let the token in and understand it in the same way; that is returned.
    #[track_caller]
    fn lets_in(&self, token: &str) -> CurrentToken {
        let [code, gateway] = self.forms.each_ref().map(|(form, layer)| {
            judge(layer, token).unwrap_or_else(|refusal| panic!("{form} refuses the token: {refusal:?}"))
        });
        assert_eq!(facts(&code), facts(&gateway));
        gateway
    }

    /// Both forms refuse the token as invalid, for one of these reasons.
    #[track_caller]
    fn refuses(&self, what: &str, token: &str, reasons: &[Reason]) {
        for (form, layer) in &self.forms {
            let refusal = judge(layer, token).expect_err(&format!("{form} lets in {what}"));
            assert!(
                refusal.reason().is_some_and(|reason| reasons.contains(&reason)),
                "{form}, {what}: {refusal:?}"
            );
        }
    }

    /// The gateway alone refuses the token: the configuration cannot say what the code says.
    #[track_caller]
    fn only_code_lets_in(&self, token: &str, reason: Reason) {
        let [code, gateway] = self.forms.each_ref().map(|(_, layer)| judge(layer, token));
        code.expect("code lets the token in");
        assert_eq!(
            gateway.expect_err("the gateway refuses the token").reason(),
            Some(reason)
        );
    }
}

/// Subject, client, issuer and scopes.
fn facts(token: &CurrentToken) -> (Option<&str>, Option<&str>, Option<&str>, Vec<&str>) {
    let scopes = token.scopes().iter().collect();
    (token.subject(), token.client_id(), token.issuer(), scopes)
}

/// Asks a layer with this token; a runtime of its own keeps the tests plain.
fn judge(layer: &ResourceProtectorLayer, token: &str) -> Result<CurrentToken, Rejection> {
    let inner = tower::service_fn(|request: Request<Full<Bytes>>| async move {
        let mut response = Response::new(Full::<Bytes>::default());
        let token = request.extensions().get::<CurrentToken>().expect("a token");
        response.extensions_mut().insert(token.clone());
        Ok::<_, Infallible>(response)
    });
    let reply = runtime().block_on(ask(layer.layer(inner), request(&[&format!("Bearer {token}")])));
    match reply.extensions().get::<CurrentToken>() {
        Some(token) => Ok(token.clone()),
        None => Err(reply.extensions().get::<Rejection>().expect("a refusal").clone()),
    }
}

/// One for all questions of a test: what a validator fetches outlives the request that wanted it.
fn runtime() -> &'static tokio::runtime::Runtime {
    static RUNTIME: std::sync::OnceLock<tokio::runtime::Runtime> = std::sync::OnceLock::new();
    RUNTIME.get_or_init(|| tokio::runtime::Runtime::new().unwrap())
}

/// The same object with some members changed, and with `null` taken out.
fn with(object: &Value, changes: Value) -> Value {
    let mut object = object.clone();
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => object.as_object_mut().unwrap().remove(name),
            value => object.as_object_mut().unwrap().insert(name.clone(), value.clone()),
        };
    }
    object
}

/// The same claims an hour later.
fn expired(claims: &Value) -> Value {
    with(
        claims,
        json!({ "iat": 1_780_311_300, "nbf": null, "exp": 1_780_311_600 }),
    )
}

#[test]
fn every_server_of_the_readme_has_its_recipe() {
    let readme = include_str!("../../../README.md");
    let links: Vec<&str> = readme
        .split("docs/issuers.md#")
        .skip(1)
        .map(|rest| rest.split(')').next().unwrap())
        .collect();
    assert!(links.len() >= 12, "{links:?}");
    let anchors: Vec<String> = PAGE
        .lines()
        .filter_map(|line| line.strip_prefix("## "))
        .map(|title| title.to_lowercase().replace(' ', "-").replace([',', '.'], ""))
        .collect();
    for link in links {
        assert!(anchors.iter().any(|anchor| anchor == link), "{link}: {anchors:?}");
    }
}

#[test]
fn every_knob_is_expressed_or_waived_with_a_reason() {
    let rows = section("Every knob").lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| ")?.split(" | ");
        let number: u32 = cells.next()?.parse().ok()?;
        Some((number, cells.nth(1)?.len()))
    });
    let rows: Vec<(u32, usize)> = rows.collect();
    assert_eq!(
        rows.iter().map(|row| row.0).collect::<Vec<_>>(),
        (1..=35).collect::<Vec<_>>()
    );
    assert!(rows.iter().all(|row| row.1 > 10));
}

#[test]
fn every_option_that_the_page_links_exists() {
    let mut source = String::new();
    let mut folders = vec![std::path::PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                source.push_str(&std::fs::read_to_string(path).unwrap());
            }
        }
    }
    let links = PAGE
        .lines()
        .filter_map(|line| line.strip_prefix('[')?.split_once("]: https://docs.rs/"));
    let names: Vec<&str> = links.map(|(name, _)| name).collect();
    assert!(names.len() > 30, "{names:?}");
    for name in names {
        let item = match name.split_once("::") {
            Some((_, method)) => format!("pub fn {method}"),
            None => format!(" {name}"),
        };
        assert!(source.contains(&item), "{name}");
    }
}
