//! What every [`Store`] promises, one sentence at a time.
//!
//! The macro [`store_contract!`](crate::store_contract) makes a test of each. They panic when the sentence is not true.
#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

use std::{
    future::Future,
    pin::pin,
    sync::Arc,
    task::{Context, Waker},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::task::JoinSet;

use crate::store::{Becomes, Change, Id, Key, Kind, Listing, MAX_KEYS, Outcome, Row, Store, Version, Was};

/// Makes one test of each sentence that every store promises.
///
/// It takes a future of an empty store and of whatever has to live as long as the store, for example its folder. Each test
/// awaits one of its own. They run in several threads of tokio, which has to be among the dependencies.
///
/// ```no_run
/// mod my_store {
///     use resource_protector_issuer::{store::MemoryStore, store_contract};
///
///     store_contract!(async { (MemoryStore::new(), ()) });
/// }
/// ```
#[macro_export]
macro_rules! store_contract {
    ($empty_store:expr) => {
        $crate::store_contract! { @each $empty_store;
            a_change_of_nothing_is_done
            a_change_that_is_given_up_happens_as_a_whole_or_not_at_all
            a_hundred_rows_are_loaded_at_once
            a_limit_of_zero_lists_nothing
            a_missing_row_is_none
            a_part_of_a_millisecond_deletes_no_row_early
            a_row_is_loaded_as_it_was_put
            a_row_that_changes_hands_is_listed_under_its_new_owner_only
            a_row_that_has_to_be_absent_and_stay_so_is_guarded
            a_row_that_has_to_stay_is_guarded_and_untouched
            a_row_that_is_gone_can_be_put_again
            a_row_that_is_missing_conflicts_with_a_version
            a_row_that_is_there_conflicts_with_absent
            an_expiry_can_be_moved_and_taken_away
            another_version_conflicts
            any_text_is_kept
            changes_that_cross_all_come_to_an_end
            deleting_and_a_change_do_not_both_get_a_row
            expired_rows_are_there_until_they_are_deleted
            listing_by_owner_lists_nobody_elses_rows
            listing_goes_by_the_bytes_of_identifiers_page_by_page
            many_expired_rows_are_deleted_at_once
            more_rows_than_the_limit_are_refused
            nothing_happens_when_one_row_is_not_as_expected
            of_two_changes_that_each_keep_what_the_other_puts_one_happens
            of_two_changes_that_each_keep_what_the_other_writes_one_happens
            one_body_may_have_a_mebibyte_and_no_byte_more
            only_one_of_many_changes_to_one_row_happens
            only_one_of_many_puts_what_was_absent
            rows_are_deleted_from_the_moment_they_expire
            rows_come_in_the_order_that_is_asked_for
            rows_of_two_kinds_with_one_name_are_two_rows
            versions_are_told_apart_to_the_last_bit
        }
    };
    (@each $empty_store:expr; $($sentence:ident)+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $sentence() {
                let (store, _lives_as_long) = $empty_store.await;
                $crate::testing::store_contract::$sentence(store).await;
            }
        )+
    };
}

const KIND: Kind = Kind::Session;

fn key(name: &str) -> Key {
    Key::of(KIND, name)
}

fn row(body: &str) -> Row {
    Row {
        version: Version::draw().unwrap(),
        owner: None,
        expires_at: None,
        body: body.to_owned(),
    }
}

fn owned(owner: &str) -> Row {
    let owner = Some(Id::of(owner));
    Row { owner, ..row("{}") }
}

fn expiring(at: SystemTime) -> Row {
    let expires_at = Some(at);
    Row {
        expires_at,
        ..row("{}")
    }
}

/// A moment with milliseconds.
fn noon() -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(1_800_000_000_123)
}

async fn put_new<S: Store>(store: &S, key: Key, row: &Row) {
    let change = Change::new().step(key, Was::Absent, Becomes::Put(row.clone()));
    assert_eq!(store.commit(&change).await.unwrap(), Outcome::Done);
}

async fn one<S: Store>(store: &S, key: &Key) -> Option<Row> {
    store.load(std::slice::from_ref(key)).await.unwrap().remove(0)
}

fn all(kind: Kind) -> Listing {
    Listing {
        kind,
        owner: None,
        after: None,
        limit: 100,
    }
}

fn of(owner: &str) -> Listing {
    let owner = Some(Id::of(owner));
    Listing { owner, ..all(KIND) }
}

async fn listed<S: Store>(store: &S, listing: &Listing) -> Vec<Id> {
    let rows = store.list(listing).await.unwrap();
    rows.into_iter().map(|(key, _)| key.id).collect()
}

/// How many of these changes happen when they are tried at the same time, by these stores in turn.
async fn tried_together<S: Store>(stores: &[Arc<S>], changes: Vec<Change>) -> usize {
    let mut tasks = JoinSet::new();
    for (change, store) in changes.into_iter().zip(stores.iter().cycle().cloned()) {
        tasks.spawn(async move { store.commit(&change).await.unwrap() });
    }
    let outcomes = tasks.join_all().await;
    outcomes.iter().filter(|outcome| **outcome == Outcome::Done).count()
}

/// A row is loaded as it was put.
pub async fn a_row_is_loaded_as_it_was_put<S: Store>(store: S) {
    let put = Row {
        owner: Some(Id::of("ana")),
        expires_at: Some(noon()),
        ..row(r#"{"a":1}"#)
    };
    put_new(&store, key("a"), &put).await;
    assert_eq!(one(&store, &key("a")).await, Some(put.clone()));
    assert_eq!(store.list(&all(KIND)).await.unwrap(), [(key("a"), put.clone())]);
    // In the place of it, every column.
    let next = row("{}");
    let change = Change::new().step(key("a"), Was::At(put.version), Becomes::Put(next.clone()));
    assert_eq!(store.commit(&change).await.unwrap(), Outcome::Done);
    assert_eq!(one(&store, &key("a")).await, Some(next));
}

/// A missing row is `None`.
pub async fn a_missing_row_is_none<S: Store>(store: S) {
    assert_eq!(store.load(&[key("a"), key("b")]).await.unwrap(), [None, None]);
}

/// Rows come in the order of the keys that are asked for, with those that are missing in their places, and one twice that is
/// asked for twice.
pub async fn rows_come_in_the_order_that_is_asked_for<S: Store>(store: S) {
    let (a, b) = (row(r#"{"is":"a"}"#), row(r#"{"is":"b"}"#));
    put_new(&store, key("a"), &a).await;
    put_new(&store, key("b"), &b).await;
    for names in [["a", "missing", "b", "a"], ["b", "a", "missing", "b"]] {
        let expected = names.map(|name| match name {
            "a" => Some(a.clone()),
            "b" => Some(b.clone()),
            _ => None,
        });
        assert_eq!(store.load(&names.map(key)).await.unwrap(), expected);
    }
    assert!(store.load(&[]).await.unwrap().is_empty());
}

/// A hundred rows are put by one change, and loaded at once.
pub async fn a_hundred_rows_are_loaded_at_once<S: Store>(store: S) {
    let keys: Vec<Key> = (0..100).map(|number| key(&format!("row {number}"))).collect();
    let rows: Vec<Row> = (0..100)
        .map(|number| row(&format!(r#"{{"number":{number}}}"#)))
        .collect();
    let add =
        |change: Change, (key, row): (&Key, &Row)| change.step(key.clone(), Was::Absent, Becomes::Put(row.clone()));
    let change = keys.iter().zip(&rows).fold(Change::new(), add);
    assert_eq!(store.commit(&change).await.unwrap(), Outcome::Done);
    let loaded = store.load(&keys).await.unwrap();
    assert_eq!(loaded, rows.into_iter().map(Some).collect::<Vec<_>>());
}

/// Rows of two kinds that have one name are two rows.
pub async fn rows_of_two_kinds_with_one_name_are_two_rows<S: Store>(store: S) {
    let rows: Vec<(Key, Row)> = Kind::ALL
        .map(|kind| (Key::of(kind, "a"), row(&format!(r#"{{"is":"{}"}}"#, kind.as_str()))))
        .into();
    for (key, row) in &rows {
        put_new(&store, key.clone(), row).await;
    }
    for (key, row) in rows {
        assert_eq!(one(&store, &key).await, Some(row.clone()));
        assert_eq!(store.list(&all(key.kind)).await.unwrap(), [(key, row)]);
    }
}

/// A change of nothing is done.
pub async fn a_change_of_nothing_is_done<S: Store>(store: S) {
    assert_eq!(store.commit(&Change::new()).await.unwrap(), Outcome::Done);
}

/// Nothing of a change happens when one row is not as expected, whichever it is.
pub async fn nothing_happens_when_one_row_is_not_as_expected<S: Store>(store: S) {
    let names = ["a", "b", "c", "d"];
    let (b, c) = (row(r#"{"is":"b"}"#), row(r#"{"is":"c"}"#));
    put_new(&store, key("b"), &b).await;
    put_new(&store, key("c"), &c).await;
    let another = || Was::At(Version::draw().unwrap());
    for wrong in names {
        let was = |name: &str, right: Was| match right {
            Was::Absent if name == wrong => another(),
            Was::At(_) if name == wrong => Was::Absent,
            right => right,
        };
        let change = Change::new()
            .step(key("a"), was("a", Was::Absent), Becomes::Put(owned("ana")))
            .step(key("b"), was("b", Was::At(b.version)), Becomes::Put(owned("ana")))
            .step(key("c"), was("c", Was::At(c.version)), Becomes::Gone)
            .step(key("d"), was("d", Was::Absent), Becomes::Same);
        assert_eq!(store.commit(&change).await.unwrap(), Outcome::Conflict, "{wrong}");
        let expected = [None, Some(b.clone()), Some(c.clone()), None];
        assert_eq!(store.load(&names.map(key)).await.unwrap(), expected, "{wrong}");
        assert!(listed(&store, &of("ana")).await.is_empty(), "{wrong}");
    }
}

/// A row that is there conflicts with the expectation that there is none, whatever would become of it.
pub async fn a_row_that_is_there_conflicts_with_absent<S: Store>(store: S) {
    let there = row("{}");
    put_new(&store, key("a"), &there).await;
    for becomes in [Becomes::Same, Becomes::Put(there.clone()), Becomes::Gone] {
        let change = Change::new().step(key("a"), Was::Absent, becomes);
        assert_eq!(store.commit(&change).await.unwrap(), Outcome::Conflict);
        assert_eq!(one(&store, &key("a")).await, Some(there.clone()));
    }
}

/// A row that is missing conflicts with any version, whatever would become of it.
pub async fn a_row_that_is_missing_conflicts_with_a_version<S: Store>(store: S) {
    for becomes in [Becomes::Same, Becomes::Put(row("{}")), Becomes::Gone] {
        let change = Change::new().step(key("a"), Was::At(Version::draw().unwrap()), becomes);
        assert_eq!(store.commit(&change).await.unwrap(), Outcome::Conflict);
        assert_eq!(one(&store, &key("a")).await, None);
    }
}

/// A row conflicts with any version but its own, whatever would become of it.
pub async fn another_version_conflicts<S: Store>(store: S) {
    let there = row("{}");
    put_new(&store, key("a"), &there).await;
    for becomes in [Becomes::Same, Becomes::Put(row("{}")), Becomes::Gone] {
        let change = Change::new().step(key("a"), Was::At(Version::draw().unwrap()), becomes);
        assert_eq!(store.commit(&change).await.unwrap(), Outcome::Conflict);
        assert_eq!(one(&store, &key("a")).await, Some(there.clone()));
    }
}

/// Versions are told apart to the last bit, also those that differ by less than a double can say.
pub async fn versions_are_told_apart_to_the_last_bit<S: Store>(store: S) {
    for number in [1, (1 << 53) + 1, i64::MAX] {
        let version = Version::from_number(number);
        let key = key(&number.to_string());
        let there = Row { version, ..row("{}") };
        put_new(&store, key.clone(), &there).await;
        let neighbour = Was::At(Version::from_number(number - 1));
        let change = |was| Change::new().step(key.clone(), was, Becomes::Same);
        assert_eq!(
            store.commit(&change(neighbour)).await.unwrap(),
            Outcome::Conflict,
            "{number}"
        );
        assert_eq!(
            store.commit(&change(Was::At(version))).await.unwrap(),
            Outcome::Done,
            "{number}"
        );
        assert_eq!(one(&store, &key).await, Some(there), "{number}");
    }
}

/// A row that has to stay as it is is guarded, and is the same afterwards.
pub async fn a_row_that_has_to_stay_is_guarded_and_untouched<S: Store>(store: S) {
    let guard = Row {
        owner: Some(Id::of("ana")),
        expires_at: Some(noon()),
        ..row(r#"{"is":"guard"}"#)
    };
    put_new(&store, key("guard"), &guard).await;
    let change = |was| {
        let change = Change::new().step(key("guard"), was, Becomes::Same);
        change.step(key("new"), Was::Absent, Becomes::Put(row("{}")))
    };
    let stale = Was::At(Version::draw().unwrap());
    assert_eq!(store.commit(&change(stale)).await.unwrap(), Outcome::Conflict);
    assert_eq!(one(&store, &key("new")).await, None);
    let right = Was::At(guard.version);
    assert_eq!(store.commit(&change(right)).await.unwrap(), Outcome::Done);
    assert!(one(&store, &key("new")).await.is_some());
    assert_eq!(one(&store, &key("guard")).await, Some(guard));
    assert_eq!(listed(&store, &of("ana")).await, [Id::of("guard")]);
}

/// A row that has to be absent can stay so, and nothing is left of having looked.
pub async fn a_row_that_has_to_be_absent_and_stay_so_is_guarded<S: Store>(store: S) {
    let change = Change::new()
        .step(key("a"), Was::Absent, Becomes::Same)
        .step(key("b"), Was::Absent, Becomes::Gone);
    assert_eq!(store.commit(&change).await.unwrap(), Outcome::Done);
    assert_eq!(store.load(&[key("a"), key("b")]).await.unwrap(), [None, None]);
    assert!(listed(&store, &all(KIND)).await.is_empty());
}

/// A row that is gone is missing from loads and lists, and can be put again.
pub async fn a_row_that_is_gone_can_be_put_again<S: Store>(store: S) {
    let there = Row {
        expires_at: Some(noon()),
        ..owned("ana")
    };
    put_new(&store, key("a"), &there).await;
    let change = Change::new().step(key("a"), Was::At(there.version), Becomes::Gone);
    assert_eq!(store.commit(&change).await.unwrap(), Outcome::Done);
    assert_eq!(one(&store, &key("a")).await, None);
    assert!(listed(&store, &all(KIND)).await.is_empty());
    assert!(listed(&store, &of("ana")).await.is_empty());
    let again = row("{}");
    put_new(&store, key("a"), &again).await;
    // Nothing of the first one's expiry is left, either.
    assert_eq!(store.delete_expired(noon()).await.unwrap(), 0);
    assert_eq!(one(&store, &key("a")).await, Some(again));
}

/// Any text is kept as it is: of any script, with quotes, and with what SQL, Lua and JSON have for their own.
pub async fn any_text_is_kept<S: Store>(store: S) {
    let bodies = [
        r#"{"name":"Zoë 山田 🦀 \u0000 \\ \" ' $1 ? :name %s {tag} [[x]]"}"#,
        "{\n\t\"a\": \"--\" }\r\n",
        "{\"direction\":\"\u{202e}\u{feff}\u{10ffff}\"}",
    ];
    for (number, body) in bodies.into_iter().enumerate() {
        let put = row(body);
        let key = key(&number.to_string());
        put_new(&store, key.clone(), &put).await;
        assert_eq!(one(&store, &key).await, Some(put));
    }
}

/// The body of one row may have a mebibyte; one byte more is an error, and nothing has happened.
pub async fn one_body_may_have_a_mebibyte_and_no_byte_more<S: Store>(store: S) {
    let mut body = format!(r#"{{"a":"{}"}}"#, "ö".repeat((Row::MAX_BODY - 8) / 2));
    assert_eq!(body.len(), Row::MAX_BODY);
    let put = row(&body);
    put_new(&store, key("a"), &put).await;
    assert_eq!(one(&store, &key("a")).await, Some(put));
    body.push(' ');
    let change = Change::new().step(key("b"), Was::Absent, Becomes::Put(row(&body)));
    assert!(store.commit(&change).await.is_err());
    assert_eq!(one(&store, &key("b")).await, None);
}

/// A change and a load may have as many rows as the limit says; one more is an error.
pub async fn more_rows_than_the_limit_are_refused<S: Store>(store: S) {
    let keys: Vec<Key> = (0..=MAX_KEYS).map(|number| key(&number.to_string())).collect();
    let add = |change: Change, key: &Key| change.step(key.clone(), Was::Absent, Becomes::Put(row("{}")));
    let (_, allowed) = keys.split_last().unwrap();
    let too_much = keys.iter().fold(Change::new(), add);
    assert!(store.commit(&too_much).await.is_err());
    assert!(store.load(&keys).await.is_err());
    assert!(listed(&store, &all(KIND)).await.is_empty());
    let much = allowed.iter().fold(Change::new(), add);
    assert_eq!(store.commit(&much).await.unwrap(), Outcome::Done);
    assert!(store.load(allowed).await.unwrap().iter().all(Option::is_some));
}

/// Of many changes to one row that are tried at the same time, exactly one happens.
pub async fn only_one_of_many_changes_to_one_row_happens<S: Store>(store: S) {
    let stores = [Arc::new(store)];
    let [store] = &stores;
    let first = row("{}");
    put_new(store, key("a"), &first).await;
    let mut was = first.version;
    for _ in 0..3 {
        let change = || Change::new().step(key("a"), Was::At(was), Becomes::Put(row("{}")));
        let changes = (0..24).map(|_| change()).collect();
        assert_eq!(tried_together(&stores, changes).await, 1);
        was = one(store, &key("a")).await.unwrap().version;
    }
    let change = || Change::new().step(key("a"), Was::At(was), Becomes::Gone);
    let changes = (0..24).map(|_| change()).collect();
    assert_eq!(tried_together(&stores, changes).await, 1);
}

/// Of many who put a row where there was none, at the same time, exactly one does; the row is that one's.
pub async fn only_one_of_many_puts_what_was_absent<S: Store>(store: S) {
    let stores = [Arc::new(store)];
    for round in 0..3 {
        let key = key(&round.to_string());
        let change = |_| Change::new().step(key.clone(), Was::Absent, Becomes::Put(row("{}")));
        assert_eq!(tried_together(&stores, (0..24).map(change).collect()).await, 1);
    }
}

/// Of two changes that each write one row and depend on the other one staying as it is, at the same time, only one happens.
pub async fn of_two_changes_that_each_keep_what_the_other_writes_one_happens<S: Store>(store: S) {
    let stores = [Arc::new(store)];
    let [store] = &stores;
    for round in 0..10 {
        let (a, b) = (key(&format!("a{round}")), key(&format!("b{round}")));
        let (was_a, was_b) = (row("{}"), row("{}"));
        put_new(store, a.clone(), &was_a).await;
        put_new(store, b.clone(), &was_b).await;
        let write = |one: &Key, was_one: &Row, other: &Key, was_other: &Row| {
            Change::new()
                .step(one.clone(), Was::At(was_one.version), Becomes::Put(row("{}")))
                .step(other.clone(), Was::At(was_other.version), Becomes::Same)
        };
        let changes = vec![write(&a, &was_a, &b, &was_b), write(&b, &was_b, &a, &was_a)];
        assert_eq!(tried_together(&stores, changes).await, 1);
    }
}

/// Of two changes that each put one row and depend on the other one being absent, at the same time, only one happens.
pub async fn of_two_changes_that_each_keep_what_the_other_puts_one_happens<S: Store>(store: S) {
    let stores = [Arc::new(store)];
    for round in 0..10 {
        let (a, b) = (key(&format!("a{round}")), key(&format!("b{round}")));
        let write = |one: &Key, other: &Key| {
            Change::new()
                .step(one.clone(), Was::Absent, Becomes::Put(row("{}")))
                .step(other.clone(), Was::Absent, Becomes::Same)
        };
        assert_eq!(tried_together(&stores, vec![write(&a, &b), write(&b, &a)]).await, 1);
    }
}

/// Changes to the same rows that come from several sides all come to an end, and none is lost: rows that are counted up by
/// who tries again after a conflict have counted every change.
pub async fn changes_that_cross_all_come_to_an_end<S: Store>(store: S) {
    let store = Arc::new(store);
    let names = ["a", "b", "c"];
    for name in names {
        put_new(&store, key(name), &counted(0)).await;
    }
    let mut tasks = JoinSet::new();
    for (one, other) in [("a", "b"), ("b", "a"), ("b", "c"), ("c", "a")] {
        let store = Arc::clone(&store);
        tasks.spawn(async move {
            let keys = [key(one), key(other)];
            for _ in 0..5 {
                count_up(&*store, &keys).await;
            }
        });
    }
    tasks.join_all().await;
    let rows = store.load(&names.map(key)).await.unwrap();
    let counts: Vec<u32> = rows.iter().map(|row| count(row.as_ref().unwrap())).collect();
    assert_eq!(counts, [15, 15, 10]);
}

fn counted(count: u32) -> Row {
    row(&format!(r#"{{"count":{count}}}"#))
}

fn count(row: &Row) -> u32 {
    let count = row.body.trim_start_matches(r#"{"count":"#).trim_end_matches('}');
    count.parse().unwrap()
}

async fn count_up<S: Store>(store: &S, keys: &[Key]) {
    loop {
        let rows = store.load(keys).await.unwrap();
        let mut change = Change::new();
        for (key, was) in keys.iter().zip(rows) {
            let was = was.unwrap();
            let next = Becomes::Put(counted(count(&was) + 1));
            change = change.step(key.clone(), Was::At(was.version), next);
        }
        if store.commit(&change).await.unwrap() == Outcome::Done {
            return;
        }
    }
}

/// A change whose future is dropped, wherever it is, has happened as a whole or not at all, and the store goes on.
pub async fn a_change_that_is_given_up_happens_as_a_whole_or_not_at_all<S: Store>(store: S) {
    for polls in 0..24 {
        let keys = [key(&format!("a{polls}")), key(&format!("b{polls}"))];
        let [a, b] = keys.clone();
        let change =
            Change::new()
                .step(a, Was::Absent, Becomes::Put(row("{}")))
                .step(b, Was::Absent, Becomes::Put(row("{}")));
        {
            let mut commit = pin!(store.commit(&change));
            for _ in 0..polls {
                if commit.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
                    break;
                }
                // What it waits for has time to happen in between. A write might wait for this one.
                store.list(&all(KIND)).await.unwrap();
            }
        }
        // Whatever was under way is behind the next change to the same rows.
        let rows = store.load(&keys).await.unwrap();
        let was = |row: &Option<Row>| row.as_ref().map_or(Was::Absent, |row| Was::At(row.version));
        let change = keys.iter().zip(&rows).fold(Change::new(), |change, (key, row)| {
            change.step(key.clone(), was(row), Becomes::Put(owned("ana")))
        });
        store.commit(&change).await.unwrap();
        let there = store.load(&keys).await.unwrap().iter().flatten().count();
        assert_eq!(there, 2, "after {polls} polls");
        let rows = rows.iter().flatten().count();
        assert!(rows == 0 || rows == 2, "after {polls} polls there was {rows}");
    }
}

/// Listing goes by the bytes of the identifiers, from one page to the next, and tells no row twice.
pub async fn listing_goes_by_the_bytes_of_identifiers_page_by_page<S: Store>(store: S) {
    // `-`, digits, capitals, `_`, small letters: where databases like to differ.
    let first = ["-", "0", "9", "A", "Z", "_", "a", "b", "z"];
    let ids = first.map(|first| Id::parse(format!("{first}{}", "m".repeat(42))).unwrap());
    for id in ids.iter().rev() {
        let key = Key {
            kind: KIND,
            id: id.clone(),
        };
        put_new(&store, key, &owned("ana")).await;
    }
    put_new(&store, Key::of(Kind::Code, "of another kind"), &owned("ana")).await;
    assert_eq!(listed(&store, &all(KIND)).await, ids);
    for owner in [None, Some(Id::of("ana"))] {
        let mut page = Listing {
            owner,
            limit: 4,
            ..all(KIND)
        };
        let mut sizes = Vec::new();
        let mut found = Vec::new();
        loop {
            let ids = listed(&store, &page).await;
            sizes.push(ids.len());
            let Some(last) = ids.last() else { break };
            page.after = Some(last.clone());
            found.extend(ids);
        }
        assert_eq!(sizes, [4, 4, 1, 0]);
        assert_eq!(found, ids);
    }
}

/// A limit of zero lists nothing.
pub async fn a_limit_of_zero_lists_nothing<S: Store>(store: S) {
    put_new(&store, key("a"), &row("{}")).await;
    let nothing = Listing { limit: 0, ..all(KIND) };
    assert!(listed(&store, &nothing).await.is_empty());
}

/// Listing by owner lists the rows of that owner and kind, and no others.
pub async fn listing_by_owner_lists_nobody_elses_rows<S: Store>(store: S) {
    put_new(&store, key("a"), &owned("ana")).await;
    put_new(&store, key("b"), &owned("bob")).await;
    put_new(&store, key("c"), &row("{}")).await;
    put_new(&store, Key::of(Kind::User, "d"), &owned("ana")).await;
    assert_eq!(listed(&store, &of("ana")).await, [Id::of("a")]);
    assert_eq!(listed(&store, &of("bob")).await, [Id::of("b")]);
    assert!(listed(&store, &of("eve")).await.is_empty());
    assert_eq!(listed(&store, &all(KIND)).await.len(), 3);
}

/// A row that changes hands is listed under its new owner only; one that belongs to nobody any more, under none.
pub async fn a_row_that_changes_hands_is_listed_under_its_new_owner_only<S: Store>(store: S) {
    let first = owned("ana");
    put_new(&store, key("a"), &first).await;
    let mut was = first.version;
    for (next, of_ana, of_bob) in [(owned("bob"), 0, 1), (row("{}"), 0, 0), (owned("ana"), 1, 0)] {
        let change = Change::new().step(key("a"), Was::At(was), Becomes::Put(next.clone()));
        assert_eq!(store.commit(&change).await.unwrap(), Outcome::Done);
        assert_eq!(listed(&store, &of("ana")).await.len(), of_ana);
        assert_eq!(listed(&store, &of("bob")).await.len(), of_bob);
        assert_eq!(listed(&store, &all(KIND)).await.len(), 1);
        was = next.version;
    }
}

/// Rows that have expired are loaded, listed and found present by changes until they are deleted.
pub async fn expired_rows_are_there_until_they_are_deleted<S: Store>(store: S) {
    let long_ago = UNIX_EPOCH + Duration::from_secs(1);
    let expired = expiring(long_ago);
    put_new(&store, key("a"), &expired).await;
    assert_eq!(one(&store, &key("a")).await, Some(expired.clone()));
    assert_eq!(listed(&store, &all(KIND)).await.len(), 1);
    let change = Change::new().step(key("a"), Was::At(expired.version), Becomes::Same);
    assert_eq!(store.commit(&change).await.unwrap(), Outcome::Done);
    assert_eq!(store.delete_expired(noon()).await.unwrap(), 1);
    put_new(&store, key("a"), &row("{}")).await;
}

/// Rows are deleted from the very millisecond in which they expire, not before; and those that do not expire, never. They are
/// gone from all lists, too.
pub async fn rows_are_deleted_from_the_moment_they_expire<S: Store>(store: S) {
    let millisecond = Duration::from_millis(1);
    for (name, at) in [
        ("earlier", noon() - millisecond),
        ("now", noon()),
        ("later", noon() + millisecond),
    ] {
        let expires_at = Some(at);
        put_new(
            &store,
            key(name),
            &Row {
                expires_at,
                ..owned("ana")
            },
        )
        .await;
    }
    put_new(&store, key("never"), &owned("ana")).await;
    assert_eq!(store.delete_expired(noon() - 2 * millisecond).await.unwrap(), 0);
    assert_eq!(store.delete_expired(noon()).await.unwrap(), 2);
    assert_eq!(store.delete_expired(noon()).await.unwrap(), 0);
    let loaded = store
        .load(&["earlier", "now", "later", "never"].map(key))
        .await
        .unwrap();
    assert_eq!(
        loaded.iter().map(Option::is_some).collect::<Vec<_>>(),
        [false, false, true, true]
    );
    assert_eq!(listed(&store, &all(KIND)).await.len(), 2);
    assert_eq!(listed(&store, &of("ana")).await.len(), 2);
    assert_eq!(store.delete_expired(noon() + millisecond).await.unwrap(), 1);
}

/// A part of a millisecond deletes no row early.
pub async fn a_part_of_a_millisecond_deletes_no_row_early<S: Store>(store: S) {
    let at = noon() + Duration::from_nanos(2);
    put_new(&store, key("a"), &expiring(at)).await;
    assert_eq!(store.delete_expired(at - Duration::from_nanos(1)).await.unwrap(), 0);
    let kept = one(&store, &key("a")).await.unwrap();
    assert!(kept.expires_at.unwrap() >= at);
    assert_eq!(
        store.delete_expired(noon() + Duration::from_millis(1)).await.unwrap(),
        1
    );
}

/// A change can move the expiry of a row, and take it away.
pub async fn an_expiry_can_be_moved_and_taken_away<S: Store>(store: S) {
    let second = Duration::from_secs(1);
    let first = expiring(noon());
    put_new(&store, key("a"), &first).await;
    let later = expiring(noon() + second);
    let change = Change::new().step(key("a"), Was::At(first.version), Becomes::Put(later.clone()));
    assert_eq!(store.commit(&change).await.unwrap(), Outcome::Done);
    assert_eq!(store.delete_expired(noon()).await.unwrap(), 0);
    let never = row("{}");
    let change = Change::new().step(key("a"), Was::At(later.version), Becomes::Put(never.clone()));
    assert_eq!(store.commit(&change).await.unwrap(), Outcome::Done);
    assert_eq!(store.delete_expired(noon() + second).await.unwrap(), 0);
    assert_eq!(one(&store, &key("a")).await, Some(never));
}

/// A row that has expired, and that a change prolongs while the expired are deleted, is either prolonged or deleted.
pub async fn deleting_and_a_change_do_not_both_get_a_row<S: Store>(store: S) {
    let store = Arc::new(store);
    for round in 0..10 {
        let key = key(&round.to_string());
        let expired = expiring(noon());
        put_new(&store, key.clone(), &expired).await;
        let prolong = Change::new().step(key.clone(), Was::At(expired.version), Becomes::Put(row("{}")));
        let prolonging = tokio::spawn({
            let store = Arc::clone(&store);
            async move { store.commit(&prolong).await.unwrap() }
        });
        let deleted = store.delete_expired(noon()).await.unwrap();
        let is_prolonged = prolonging.await.unwrap() == Outcome::Done;
        assert_eq!(deleted == 0, is_prolonged, "round {round}");
        assert_eq!(one(&*store, &key).await.is_some(), is_prolonged, "round {round}");
    }
}

/// However many rows have expired, they are all deleted.
pub async fn many_expired_rows_are_deleted_at_once<S: Store>(store: S) {
    let mut change = Change::new();
    for number in 0..MAX_KEYS {
        change = change.step(key(&number.to_string()), Was::Absent, Becomes::Put(expiring(noon())));
    }
    assert_eq!(store.commit(&change).await.unwrap(), Outcome::Done);
    put_new(&store, key("one more"), &expiring(noon())).await;
    put_new(&store, key("left"), &row("{}")).await;
    assert_eq!(store.delete_expired(noon()).await.unwrap(), MAX_KEYS + 1);
    assert_eq!(listed(&store, &all(KIND)).await, [Id::of("left")]);
}

/// What one store has answered, another one over the same database knows at once; and of what both try at the same time,
/// only one happens. Give it two stores that share their rows and have none yet, as two processes would.
pub async fn two_stores_over_one_database_are_one<S: Store>(one_store: S, other: S) {
    let stores = [Arc::new(one_store), Arc::new(other)];
    let [here, there] = &stores;
    let first = row("{}");
    put_new(here, key("a"), &first).await;
    assert_eq!(one(&**there, &key("a")).await, Some(first.clone()));
    let change = || Change::new().step(key("a"), Was::At(first.version), Becomes::Put(row("{}")));
    assert_eq!(tried_together(&stores, (0..16).map(|_| change()).collect()).await, 1);
    assert_eq!(one(&**here, &key("a")).await, one(&**there, &key("a")).await);
    let change = || Change::new().step(key("b"), Was::Absent, Becomes::Put(row("{}")));
    assert_eq!(tried_together(&stores, (0..16).map(|_| change()).collect()).await, 1);
}

/// What was answered is there when the store is opened again, with nothing else in it.
pub async fn rows_survive_opening_again<S: Store>(store: S, again: impl Future<Output = S>) {
    let kept = Row {
        expires_at: Some(noon()),
        ..owned("ana")
    };
    put_new(&store, key("a"), &kept).await;
    drop(store);
    let store = again.await;
    assert_eq!(store.list(&all(KIND)).await.unwrap(), [(key("a"), kept)]);
}
