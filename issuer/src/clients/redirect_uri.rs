//! Where a user may be sent back to.

/// The longest that is registered or compared, in bytes.
const MAX_LENGTH: usize = 2000;

/// Whose redirect URIs they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// A client that runs on its user's device, or in the browser: it keeps no secret.
    Public,
    /// A client on a server.
    Confidential,
}

/// Says what is wrong with a URI that is to be registered (RFC 6749 §3.1.2, RFC 8252 §7).
pub(super) fn check(uri: &str, owner: Owner) -> Result<(), &'static str> {
    if uri.len() > MAX_LENGTH {
        return Err("one of no more than 2000 bytes");
    }
    // Nothing that browsers trim, fold or repair, so that what is compared is what they go to.
    let is_plain = |byte: u8| {
        byte.is_ascii_graphic() && !matches!(byte, b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}')
    };
    if !uri.bytes().all(is_plain) {
        return Err("one of printable ASCII characters that a URI may have");
    }
    if uri.contains('#') {
        return Err("one without a fragment (RFC 6749 §3.1.2)");
    }
    let Some((scheme, rest)) = uri.split_once(':') else {
        return Err("an absolute URI");
    };
    match scheme {
        "https" => authority_of(rest)
            .map(|_| ())
            .ok_or("https:// with a host, and without user information"),
        "http" => match authority_of(rest) {
            Some(authority) if is_loopback(authority.host) => Ok(()),
            _ => Err("https, or http for a loopback host"),
        },
        // RFC 8252 §7.1: a reversed domain name, so that no scheme that means something to browsers is among them.
        private if is_private_use(private) && owner == Owner::Public && !rest.is_empty() => Ok(()),
        private if is_private_use(private) => Err("https: a private-use scheme is for public clients"),
        _ => Err("https, http for a loopback host, or a private-use scheme with a dot in it (RFC 8252 §7.1)"),
    }
}

/// Whether a client that registered one URI may ask for another: it is the same byte for byte (RFC 9700 §2.1). Only the
/// port of a loopback host, which the operating system gives a public client, may differ (RFC 8252 §7.3).
pub(super) fn fits(registered: &str, asked: &str, owner: Owner) -> bool {
    if registered == asked {
        return true;
    }
    if owner == Owner::Confidential || asked.len() > MAX_LENGTH {
        return false;
    }
    let (Some(registered), Some(asked)) = (loopback(registered), loopback(asked)) else {
        return false;
    };
    registered.host == asked.host && registered.rest == asked.rest
}

/// The parts after the scheme: the host, its port, and the rest.
#[derive(Clone, Copy)]
struct Authority<'a> {
    host: &'a str,
    rest: &'a str,
}

fn loopback(uri: &str) -> Option<Authority<'_>> {
    authority_of(uri.strip_prefix("http:")?).filter(|authority| is_loopback(authority.host))
}

/// Takes `//host:port/rest` apart; `None` where there is no host, a user before it, or no port after a colon.
fn authority_of(rest: &str) -> Option<Authority<'_>> {
    let rest = rest.strip_prefix("//")?;
    let end = rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at_checked(end)?;
    if authority.contains(['@', '%']) {
        return None;
    }
    let host_end = match authority.starts_with('[') {
        true => authority.find(']')?.checked_add(1)?,
        false => authority.find(':').unwrap_or(authority.len()),
    };
    let (host, port) = authority.split_at_checked(host_end)?;
    let is_port = match port.strip_prefix(':') {
        Some(port) => port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0),
        None => port.is_empty(),
    };
    (is_port && !host.is_empty()).then_some(Authority { host, rest })
}

fn is_loopback(host: &str) -> bool {
    matches!(host, "127.0.0.1" | "[::1]" | "localhost")
}

fn is_private_use(scheme: &str) -> bool {
    let is_scheme = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'.');
    scheme.contains('.')
        && scheme.starts_with(|first: char| first.is_ascii_lowercase())
        && scheme.bytes().all(is_scheme)
}

#[cfg(test)]
mod tests {
    use super::{Owner::*, *};

    #[test]
    fn https_loopback_http_and_for_public_clients_private_use_schemes_are_registered() {
        for uri in [
            "https://app.example/cb",
            "https://app.example:8443/cb?tenant=1",
            "http://127.0.0.1/cb",
            "http://[::1]:3000/cb",
            "http://localhost:3000/",
        ] {
            assert_eq!(check(uri, Confidential), Ok(()), "{uri}");
            assert_eq!(check(uri, Public), Ok(()), "{uri}");
        }
        assert_eq!(check("com.example.app:/cb", Public), Ok(()));
        assert!(check("com.example.app:/cb", Confidential).is_err());
    }

    #[test]
    fn what_could_lead_elsewhere_is_not_registered() {
        for uri in [
            "",
            "/cb",
            "//app.example/cb",
            "app.example/cb",
            "http://app.example/cb",
            "http://127.0.0.1.evil.example/cb",
            "http://localhost:80@evil.example/cb",
            "https://user@app.example/cb",
            "https:///cb",
            "https:app.example",
            "https://app.example:/cb",
            "https://app.example:99999/cb",
            "https://app.example/cb#x",
            "https://app.example/c b",
            "https://app.example\\@evil.example/",
            "https://äpp.example/cb",
            "https://app.example/cb\r\nx: y",
            "javascript:alert(1)",
            "data:text/html,x",
            "myapp:/cb",
            "HTTPS://app.example/cb",
            "com.example.app:",
        ] {
            assert!(check(uri, Public).is_err(), "{uri}");
        }
        assert!(check(&format!("https://app.example/{}", "x".repeat(2000)), Public).is_err());
    }

    #[test]
    fn a_uri_is_compared_byte_for_byte() {
        let registered = "https://app.example/cb";
        assert!(fits(registered, registered, Public));
        for other in [
            "https://app.example/cb/",
            "https://app.example/cb?x=1",
            "https://app.example/CB",
            "https://APP.example/cb",
            "https://app.example:443/cb",
            "https://app.example/cb/../evil",
            "https://app.example.evil.example/cb",
            "",
        ] {
            assert!(!fits(registered, other, Public), "{other}");
        }
    }

    #[test]
    fn the_port_alone_of_a_loopback_uri_of_a_public_client_may_differ() {
        for (registered, asked) in [
            ("http://127.0.0.1/cb", "http://127.0.0.1:51004/cb"),
            ("http://127.0.0.1:80/cb", "http://127.0.0.1/cb"),
            ("http://[::1]:1/cb?x=1", "http://[::1]:2/cb?x=1"),
            ("http://localhost/cb", "http://localhost:3000/cb"),
        ] {
            assert!(fits(registered, asked, Public), "{asked}");
            assert!(!fits(registered, asked, Confidential), "{asked}");
        }
        for asked in [
            "http://127.0.0.1:51004/other",
            "http://127.0.0.1:51004/cb?x=1",
            "http://localhost:51004/cb",
            "https://127.0.0.1:51004/cb",
            "http://127.0.0.1:0/cb",
            "http://127.0.0.1:x/cb",
            "http://127.0.0.1:/cb",
            "http://127.0.0.1:+80/cb",
            "http://127.0.0.1:80@evil.example/cb",
            "http://evil.example@127.0.0.1:80/cb",
            "http://127.0.0.1.evil.example:80/cb",
        ] {
            assert!(!fits("http://127.0.0.1/cb", asked, Public), "{asked}");
        }
        assert!(!fits("https://app.example/cb", "https://app.example:8443/cb", Public));
    }
}
