//! Machines whose clocks differ by more than they may.

use super::*;

const YEAR: Duration = Duration::from_secs(365 * 86_400);
const LIFE: Duration = Duration::from_secs(90 * 86_400);
const HOUR: Duration = Duration::from_secs(3600);
const SECOND: Duration = Duration::from_secs(1);

/// A ring whose first key is counted from `at(0)`, and which got a successor by a clock that is ten years ahead.
fn with_a_key_ten_years_ahead(folder: &Path) -> (KeyRing, [String; 2]) {
    let keys = KeyRing::open(folder.join("keys.json"), Algorithm::ES256).unwrap();
    keys.upkeep(at(0)).unwrap();
    keys.upkeep(at(0) + 10 * YEAR).unwrap();
    let kids = kids(&keys, at(0)).try_into().unwrap();
    (keys, kids)
}

#[test]
fn a_key_that_lies_years_ahead_keeps_the_one_that_signs_from_no_roll_over() {
    let folder = tempfile::tempdir().unwrap();
    let (keys, [first, ahead]) = with_a_key_ten_years_ahead(folder.path());
    let other = KeyRing::open(folder.path().join("keys.json"), Algorithm::ES256).unwrap();
    for keys in [&keys, &other] {
        keys.upkeep(at(0) + LIFE - SECOND).unwrap();
        assert_eq!(kids(keys, at(0)), [first.clone(), ahead.clone()]);
    }
    for keys in [&keys, &other] {
        keys.upkeep(at(0) + LIFE).unwrap();
    }
    let [one, second, last] = kids(&other, at(0)).try_into().unwrap();
    assert_eq!((one, last), (first.clone(), ahead));
    for (now, kid) in [(LIFE + HOUR - SECOND, &first), (LIFE + HOUR, &second)] {
        assert_eq!(signed_by(&other, at(0) + now), *kid);
    }
    other.upkeep(at(0) + 2 * LIFE).unwrap();
    assert_ne!(kids(&other, at(0))[1], second);
}

#[test]
fn a_key_that_lies_ahead_signs_when_its_time_comes_like_any_other() {
    let folder = tempfile::tempdir().unwrap();
    let (keys, [_, ahead]) = with_a_key_ten_years_ahead(folder.path());
    let time = at(0) + 10 * YEAR;
    let mut day = at(0);
    while day < time - DAY {
        keys.upkeep(day).unwrap();
        assert!(verifies(&signed(&keys, day), &set(&keys, day)));
        assert!(kids(&keys, day).contains(&ahead));
        day += DAY;
    }
    keys.upkeep(time).unwrap();
    let before = kids(&keys, time);
    assert_eq!(before.len(), 2);
    for (now, kid) in [(time + HOUR - SECOND, &before[0]), (time + HOUR, &ahead)] {
        assert_eq!(signed_by(&keys, now), *kid);
    }
    for (now, count) in [(LIFE - SECOND, 1), (LIFE, 2)] {
        keys.upkeep(time + now).unwrap();
        assert_eq!(kids(&keys, time + now).len(), count);
    }
}

#[test]
fn a_key_that_lies_ahead_is_waited_for_from_300_s_before_its_publication_on() {
    let keys = KeyRing::generate(Algorithm::ES256).unwrap();
    keys.upkeep(at(0)).unwrap();
    keys.upkeep(at(0) + LIFE + 2 * DAY).unwrap();
    // From 300 s before its publication on it is waited for.
    keys.upkeep(at(0) + LIFE + 2 * DAY - Duration::from_secs(300)).unwrap();
    assert_eq!(kids(&keys, at(0)).len(), 2);
    keys.upkeep(at(0) + LIFE + 2 * DAY - Duration::from_secs(301)).unwrap();
    assert_eq!(kids(&keys, at(0)).len(), 3);
}

#[test]
fn a_process_that_publishes_keys_for_longer_makes_none_that_lies_ahead() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    let open = || KeyRing::open(&path, Algorithm::ES256).unwrap();
    let one = KeyRing::builder().publish_ahead(7 * DAY);
    let one = one.open(&path, Algorithm::ES256).unwrap();
    one.upkeep(at(0)).unwrap();
    one.upkeep(at(0) + LIFE).unwrap();
    let other = open();
    other.upkeep(at(0) + LIFE).unwrap();
    assert!(other.roll_over(at(0) + LIFE).is_err());
    assert_eq!(kids(&other, at(0)).len(), 2);
}

#[test]
fn a_key_in_the_file_that_would_wait_for_longer_than_keys_ever_do_lies_ahead() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    let keys = KeyRing::open(&path, Algorithm::ES256).unwrap();
    keys.roll_over(at(0)).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    // 7 days and 300 s after at(1).
    fs::write(&path, text.replace("1700003600", "1700605101")).unwrap();
    keys.reread().unwrap();
    assert!(keys.roll_over(at(1)).is_err());
    keys.roll_over(at(0)).unwrap();
}

#[test]
fn by_hand_keys_roll_over_whatever_lies_ahead() {
    let folder = tempfile::tempdir().unwrap();
    let (keys, [first, ahead]) = with_a_key_ten_years_ahead(folder.path());
    keys.roll_over(at(1)).unwrap();
    let [one, second, last] = kids(&keys, at(1)).try_into().unwrap();
    assert_eq!((one, last), (first.clone(), ahead));
    for (now, kid) in [(at(3600), &first), (at(3601), &second)] {
        assert_eq!(signed_by(&keys, now), *kid);
    }
    // The one that was made is waited for.
    assert!(keys.roll_over(at(3600)).is_err());
}

#[test]
fn a_first_key_that_was_not_counted_yet_is_so_beside_one_that_lies_ahead() {
    let keys = KeyRing::generate(Algorithm::ES256).unwrap();
    keys.roll_over(at(0) + 10 * YEAR).unwrap();
    for (now, count) in [(Duration::ZERO, 2), (LIFE - SECOND, 2), (LIFE, 3)] {
        keys.upkeep(at(0) + now).unwrap();
        assert_eq!(kids(&keys, at(0)).len(), count, "{now:?}");
    }
}

#[test]
fn a_first_key_that_was_counted_by_a_clock_that_is_ahead_is_counted_anew() {
    let keys = KeyRing::generate(Algorithm::ES256).unwrap();
    keys.upkeep(at(0) + 10 * YEAR).unwrap();
    for (now, count) in [(Duration::ZERO, 1), (LIFE - SECOND, 1), (LIFE, 2)] {
        keys.upkeep(at(0) + now).unwrap();
        assert_eq!(kids(&keys, at(0)).len(), count, "{now:?}");
    }
}

#[test]
fn a_first_key_that_was_counted_within_the_difference_of_clocks_is_not_counted_anew() {
    let keys = KeyRing::generate(Algorithm::ES256).unwrap();
    keys.upkeep(at(300)).unwrap();
    keys.upkeep(at(0)).unwrap();
    assert_eq!(keys.keys()[0].since, Some(at(300)));
}

#[test]
fn a_clock_that_is_far_behind_makes_no_key_and_leaves_the_file_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    let keys = KeyRing::open(&path, Algorithm::ES256).unwrap();
    keys.replace_compromised(at(0)).unwrap();
    let before = fs::read(&path).unwrap();
    let behind = KeyRing::open(&path, Algorithm::ES256).unwrap();
    for day in 0..200 {
        behind.upkeep(at(0) - 10 * YEAR + day * DAY).unwrap();
    }
    assert_eq!(
        behind.roll_over(at(0) - 10 * YEAR).unwrap_err().to_string(),
        "the time of every key is yet to come by this clock: set it, or, if it is right, replace the keys as compromised \
         ones are"
    );
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn a_clock_that_is_far_behind_has_a_first_key_replaced_early_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    let open = || KeyRing::open(&path, Algorithm::ES256).unwrap();
    let (keys, behind) = (open(), open());
    for hour in 0..1000 {
        for (keys, now) in [(&keys, at(0)), (&behind, at(0) - 10 * YEAR)] {
            let now = now + hour * HOUR;
            keys.upkeep(now).unwrap();
            assert!(verifies(&signed(keys, now), &set(&open(), at(0) + hour * HOUR)));
        }
    }
    let first = kids(&open(), at(0));
    assert_eq!(first.len(), 1);
    assert_eq!(keys.keys()[0].since, Some(at(3600)));
}

#[test]
fn where_keys_that_lie_ahead_fill_the_ring_none_is_lost_and_there_is_a_successor_when_one_is_forgotten() {
    let keys = KeyRing::generate(Algorithm::EdDSA).unwrap();
    for year in (1..31).rev() {
        keys.roll_over(at(0) + year * YEAR).unwrap();
    }
    keys.roll_over(at(0)).unwrap();
    let before = kids(&keys, at(0));
    assert_eq!(before.len(), 32);
    // The first key is retired for 24 h and 300 s.
    let forgotten = HOUR + DAY + Duration::from_secs(300);
    assert_eq!(
        keys.roll_over(at(0) + forgotten - SECOND).unwrap_err().to_string(),
        "there are 32 keys, and none can be forgotten yet"
    );
    keys.upkeep(at(0) + forgotten).unwrap();
    assert_eq!(kids(&keys, at(0)), before[1..]);
    keys.upkeep(at(0) + LIFE).unwrap();
    let after = kids(&keys, at(0));
    assert_eq!((after.len(), &after[2..]), (32, &before[2..]));
    assert_eq!(signed_by(&keys, at(0) + LIFE + HOUR), after[1]);
}

#[test]
fn a_key_that_lies_ahead_is_told_once_and_again_after_it_was_not_so() {
    let trail = Trail::default();
    let _guard = tracing::subscriber::set_default(Registry::default().with(trail.clone()));
    let folder = tempfile::tempdir().unwrap();
    let (keys, [_, ahead]) = with_a_key_ten_years_ahead(folder.path());
    trail.take();
    let event = [["WARN", "key_ahead_of_clock", &ahead, "ES256"].map(str::to_owned)];
    let none: [[String; 4]; 0] = [];
    keys.upkeep(at(1)).unwrap();
    assert_eq!(trail.take(), event);
    keys.upkeep(at(2)).unwrap();
    assert_eq!(trail.take(), none);
    keys.upkeep(at(0) + 10 * YEAR).unwrap();
    assert_eq!(trail.take(), none);
    keys.upkeep(at(3)).unwrap();
    assert_eq!(trail.take(), event);
}
