//! The file: what the gateway starts from, and what it says of a file that it cannot start from.

use std::net::TcpListener;

use resource_protector::testing::TestIssuer;
use tokio::time::timeout;

use super::{ByHand, Echo, Gateway, SOON, command, good, settings, status, values, written};

const SECRET: &str = "do-not-quote-me";

/// Starts it, expects it not to run, and gives back what it says of the file.
pub async fn refusal(text: &str) -> String {
    let file = written(text);
    let output = command()
        .env("RUST_LOG", "off")
        .arg(file.path())
        .stderr(std::process::Stdio::piped())
        .output();
    let output = timeout(SOON, output)
        .await
        .unwrap_or_else(|_| panic!("it runs: {text}"))
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success(), "{text}");
    assert!(output.stdout.is_empty(), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(!said.contains(SECRET), "{said}");
    let said = said
        .strip_prefix(&format!("{}: ", file.path().display()))
        .expect("the file's name");
    said.trim_end().to_owned()
}

/// A file that is wrong where it says `# here`; the message must name that line and this key.
#[track_caller]
pub fn assert_named(said: &str, text: &str, key: &str) {
    let line = text.lines().position(|line| line.contains("# here")).unwrap() + 1;
    let expected = format!("line {line}: {key}");
    assert!(said.starts_with(&expected), "expected {expected:?}, got {said:?}");
}

/// A file that would do, with these lines at the top, in the issuer's table, and at the end.
fn file(top: &str, issuer: &str, end: &str) -> String {
    format!(
        "{top}\n[resource]\nidentifier = \"https://api.test\"\n\n[[issuer]]\nissuer = \"https://auth.test\"\n\
         kind = \"introspection\"\nclient_id = \"api\"\nclient_secret = \"{SECRET}\"\n{issuer}\n{end}\n"
    )
}

const LISTEN: &str = "listen = \"127.0.0.1:0\"";

#[tokio::test]
async fn it_says_where_it_listens_and_nothing_else() {
    let issuer = TestIssuer::on_loopback().await.unwrap();
    let gateway = Gateway::with(&issuer, "", "").await;
    assert!(gateway.address.port() != 0 && gateway.address.ip().is_loopback());
    assert_eq!(status(&gateway.get("/", &good(&issuer)).await), 200);
    gateway.terminate().await;
    let (how, printed) = gateway.ended().await;
    assert!(how.success());
    assert_eq!(printed, "");
}

#[tokio::test]
async fn the_smallest_file_is_enough() {
    let text = "listen = \"127.0.0.1:0\"\n[resource]\nidentifier = \"https://api.test\"\n\
                [[issuer]]\nissuer = \"https://auth.test\"\nkind = \"jwt\"\n";
    let gateway = Gateway::start(text).await;
    assert_eq!(status(&gateway.ask("GET", "/", &[]).await), 401);
}

#[tokio::test]
async fn the_file_in_the_readme_is_one_to_start_from() {
    let readme = include_str!("../../../examples/gateway/README.md");
    let text = readme.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    let secret = written(SECRET);
    let ours = [
        ("127.0.0.1:8080", "127.0.0.1:0".to_owned()),
        ("\"secret\"", format!("{:?}", secret.path())),
    ];
    let text = ours.iter().fold(text.to_owned(), |text, (theirs, ours)| {
        assert_eq!(text.matches(theirs).count(), 1, "{theirs}");
        text.replace(theirs, ours)
    });
    let gateway = Gateway::start(&text).await;
    assert_eq!(status(&gateway.ask("GET", "/me", &[]).await), 401);
    assert_eq!(status(&gateway.ask("POST", "/me", &[]).await), 405);
}

#[tokio::test]
async fn behind_tls_it_listens_anywhere_and_says_https() {
    let issuer = TestIssuer::on_loopback().await.unwrap();
    let upstream = Echo::start().await;
    let top = format!("upstream = \"http://{}\"\nbehind_tls = true", upstream.address);
    let text = settings(&issuer, &top, "").replace("127.0.0.1:0", "0.0.0.0:0");
    let gateway = Gateway::start(&text).await;
    assert!(gateway.address.ip().is_unspecified());
    let answer = super::body_json(&gateway.get("/", &good(&issuer)).await);
    assert_eq!(super::sent(&answer, "x-forwarded-proto"), ["https"]);
}

#[tokio::test]
async fn an_unknown_key_is_named_with_its_line() {
    for (text, key) in [
        (
            file(&format!("{LISTEN}\nupstraem = \"{SECRET}\" # here"), "", ""),
            "upstraem",
        ),
        (
            file(LISTEN, &format!("client_secert = \"{SECRET}\" # here"), ""),
            "issuer[0].client_secert",
        ),
        (
            file(LISTEN, "", "[[route]]\npath = \"/me\"\nscopes = \"a\" # here"),
            "route[0].scopes",
        ),
        (
            file(LISTEN, "", &format!("[tls]\nkey = \"{SECRET}\"")).replace("[tls]", "[tls] # here"),
            "tls",
        ),
    ] {
        assert_named(&refusal(&text).await, &text, key);
    }
}

#[tokio::test]
async fn a_value_of_another_type_is_named_with_its_line() {
    for (top, key) in [
        ("listen = 8080 # here".to_owned(), "listen"),
        (format!("{LISTEN}\nbehind_tls = \"{SECRET}\" # here"), "behind_tls"),
        (format!("{LISTEN}\nupstream = 9000 # here"), "upstream"),
        (
            format!("{LISTEN}\nforward_authorization = \"{SECRET}\" # here"),
            "forward_authorization",
        ),
        (format!("{LISTEN}\nforward_auth = 1 # here"), "forward_auth"),
        (format!("{LISTEN}\nfail_fast = \"{SECRET}\" # here"), "fail_fast"),
        (format!("{LISTEN}\nadmin = 9090 # here"), "admin"),
        (
            format!("{LISTEN}\nstrip_headers = \"{SECRET}\" # here"),
            "strip_headers",
        ),
    ] {
        let text = file(&top, "", "");
        assert_named(&refusal(&text).await, &text, key);
    }
}

#[tokio::test]
async fn what_is_required_is_named() {
    let issuer = "issuer = \"https://auth.test\"";
    for (text, key, line) in [
        (file("", "", ""), "listen", 1),
        (file("upstream = \"http://127.0.0.1:9\"", "", ""), "listen", 1),
        (file("", "", "").trim_start().to_owned(), "listen", 1),
        (
            format!("{LISTEN}\n[[issuer]]\n{issuer}\nkind = \"jwt\"\n"),
            "resource",
            1,
        ),
        (
            format!("{LISTEN}\n[resource]\nidentifier = \"https://api.test\"\n"),
            "issuer",
            1,
        ),
        (
            format!("{LISTEN}\n[resource]\n[[issuer]]\n{issuer}\nkind = \"jwt\"\n"),
            "resource.identifier",
            2,
        ),
        (
            format!("{LISTEN}\n[resource]\nidentifier = \"https://api.test\"\n\n[[issuer]]\n{issuer}\n"),
            "issuer[0].kind",
            5,
        ),
        (
            format!("{LISTEN}\n[resource]\nidentifier = \"https://api.test\"\n[[issuer]]\nkind = \"jwt\"\n"),
            "issuer[0].issuer",
            4,
        ),
        (
            format!(
                "{LISTEN}\n[resource]\nidentifier = \"https://api.test\"\n[[issuer]]\n{issuer}\nkind = \"jwt\"\n[[route]]\n"
            ),
            "route[0].path",
            7,
        ),
    ] {
        let said = refusal(&text).await;
        assert!(said.starts_with(&format!("line {line}: {key}: ")), "{key}: {said}");
    }
}

#[tokio::test]
async fn text_that_is_not_toml_is_refused_with_its_line() {
    let text = file(&format!("{LISTEN}\n\nclient_secret \"{SECRET}\" # here"), "", "");
    assert_named(&refusal(&text).await, &text, "");
}

#[tokio::test]
async fn a_listen_address_beyond_loopback_needs_behind_tls() {
    for address in ["0.0.0.0:0", "192.0.2.1:80", "[::]:0", "[::ffff:192.0.2.1]:80"] {
        let text = file(&format!("listen = \"{address}\" # here"), "", "");
        let said = refusal(&text).await;
        assert_named(&said, &text, "listen");
        assert!(said.contains("behind_tls"), "{said}");
    }
    for address in ["localhost:8080", "127.0.0.1", ":8080", "http://127.0.0.1:80", ""] {
        let text = file(&format!("listen = \"{address}\" # here"), "", "");
        assert_named(&refusal(&text).await, &text, "listen");
    }
}

#[tokio::test]
async fn the_admin_listener_has_the_rules_of_the_other_one() {
    for address in ["0.0.0.0:0", "[::]:0", "localhost:9090", "9090"] {
        let text = file(&format!("{LISTEN}\nadmin = \"{address}\" # here"), "", "");
        assert_named(&refusal(&text).await, &text, "admin");
    }
    let text = file(&format!("{LISTEN}\nbehind_tls = true\nadmin = \"0.0.0.0:0\""), "", "");
    assert!(Gateway::start(&text).await.admin().await.ip().is_unspecified());
}

#[tokio::test]
async fn the_file_beside_the_example_starts_it() {
    let text = include_str!("../../../examples/gateway/gateway.toml");
    Gateway::start(&text.replace("127.0.0.1:8080", "127.0.0.1:0")).await;
}

#[tokio::test]
async fn a_port_that_is_taken_is_a_start_up_error() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = listener.local_addr().unwrap();
    let text = file(&format!("listen = \"{taken}\" # here"), "", "");
    assert_named(&refusal(&text).await, &text, "listen");
    let text = file(&format!("{LISTEN}\nadmin = \"{taken}\" # here"), "", "");
    assert_named(&refusal(&text).await, &text, "admin");
}

#[tokio::test]
async fn an_upstream_is_a_host_spoken_to_by_http() {
    for url in [
        "https://127.0.0.1:9000".to_owned(),
        "127.0.0.1:9000".to_owned(),
        "http://".to_owned(),
        "http://127.0.0.1:9000/api".to_owned(),
        "http://127.0.0.1:9000?a=b".to_owned(),
        "http://127.0.0.1:9000#a".to_owned(),
        "http://127.0.0.1:99999".to_owned(),
        "http://127.0.0.1:0".to_owned(),
        format!("http://user:{SECRET}@127.0.0.1:9000"),
    ] {
        let text = file(&format!("{LISTEN}\nupstream = \"{url}\" # here"), "", "");
        assert_named(&refusal(&text).await, &text, "upstream");
    }
}

#[tokio::test]
async fn forward_auth_has_no_upstream() {
    let text = file(
        &format!("{LISTEN}\nupstream = \"http://127.0.0.1:9000\"\nforward_auth = true # here"),
        "",
        "",
    );
    assert_named(&refusal(&text).await, &text, "forward_auth");
}

#[tokio::test]
async fn a_slash_behind_the_upstream_is_none_of_its_path() {
    let upstream = "upstream = \"http://127.0.0.1:9000/\"";
    Gateway::start(&file(&format!("{LISTEN}\n{upstream}"), "", "")).await;
}

#[tokio::test]
async fn what_only_an_upstream_could_get_may_stay_in_the_file_without_one() {
    for forward_auth in ["", "forward_auth = true\n"] {
        let unused = format!("{LISTEN}\n{forward_auth}forward_authorization = true\nstrip_headers = [\"X-Tenant\"]");
        Gateway::start(&file(&unused, "", "")).await;
    }
}

#[tokio::test]
async fn stripped_headers_are_names() {
    for name in ["", "two words", "X-Tenant-*", "caf\u{e9}", "a:b"] {
        let text = file(
            &format!(
                "{LISTEN}\nupstream = \"http://127.0.0.1:9000\"\nstrip_headers = [\"X-Tenant\", \"{name}\"] # here"
            ),
            "",
            "",
        );
        assert_named(&refusal(&text).await, &text, "strip_headers[1]");
    }
}

#[tokio::test]
async fn a_secret_file_that_is_missing_is_named() {
    let text = file(LISTEN, "client_secret_file = \"/nonexistent/secret\" # here", "");
    let text = text.replace(&format!("client_secret = \"{SECRET}\"\n"), "");
    let said = refusal(&text).await;
    assert_named(&said, &text, "issuer[0].client_secret_file");
}

#[tokio::test]
async fn two_introspection_issuers_need_prefixes() {
    let second = "[[issuer]] # here\nissuer = \"https://other.test\"\nkind = \"introspection\"\nclient_id = \"api\"\n";
    let text = file(
        LISTEN,
        "opaque_prefix = \"a_\"",
        &format!("{second}client_secret = \"{SECRET}\""),
    );
    let said = refusal(&text).await;
    assert_named(&said, &text, "issuer[1].opaque_prefix");
}

#[tokio::test]
async fn relaxed_token_types_need_expect_claims() {
    let text = file(
        LISTEN,
        "",
        "[[issuer]]\nissuer = \"https://auth.test\"\nkind = \"jwt\"\ntoken_types = [\"JWT\"] # here",
    );
    assert_named(&refusal(&text).await, &text, "issuer[1].token_types");
}

#[tokio::test]
async fn without_a_file_it_says_what_it_needs() {
    let output = command().stderr(std::process::Stdio::piped()).output().await.unwrap();
    assert!(!output.status.success());
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "usage: gateway gateway.toml\n"
    );

    let missing = command()
        .arg("/nonexistent.toml")
        .stderr(std::process::Stdio::piped())
        .output()
        .await
        .unwrap();
    assert!(!missing.status.success());
    assert!(
        String::from_utf8(missing.stderr)
            .unwrap()
            .starts_with("/nonexistent.toml: ")
    );
}

#[tokio::test]
async fn it_starts_without_its_upstream_and_its_issuer() {
    let issuer = TestIssuer::on_loopback().await.unwrap();
    issuer.go_down();
    let nobody = ByHand::start().await.address();
    let gateway = Gateway::before(nobody, &issuer, "", "").await;
    let response = gateway.get("/", &good(&issuer)).await;
    assert_eq!(status(&response), 503, "{response}");
    assert_eq!(values(&response, "retry-after").len(), 1);
    issuer.come_back();
}

#[tokio::test]
async fn with_fail_fast_it_ends_with_a_sentence_where_the_issuer_does_not_answer_as_it_should() {
    let issuer = TestIssuer::on_loopback().await.unwrap();
    let fail_fast = "fail_fast = true # here";
    Gateway::with(&issuer, fail_fast, "").await;

    issuer.require_client("api", "another secret");
    let text = settings(&issuer, fail_fast, "");
    let said = refusal(&text).await;
    assert_named(
        &said,
        &text,
        "fail_fast: TROUBLE a made-up opaque token is refused: introspection: ",
    );
    assert!(said.contains("status 401"), "{said}");
    assert!(!said.contains(TestIssuer::CLIENT_SECRET), "{said}");

    issuer.require_client(TestIssuer::CLIENT_ID, TestIssuer::CLIENT_SECRET);
    issuer.go_down();
    let said = refusal(&text).await;
    assert_named(
        &said,
        &text,
        "fail_fast: TROUBLE what it takes to judge any token: the issuer's keys cannot be fetched",
    );
}
