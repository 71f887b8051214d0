//! GitHub Actions: workflows, known by identifiers that do not change.

use resource_protector::{AccessTokenMark, JwtValidator, OptionalClaim, Reason, SetupError};
use serde_json::{Value, json};

use super::{Recipe, assert_code_is_on_the_page, expired, facts, server::Server, with};

// recipe
fn github_actions() -> Result<JwtValidator, SetupError> {
    Ok(
        JwtValidator::discover("https://token.actions.githubusercontent.com", "https://api.example.com")?
            .accept_types(["JWT"], AccessTokenMark::claim("repository_id", ["74123456"]))?
            .without_at_jwt()?
            .expect_claim("ref", ["refs/heads/main"])?
            .expect_claim("environment", ["production"])?
            .optional_claims([OptionalClaim::ClientId]),
    )
}
// end of recipe

const ISSUER: &str = "https://token.actions.githubusercontent.com";
const KID: &str = "38826b17-6a30-5f9b-b169-8beb8202f723";

fn server() -> Server {
    let server = Server::new("RS256");
    let keys = "https://token.actions.githubusercontent.com/.well-known/jwks";
    let jwk = server
        .jwk(json!({ "alg": "RS256", "kid": KID, "use": "sig", "x5t": "OIJrF2owX5uxaYvrggL3I", "x5c": ["MIID"] }));
    server
        .with(
            "https://token.actions.githubusercontent.com/.well-known/openid-configuration",
            json!({ "issuer": ISSUER, "jwks_uri": keys, "subject_types_supported": ["public", "pairwise"],
                "response_types_supported": ["id_token"], "scopes_supported": ["openid"] }),
        )
        .with(keys, json!({ "keys": [jwk] }))
}

#[test]
fn a_workflow_of_github_is_let_in_by_repository_branch_and_environment() {
    let server = server();
    let recipe = Recipe::new(
        github_actions().unwrap().fetch(server.clone()),
        "GitHub Actions",
        0,
        &server,
    );
    let header = json!({ "typ": "JWT", "alg": "RS256", "x5t": "OIJrF2owX5uxaYvrggL3I", "kid": KID });
    let subject = "repo:octo-org@65/octo-repo@74123456:environment:production";
    let access = json!({ "jti": "6f9b2a3c", "sub": subject, "environment": "production",
        "aud": "https://api.example.com", "ref": "refs/heads/main", "sha": "f1d2d2f9", "repository": "octo-org/octo-repo",
        "repository_owner": "octo-org", "actor_id": "12", "repository_visibility": "private",
        "repository_id": "74123456", "repository_owner_id": "65", "run_id": "1234567890", "run_number": "10",
        "run_attempt": "2", "runner_environment": "github-hosted", "actor": "octocat", "workflow": "deploy",
        "head_ref": "", "base_ref": "", "event_name": "push", "ref_type": "branch",
        "job_workflow_ref": "octo-org/octo-automation/.github/workflows/oidc.yml@refs/heads/main", "iss": ISSUER,
        "nbf": 1_780_314_540, "exp": 1_780_315_440, "iat": 1_780_315_140 });
    let token = recipe.lets_in(&server.sign(&header, &access));
    assert_eq!(facts(&token), (Some(subject), None, Some(ISSUER), vec![]));

    let refused = |what: &str, claims: &Value, reasons: &[Reason]| {
        recipe.refuses(what, &server.sign(&header, claims), reasons);
    };
    // The gateway takes any of the expected claims for the mark, so the reason differs; the refusal does not.
    let mark_or_claim = [Reason::Type, Reason::Claim];
    let namesake = with(&access, json!({ "repository_id": "999" }));
    refused("another repository of the same name", &namesake, &mark_or_claim);
    // Should the server ever issue RFC 9068 tokens, the list still holds.
    let at_jwt = with(&header, json!({ "typ": "at+jwt" }));
    recipe.refuses(
        "a typed token of a stranger",
        &server.sign(&at_jwt, &namesake),
        &[Reason::Type],
    );
    let pull = with(
        &access,
        json!({ "ref": "refs/pull/7/merge", "event_name": "pull_request" }),
    );
    refused("a pull request", &pull, &mark_or_claim);
    refused(
        "a job outside of the environment",
        &with(&access, json!({ "environment": null })),
        &mark_or_claim,
    );
    let default = with(&access, json!({ "aud": "https://github.com/octo-org" }));
    refused("a token with the default audience", &default, &[Reason::Audience]);
    let enterprise = with(
        &access,
        json!({ "iss": "https://token.actions.githubusercontent.com/octo-enterprise" }),
    );
    refused("a token of an enterprise's own issuer", &enterprise, &[Reason::Issuer]);
    refused("an expired token", &expired(&access), &[Reason::Expired]);
    // The token of a job for GitHub itself, and one of an application.
    recipe.refuses(
        "a GITHUB_TOKEN",
        "ghs_16C7e42F292c6912E7710c838347Ae178B4a",
        &[Reason::Format],
    );
    recipe.refuses(
        "a refresh token",
        "ghr_1B4a2e77838347a7E420ce178F2E7c6912E1692",
        &[Reason::Format],
    );
}

#[test]
fn the_recipe_for_github_actions_is_the_one_on_the_page() {
    assert_code_is_on_the_page("GitHub Actions", include_str!("github.rs"));
}
