use std::{
    collections::BTreeMap,
    fmt, fs,
    path::Path,
    sync::{Arc, Barrier, Mutex},
    thread,
    time::UNIX_EPOCH,
};

use http::{Method, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use jsonwebtoken::{
    DecodingKey, Validation,
    jwk::{Jwk, JwkSet, ThumbprintHash},
};
use resource_protector::{Fetch as _, JwtValidator, Moment, Presented, TokenValidator as _, testing::TestClock};
use serde_json::{Value, json};
use tower::ServiceExt as _;
use tracing::field::{Field, Visit};
use tracing_subscriber::{Layer, Registry, layer::SubscriberExt as _};

mod clocks;

use super::*;

const DAY: Duration = Duration::from_secs(86_400);
const NOW: SystemTime = UNIX_EPOCH;
const ALGORITHMS: [Algorithm; 4] = [Algorithm::RS256, Algorithm::ES256, Algorithm::ES384, Algorithm::EdDSA];

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_700_000_000 + seconds)
}

fn set(keys: &KeyRing, now: SystemTime) -> JwkSet {
    serde_json::from_slice(&keys.jwks(now)).unwrap()
}

fn kids(keys: &KeyRing, now: SystemTime) -> Vec<String> {
    let name = |jwk: &Jwk| jwk.common.key_id.clone().unwrap();
    set(keys, now).keys.iter().map(name).collect()
}

fn signed(keys: &KeyRing, now: SystemTime) -> String {
    keys.sign("at+jwt", &json!({ "sub": "alice" }), now).unwrap()
}

fn signed_by(keys: &KeyRing, now: SystemTime) -> String {
    jsonwebtoken::decode_header(signed(keys, now)).unwrap().kid.unwrap()
}

fn names(folder: &Path) -> Vec<String> {
    let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
    let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(name).collect();
    names.sort();
    names
}

fn verifies(token: &str, set: &JwkSet) -> bool {
    let header = jsonwebtoken::decode_header(token).unwrap();
    let Some(jwk) = set.find(header.kid.as_deref().unwrap()) else {
        return false;
    };
    let mut validation = Validation::new(header.alg);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    let claims = jsonwebtoken::decode::<Value>(token, &DecodingKey::from_jwk(jwk).unwrap(), &validation);
    claims.is_ok_and(|token| token.claims == json!({ "sub": "alice" }))
}

#[test]
fn what_a_key_signs_verifies_with_the_published_set_by_another_library() {
    for algorithm in ALGORITHMS {
        let keys = KeyRing::generate(algorithm).unwrap();
        let token = signed(&keys, NOW);
        assert!(verifies(&token, &set(&keys, NOW)), "{algorithm:?}");
        let header = jsonwebtoken::decode_header(&token).unwrap();
        assert_eq!(
            (format!("{:?}", header.alg).as_str(), header.typ.as_deref()),
            (algorithm.name(), Some("at+jwt"))
        );
        let stranger = KeyRing::generate(algorithm).unwrap();
        assert!(!verifies(&token, &set(&stranger, NOW)), "{algorithm:?}");
    }
}

#[tokio::test]
async fn what_a_key_signs_is_accepted_by_a_resource_server_that_has_the_published_set() {
    let clock = TestClock::at(at(0));
    for algorithm in ALGORITHMS {
        let keys = KeyRing::generate(algorithm).unwrap();
        let claims = json!({
            "iss": "https://as.example", "aud": "https://api.example", "sub": "alice", "client_id": "c1", "jti": "1",
            "iat": 1_700_000_000, "exp": 1_700_000_060,
        });
        let token = keys.sign("at+jwt", &claims, at(0)).unwrap();
        let (request, ()) = Request::new(()).into_parts();
        let now: Moment = resource_protector::Clock::now(&clock);
        let presented = Presented::new(&token, &request, now);
        let validator = JwtValidator::with_jwks("https://as.example", keys.jwks(at(0)), "https://api.example").unwrap();
        assert_eq!(validator.validate(&presented).await.unwrap().subject(), Some("alice"));
    }
}

#[test]
fn a_key_is_named_by_its_thumbprint_and_published_for_signatures_alone_without_private_members() {
    for algorithm in ALGORITHMS {
        let keys = KeyRing::generate(algorithm).unwrap();
        let jwk = &set(&keys, NOW).keys[0];
        assert_eq!(
            jwk.common.key_id.as_deref(),
            Some(jwk.thumbprint(ThumbprintHash::SHA256).unwrap().as_str())
        );
        let json: Value = serde_json::from_slice(&keys.jwks(NOW)).unwrap();
        assert_eq!(json["keys"][0]["use"], "sig");
        assert_eq!(json["keys"][0]["alg"], algorithm.name());
        for private in ["d", "p", "q", "dp", "dq", "qi", "k"] {
            assert_eq!(json["keys"][0].get(private), None, "{private}");
        }
    }
}

#[test]
fn an_algorithm_that_no_keys_are_made_for_is_a_set_up_error() {
    let error = KeyRing::generate(Algorithm::PS256).unwrap_err();
    assert_eq!(
        error.to_string(),
        "algorithm: expected RS256, ES256, ES384 or EdDSA, got PS256"
    );
}

#[test]
fn a_new_key_is_published_at_once_and_signs_only_after_the_time_ahead() {
    let keys = KeyRing::builder()
        .publish_ahead(Duration::from_secs(60))
        .generate(Algorithm::ES256)
        .unwrap();
    let old = kids(&keys, at(0));
    keys.roll_over(at(0)).unwrap();
    let both = kids(&keys, at(0));
    assert_eq!((both.len(), &both[0]), (2, &old[0]));
    assert_eq!(signed_by(&keys, at(59)), both[0]);
    assert_eq!(signed_by(&keys, at(60)), both[1]);
}

#[test]
fn a_retired_key_is_published_until_its_last_token_and_the_difference_of_clocks_are_over() {
    let keys = KeyRing::builder()
        .publish_ahead(Duration::from_secs(60))
        .keep_retired(Duration::from_secs(1000))
        .generate(Algorithm::ES256)
        .unwrap();
    let last = signed(&keys, at(59));
    keys.roll_over(at(0)).unwrap();
    // 60 s ahead, 1000 s of life, 300 s between clocks.
    assert!(verifies(&last, &set(&keys, at(1359))));
    keys.upkeep(at(1359)).unwrap();
    assert_eq!(kids(&keys, at(0)).len(), 2);
    assert!(!verifies(&last, &set(&keys, at(1360))));
    keys.upkeep(at(1360)).unwrap();
    assert_eq!(kids(&keys, at(0)).len(), 1);
    assert!(verifies(&signed(&keys, at(1360)), &set(&keys, at(1360))));
}

#[test]
fn a_retired_key_stays_for_as_long_as_the_tokens_live_whatever_was_said() {
    let keys = KeyRing::builder()
        .keep_retired(Duration::ZERO)
        .generate(Algorithm::ES256)
        .unwrap();
    keys.outlive(Duration::from_secs(1000)).unwrap();
    keys.roll_over(at(0)).unwrap();
    assert_eq!(kids(&keys, at(3600 + 1299)).len(), 2);
    assert_eq!(kids(&keys, at(3600 + 1300)).len(), 1);
}

#[test]
fn keys_that_would_come_faster_than_they_can_be_forgotten_are_a_set_up_error() {
    let builder = KeyRing::builder().roll_over_every(DAY);
    let keys = || builder.clone().generate(Algorithm::ES256).unwrap();
    // 30 days, less one hour ahead and 300 s between clocks.
    let most = 30 * DAY - Duration::from_secs(3600 + 300);
    keys().outlive(most).unwrap();
    builder.clone().keep_retired(most).generate(Algorithm::ES256).unwrap();
    let longer = most + Duration::from_secs(1);
    for error in [
        keys().outlive(longer).unwrap_err(),
        builder
            .clone()
            .keep_retired(longer)
            .generate(Algorithm::ES256)
            .unwrap_err(),
    ] {
        assert_eq!(
            error.to_string(),
            "roll_over_every: expected 86401 s at least, as retired keys are kept for 2588101 s and a ring has 32 keys, \
             got 86400 s"
        );
    }
    let by_hand = builder.roll_over_by_hand_alone().generate(Algorithm::ES256).unwrap();
    by_hand.outlive(366 * DAY).unwrap();
}

#[test]
fn a_second_roll_over_waits_for_the_first() {
    let keys = KeyRing::generate(Algorithm::ES256).unwrap();
    keys.roll_over(at(0)).unwrap();
    assert!(keys.roll_over(at(3599)).is_err());
    assert_eq!(kids(&keys, at(3599)).len(), 2);
    keys.roll_over(at(3600)).unwrap();
    assert_eq!(kids(&keys, at(3600)).len(), 3);
}

#[test]
fn keys_roll_over_by_age_once() {
    let keys = KeyRing::builder().keep_retired(10 * DAY).roll_over_every(DAY);
    let keys = keys.generate(Algorithm::ES256).unwrap();
    for (now, count) in [
        (0, 1),
        (86_399, 1),
        (86_400, 2),
        (86_400, 2),
        (2 * 86_400 - 1, 2),
        (2 * 86_400, 3),
    ] {
        keys.upkeep(at(now)).unwrap();
        assert_eq!(kids(&keys, at(now)).len(), count, "{now}");
    }
}

#[test]
fn unless_told_otherwise_keys_roll_over_every_90_days() {
    let keys = KeyRing::generate(Algorithm::ES256).unwrap();
    for (now, count) in [(0, 1), (90 * 86_400 - 1, 1), (90 * 86_400, 2)] {
        keys.upkeep(at(now)).unwrap();
        assert_eq!(kids(&keys, at(now)).len(), count, "{now}");
    }
}

#[test]
fn rolled_over_by_hand_alone_a_key_signs_for_ever_and_retired_ones_are_forgotten() {
    let keys = KeyRing::builder()
        .roll_over_by_hand_alone()
        .generate(Algorithm::ES256)
        .unwrap();
    keys.upkeep(at(0)).unwrap();
    keys.upkeep(at(100 * 365 * 86_400)).unwrap();
    assert_eq!(kids(&keys, at(0)).len(), 1);
    keys.roll_over(at(100 * 365 * 86_400)).unwrap();
    keys.upkeep(at(101 * 365 * 86_400)).unwrap();
    assert_eq!(kids(&keys, at(0)).len(), 1);
}

#[test]
fn the_time_between_roll_overs_has_bounds() {
    for seconds in [0, 3599, 3 * 366 * 86_400 + 1] {
        let keys = KeyRing::builder().roll_over_every(Duration::from_secs(seconds));
        let error = keys.generate(Algorithm::EdDSA).unwrap_err();
        assert_eq!(error.option(), "roll_over_every");
    }
}

#[test]
fn keys_sign_for_as_long_as_they_are_published_ahead_in_whichever_order_the_two_are_set() {
    let ahead = Duration::from_secs(7200);
    let short = 2 * ahead - Duration::from_secs(1);
    for builder in [
        KeyRing::builder().publish_ahead(ahead).roll_over_every(short),
        KeyRing::builder().roll_over_every(short).publish_ahead(ahead),
    ] {
        assert_eq!(
            builder.clone().generate(Algorithm::EdDSA).unwrap_err().to_string(),
            "roll_over_every: expected 14400 s at least, twice publish_ahead, got 14399 s: roll over less often, or \
             publish for less long"
        );
        builder.roll_over_every(2 * ahead).generate(Algorithm::EdDSA).unwrap();
    }
}

#[test]
fn options_that_cannot_be_make_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let keys = KeyRing::builder().publish_ahead(Duration::ZERO);
    let error = keys
        .open(folder.path().join("keys.json"), Algorithm::EdDSA)
        .unwrap_err();
    assert_eq!(error.to_string(), "publish_ahead: expected 60 s to 604800 s, got 0 s");
    assert_eq!(names(folder.path()), [""; 0]);
}

#[test]
fn rings_of_one_builder_have_the_same_options_and_nothing_else_in_common() {
    let builder = KeyRing::builder().publish_ahead(Duration::from_secs(60));
    let rings = [(); 2].map(|()| builder.clone().generate(Algorithm::ES256).unwrap());
    rings[0].outlive(2 * DAY).unwrap();
    let [keep, unchanged] = rings.each_ref().map(|keys| keys.times().keep_retired);
    assert_eq!((keep, unchanged), (2 * DAY, DAY));
    assert_ne!(signed_by(&rings[0], at(0)), signed_by(&rings[1], at(0)));
    for keys in &rings {
        keys.roll_over(at(0)).unwrap();
        assert_eq!(signed_by(keys, at(60)), kids(keys, at(0))[1]);
    }
}

#[test]
fn a_compromised_key_is_gone_at_once_and_another_one_signs() {
    let keys = KeyRing::generate(Algorithm::ES256).unwrap();
    let before = signed(&keys, at(0));
    keys.replace_compromised(at(0)).unwrap();
    assert!(!verifies(&before, &set(&keys, at(0))));
    assert!(verifies(&signed(&keys, at(0)), &set(&keys, at(0))));
}

#[test]
fn a_clock_that_is_set_back_before_all_keys_leaves_one_that_signs_and_is_published() {
    let keys = KeyRing::generate(Algorithm::ES256).unwrap();
    keys.replace_compromised(at(0)).unwrap();
    assert!(verifies(&signed(&keys, NOW), &set(&keys, NOW)));
}

#[test]
fn there_are_never_more_than_32_keys() {
    let keys = KeyRing::builder()
        .keep_retired(365 * DAY)
        .generate(Algorithm::EdDSA)
        .unwrap();
    for hour in 0..31 {
        keys.roll_over(at(hour * 3600)).unwrap();
    }
    assert!(keys.roll_over(at(31 * 3600)).is_err());
    assert_eq!(kids(&keys, at(31 * 3600)).len(), 32);
}

#[test]
fn the_time_ahead_has_bounds() {
    for seconds in [0, 59, 7 * 86_400 + 1] {
        let keys = KeyRing::builder().publish_ahead(Duration::from_secs(seconds));
        let error = keys.generate(Algorithm::EdDSA).unwrap_err();
        assert_eq!(error.option(), "publish_ahead");
    }
}

#[test]
fn keys_outlive_a_restart_in_their_file() {
    for algorithm in ALGORITHMS {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.json");
        let before = KeyRing::open(&path, algorithm).unwrap();
        before.roll_over(at(0)).unwrap();
        let after = KeyRing::open(&path, algorithm).unwrap();
        assert_eq!(kids(&before, at(0)), kids(&after, at(0)));
        for now in [at(0), at(3600)] {
            assert!(verifies(&signed(&before, now), &set(&after, now)));
            assert_eq!(signed_by(&before, now), signed_by(&after, now));
        }
        // Nothing else is left beside it.
        assert_eq!(names(folder.path()), ["keys.json", "keys.json.lock"]);
    }
}

#[test]
fn the_age_of_a_key_outlives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    for (now, count) in [(0, 1), (86_399, 1), (86_400, 2)] {
        let keys = KeyRing::builder()
            .roll_over_every(DAY)
            .open(&path, Algorithm::ES256)
            .unwrap();
        keys.upkeep(at(now)).unwrap();
        assert_eq!(kids(&keys, at(now)).len(), count, "{now}");
    }
}

#[test]
fn the_algorithm_changes_with_the_next_roll_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    KeyRing::open(&path, Algorithm::ES256).unwrap();
    let keys = KeyRing::open(&path, Algorithm::EdDSA).unwrap();
    assert_eq!(keys.algorithms(at(0)), [Algorithm::ES256]);
    keys.roll_over(at(0)).unwrap();
    assert_eq!(keys.algorithms(at(0)), [Algorithm::ES256, Algorithm::EdDSA]);
    assert_eq!(keys.algorithms(at(3600)), [Algorithm::EdDSA]);
}

#[test]
fn another_process_learns_of_a_roll_over_by_reading_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    let one = KeyRing::open(&path, Algorithm::ES256).unwrap();
    let other = KeyRing::open(&path, Algorithm::ES256).unwrap();
    one.roll_over(at(0)).unwrap();
    assert_eq!(kids(&other, at(0)).len(), 1);
    other.reread().unwrap();
    assert_eq!(kids(&other, at(0)), kids(&one, at(0)));
    // It counts with what the other one did, and not with what it remembers.
    assert!(other.roll_over(at(0)).is_err());
}

#[test]
fn processes_that_start_at_the_same_time_agree_on_the_first_key() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    let open = || kids(&KeyRing::open(&path, Algorithm::ES256).unwrap(), at(0));
    let found: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(open)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(found.iter().all(|kids| *kids == found[0]), "{found:?}");
    assert_eq!(names(folder.path()), ["keys.json", "keys.json.lock"]);
}

#[test]
fn rings_that_do_the_upkeep_of_one_file_at_once_make_one_successor_and_lose_no_key() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    let open = || {
        let keys = KeyRing::builder().keep_retired(20 * DAY).roll_over_every(DAY);
        keys.open(&path, Algorithm::ES256).unwrap()
    };
    let rings: Vec<_> = (0..8).map(|_| open()).collect();
    rings[0].upkeep(at(0)).unwrap();
    let mut before = kids(&rings[0], at(0));
    for day in 1..=10 {
        let now = at(day * 86_400);
        thread::scope(|scope| {
            for ring in &rings {
                scope.spawn(move || ring.upkeep(now).unwrap());
            }
        });
        let after = kids(&open(), now);
        assert_eq!(after.len(), before.len() + 1);
        assert_eq!(after[..before.len()], before);
        for ring in &rings {
            assert_eq!(kids(ring, now), after);
        }
        before = after;
    }
}

#[test]
fn of_several_that_roll_over_one_file_by_hand_at_once_one_does() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    let rings: Vec<_> = (0..8)
        .map(|_| KeyRing::open(&path, Algorithm::ES256).unwrap())
        .collect();
    let start = Barrier::new(rings.len());
    let roll_over = |ring: &KeyRing| {
        start.wait();
        ring.roll_over(at(0)).is_ok()
    };
    let done: Vec<bool> = thread::scope(|scope| {
        let threads: Vec<_> = rings.iter().map(|ring| scope.spawn(|| roll_over(ring))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(done.iter().filter(|done| **done).count(), 1, "{done:?}");
    assert_eq!(kids(&KeyRing::open(&path, Algorithm::ES256).unwrap(), at(0)).len(), 2);
}

#[test]
fn where_nothing_can_be_locked_keys_are_read_and_sign_and_a_change_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    KeyRing::open(&path, Algorithm::ES256).unwrap().upkeep(at(0)).unwrap();
    fs::remove_file(folder.path().join("keys.json.lock")).unwrap();
    // Not even the superuser writes to a folder as to a file.
    fs::create_dir(folder.path().join("keys.json.lock")).unwrap();
    let keys = KeyRing::builder()
        .roll_over_every(DAY)
        .open(&path, Algorithm::ES256)
        .unwrap();
    let before = kids(&keys, at(0));
    keys.reread().unwrap();
    keys.upkeep(at(86_399)).unwrap();
    for refused in [
        keys.upkeep(at(86_400)),
        keys.roll_over(at(0)),
        keys.replace_compromised(at(0)),
    ] {
        let error = refused.unwrap_err().to_string();
        assert!(error.contains(r#"keys.json.lock" cannot be opened: "#), "{error}");
    }
    assert_eq!(kids(&keys, at(86_400)), before);
    assert!(verifies(&signed(&keys, at(86_400)), &set(&keys, at(86_400))));
}

#[test]
fn what_a_process_has_left_that_was_killed_while_it_wrote_stands_in_nobody_s_way() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    let keys = KeyRing::open(&path, Algorithm::ES256).unwrap();
    fs::write(folder.path().join("keys.json.new"), r#"{"keys":[{"alg":"#).unwrap();
    keys.roll_over(at(0)).unwrap();
    assert_eq!(names(folder.path()), ["keys.json", "keys.json.lock"]);
    assert_eq!(
        kids(&KeyRing::open(&path, Algorithm::ES256).unwrap(), at(0)),
        kids(&keys, at(0))
    );
}

/// Keeps the fields of all events, but for the message.
#[derive(Clone, Default)]
struct Trail(Arc<Mutex<Vec<BTreeMap<&'static str, String>>>>);

impl Trail {
    /// Takes the events so far: their level, name, key and algorithm.
    fn take(&self) -> Vec<[String; 4]> {
        let field = |event: &BTreeMap<_, _>, name| event.get(name).cloned().unwrap_or_default();
        let events = std::mem::take(&mut *self.0.lock().unwrap());
        let events = events.iter();
        events
            .map(|event| ["level", "event", "kid", "alg"].map(|name| field(event, name)))
            .collect()
    }
}

struct Fields<'a>(&'a mut BTreeMap<&'static str, String>);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }
}

impl<S: tracing::Subscriber> Layer<S> for Trail {
    fn on_event(&self, event: &tracing::Event<'_>, _: tracing_subscriber::layer::Context<'_, S>) {
        if event.metadata().target() == "resource_protector_issuer::keys" {
            let mut fields = BTreeMap::from([("level", event.metadata().level().to_string())]);
            event.record(&mut Fields(&mut fields));
            self.0.lock().unwrap().push(fields);
        }
    }
}

#[test]
fn what_becomes_of_keys_is_told_by_events_with_their_names() {
    let trail = Trail::default();
    let _guard = tracing::subscriber::set_default(Registry::default().with(trail.clone()));
    let keys = KeyRing::generate(Algorithm::ES256).unwrap();
    let event = |level: &str, event: &str, kid: &str| [level, event, kid, "ES256"].map(str::to_owned);
    let first = signed_by(&keys, at(0));
    assert_eq!(trail.take(), [event("INFO", "key_published", &first)]);
    keys.upkeep(at(0)).unwrap();
    assert_eq!(trail.take(), [[""; 4]; 0]);
    keys.upkeep(at(90 * 86_400)).unwrap();
    let second = kids(&keys, at(0))[1].clone();
    assert_eq!(trail.take(), [event("INFO", "key_published", &second)]);
    keys.upkeep(at(90 * 86_400 + 3600)).unwrap();
    assert_eq!(trail.take(), [event("INFO", "key_signs", &second)]);
    keys.upkeep(at(92 * 86_400)).unwrap();
    assert_eq!(trail.take(), [event("INFO", "key_forgotten", &first)]);
    keys.replace_compromised(at(92 * 86_400)).unwrap();
    let third = signed_by(&keys, at(92 * 86_400));
    assert_eq!(
        trail.take(),
        [
            event("INFO", "key_published", &third),
            event("INFO", "key_forgotten", &second),
            event("WARN", "compromised_keys_replaced", &third)
        ]
    );
}

#[cfg(unix)]
#[test]
fn a_file_of_keys_is_its_owner_s_alone_and_refused_otherwise() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    let keys = KeyRing::open(&path, Algorithm::ES256).unwrap();
    assert_eq!(mode(), 0o600);
    keys.roll_over(at(0)).unwrap();
    assert_eq!(mode(), 0o600);
    for open in [0o640, 0o604, 0o620] {
        fs::set_permissions(&path, fs::Permissions::from_mode(open)).unwrap();
        let error = KeyRing::open(&path, Algorithm::ES256).unwrap_err().to_string();
        assert!(error.contains("expected mode 600"), "{error}");
    }
}

#[test]
fn a_file_that_is_none_of_keys_is_refused_and_not_quoted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    KeyRing::open(&path, Algorithm::ES256).unwrap();
    let good = fs::read_to_string(&path).unwrap();
    let secret = good.split('"').nth(9).unwrap().to_owned();
    assert!(secret.len() > 100, "{secret}");
    for bad in [
        String::new(),
        good[..good.len() / 2].to_owned(),
        good.replace("ES256", "HS256"),
        good.replace("ES256", "RS256"),
        good.replace(&secret, &secret[1..]),
        good.replace("pkcs8", "pkcs9"),
        r#"{"keys":[]}"#.to_owned(),
    ] {
        // Written in its place, so that it keeps its mode.
        fs::write(&path, bad).unwrap();
        let error = KeyRing::open(&path, Algorithm::ES256).unwrap_err().to_string();
        assert!(
            error.starts_with("keys: the file ") && !error.contains(&secret[1..40]),
            "{error}"
        );
    }
}

#[test]
fn a_roll_over_that_cannot_be_kept_does_not_happen() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    let keys = KeyRing::open(&path, Algorithm::ES256).unwrap();
    let before = kids(&keys, at(0));
    fs::remove_file(&path).unwrap();
    assert!(keys.roll_over(at(0)).is_err());
    assert!(keys.reread().is_err());
    assert_eq!(kids(&keys, at(0)), before);
}

#[test]
fn debug_shows_nothing_of_a_key() {
    let keys = KeyRing::generate(Algorithm::ES256).unwrap();
    assert_eq!(format!("{keys:?}"), "KeyRing { keys: 1, .. }");
}

async fn asked(endpoint: &JwksEndpoint, request: Request<()>) -> (http::response::Parts, Bytes) {
    let answer = endpoint.clone().oneshot(request).await.unwrap();
    let (parts, body) = answer.into_parts();
    (parts, body.collect().await.unwrap().to_bytes())
}

#[tokio::test]
async fn the_set_is_served_with_its_media_type_and_may_be_remembered_for_less_than_the_time_ahead() {
    for (ahead, max_age) in [(60, "public, max-age=30"), (3600, "public, max-age=300")] {
        let keys = KeyRing::builder()
            .publish_ahead(Duration::from_secs(ahead))
            .generate(Algorithm::ES256)
            .unwrap();
        let endpoint = JwksEndpoint::new(keys.clone()).clock(TestClock::at(at(0)));
        let (parts, body) = asked(&endpoint, Request::new(())).await;
        assert_eq!(parts.status, StatusCode::OK);
        assert_eq!(parts.headers[header::CONTENT_TYPE], "application/jwk-set+json");
        assert_eq!(parts.headers[header::CACHE_CONTROL], max_age);
        assert_eq!(body, keys.jwks(at(0)));
    }
}

#[tokio::test]
async fn a_set_that_is_known_is_not_sent_again_until_it_changes() {
    let keys = KeyRing::generate(Algorithm::ES256).unwrap();
    let endpoint = JwksEndpoint::new(keys.clone()).clock(TestClock::at(at(0)));
    let (parts, _) = asked(&endpoint, Request::new(())).await;
    let tag = parts.headers[header::ETAG].to_str().unwrap().to_owned();
    let known = |tag: &str| Request::builder().header(header::IF_NONE_MATCH, tag).body(()).unwrap();
    for same in [tag.clone(), format!("\"x\", W/{tag}"), "*".to_owned()] {
        let (parts, body) = asked(&endpoint, known(&same)).await;
        assert_eq!((parts.status, body.len()), (StatusCode::NOT_MODIFIED, 0), "{same}");
        assert_eq!(parts.headers[header::ETAG], tag);
        assert!(parts.headers.contains_key(header::CACHE_CONTROL));
    }
    assert_eq!(asked(&endpoint, known("\"x\"")).await.0.status, StatusCode::OK);
    keys.roll_over(at(0)).unwrap();
    assert_eq!(asked(&endpoint, known(&tag)).await.0.status, StatusCode::OK);
}

#[tokio::test]
async fn head_tells_the_length_without_the_set_and_other_methods_are_not_allowed() {
    let keys = KeyRing::generate(Algorithm::ES256).unwrap();
    let endpoint = JwksEndpoint::new(keys.clone()).clock(TestClock::at(at(0)));
    let by = |method| Request::builder().method(method).body(()).unwrap();
    let (parts, body) = asked(&endpoint, by(Method::HEAD)).await;
    assert_eq!((parts.status, body.len()), (StatusCode::OK, 0));
    assert_eq!(
        parts.headers[header::CONTENT_LENGTH],
        keys.jwks(at(0)).len().to_string()
    );
    let (parts, _) = asked(&endpoint, by(Method::POST)).await;
    assert_eq!(parts.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(parts.headers[header::ALLOW], "GET, HEAD");
}

#[tokio::test]
async fn a_validator_of_the_same_process_asks_for_the_set_by_no_network_and_reads_as_much_as_it_wants() {
    let keys = KeyRing::generate(Algorithm::ES256).unwrap();
    let endpoint = JwksEndpoint::new(keys.clone()).clock(TestClock::at(at(0)));
    let set = keys.jwks(at(0));
    let answer = endpoint.fetch(Request::new(Bytes::new()), set.len()).await.unwrap();
    assert_eq!((answer.status(), answer.body()), (StatusCode::OK, &set));
    assert!(endpoint.fetch(Request::new(Bytes::new()), set.len() - 1).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn an_upkeep_that_hangs_is_an_error_after_ten_seconds_and_holds_no_second_thread() {
    let keys = KeyRing::generate(Algorithm::ES256).unwrap();
    let hanging = Arc::clone(&keys.0.upkeep).lock_owned().await;
    let began = tokio::time::Instant::now();
    let error = keys.upkeep_on_another_thread(at(0)).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the file of keys cannot be read or replaced within 10 s: the file system hangs"
    );
    assert_eq!(began.elapsed(), Duration::from_secs(10));
    // It has not begun: the age of the key is not counted.
    assert_eq!(keys.keys()[0].since, None);
    drop(hanging);
    keys.upkeep_on_another_thread(at(0)).await.unwrap();
    assert_eq!(keys.keys()[0].since, Some(at(0)));
}
