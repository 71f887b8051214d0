//! What users allow clients, and how they take it back.

use resource_protector_issuer::TokenRequest;

use super::{Browser, Page, Town, VERIFIER, asked, form, phone};

/// The tokens that the client gets for the code of this answer.
async fn redeemed(town: &Town, answer: &Page) -> Page {
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", &answer.answer()["code"]),
        ("redirect_uri", "https://phone.test/cb"),
        ("code_verifier", VERIFIER),
    ];
    town.token(&form(&fields)).await
}

/// The answer to the client after somebody has logged in and allowed it.
async fn allowed(browser: &mut Browser<'_>) -> Page {
    let page = browser.come_in(&phone()).await;
    browser.decide(&page, "allow").await
}

#[tokio::test]
async fn a_user_sees_which_clients_were_allowed_what() {
    let town = Town::new().await;
    let alice = &town.alice.subject;
    assert!(town.issuer.consents(alice).await.unwrap().is_empty());
    allowed(&mut town.browser()).await;
    let consents = town.issuer.consents(alice).await.unwrap();
    assert_eq!(consents.len(), 1);
    assert_eq!(consents[0].client_id(), "phone");
    assert_eq!(consents[0].scopes().collect::<Vec<_>>(), ["profile"]);
    assert!(town.issuer.consents("somebody else").await.unwrap().is_empty());
}

#[tokio::test]
async fn a_consent_that_is_withdrawn_ends_the_clients_sessions_of_that_user_and_is_asked_for_again() {
    let town = Town::new().await;
    let alice = &town.alice.subject;
    let mut browser = town.browser();
    let answer = allowed(&mut browser).await;
    let tokens = redeemed(&town, &answer).await.json();
    let theirs = tokens["access_token"].as_str().unwrap();
    let others =
        [("web", alice.as_str()), ("phone", "bob")].map(|(client, subject)| TokenRequest::for_subject(client, subject));
    let [by_another, of_another] = others.map(|request| town.issuer.issue(request));
    let others = [by_another.await.unwrap(), of_another.await.unwrap()];
    assert!(town.issuer.introspect(theirs).await.unwrap().is_some());
    assert!(
        browser.get(&phone()).await.location().contains("code="),
        "it is remembered"
    );

    town.issuer.withdraw_consent(alice, "phone").await.unwrap();
    assert!(town.issuer.introspect(theirs).await.unwrap().is_none());
    for other in others {
        assert!(town.issuer.introspect(other.access_token()).await.unwrap().is_some());
    }
    assert!(browser.get(&phone()).await.is_consent());
    // Nothing is left to be withdrawn, which is no error.
    town.issuer.withdraw_consent(alice, "phone").await.unwrap();
}

#[tokio::test]
async fn a_code_is_good_no_more_when_the_consent_was_withdrawn_meanwhile() {
    let town = Town::new().await;
    let mut browser = town.browser();
    let answer = allowed(&mut browser).await;
    town.issuer
        .withdraw_consent(&town.alice.subject, "phone")
        .await
        .unwrap();
    let refused = redeemed(&town, &answer).await;
    assert_eq!(
        (refused.status, refused.json()["error"].as_str()),
        (400, Some("invalid_grant"))
    );
    let page = browser.get(&phone()).await;
    let next = browser.decide(&page, "allow").await;
    assert_eq!(
        redeemed(&town, &answer).await.status,
        400,
        "the one from before stays so"
    );
    assert_eq!(redeemed(&town, &next).await.status, 200);
}

#[tokio::test]
async fn more_that_is_allowed_later_leaves_the_codes_from_before_good() {
    let town = Town::new().await;
    let mut browser = town.browser();
    let less = asked("phone", "https://phone.test/cb", &[("scope", None)]);
    let page = browser.come_in(&less).await;
    let answer = browser.decide(&page, "allow").await;
    let page = browser.get(&phone()).await;
    browser.decide(&page, "allow").await;
    assert_eq!(redeemed(&town, &answer).await.status, 200);
}
