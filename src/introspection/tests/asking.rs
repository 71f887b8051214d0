//! How it asks.

use super::*;

#[tokio::test]
async fn the_token_is_posted_as_a_form_with_our_authentication() {
    let server = Server::new(good());
    Api::new(&server).status("a+b/c=").await;
    let asked = server.last();
    assert_eq!(asked.method(), http::Method::POST);
    assert_eq!(asked.uri(), ENDPOINT);
    assert_eq!(asked.body(), "token=a%2Bb%2Fc%3D&token_type_hint=access_token");
    assert_eq!(
        asked.headers()[header::CONTENT_TYPE],
        "application/x-www-form-urlencoded"
    );
    assert_eq!(asked.headers()[header::ACCEPT], "application/json");
    // `api:secret`
    assert_eq!(asked.headers()[header::AUTHORIZATION], "Basic YXBpOnNlY3JldA==");
    assert!(asked.headers()[header::AUTHORIZATION].is_sensitive());
}

#[tokio::test]
async fn the_hint_can_be_left_out() {
    let server = Server::new(good());
    Api::with(&server, IntrospectionValidator::without_token_type_hint)
        .status("t1")
        .await;
    assert_eq!(server.last().body(), "token=t1");
}

#[tokio::test]
async fn a_secret_can_be_posted_in_the_form() {
    let server = Server::new(good());
    let validator = IntrospectionValidator::new(ENDPOINT, ClientAuth::post("my api", "s&t"), API).unwrap();
    assert_eq!(Api::of(validator.fetch(server.clone())).status("t1").await, 200);
    assert_eq!(
        server.last().body(),
        "token=t1&token_type_hint=access_token&client_id=my%20api&client_secret=s%26t"
    );
    assert!(!server.last().headers().contains_key(header::AUTHORIZATION));
}

#[tokio::test]
async fn with_mutual_tls_this_service_names_itself_in_the_form() {
    let server = Server::new(good());
    let validator = IntrospectionValidator::new(ENDPOINT, ClientAuth::tls_client_auth("api"), API).unwrap();
    assert_eq!(Api::of(validator.fetch(server.clone())).status("t1").await, 200);
    assert_eq!(
        server.last().body(),
        "token=t1&token_type_hint=access_token&client_id=api"
    );
    assert!(IntrospectionValidator::new(ENDPOINT, ClientAuth::tls_client_auth(""), API).is_err());
}

#[test]
fn times_out_of_bounds_are_set_up_errors() {
    let validator = || IntrospectionValidator::new(ENDPOINT, ClientAuth::basic("api", "secret"), API).unwrap();
    assert!(validator().timeout(Duration::ZERO).is_err());
    assert!(validator().timeout(Duration::MAX).is_err());
    assert!(validator().remember_for(Duration::MAX).is_err());
    assert!(validator().remember_refusals_for(Duration::MAX).is_err());
    assert!(validator().leeway(Duration::MAX).is_err());
    assert!(validator().issuer("").is_err());
}

#[tokio::test]
async fn a_token_that_looks_like_a_jwt_is_asked_about_like_any_other() {
    let server = Server::new(good());
    assert_eq!(Api::new(&server).status("eyJhbGciOiJub25lIn0.e30.x").await, 200);
    assert_eq!(server.calls(), 1);
}

#[tokio::test]
async fn plain_http_beyond_loopback_is_asked_only_if_it_is_chosen_by_name() {
    let server = Server::new(good());
    let auth = || ClientAuth::basic("api", "secret");
    let url = "http://as.internal/introspect";
    assert!(IntrospectionValidator::new(url, auth(), API).is_err());
    assert!(IntrospectionValidator::discover("http://as.internal", auth(), API).is_err());
    for chosen in [
        IntrospectionValidator::new_over_plain_http(url, auth(), API),
        IntrospectionValidator::new("http://127.0.0.1:9/introspect", auth(), API),
    ] {
        assert_eq!(Api::of(chosen.unwrap().fetch(server.clone())).status("t1").await, 200);
    }
    assert!(IntrospectionValidator::discover_over_plain_http("http://as.internal", auth(), API).is_ok());
}

#[test]
fn what_cannot_work_is_a_set_up_error() {
    let auth = || ClientAuth::basic("api", "secret");
    let option = |result: Result<IntrospectionValidator, SetupError>| result.unwrap_err().option();
    for url in [
        "",
        "/introspect",
        "as.example",
        "https://user@as.example/",
        "ftp://as.example/",
    ] {
        assert_eq!(
            option(IntrospectionValidator::new(url, auth(), API)),
            "endpoint",
            "{url}"
        );
    }
    assert_eq!(
        option(IntrospectionValidator::discover("acme.com", auth(), API)),
        "issuer"
    );
    assert_eq!(
        option(IntrospectionValidator::new(ENDPOINT, ClientAuth::basic("", "x"), API)),
        "client_auth"
    );
    assert_eq!(option(IntrospectionValidator::new(ENDPOINT, auth(), "")), "audience");
    assert_eq!(
        option(IntrospectionValidator::new(ENDPOINT, auth(), Vec::<String>::new())),
        "audience"
    );
    let validator = || IntrospectionValidator::new(ENDPOINT, auth(), API).unwrap();
    assert_eq!(option(validator().leeway(Duration::from_secs(301))), "leeway");
    assert!(validator().leeway(Duration::from_secs(300)).is_ok());
}

#[tokio::test]
async fn a_secret_that_was_replaced_in_its_file_is_read_again_when_the_server_refuses_the_old_one() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"old\n").unwrap();
    let server = Server::new(good());
    server.answers(|request| {
        // `api:new`
        let known = request.headers()[header::AUTHORIZATION] == "Basic YXBpOm5ldw==";
        Ok(if known {
            ok(&good().to_string())
        } else {
            with_status(401, "{}")
        })
    });
    let auth = ClientAuth::basic("api", Secret::from_file(file.path()).unwrap());
    let api = Api::of(
        IntrospectionValidator::new(ENDPOINT, auth, API)
            .unwrap()
            .fetch(server.clone()),
    );
    // Nothing new in the file: one call, and the fault is ours.
    assert_eq!((api.status("t1").await, server.calls()), (500, 1));
    std::fs::write(file.path(), "new\n").unwrap();
    assert_eq!((api.status("t2").await, server.calls()), (200, 3));
    // And from now on the new one is used at once.
    assert_eq!((api.status("t3").await, server.calls()), (200, 4));
}

#[tokio::test]
async fn a_private_key_is_read_again_too_and_a_bad_one_does_not_replace_it() {
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    use jsonwebtoken::{Algorithm, DecodingKey, Validation};

    let pair = || Ed25519KeyPair::generate().unwrap();
    let pem = |pair: &Ed25519KeyPair| {
        let der = STANDARD.encode(pair.to_pkcs8().unwrap());
        format!("-----BEGIN PRIVATE KEY-----\n{der}\n-----END PRIVATE KEY-----\n")
    };
    let (old, new) = (pair(), pair());
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(pem(&old).as_bytes()).unwrap();
    let auth = ClientAuth::private_key_jwt("api", Secret::from_file(file.path()).unwrap()).unwrap();
    let server = Server::new(good());
    let public = new.public_key().as_ref().to_vec();
    server.answers(move |request| {
        let body = std::str::from_utf8(request.body()).unwrap();
        let assertion = body
            .split('&')
            .find_map(|pair| pair.strip_prefix("client_assertion="))
            .unwrap();
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.validate_exp = false;
        validation.validate_aud = false;
        let key = DecodingKey::from_ed_der(&public);
        let known = jsonwebtoken::decode::<Value>(assertion, &key, &validation).is_ok();
        Ok(if known {
            ok(&good().to_string())
        } else {
            with_status(401, "{}")
        })
    });
    let api = Api::of(
        IntrospectionValidator::new(ENDPOINT, auth, API)
            .unwrap()
            .fetch(server.clone()),
    );
    assert_eq!(api.status("t1").await, 500);
    std::fs::write(file.path(), "no key at all").unwrap();
    assert_eq!(api.status("t2").await, 500);
    std::fs::write(file.path(), pem(&new)).unwrap();
    assert_eq!(api.status("t3").await, 200);
}

#[tokio::test]
async fn a_member_that_must_have_a_value_is_demanded_of_every_answer() {
    let server = Server::new(good_but("kind", json!(["human", "adult"])));
    let api =
        |accepted: &'static str| Api::with(&server, |validator| validator.expect_claim("kind", [accepted]).unwrap());
    assert_eq!(api("adult").status("t1").await, 200);
    assert_eq!(api("robot").status("t1").await, 401);
    let validator = || IntrospectionValidator::new(ENDPOINT, ClientAuth::basic("api", "secret"), API).unwrap();
    assert!(validator().expect_claim("kind", [""; 0]).is_err());
    for result in [
        validator().expect_claim("", ["x"]),
        validator().scope_claim(""),
        validator().client_id_claim(""),
        validator().audience_claim(""),
    ] {
        assert!(result.is_err());
    }
}
