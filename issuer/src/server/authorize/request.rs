//! What a client asks for, judged.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{
    answer::{Answer, ErrorCode, Place},
    client::Asking,
    parameters::{Parameters, Single},
};
use crate::clients::Client;

/// The longest state, in bytes.
const MAX_STATE: usize = 4096;

/// The longest redirect URI, in bytes.
const MAX_REDIRECT_URI: usize = 2048;

/// The longest list of scopes, in bytes.
const MAX_SCOPE: usize = 4096;

/// The longest resource, in bytes, and how many there may be.
const MAX_RESOURCE: usize = 2048;
const MAX_RESOURCES: usize = 8;

/// Schemes that are no address of anybody: what follows them is run or shown by the browser itself.
const NO_ADDRESS: [&str; 9] = [
    "about",
    "blob",
    "chrome",
    "data",
    "file",
    "filesystem",
    "javascript",
    "vbscript",
    "view-source",
];

/// A request that is in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::server) struct AuthorizationRequest {
    pub(in crate::server) redirect_uri: String,
    /// Whether the request named it. Then the request for tokens has to name it, too (RFC 6749, section 4.1.3).
    pub(in crate::server) is_redirect_uri_named: bool,
    pub(in crate::server) state: Option<String>,
    /// Each once, in the order in which they were asked for.
    pub(in crate::server) scopes: Vec<String>,
    /// For whom the tokens are to be; empty, if the client leaves it to the server.
    pub(in crate::server) resources: Vec<String>,
    pub(in crate::server) asks_for: AsksFor,
    pub(in crate::server) prompt: Prompt,
    /// The greatest age of a log-in, in seconds.
    pub(in crate::server) max_age: Option<u64>,
}

/// What the client is to get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::server) enum AsksFor {
    /// A code, for who knows the verifier of which this is the SHA-256, in base64url: 43 characters.
    Code { challenge: String },
    /// An access token in the URL (RFC 6749, section 4.2): where the server has the implicit grant.
    Token,
}

/// Whether somebody may, or has to be asked (OpenID Connect Core, section 3.1.2.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::server) struct Prompt {
    /// Nobody is asked anything.
    pub(in crate::server) none: bool,
    /// Whoever is logged in is asked for the password again.
    pub(in crate::server) login: bool,
    /// Whoever allowed the client before is asked again.
    pub(in crate::server) consent: bool,
}

/// A request that is not in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::server) enum Refused {
    /// By a page with this sentence: it is not known whose request this is or where its answer belongs, so nobody is
    /// redirected anywhere.
    Page(&'static str),
    /// By a redirect to the client.
    Redirect {
        redirect_uri: String,
        state: Option<String>,
        code: ErrorCode,
        description: &'static str,
        place: Place,
    },
}

impl Parameters {
    /// Whose request it says it is.
    pub(in crate::server) fn client_id(&self) -> Result<&str, Refused> {
        match self.single("client_id") {
            Single::Once(client_id) => Ok(client_id),
            Single::Absent => Err(Refused::Page("The request has no client_id.")),
            Single::Repeated => Err(Refused::Page("The request has more than one client_id.")),
        }
    }
}

/// Judges a request. The client is the one of [`Parameters::client_id`], if there is such a client.
///
/// Client and redirect URI come first, and whatever is wrong with them is shown and not sent anywhere: "the authorization
/// server SHOULD inform the resource owner of the error and MUST NOT automatically redirect the user-agent to the invalid
/// redirection URI" (RFC 6749, section 4.1.2.1).
pub(in crate::server) fn judge(
    parameters: &Parameters,
    asking: Option<&Asking<'_>>,
) -> Result<AuthorizationRequest, Refused> {
    parameters.client_id()?;
    let asking = asking.ok_or(Refused::Page("There is no client of this client_id."))?;
    let (redirect_uri, is_redirect_uri_named) = match parameters.single("redirect_uri") {
        Single::Repeated => return Err(Refused::Page("The request has more than one redirect_uri.")),
        Single::Once(uri) if asking.client.allows_redirect_uri(uri) => (uri, true),
        Single::Once(_) => return Err(Refused::Page("The redirect_uri is not one of this client.")),
        Single::Absent => match asking.only_redirect_uri() {
            Some(uri) => (uri, false),
            None => return Err(Refused::Page("The request has no redirect_uri.")),
        },
    };
    if !is_address(redirect_uri) {
        return Err(Refused::Page("The redirect_uri of this client cannot be used."));
    }

    let state = match parameters.single("state") {
        Single::Once(state) if is_state(state) => Some(state.to_owned()),
        _ => None,
    };
    let is_implicit =
        asking.may_have_tokens_at_once() && matches!(parameters.single("response_type"), Single::Once("token"));
    let refused = |(code, description)| Refused::Redirect {
        redirect_uri: redirect_uri.to_owned(),
        state: state.clone(),
        code,
        description,
        place: if is_implicit { Place::Fragment } else { Place::Query },
    };
    let asked = asked_for(parameters, asking).map_err(refused)?;
    Ok(AuthorizationRequest {
        redirect_uri: redirect_uri.to_owned(),
        is_redirect_uri_named,
        state,
        ..asked
    })
}

type Wrong = (ErrorCode, &'static str);

/// What is asked for, without where the answer belongs.
fn asked_for(parameters: &Parameters, asking: &Asking<'_>) -> Result<AuthorizationRequest, Wrong> {
    let once = |name: &'static str| match parameters.single(name) {
        Single::Once(value) => Some(value),
        Single::Absent | Single::Repeated => None,
    };
    // "Request and response parameters MUST NOT be included more than once." (RFC 6749, section 3.1)
    if parameters.has_repeated() {
        return Err((ErrorCode::InvalidRequest, "a parameter is there more than once"));
    }
    if once("state").is_some_and(|state| !is_state(state)) {
        return Err((
            ErrorCode::InvalidRequest,
            "the state has more than 4096 characters, or others than printable ASCII",
        ));
    }
    // What is in a request object would be ignored, and may be more than the rest.
    if once("request").is_some() {
        return Err((ErrorCode::RequestNotSupported, "request objects are not supported"));
    }
    if once("request_uri").is_some() {
        return Err((ErrorCode::RequestUriNotSupported, "request objects are not supported"));
    }
    // There is one way to log in here, which has no name. A client that was sent here for another would be sent again and again.
    if once("acr_values").is_some() {
        return Err((
            ErrorCode::UnmetAuthenticationRequirements,
            "users authenticate in one way only, which no acr names",
        ));
    }
    let is_implicit = match once("response_type") {
        Some("code") => false,
        Some("token") if asking.may_have_tokens_at_once() => true,
        Some(_) => return Err((ErrorCode::UnsupportedResponseType, "the response_type is not code")),
        None => return Err((ErrorCode::InvalidRequest, "there is no response_type")),
    };
    let mode = if is_implicit { "fragment" } else { "query" };
    if once("response_mode").is_some_and(|asked| asked != mode) {
        return Err((
            ErrorCode::InvalidRequest,
            "the response_mode is not the one of the response_type",
        ));
    }
    if !is_implicit && !asking.may_have_codes() {
        return Err((
            ErrorCode::UnauthorizedClient,
            "this client may not use the authorization code grant",
        ));
    }
    Ok(AuthorizationRequest {
        redirect_uri: String::new(),
        is_redirect_uri_named: false,
        state: None,
        asks_for: match is_implicit {
            true => AsksFor::Token,
            false => AsksFor::Code {
                challenge: code_challenge(once("code_challenge"), once("code_challenge_method"))?,
            },
        },
        scopes: scopes(once("scope"), asking.client)?,
        resources: resources(parameters, asking.client)?,
        prompt: prompt(once("prompt"))?,
        max_age: max_age(once("max_age"))?,
    })
}

impl Refused {
    /// Where the browser goes with it; `None` when it goes nowhere.
    pub(in crate::server) fn url(&self, issuer: &str) -> Option<String> {
        match self {
            Self::Page(_) => None,
            Self::Redirect {
                redirect_uri,
                state,
                code,
                description,
                place,
            } => {
                let answer = Answer::Error(*code, Some(description));
                Some(answer.url(redirect_uri, state.as_deref(), issuer, *place))
            }
        }
    }
}

impl AuthorizationRequest {
    /// Where the browser goes with an answer.
    pub(in crate::server) fn url(&self, answer: Answer<'_>, issuer: &str) -> String {
        let place = match self.asks_for {
            AsksFor::Code { .. } => Place::Query,
            AsksFor::Token => Place::Fragment,
        };
        answer.url(&self.redirect_uri, self.state.as_deref(), issuer, place)
    }

    /// The scheme of the redirect URI.
    pub(in crate::server) fn redirect_scheme(&self) -> &str {
        self.redirect_uri.split_once(':').map_or("", |(scheme, _)| scheme)
    }

    /// Where the browser goes, for people: the host and port, or the scheme of an application.
    pub(in crate::server) fn destination(&self) -> &str {
        let after = self.redirect_uri.split_once("://").map_or("", |(_, after)| after);
        let authority = after.split(['/', '?']).next().unwrap_or_default();
        if authority.is_empty() {
            self.redirect_scheme()
        } else {
            authority
        }
    }
}

/// RFC 7636, sections 4.2 and 4.3; only S256, and for every client (RFC 9700, section 2.1.1).
fn code_challenge(challenge: Option<&str>, method: Option<&str>) -> Result<String, Wrong> {
    let challenge = challenge.ok_or((ErrorCode::InvalidRequest, "there is no code_challenge"))?;
    // Without a method it is `plain`, by which whoever sees the request has the verifier.
    if method != Some("S256") {
        return Err((ErrorCode::InvalidRequest, "the code_challenge_method is not S256"));
    }
    let is_digest = challenge.len() == 43 && URL_SAFE_NO_PAD.decode(challenge).is_ok_and(|digest| digest.len() == 32);
    if !is_digest {
        return Err((
            ErrorCode::InvalidRequest,
            "the code_challenge is not a SHA-256 digest in base64url",
        ));
    }
    Ok(challenge.to_owned())
}

/// RFC 6749, section 3.3. What the client may not have is refused and not left out: it would be told of it only if it looked.
fn scopes(scope: Option<&str>, client: &Client) -> Result<Vec<String>, Wrong> {
    // The default of RFC 6749, section 3.3, is none at all, as at the token endpoint.
    let Some(scope) = scope else {
        return Ok(Vec::new());
    };
    let is_token = |byte: u8| byte == b' ' || byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
    if scope.len() > MAX_SCOPE || !scope.bytes().all(is_token) || scope.split(' ').any(str::is_empty) {
        return Err((
            ErrorCode::InvalidScope,
            "the scope is not a list of scopes with one space between them",
        ));
    }
    let mut scopes: Vec<String> = Vec::new();
    for name in scope.split(' ') {
        if !client.allows_scope(name) {
            return Err((ErrorCode::InvalidScope, "this client may not have one of these scopes"));
        }
        if !scopes.iter().any(|known| known == name) {
            scopes.push(name.to_owned());
        }
    }
    Ok(scopes)
}

/// RFC 8707, section 2: "an absolute URI", which "MUST NOT include a fragment component".
fn resources(parameters: &Parameters, client: &Client) -> Result<Vec<String>, Wrong> {
    let mut resources: Vec<String> = Vec::new();
    for resource in parameters.all("resource") {
        let is_one = resource.len() <= MAX_RESOURCE
            && resource.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#')
            && scheme(resource).is_some();
        if !is_one {
            return Err((
                ErrorCode::InvalidTarget,
                "a resource is not an absolute URI without a fragment",
            ));
        }
        if !client.allowed_audiences().iter().any(|allowed| allowed == resource) {
            return Err((
                ErrorCode::InvalidTarget,
                "this client may not have tokens for one of these resources",
            ));
        }
        if !resources.iter().any(|known| known == resource) {
            resources.push(resource.to_owned());
        }
    }
    if resources.len() > MAX_RESOURCES {
        return Err((ErrorCode::InvalidTarget, "there are more than 8 resources"));
    }
    Ok(resources)
}

fn prompt(prompt: Option<&str>) -> Result<Prompt, Wrong> {
    let mut asked = Prompt::default();
    let words = prompt.map(|prompt| prompt.split(' ')).into_iter().flatten();
    for word in words {
        match word {
            "none" => asked.none = true,
            "login" => asked.login = true,
            "consent" => asked.consent = true,
            _ => return Err((ErrorCode::InvalidRequest, "prompt is not one of none, login, consent")),
        }
    }
    if asked.none && (asked.login || asked.consent) {
        return Err((ErrorCode::InvalidRequest, "prompt is none and something else"));
    }
    Ok(asked)
}

fn max_age(max_age: Option<&str>) -> Result<Option<u64>, Wrong> {
    let Some(max_age) = max_age else {
        return Ok(None);
    };
    let is_number = max_age.len() <= 10 && max_age.bytes().all(|byte| byte.is_ascii_digit());
    match max_age.parse() {
        Ok(seconds) if is_number => Ok(Some(seconds)),
        _ => Err((ErrorCode::InvalidRequest, "max_age is not a number of seconds")),
    }
}

/// RFC 6749, appendix A.5.
fn is_state(state: &str) -> bool {
    state.len() <= MAX_STATE && state.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

/// Whether a browser may be sent there, whatever the registry of clients thinks of it.
fn is_address(uri: &str) -> bool {
    uri.len() <= MAX_REDIRECT_URI
        && uri
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'#' && byte != b'\\')
        && scheme(uri).is_some_and(|scheme| !NO_ADDRESS.contains(&scheme.as_str()))
}

/// The scheme of an absolute URI, in small letters.
fn scheme(uri: &str) -> Option<String> {
    let (scheme, rest) = uri.split_once(':')?;
    let is_rest = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    let is_one = scheme.starts_with(|first: char| first.is_ascii_alphabetic()) && scheme.bytes().all(is_rest);
    (is_one && !rest.is_empty()).then(|| scheme.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notes() -> Client {
        Client::public("notes")
            .and_then(|client| client.redirect_uris(["https://notes.example/cb"]))
            .and_then(|client| client.grants(["authorization_code"]))
            .and_then(|client| client.scopes("read write"))
            .and_then(|client| client.audiences((0..9).map(|at| format!("https://api.example.com/{at}"))))
            .unwrap()
    }

    /// RFC 7636, appendix B.
    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

    /// A good request, with one parameter set to something else (in the encoding of forms), or left out.
    fn query(name: &str, value: Option<&str>) -> String {
        let good = [
            ("client_id", "notes"),
            ("redirect_uri", "https%3A%2F%2Fnotes.example%2Fcb"),
            ("response_type", "code"),
            ("state", "s1"),
            ("scope", "read"),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
        ];
        let mut query: Vec<String> = good
            .iter()
            .filter(|(known, _)| *known != name)
            .map(|(known, value)| format!("{known}={value}"))
            .collect();
        query.extend(value.map(|value| format!("{name}={value}")));
        query.join("&")
    }

    fn judged(query: &str) -> Result<AuthorizationRequest, Refused> {
        judged_for(&notes(), query)
    }

    /// At a server without the implicit grant.
    fn judged_for(client: &Client, query: &str) -> Result<AuthorizationRequest, Refused> {
        let asking = Asking {
            client,
            has_implicit_grant: false,
        };
        judge(&Parameters::parse(query).unwrap(), Some(&asking))
    }

    /// The error that is sent to the client, and its state.
    fn sent(query: &str) -> (ErrorCode, Option<String>) {
        match judged(query) {
            Err(Refused::Redirect {
                redirect_uri,
                state,
                code,
                ..
            }) => {
                assert_eq!(redirect_uri, "https://notes.example/cb");
                (code, state)
            }
            other => panic!("{query}: {other:?}"),
        }
    }

    fn error(name: &str, value: &str) -> ErrorCode {
        sent(&query(name, Some(value))).0
    }

    fn is_page(query: &str) -> bool {
        matches!(judged(query), Err(Refused::Page(_)))
    }

    #[test]
    fn a_good_request_is_read() {
        let request = judged(&query("", None)).unwrap();
        assert_eq!(request.redirect_uri, "https://notes.example/cb");
        assert!(request.is_redirect_uri_named);
        assert_eq!(request.state.as_deref(), Some("s1"));
        assert_eq!(request.scopes, ["read"]);
        let challenge = CHALLENGE.to_owned();
        assert_eq!(request.asks_for, AsksFor::Code { challenge });
        assert_eq!((request.prompt, request.max_age), (Prompt::default(), None));
    }

    #[test]
    fn open_redirect_an_unknown_client_is_sent_nowhere() {
        let parameters = Parameters::parse(&query("", None)).unwrap();
        let refused = judge(&parameters, None).unwrap_err();
        assert_eq!(refused.url("https://auth.example.com"), None);
        assert!(is_page(&query("client_id", None)));
        assert!(is_page(&format!("{}&client_id=notes", query("", None))));
    }

    #[test]
    fn open_redirect_an_address_that_is_not_the_clients_is_sent_nothing() {
        for uri in [
            "https://evil.example/cb",
            "https://notes.example/cb/",
            "https://notes.example/cb?x=1",
            "https://notes.example/CB",
            "https://notes.example/cb%23x",
            "https://notes.example@evil.example/cb",
            "https://notes.example/cb%2F..%2Fx",
            "//notes.example/cb",
            "javascript:alert(1)",
        ] {
            assert!(is_page(&query("redirect_uri", Some(uri))), "{uri}");
        }
    }

    #[test]
    fn open_redirect_of_two_addresses_none_is_taken() {
        let twice = format!("{}&redirect_uri=https%3A%2F%2Fevil.example", query("", None));
        assert!(is_page(&twice));
        let same = format!("{}&redirect_uri=https%3A%2F%2Fnotes.example%2Fcb", query("", None));
        assert!(is_page(&same));
    }

    #[test]
    fn open_redirect_whatever_else_is_wrong_the_address_is_judged_first() {
        // CVE-2026-44681: an unsupported response type was answered by a redirect to an address nobody had looked at.
        let good = query("redirect_uri", Some("https://evil.example/cb"));
        for (from, to) in [
            ("response_type=code", "response_type=token"),
            ("state=s1", "state=s1&state=s2"),
            (CHALLENGE, "x"),
        ] {
            assert!(is_page(&good.replace(from, to)), "{to}");
        }
    }

    #[test]
    fn open_redirect_what_runs_code_is_no_address_though_it_were_registered() {
        for uri in [
            "javascript:alert(1)",
            "JavaScript:alert(1)",
            "data:text/html,x",
            "vbscript:x",
            "https://notes.example/cb#x",
            "https://notes.example\\@evil.example",
            "https://notes.example/\r\nx",
            "/cb",
        ] {
            assert!(!is_address(uri), "{uri}");
        }
        assert!(is_address("https://notes.example/cb"));
    }

    #[test]
    fn the_only_address_of_a_client_need_not_be_named() {
        let request = judged(&query("redirect_uri", None)).unwrap();
        assert_eq!(request.redirect_uri, "https://notes.example/cb");
        assert!(!request.is_redirect_uri_named);
        let two = notes().redirect_uris(["https://notes.example/cb", "https://notes.example/cb2"]);
        let judged = judged_for(&two.unwrap(), &query("redirect_uri", None));
        assert!(matches!(judged, Err(Refused::Page(_))));
    }

    #[test]
    fn an_error_goes_to_the_client_with_its_state_and_the_issuer() {
        let refused = judged(&query("response_type", Some("token"))).unwrap_err();
        let url = refused.url("https://auth.example.com").unwrap();
        assert!(
            url.starts_with("https://notes.example/cb?error=unsupported_response_type&"),
            "{url}"
        );
        assert!(url.ends_with("&state=s1&iss=https%3A%2F%2Fauth.example.com"), "{url}");
    }

    #[test]
    fn the_only_response_type_is_code_and_its_only_mode_is_query() {
        assert_eq!(sent(&query("response_type", None)).0, ErrorCode::InvalidRequest);
        for kind in ["token", "id_token", "code+token", "code+id_token", "Code", "none"] {
            assert_eq!(
                error("response_type", kind),
                ErrorCode::UnsupportedResponseType,
                "{kind}"
            );
        }
        assert!(judged(&query("response_mode", Some("query"))).is_ok());
        for mode in ["fragment", "form_post", "query.jwt"] {
            assert_eq!(error("response_mode", mode), ErrorCode::InvalidRequest, "{mode}");
        }
    }

    #[test]
    fn every_client_needs_a_challenge_and_only_s256_is_one() {
        assert_eq!(sent(&query("code_challenge", None)).0, ErrorCode::InvalidRequest);
        assert_eq!(sent(&query("code_challenge_method", None)).0, ErrorCode::InvalidRequest);
        for method in ["plain", "s256", "S512"] {
            assert_eq!(
                error("code_challenge_method", method),
                ErrorCode::InvalidRequest,
                "{method}"
            );
        }
    }

    #[test]
    fn a_challenge_is_43_characters_that_a_digest_can_be() {
        let (first, last) = CHALLENGE.split_at(42);
        assert_eq!(last, "M");
        for challenge in [
            first,
            &format!("{CHALLENGE}A"),
            &format!("{CHALLENGE}="),
            &format!("{first}%2B"),
            &format!("{first}%2F"),
            // Its last two bits are not zero.
            &format!("{first}N"),
        ] {
            assert_eq!(
                error("code_challenge", challenge),
                ErrorCode::InvalidRequest,
                "{challenge}"
            );
        }
    }

    #[test]
    fn a_parameter_that_is_there_twice_is_refused_whatever_it_is() {
        for name in ["scope", "code_challenge", "nonce", "x"] {
            let twice = format!("{}&{name}=a&{name}=b", query(name, None));
            assert_eq!(
                sent(&twice),
                (ErrorCode::InvalidRequest, Some("s1".to_owned())),
                "{name}"
            );
        }
        let states = format!("{}&state=s2", query("", None));
        assert_eq!(sent(&states), (ErrorCode::InvalidRequest, None));
    }

    #[test]
    fn a_state_has_up_to_4096_printable_characters() {
        let longest = "x".repeat(4096);
        assert_eq!(
            judged(&query("state", Some(&longest))).unwrap().state,
            Some(longest.clone())
        );
        for state in [&format!("{longest}x"), "a%0D%0Ab", "%C3%A4", "%00"] {
            let refused = sent(&query("state", Some(state)));
            assert_eq!(refused, (ErrorCode::InvalidRequest, None), "{state}");
        }
        assert_eq!(judged(&query("state", None)).unwrap().state, None);
    }

    #[test]
    fn a_scope_that_the_client_may_not_have_is_refused_and_not_left_out() {
        assert_eq!(error("scope", "read+admin"), ErrorCode::InvalidScope);
        assert_eq!(error("scope", "READ"), ErrorCode::InvalidScope);
        assert_eq!(error("scope", "read++write"), ErrorCode::InvalidScope);
        assert_eq!(error("scope", "read%09write"), ErrorCode::InvalidScope);
        let request = judged(&query("scope", Some("write+read+write"))).unwrap();
        assert_eq!(request.scopes, ["write", "read"]);
    }

    #[test]
    fn without_a_scope_the_client_gets_none() {
        assert!(judged(&query("scope", None)).unwrap().scopes.is_empty());
    }

    #[test]
    fn a_client_without_the_grant_gets_no_code() {
        let client = notes().grants(["refresh_token"]).unwrap();
        assert!(matches!(
            judged_for(&client, &query("", None)),
            Err(Refused::Redirect {
                code: ErrorCode::UnauthorizedClient,
                ..
            })
        ));
    }

    #[test]
    fn resources_are_absolute_uris_that_the_client_may_have_tokens_for() {
        let request = judged(&query(
            "resource",
            Some("https://api.example.com/1&resource=https://api.example.com/0"),
        ))
        .unwrap();
        assert_eq!(
            request.resources,
            ["https://api.example.com/1", "https://api.example.com/0"]
        );
        for resource in [
            "https://api.example.com/9",
            "https://api.example.com/",
            "/a",
            "https://api.example.com/%23x",
            "https://api.example.com/%20",
        ] {
            assert_eq!(error("resource", resource), ErrorCode::InvalidTarget, "{resource}");
        }
        let nine: Vec<String> = (0..9).map(|at| format!("https://api.example.com/{at}")).collect();
        assert_eq!(error("resource", &nine.join("&resource=")), ErrorCode::InvalidTarget);
    }

    #[test]
    fn request_objects_are_refused_and_not_passed_over() {
        assert_eq!(error("request", "x.y.z"), ErrorCode::RequestNotSupported);
        assert_eq!(error("request_uri", "urn:x"), ErrorCode::RequestUriNotSupported);
        assert_eq!(error("acr_values", "gold"), ErrorCode::UnmetAuthenticationRequirements);
    }

    #[test]
    fn a_prompt_is_none_alone_or_login_and_consent() {
        let prompt = |value| judged(&query("prompt", Some(value))).unwrap().prompt;
        assert!(prompt("none").none);
        let both = prompt("login+consent");
        assert!(both.login && both.consent && !both.none);
        for value in ["none+login", "select_account", "login++consent", "Login"] {
            assert_eq!(error("prompt", value), ErrorCode::InvalidRequest, "{value}");
        }
    }

    #[test]
    fn a_max_age_is_a_number_of_seconds() {
        assert_eq!(judged(&query("max_age", Some("0"))).unwrap().max_age, Some(0));
        for value in ["-1", "%2B1", "1.5", "x", "12345678901"] {
            assert_eq!(error("max_age", value), ErrorCode::InvalidRequest, "{value}");
        }
    }

    #[test]
    fn people_are_told_the_host_or_the_scheme_that_they_go_on_to() {
        let to = |redirect_uri: &str| {
            let request = AuthorizationRequest {
                redirect_uri: redirect_uri.to_owned(),
                ..judged(&query("", None)).unwrap()
            };
            request.destination().to_owned()
        };
        assert_eq!(to("https://notes.example:8443/cb?x"), "notes.example:8443");
        assert_eq!(to("https://notes.example?x"), "notes.example");
        assert_eq!(to("com.example.app:/cb"), "com.example.app");
    }
}
