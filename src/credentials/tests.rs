use http::{Method, Request, Version};
use proptest::prelude::*;

use super::*;

const LIMIT: usize = 100;

/// Every place but the form.
fn everywhere() -> Places {
    Places {
        max_length: LIMIT,
        header: Some(TokenHeader::new("X-Access-Token").unwrap()),
        websocket: Some(TokenProtocol::new("bearer.").unwrap()),
        query: true,
        cookie: Some(TokenCookie::new("__Host-token", ["https://app.test"]).unwrap()),
    }
}

fn request(method: Method, uri: &str, fields: &[(&str, &str)]) -> Parts {
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

fn get(fields: &[(&str, &str)]) -> Parts {
    request(Method::GET, "/", fields)
}

fn post(fields: &[(&str, &str)]) -> Parts {
    request(Method::POST, "/", fields)
}

fn handshake(fields: &[(&str, &str)]) -> Parts {
    get(&[&[("upgrade", "websocket")], fields].concat())
}

fn query(query: &str) -> Parts {
    request(Method::GET, &format!("/?{query}"), &[])
}

#[track_caller]
fn assert_token(request: &Parts, token: &str, place: Place) {
    assert_eq!(
        everywhere().read(request),
        Credentials::Token(token.into(), place),
        "{request:?}"
    );
}

#[track_caller]
fn assert_malformed(request: &Parts) {
    assert!(
        matches!(everywhere().read(request), Credentials::Malformed(_)),
        "{request:?}"
    );
}

#[test]
fn only_enabled_places_are_looked_at() {
    let requests = [
        get(&[("x-access-token", "t")]),
        handshake(&[("sec-websocket-protocol", "bearer.t")]),
        query("access_token=t"),
        get(&[("cookie", "__Host-token=t")]),
    ];
    for (request, place) in requests
        .iter()
        .zip([Place::Header, Place::WebSocket, Place::Query, Place::Cookie])
    {
        assert_eq!(Places::default().read(request), Credentials::Absent, "{place:?}");
        assert_token(request, "t", place);
    }
}

#[test]
fn a_place_that_is_not_enabled_spoils_nothing() {
    let fields = [
        ("authorization", "Bearer a"),
        ("x-access-token", "?"),
        ("sec-websocket-protocol", "bearer.?"),
        ("upgrade", "websocket"),
        ("cookie", "__Host-token=?; __Host-token=?"),
    ];
    let request = request(Method::GET, "/?access_token=?", &fields);
    assert_eq!(
        Places::default().read(&request),
        Credentials::Token("a".into(), Place::Authorization)
    );
}

#[test]
fn the_custom_header_has_a_token_and_nothing_else() {
    for value in ["t t", "Bearer t", "\"t\"", "t,u", "=", "t?"] {
        assert_malformed(&get(&[("x-access-token", value)]));
    }
    for value in ["", "\t"] {
        assert_eq!(
            everywhere().read(&get(&[("x-access-token", value)])),
            Credentials::Absent
        );
    }
    assert_malformed(&get(&[("x-access-token", "t"), ("x-access-token", "t")]));
    let mut request = get(&[]);
    let not_text = HeaderValue::from_bytes(b"t\xff").unwrap();
    request.headers.insert("x-access-token", not_text);
    assert_malformed(&request);
}

#[test]
fn a_header_with_another_meaning_cannot_carry_the_token() {
    for name in [
        "",
        "a b",
        "Authorization",
        "cookie",
        "Host",
        "Connection",
        "TE",
        "Upgrade",
        "Proxy-Authorization",
        "Sec-WebSocket-Protocol",
        "Content-Length",
        "Accept",
        "Origin",
    ] {
        assert!(TokenHeader::new(name).is_err(), "{name}");
    }
    for name in ["Cf-Access-Jwt-Assertion", "X-Forwarded-Access-Token", "X-Access-Token"] {
        assert!(TokenHeader::new(name).is_ok(), "{name}");
    }
}

#[test]
fn one_of_the_offered_subprotocols_is_the_token() {
    for offers in ["bearer.t", "chat, bearer.t", "chat,bearer.t ,v2", " ,bearer.t,"] {
        assert_token(&handshake(&[("sec-websocket-protocol", offers)]), "t", Place::WebSocket);
    }
    let two_fields = [
        ("sec-websocket-protocol", "chat"),
        ("sec-websocket-protocol", "bearer.a.b-c_d~e"),
    ];
    assert_token(&handshake(&two_fields), "a.b-c_d~e", Place::WebSocket);
    for offers in [
        "bearer.",
        "bearer.a=",
        "bearer.a/b",
        "bearer.a!b",
        "bearer.a, bearer.a",
        "bearer.a b",
    ] {
        assert_malformed(&handshake(&[("sec-websocket-protocol", offers)]));
    }
    assert_malformed(&handshake(&[
        ("sec-websocket-protocol", "bearer.a"),
        ("sec-websocket-protocol", "bearer.b"),
    ]));
    for offers in ["chat", "Bearer.t", "xbearer.t"] {
        let request = handshake(&[("sec-websocket-protocol", offers)]);
        assert_eq!(everywhere().read(&request), Credentials::Absent, "{offers}");
    }
}

#[test]
fn subprotocols_are_offered_in_websocket_handshakes_only() {
    const OFFER: (&str, &str) = ("sec-websocket-protocol", "bearer.t");
    for upgrade in ["websocket", "WebSocket", "h2c, websocket"] {
        assert_token(&get(&[("upgrade", upgrade), OFFER]), "t", Place::WebSocket);
    }
    let mut extended = request(
        Method::CONNECT,
        "https://a.test/",
        &[("sec-websocket-version", "13"), OFFER],
    );
    extended.version = Version::HTTP_2;
    assert_token(&extended, "t", Place::WebSocket);
    let mut tunnel = request(Method::CONNECT, "https://a.test/", &[OFFER]);
    tunnel.version = Version::HTTP_2;
    for request in [
        get(&[OFFER]),
        get(&[("upgrade", "h2c"), OFFER]),
        post(&[("upgrade", "websocket"), OFFER]),
        tunnel,
    ] {
        assert_eq!(everywhere().read(&request), Credentials::Absent, "{request:?}");
    }
}

#[test]
fn the_token_is_taken_from_the_offered_subprotocols_and_the_others_stay_in_their_order() {
    for (before, after) in [
        (&["bearer.t"][..], None),
        (&["bearer.t, chat"], Some("chat")),
        (&["v2", "chat, bearer.t,v1"], Some("v2, chat, v1")),
    ] {
        let fields: Vec<_> = before.iter().map(|value| ("sec-websocket-protocol", *value)).collect();
        let mut request = handshake(&fields);
        everywhere().tidy(Place::WebSocket, &mut request);
        let left: Vec<_> = request.headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter().collect();
        assert_eq!(left, after.as_slice(), "{before:?}");
    }
}

#[test]
fn a_prefix_is_the_beginning_of_a_subprotocol() {
    for prefix in ["", "bearer ", "bearer,", "bearer/", "é"] {
        assert!(TokenProtocol::new(prefix).is_err(), "{prefix}");
    }
}

#[test]
fn the_parameter_of_the_query_is_decoded_once() {
    for text in [
        "access_token=a%2Bb%2Fc%3D",
        "x=1&access_token=a%2Bb/c=&y",
        "access%5Ftoken=a%2bb%2fc%3d",
    ] {
        assert_token(&query(text), "a+b/c=", Place::Query);
    }
    for text in [
        "access_token=",
        "access_token",
        // A plus sign is a blank.
        "access_token=a+b",
        "access_token=a%2541",
        "access_token=%zz",
        "access_token=a%FF",
        "access_token=a&access_token=a",
        "access_token=a&access%5ftoken=",
    ] {
        assert_malformed(&query(text));
    }
    for text in [
        "",
        "Access_Token=a",
        "access_token[]=a",
        "xaccess_token=a",
        "x=access_token=a",
        "access-token=a",
    ] {
        assert_eq!(everywhere().read(&query(text)), Credentials::Absent, "{text}");
    }
}

#[test]
fn the_cookie_is_found_among_others_and_stands_once() {
    for cookies in [
        "__Host-token=t",
        "a=1; __Host-token=t; b=2",
        "a=1;__Host-token=t",
        "__Host-tokens=u; __Host-token=t",
    ] {
        assert_token(&get(&[("cookie", cookies)]), "t", Place::Cookie);
    }
    assert_token(
        &get(&[("cookie", "a=1"), ("cookie", "__Host-token=t")]),
        "t",
        Place::Cookie,
    );
    for cookies in [
        "__Host-token=t t",
        "__Host-token=\"t\"",
        "__Host-token=a=b",
        "__Host-token=t; __Host-token=t",
        "__Host-token=; __Host-token=t",
    ] {
        assert_malformed(&get(&[("cookie", cookies)]));
    }
    assert_malformed(&get(&[("cookie", "__Host-token=t"), ("cookie", "__Host-token=t")]));
    for cookies in [
        "",
        "a=1",
        "__Host-token=",
        "__Host-token",
        "__host-token=t",
        "a=__Host-token=t",
    ] {
        assert_eq!(
            everywhere().read(&get(&[("cookie", cookies)])),
            Credentials::Absent,
            "{cookies}"
        );
    }
}

#[test]
fn a_cookie_is_looked_at_only_where_the_client_chose_no_credentials() {
    const COOKIE: (&str, &str) = ("cookie", "__Host-token=t");
    assert_eq!(
        everywhere().read(&get(&[("authorization", "Basic x"), COOKIE])),
        Credentials::OtherScheme
    );
    assert_eq!(
        everywhere().read(&get(&[("authorization", " "), COOKIE])),
        Credentials::Absent
    );
    assert_malformed(&get(&[("authorization", "Bearer"), COOKIE]));
    assert_token(
        &get(&[("authorization", "Bearer a"), COOKIE]),
        "a",
        Place::Authorization,
    );
    assert_token(
        &post(&[("authorization", "Bearer a"), COOKIE]),
        "a",
        Place::Authorization,
    );
    assert_token(&get(&[("x-access-token", "a"), COOKIE]), "a", Place::Header);
    assert_malformed(&get(&[("x-access-token", "?"), COOKIE]));
    let mut with_query = query("access_token=a");
    with_query.headers = get(&[COOKIE]).headers;
    assert_token(&with_query, "a", Place::Query);
}

#[test]
fn a_cookie_has_a_name_and_origins_as_browsers_write_them() {
    for name in ["", "a b", "a;b", "a=b", "é"] {
        assert!(TokenCookie::new(name, [""; 0]).is_err(), "{name}");
    }
    for origin in [
        "https://app.test/",
        "https://app.test/x",
        "https://app.test?x",
        "https://App.test",
        "HTTPS://app.test",
        "https://app.test:443",
        "https://app.test:",
        "http://localhost:80",
        "http://app.test",
        "https://u@app.test",
        "https://*.app.test",
        "app.test",
        "null",
        "*",
        "",
    ] {
        let refused = TokenCookie::new("token", [origin]).is_err();
        assert!(refused, "{origin}");
    }
    for origin in [
        "https://app.test",
        "https://app.test:8443",
        "http://localhost:3000",
        "http://[::1]:3000",
    ] {
        assert!(TokenCookie::new("token", [origin]).is_ok(), "{origin}");
    }
}

#[test]
fn two_places_are_malformed_even_with_the_same_token_and_so_is_one_bad_place() {
    let places = [
        ("authorization", "Bearer t", "Bearer"),
        ("x-access-token", "t", "?"),
        ("sec-websocket-protocol", "bearer.t", "bearer."),
        ("query", "access_token=t", "access_token=?"),
    ];
    for (i, (first, good, bad)) in places.iter().enumerate() {
        for (second, other, _) in places.iter().skip(i + 1) {
            for value in [good, bad] {
                let fields: Vec<_> = [(*first, *value), (*second, *other)]
                    .into_iter()
                    .filter(|(name, _)| *name != "query")
                    .collect();
                let mut request = handshake(&fields);
                if *second == "query" {
                    request.uri = format!("/?{other}").parse().unwrap();
                }
                assert_malformed(&request);
            }
        }
    }
}

#[test]
fn credentials_of_another_scheme_are_not_made_good_by_a_token_elsewhere() {
    for scheme in ["Basic x", "DPoP t"] {
        assert_malformed(&get(&[("authorization", scheme), ("x-access-token", "t")]));
    }
    assert_token(
        &get(&[("authorization", ""), ("x-access-token", "t")]),
        "t",
        Place::Header,
    );
}

#[test]
fn the_length_of_a_token_is_limited_in_every_place() {
    let (longest, longer) = ("x".repeat(LIMIT), "x".repeat(LIMIT + 1));
    for (field, before, place) in [
        ("x-access-token", "", Place::Header),
        ("sec-websocket-protocol", "bearer.", Place::WebSocket),
        ("cookie", "__Host-token=", Place::Cookie),
    ] {
        let websocket = (place == Place::WebSocket).then_some(("upgrade", "websocket"));
        let with = |token: &str| {
            let value = format!("{before}{token}");
            let fields: Vec<_> = websocket.into_iter().chain([(field, value.as_str())]).collect();
            get(&fields)
        };
        assert_token(&with(&longest), &longest, place);
        assert_malformed(&with(&longer));
    }
    assert_token(&query(&format!("access_token={longest}")), &longest, Place::Query);
    assert_malformed(&query(&format!("access_token={longer}")));
}

#[test]
fn every_header_that_may_have_the_token_is_marked_sensitive() {
    const FIELDS: [(&str, &str); 4] = [
        ("authorization", "x"),
        ("cookie", "x"),
        ("sec-websocket-protocol", "x"),
        ("x-access-token", "x"),
    ];
    let sensitive = |places: &Places| {
        let mut headers = get(&FIELDS).headers;
        places.mark_sensitive(&mut headers);
        FIELDS.map(|(name, _)| headers[name].is_sensitive())
    };
    assert_eq!(sensitive(&everywhere()), [true; 4]);
    assert_eq!(sensitive(&Places::default()), [true, false, false, false]);
}

proptest! {
    #[test]
    fn what_is_read_from_a_cookie_stands_whole_behind_its_name(cookies in "[ ;=a\"_A-C]{0,20}(__Host-token)?=?[a-c;= ]{0,20}") {
        let Ok(value) = HeaderValue::from_str(&cookies) else { return Ok(()) };
        let mut request = get(&[]);
        request.headers.insert(header::COOKIE, value);
        match everywhere().read(&request) {
            Credentials::Token(token, Place::Cookie) => {
                let expected = format!("__Host-token={token}");
                prop_assert_eq!(cookies.split(';').filter(|cookie| cookie.trim() == expected).count(), 1);
            }
            Credentials::Absent | Credentials::Malformed(_) => {}
            other => prop_assert!(false, "{:?}", other),
        }
    }

    #[test]
    fn a_token_that_is_form_encoded_is_read_as_it_was(token in "[A-Za-z0-9._~+/-]{1,40}={0,2}", before in "[a-z%&=]{0,10}") {
        let encoded: String = form_urlencoded::byte_serialize(token.as_bytes()).collect();
        let found = query::access_token(format!("{before}&access_token={encoded}").into_bytes().leak());
        prop_assert_eq!(found.unwrap().unwrap(), token);
    }

    #[test]
    fn the_offers_that_are_left_are_those_without_the_token(offers in proptest::collection::vec("(bearer\\.)?[a-c]{1,3}", 0..5)) {
        let mut request = handshake(&[("sec-websocket-protocol", &offers.join(","))]);
        everywhere().tidy(Place::WebSocket, &mut request);
        let left: Vec<&str> = request.headers.get(header::SEC_WEBSOCKET_PROTOCOL)
            .map(|value| value.to_str().unwrap().split(", ").collect()).unwrap_or_default();
        let others: Vec<&str> = offers.iter().map(String::as_str).filter(|offer| !offer.starts_with("bearer.")).collect();
        prop_assert_eq!(left, others);
    }
}

#[test]
fn a_token68_has_these_characters_and_equals_signs_at_its_end_and_no_others() {
    const BODY: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/";
    for byte in 0..=255u8 {
        let is_body = BODY.contains(&byte);
        assert_eq!(is_token68(&[byte]), is_body, "{byte:#x}");
        for length in [2, 16, 33, 100] {
            for place in [0, length / 2, length - 1] {
                let mut token = vec![b'a'; length];
                token[place] = byte;
                let is_padding = byte == b'=' && place == length - 1;
                assert_eq!(
                    is_token68(&token),
                    is_body || is_padding,
                    "{byte:#x} at {place} of {length}"
                );
            }
        }
    }
    assert!(
        !is_token68(b"") && !is_token68(b"==") && is_token68(b"a==") && !is_token68(b"a=="[..].repeat(2).as_slice())
    );
}
