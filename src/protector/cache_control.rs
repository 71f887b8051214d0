//! Answers that only the client itself may keep.

use http::{HeaderMap, HeaderName, HeaderValue, header};

/// For some shared caches, and stronger there than `Cache-Control`: RFC 9213 §2, and what was there before it.
fn is_for_shared_caches(name: &HeaderName) -> bool {
    let name = name.as_str();
    name.ends_with("-cache-control") || ["surrogate-control", "x-accel-expires"].contains(&name)
}

/// RFC 6750 §2.3: "successful (2XX status) responses to requests containing an access token SHOULD contain a
/// Cache-Control header with the \"private\" option". Nothing that lets a shared cache keep the answer is left beside it.
pub(super) fn make_private(headers: &mut HeaderMap) {
    let targeted: Vec<HeaderName> = headers
        .keys()
        .filter(|name| is_for_shared_caches(name))
        .cloned()
        .collect();
    for name in targeted {
        headers.remove(name);
    }
    let fields = headers.get_all(header::CACHE_CONTROL).iter();
    let directives: Option<Vec<Vec<&str>>> = fields.map(|field| directives(field.to_str().ok()?)).collect();
    let kept: Vec<&str> = directives
        .unwrap_or_default()
        .into_iter()
        .flatten()
        .filter(|directive| !["public", "s-maxage", "private"].iter().any(|it| is(directive, it)))
        .collect();
    let value = if kept.iter().any(|directive| is(directive, "no-store")) {
        kept.join(", ")
    } else {
        [&["private"], &kept[..]].concat().join(", ")
    };
    let value = HeaderValue::try_from(value).unwrap_or(HeaderValue::from_static("private"));
    headers.insert(header::CACHE_CONTROL, value);
}

fn is(directive: &str, name: &str) -> bool {
    let found = directive.split('=').next().unwrap_or_default();
    found.trim().eq_ignore_ascii_case(name)
}

/// The directives of a field; `None` if a quotation is not closed, so that nobody can say where they end.
fn directives(field: &str) -> Option<Vec<&str>> {
    let (mut quoted, mut escaped) = (false, false);
    let is_end = |c: char| {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            ',' => return !quoted,
            _ => {}
        }
        false
    };
    let directives: Vec<&str> = field.split(is_end).map(str::trim).collect();
    (!quoted).then(|| {
        directives
            .into_iter()
            .filter(|directive| !directive.is_empty())
            .collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made_private(fields: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(header::CACHE_CONTROL, HeaderValue::from_str(field).unwrap());
        }
        make_private(&mut headers);
        let mut fields = headers.get_all(header::CACHE_CONTROL).iter();
        let field = fields.next().unwrap().to_str().unwrap().to_owned();
        assert!(fields.next().is_none());
        field
    }

    #[test]
    fn whatever_lets_a_shared_cache_keep_an_answer_is_taken_away() {
        for (before, after) in [
            (&[][..], "private"),
            (&[""], "private"),
            (&["public, max-age=60"], "private, max-age=60"),
            (&["Public", "S-MaxAge=9 , no-cache"], "private, no-cache"),
            (&["max-age=60, must-revalidate"], "private, max-age=60, must-revalidate"),
            (&["s-maxage = 9"], "private"),
            // Of these fields alone.
            (&["private=\"set-cookie, x\", max-age=1"], "private, max-age=1"),
            (&["no-cache=\"a, public\""], "private, no-cache=\"a, public\""),
            (&["no-cache=\"a, public"], "private"),
            (&["x=\"\\\", public\""], "private, x=\"\\\", public\""),
        ] {
            assert_eq!(made_private(before), after, "{before:?}");
        }
    }

    #[test]
    fn what_is_private_already_stays_as_it_is() {
        for field in ["private", "no-store", "private, max-age=60", "no-store, max-age=0"] {
            assert_eq!(made_private(&[field]), field);
        }
        assert_eq!(made_private(&["public, no-store"]), "no-store");
    }

    #[test]
    fn a_field_that_is_no_text_is_replaced_and_one_for_cdns_removed() {
        let mut headers = HeaderMap::new();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_bytes(b"public, \xff").unwrap());
        for targeted in [
            "cdn-cache-control",
            "cloudflare-cdn-cache-control",
            "surrogate-control",
            "x-accel-expires",
        ] {
            headers.insert(targeted, HeaderValue::from_static("max-age=60"));
        }
        make_private(&mut headers);
        assert_eq!(headers[header::CACHE_CONTROL], "private");
        assert_eq!(headers.len(), 1);
    }
}
