//! The peers, each told the same: this issuer, this audience, these keys.
//!
//! Whoever can take the keys as text does. All check signature, issuer, audience and expiry.

use std::sync::Arc;

use huskarl_reqwest::ReqwestClient;
use huskarl_resource_server::{core::EndpointUrl, validator::rfc9068::Rfc9068Validator};
use jwt_authorizer::{AuthorizerBuilder, IntoLayer as _, RegisteredClaims, Validation, layer::AuthorizationLayer};
use oauth_resource_server::{KeyNaming, OAuthConfig, OAuthValidator, http_layer::HttpAuthLayer};
use resource_protector::testing::TestIssuer;
use tower_oauth2_resource_server::{
    server::OAuth2ResourceServer, tenant::TenantConfiguration, validation::ClaimsValidationSpec,
};

use crate::{common::AUDIENCE, glue::Huskarl};

pub async fn jwt_authorizer(issuer: &TestIssuer) -> AuthorizationLayer<RegisteredClaims> {
    let validation = Validation::new().iss(&[issuer.url()]).aud(&[AUDIENCE]);
    let authorizer = AuthorizerBuilder::from_jwks_text(&issuer.jwks())
        .validation(validation)
        .build()
        .await
        .unwrap();
    authorizer.into_layer()
}

pub async fn tower_oauth2(issuer: &TestIssuer) -> OAuth2ResourceServer {
    let tenant = TenantConfiguration::static_builder(issuer.jwks())
        .claims_validation(
            ClaimsValidationSpec::new()
                .iss(issuer.url())
                .aud(&vec![AUDIENCE.to_owned()])
                .exp(true),
        )
        .build()
        .unwrap();
    <OAuth2ResourceServer>::builder()
        .add_tenant(tenant)
        .build()
        .await
        .unwrap()
}

pub fn oauth_resource_server(issuer: &TestIssuer, algorithm: &str) -> HttpAuthLayer {
    let config = OAuthConfig {
        enabled: true,
        issuer: issuer.url().to_owned(),
        jwks_uri: Some(format!("{}/jwks", issuer.url())),
        audience: AUDIENCE.to_owned(),
        resource: AUDIENCE.to_owned(),
        algorithms: vec![algorithm.to_owned()],
        require_at_jwt: true,
        allow_unscoped_tokens: true,
        allow_insecure_http: true,
        ..OAuthConfig::default()
    };
    let config = config.resolve(KeyNaming::Dotted("oauth")).unwrap().unwrap();
    let validator = OAuthValidator::builder(&config)
        .initial_jwks(&issuer.jwks())
        .build()
        .unwrap();
    HttpAuthLayer::builder().oauth(Arc::new(validator)).build().unwrap()
}

/// It fetches its keys: the issuer has to be served.
pub async fn huskarl(issuer: &TestIssuer) -> Huskarl {
    let jwks: EndpointUrl = format!("{}/jwks", issuer.url()).parse().unwrap();
    let validator = Rfc9068Validator::builder()
        .issuer(issuer.url())
        .audience(AUDIENCE)
        .jwks_uri(jwks)
        .jwks_source(ReqwestClient::builder().build().await.unwrap())
        .build()
        .await
        .unwrap();
    Huskarl(Arc::new(validator))
}
