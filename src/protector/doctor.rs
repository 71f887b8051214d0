//! Looks at the whole set-up the way an attacker and a misconfiguration would.

use std::fmt;

use aws_lc_rs::rand::fill;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{Request, request::Parts};
use serde_json::{Value, json};

use super::ResourceProtectorLayer;
use crate::{
    clock::Moment,
    rejection::RejectionKind,
    template::Template,
    validate::{AnyValidator, BoxFuture, Presented, all},
};

/// The issuer of forged tokens where the validator names none.
const NOBODY: &str = "https://issuer.invalid";

/// Somebody's tenant, where an issuer has many.
const TENANT: &str = "00000000-0000-4000-8000-000000000000";

/// Another service.
const ELSEWHERE: &str = "https://elsewhere.invalid";

/// What [`ResourceProtectorLayer::doctor`] has found.
///
/// Shown by `Display` it is one line for each thing that was looked at. No line has a secret or a token in it.
#[derive(Clone, Debug)]
#[must_use]
pub struct Diagnosis {
    findings: Vec<Finding>,
}

/// One thing that was looked at, and how it came out.
#[derive(Clone, Debug)]
pub struct Finding {
    checked: String,
    outcome: Outcome,
}

#[derive(Clone, Debug)]
enum Outcome {
    Fine,
    Trouble(String),
    /// A forged token was let in.
    Accepted,
}

impl Diagnosis {
    /// Whether nothing is wrong, as far as it was looked at.
    pub fn is_healthy(&self) -> bool {
        self.findings.iter().all(Finding::is_fine)
    }

    /// Everything that was looked at.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }
}

impl Finding {
    /// What was looked at.
    pub fn checked(&self) -> &str {
        &self.checked
    }

    /// Whether it is as it should be.
    pub fn is_fine(&self) -> bool {
        matches!(self.outcome, Outcome::Fine)
    }

    /// Whether **a forged token was accepted**: then everybody can make tokens, and the service must not run.
    pub fn is_alarm(&self) -> bool {
        matches!(self.outcome, Outcome::Accepted)
    }

    /// What is wrong; `None` where nothing is.
    pub fn problem(&self) -> Option<&str> {
        match &self.outcome {
            Outcome::Fine => None,
            Outcome::Trouble(problem) => Some(problem),
            Outcome::Accepted => Some("it was ACCEPTED: whoever makes up tokens is let in"),
        }
    }
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, finding) in self.findings.iter().enumerate() {
            let line_break = if index == 0 { "" } else { "\n" };
            write!(f, "{line_break}{finding}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.outcome {
            Outcome::Fine => "fine",
            Outcome::Trouble(_) => "TROUBLE",
            Outcome::Accepted => "ALARM",
        };
        write!(f, "{word:7} {}", self.checked)?;
        match self.problem() {
            None => Ok(()),
            Some(problem) => write!(f, ": {problem}"),
        }
    }
}

impl ResourceProtectorLayer {
    /// Looks for what is wrong before users find it: at start, or by an administrator's command.
    ///
    /// Keys are fetched, if they are not there, so that metadata of another issuer and keys that cannot be reached show.
    /// Then the validators are given forged tokens, which have to be refused: of each issuer that
    /// [`About::issuers`](crate::About::issuers) names one that is not signed, one for another service, and one with a bad
    /// signature under a plausible `kid`; and made-up opaque ones, one for each of
    /// [`About::opaque_prefixes`](crate::About::opaque_prefixes). An introspection endpoint is asked about them, so
    /// credentials of this service that it refuses show. Each is new, so that no memory answers. A list of revocations that
    /// is out of step shows, too.
    ///
    /// It stands in for an attacker without any genuine token. The audience that is expected is not known to the protector,
    /// and it cannot sign: so that a genuine token for another service is refused is what your own tests have to show, with
    /// a token of that kind.
    ///
    /// Every validator is asked by its own time-outs, all issuers at the same time; once nobody answers for an issuer the
    /// rest of its tokens is left out. As with any token that names an unknown key, keys are searched for anew, no more
    /// than once in their cooldown.
    pub async fn doctor(&self) -> Diagnosis {
        let (validator, now) = (&*self.policy.validator, self.policy.clock.now());
        let about = validator.about();
        let mut findings = vec![Finding {
            checked: "what it takes to judge any token".to_owned(),
            outcome: match validator.ready(now).await {
                Ok(()) => Outcome::Fine,
                Err(refusal) => Outcome::Trouble(refusal.detail().to_owned()),
            },
        }];
        if let Some(list) = &self.policy.revocation {
            findings.push(Finding {
                checked: "what it takes to know of revocations".to_owned(),
                outcome: match list.problem(now) {
                    None => Outcome::Fine,
                    Some(problem) => Outcome::Trouble(problem.to_owned()),
                },
            });
        }
        let issuers: Vec<&str> = about.issuers().iter().map(String::as_str).collect();
        let issuers = if issuers.is_empty() { vec![NOBODY] } else { issuers };
        let prefixes: Vec<&str> = about.opaque_prefixes().iter().map(String::as_str).collect();
        let prefixes = if prefixes.is_empty() { vec![""] } else { prefixes };
        let forged = issuers.into_iter().map(|issuer| jwts_of(issuer, now));
        let forged = forged.chain(prefixes.into_iter().map(|prefix| vec![opaque(prefix)]));
        let presenting = forged.map(|forged| present(validator, forged, now)).collect();
        findings.extend(all(presenting).await.into_iter().flatten());
        Diagnosis { findings }
    }
}

struct Forged {
    what: String,
    token: String,
}

/// One after the other, until nobody answers.
fn present(validator: &dyn AnyValidator, forged: Vec<Forged>, now: Moment) -> BoxFuture<'_, Vec<Finding>> {
    Box::pin(async move {
        let request = Request::new(()).into_parts().0;
        let mut findings = Vec::new();
        for Forged { what, token } in forged {
            let outcome = judge(validator, &token, &request, now).await;
            let is_out_of_order = matches!(outcome, Outcome::Trouble(_));
            findings.push(Finding { checked: what, outcome });
            if is_out_of_order {
                break;
            }
        }
        findings
    })
}

async fn judge(validator: &dyn AnyValidator, token: &str, request: &Parts, now: Moment) -> Outcome {
    let presented = Presented::new(token, request, now);
    let answer = match validator.now(&presented) {
        Some(answer) => answer,
        None => validator.later(&presented).await,
    };
    match answer {
        Ok(_) => Outcome::Accepted,
        Err(refusal) => match refusal.kind() {
            RejectionKind::Unavailable | RejectionKind::Misconfigured => Outcome::Trouble(refusal.detail().to_owned()),
            _ => Outcome::Fine,
        },
    }
}

/// What anybody could make up who knows the issuer's name.
fn jwts_of(issuer: &str, now: Moment) -> Vec<Forged> {
    let issuer = Template::filled(issuer, TENANT);
    let seconds = now.wall.duration_since(std::time::UNIX_EPOCH);
    let seconds = seconds.unwrap_or_default().as_secs();
    let claims = |audience: &str| {
        json!({
            "iss": issuer, "aud": audience, "sub": "doctor", "client_id": "doctor", "azp": "doctor", "tid": TENANT,
            "jti": unguessable(), "iat": seconds, "nbf": seconds, "exp": seconds.saturating_add(300), "scope": "",
        })
    };
    let typ = "at+jwt";
    let forged = |what: &str, header: Value, claims: Value, signature: &[u8]| Forged {
        what: format!("{what} of {issuer} is refused"),
        token: [header.to_string().as_bytes(), claims.to_string().as_bytes(), signature]
            .map(|part| URL_SAFE_NO_PAD.encode(part))
            .join("."),
    };
    vec![
        forged(
            "a token without a signature",
            json!({ "alg": "none", "typ": typ }),
            claims(&issuer),
            &[],
        ),
        forged(
            "an unverifiable token for another service",
            json!({ "alg": "ES256", "typ": typ }),
            claims(ELSEWHERE),
            &random::<64>(),
        ),
        forged(
            "a token with a bad signature",
            json!({ "alg": "RS256", "typ": typ, "kid": "key-1" }),
            claims(&issuer),
            &random::<256>(),
        ),
    ]
}

fn opaque(prefix: &str) -> Forged {
    let what = match prefix {
        "" => "a made-up opaque token is refused".to_owned(),
        prefix => format!("a made-up opaque token that begins with {prefix} is refused"),
    };
    Forged {
        what,
        token: format!("{prefix}{}", unguessable()),
    }
}

/// Nobody has it by accident, and it was not seen before.
fn unguessable() -> String {
    URL_SAFE_NO_PAD.encode(random::<24>())
}

/// Without random bytes these are zeros, which no key has signed either.
fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    let _ = fill(&mut bytes);
    bytes
}
