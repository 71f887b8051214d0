use std::{
    env,
    fs::OpenOptions,
    future::Future,
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    time::{Duration, Instant},
};

use resource_protector_issuer::{
    store::{Becomes, Change, Key, Kind, Outcome, PostgresStore, RedisStore, Row, SqliteStore, Store, Version, Was},
    testing::store_contract,
};
use sqlx::{ConnectOptions as _, Connection as _, Executor as _, Row as _};
use tempfile::TempDir;

use crate::servers::{OwnServer, killed_after, postgres_schema, redis_name};

mod memory {
    use resource_protector_issuer::{store::MemoryStore, store_contract};

    store_contract!(async { (MemoryStore::new(), ()) });
}

mod sqlite {
    resource_protector_issuer::store_contract!(super::sqlite_store());
}

mod postgres {
    resource_protector_issuer::store_contract!(super::postgres_store());
}

mod redis {
    resource_protector_issuer::store_contract!(async { (super::redis_store(), ()) });
}

async fn sqlite_store() -> (SqliteStore, TempDir) {
    let (path, folder) = sqlite_path();
    (SqliteStore::open(path).await.unwrap(), folder)
}

async fn postgres_store() -> (PostgresStore, ()) {
    (PostgresStore::connect(&postgres_schema().await).await.unwrap(), ())
}

fn redis_store() -> RedisStore {
    let (url, name) = redis_name();
    RedisStore::new(&url, &name).unwrap()
}

fn sqlite_path() -> (PathBuf, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    (folder.path().join("tokens.sqlite"), folder)
}

fn key(name: &str) -> Key {
    Key::of(Kind::Session, name)
}

fn row(body: &str) -> Row {
    Row {
        version: Version::draw().unwrap(),
        owner: None,
        expires_at: None,
        body: body.to_owned(),
    }
}

fn put_new(name: &str, body: &str) -> Change {
    Change::new().step(key(name), Was::Absent, Becomes::Put(row(body)))
}

// Two over one database.

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_stores_over_one_sqlite_file_are_one() {
    let (path, _folder) = sqlite_path();
    let (one, other) = tokio::join!(SqliteStore::open(&path), SqliteStore::open(&path));
    store_contract::two_stores_over_one_database_are_one(one.unwrap(), other.unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_stores_over_one_postgresql_schema_are_one() {
    let url = postgres_schema().await;
    let (one, other) = tokio::join!(PostgresStore::connect(&url), PostgresStore::connect(&url));
    store_contract::two_stores_over_one_database_are_one(one.unwrap(), other.unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_stores_over_one_redis_name_are_one() {
    let (url, name) = redis_name();
    let store = || RedisStore::new(&url, &name).unwrap();
    store_contract::two_stores_over_one_database_are_one(store(), store()).await;
}

#[tokio::test]
async fn two_names_in_one_redis_know_nothing_of_each_other() {
    let (one, other) = (redis_store(), redis_store());
    assert_eq!(one.commit(&put_new("a", "{}")).await.unwrap(), Outcome::Done);
    assert_eq!(other.load(&[key("a")]).await.unwrap(), [None]);
}

// What survives.

#[tokio::test]
async fn rows_in_sqlite_survive_opening_again() {
    let (path, _folder) = sqlite_path();
    let open = async || SqliteStore::open(&path).await.unwrap();
    store_contract::rows_survive_opening_again(open().await, open()).await;
}

#[tokio::test]
async fn rows_in_postgresql_survive_connecting_again() {
    let url = postgres_schema().await;
    let connect = async || PostgresStore::connect(&url).await.unwrap();
    store_contract::rows_survive_opening_again(connect().await, connect()).await;
}

/// Puts rows and says so, without end.
async fn put_and_tell(store: impl Store) {
    for number in 0.. {
        let name = format!("row {number}");
        assert_eq!(store.commit(&put_new(&name, "{}")).await.unwrap(), Outcome::Done);
        println!("{name}");
    }
}

async fn assert_kept(store: impl Store, told: &[String]) {
    let mut told: Vec<Key> = told
        .iter()
        .filter(|line| line.starts_with("row "))
        .map(|name| key(name))
        .collect();
    assert!(told.len() > 20);
    told.truncate(1_000);
    assert!(store.load(&told).await.unwrap().iter().all(Option::is_some));
}

#[tokio::test]
async fn what_sqlite_has_answered_survives_that_the_process_is_killed() {
    const CHILD: &str = "PUTS_ROWS_IN_SQLITE";
    if let Ok(path) = env::var(CHILD) {
        return put_and_tell(SqliteStore::open(path).await.unwrap()).await;
    }
    let (path, _folder) = sqlite_path();
    let test = "stores::what_sqlite_has_answered_survives_that_the_process_is_killed";
    let told = killed_after(30, test, CHILD, path.to_str().unwrap());
    assert_kept(SqliteStore::open(path).await.unwrap(), &told).await;
}

#[tokio::test]
async fn what_postgresql_has_answered_survives_that_the_process_is_killed() {
    const CHILD: &str = "PUTS_ROWS_IN_POSTGRESQL";
    if let Ok(url) = env::var(CHILD) {
        return put_and_tell(PostgresStore::connect(&url).await.unwrap()).await;
    }
    let url = postgres_schema().await;
    let test = "stores::what_postgresql_has_answered_survives_that_the_process_is_killed";
    let told = killed_after(30, test, CHILD, &url);
    assert_kept(PostgresStore::connect(&url).await.unwrap(), &told).await;
}

// Servers that go away.

const SHORT: Duration = Duration::from_millis(500);

/// What a client waits for at the most: the deadline, and what a busy machine adds.
const PATIENCE: Duration = Duration::from_secs(5);

async fn fails_in_time<T>(
    work: impl Future<Output = Result<T, resource_protector_issuer::store::StoreError>>,
) -> String {
    let started = Instant::now();
    let Err(error) = work.await else {
        panic!("it has worked")
    };
    assert!(started.elapsed() < PATIENCE, "{:?}", started.elapsed());
    error.to_string()
}

/// The first answer of a store whose server has come back may still be an error.
async fn works_again(store: &impl Store, name: &str) {
    let started = Instant::now();
    while store.load(&[key(name)]).await.is_err() {
        assert!(started.elapsed() < Duration::from_secs(30), "it does not work again");
    }
    assert_eq!(store.commit(&put_new(name, "{}")).await.unwrap(), Outcome::Done);
}

async fn goes_through_outages(store: impl Store, server: &mut OwnServer, secret: &str) {
    assert_eq!(store.commit(&put_new("before", "{}")).await.unwrap(), Outcome::Done);
    server.kill();
    for _ in 0..2 {
        let said = fails_in_time(store.commit(&put_new("during", "{}"))).await;
        assert!(!said.contains(secret) && !said.contains("127.0.0.1"), "{said}");
        fails_in_time(store.load(&[key("before")])).await;
    }
    server.start();
    works_again(&store, "after").await;
    let rows = store.load(&["before", "during"].map(key)).await.unwrap();
    assert_eq!(rows.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false]);
}

#[tokio::test]
async fn a_postgresql_that_is_killed_is_an_error_in_time_until_it_is_back() {
    let mut server = OwnServer::postgres();
    let url = format!("postgres://postgres:hidden@127.0.0.1:{}/postgres", server.port());
    // It listens some moments before it lets anybody in.
    let started = Instant::now();
    let store = loop {
        match PostgresStore::connect(&url).await {
            Ok(store) => break store.timeout(SHORT).unwrap(),
            Err(error) => assert!(started.elapsed() < Duration::from_secs(30), "{error}"),
        }
    };
    goes_through_outages(store, &mut server, "hidden").await;
}

#[tokio::test]
async fn a_redis_that_is_killed_is_an_error_in_time_until_it_is_back() {
    let mut server = OwnServer::redis();
    let url = format!("redis://127.0.0.1:{}/", server.port());
    let store = RedisStore::new(&url, "t").unwrap().timeout(SHORT).unwrap();
    goes_through_outages(store, &mut server, "redis://").await;
}

#[tokio::test]
async fn a_redis_that_is_silent_is_an_error_in_time_and_no_change_is_lost_or_half_done() {
    let server = OwnServer::redis();
    let url = format!("redis://127.0.0.1:{}/", server.port());
    let store = RedisStore::new(&url, "t").unwrap().timeout(SHORT).unwrap();
    assert_eq!(store.commit(&put_new("before", "{}")).await.unwrap(), Outcome::Done);
    server.freeze();
    let two = put_new("a", "{}").step(key("b"), Was::Absent, Becomes::Put(row("{}")));
    let said = fails_in_time(store.commit(&two)).await;
    assert_eq!(said, "Redis did not answer within 0.5 s");
    server.thaw();
    works_again(&store, "after").await;
    let rows = store.load(&["before", "a", "b"].map(key)).await.unwrap();
    assert!(rows[0].is_some());
    assert_eq!(rows[1].is_some(), rows[2].is_some());
}

#[tokio::test]
async fn a_row_that_somebody_has_locked_in_postgresql_is_an_error_in_time() {
    let url = postgres_schema().await;
    let store = PostgresStore::connect(&url).await.unwrap().timeout(SHORT).unwrap();
    let first = row("{}");
    let put = Change::new().step(key("a"), Was::Absent, Becomes::Put(first.clone()));
    assert_eq!(store.commit(&put).await.unwrap(), Outcome::Done);
    let mut somebody = sqlx::PgConnection::connect(&url).await.unwrap();
    somebody
        .execute("BEGIN; SELECT 1 FROM resource_protector_rows FOR UPDATE")
        .await
        .unwrap();
    let next = Change::new().step(key("a"), Was::At(first.version), Becomes::Put(row("{}")));
    fails_in_time(store.commit(&next)).await;
    // Neither reading nor deleting waits for it.
    assert_eq!(store.load(&[key("a")]).await.unwrap(), [Some(first)]);
    assert_eq!(store.delete_expired(std::time::SystemTime::now()).await.unwrap(), 0);
    somebody.execute("ROLLBACK").await.unwrap();
    let started = Instant::now();
    // The server may be about to give up the first try, or not yet.
    while store.commit(&next).await.is_err() {
        assert!(started.elapsed() < PATIENCE);
    }
    assert_eq!(store.commit(&next).await.unwrap(), Outcome::Conflict);
}

#[tokio::test]
async fn changes_in_postgresql_that_leave_the_same_row_as_it_is_do_not_wait_for_each_other() {
    let url = postgres_schema().await;
    let (_, name) = url.rsplit_once("%3D").unwrap();
    let store = PostgresStore::connect(&format!("{url}&application_name={name}"))
        .await
        .unwrap();
    let mut somebody = sqlx::PgConnection::connect(&url).await.unwrap();
    let (shared, held) = (row("{}"), row("[]"));
    for (name, row) in [("shared", &shared), ("held", &held)] {
        let change = Change::new().step(key(name), Was::Absent, Becomes::Put(row.clone()));
        assert_eq!(store.commit(&change).await.unwrap(), Outcome::Done);
    }
    let depending = |name: &str, was: Was| {
        let change = Change::new().step(key("shared"), Was::At(shared.version), Becomes::Same);
        change.step(key(name), was, Becomes::Put(row("{}")))
    };
    let lock = "BEGIN; SELECT 1 FROM resource_protector_rows WHERE body = '[]' FOR UPDATE";
    somebody.execute(lock).await.unwrap();
    let waiting = {
        let (store, change) = (store.clone(), depending("held", Was::At(held.version)));
        tokio::spawn(async move { store.commit(&change).await })
    };
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1 AND wait_event_type = 'Lock'";
    let started = Instant::now();
    while sqlx::query_scalar::<_, i64>(waits)
        .bind(name)
        .fetch_one(&mut somebody)
        .await
        .unwrap()
        == 0
    {
        assert!(started.elapsed() < PATIENCE);
        // What is known of other connections stays the same within a transaction, unless asked for anew.
        somebody.execute("SELECT pg_stat_clear_snapshot()").await.unwrap();
    }
    assert_eq!(
        store.commit(&depending("free", Was::Absent)).await.unwrap(),
        Outcome::Done
    );
    assert!(!waiting.is_finished());
    somebody.execute("ROLLBACK").await.unwrap();
    assert_eq!(waiting.await.unwrap().unwrap(), Outcome::Done);
}

#[tokio::test]
async fn an_sqlite_file_that_another_writes_to_is_an_error_in_time() {
    let (path, _folder) = sqlite_path();
    let store = SqliteStore::open(&path).await.unwrap().timeout(SHORT).unwrap();
    let mut another = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(&path)
        .connect()
        .await
        .unwrap();
    another.execute("BEGIN IMMEDIATE").await.unwrap();
    let said = fails_in_time(store.commit(&put_new("a", "{}"))).await;
    assert_eq!(said, "SQLite did not answer within 0.5 s");
    // Whoever reads does not wait.
    assert_eq!(store.load(&[key("a")]).await.unwrap(), [None]);
    another.execute("ROLLBACK").await.unwrap();
    assert_eq!(store.commit(&put_new("a", "{}")).await.unwrap(), Outcome::Done);
}

#[tokio::test]
async fn a_closed_store_answers_with_an_error() {
    let (store, _folder) = sqlite_store().await;
    store.close().await;
    assert_eq!(
        fails_in_time(store.load(&[key("a")])).await,
        "the store in SQLite has been closed"
    );
    let (store, ()) = postgres_store().await;
    store.close().await;
    assert_eq!(
        fails_in_time(store.load(&[key("a")])).await,
        "the store in PostgreSQL has been closed"
    );
}

// Opening.

#[tokio::test]
async fn a_new_sqlite_file_and_those_beside_it_are_for_its_owner_alone() {
    let (path, folder) = sqlite_path();
    let store = SqliteStore::open(&path).await.unwrap();
    assert_eq!(store.commit(&put_new("a", "{}")).await.unwrap(), Outcome::Done);
    let mut names = Vec::new();
    for file in folder.path().read_dir().unwrap() {
        let file = file.unwrap();
        names.push(file.file_name().into_string().unwrap());
        assert_eq!(
            file.metadata().unwrap().permissions().mode() & 0o777,
            0o600,
            "{names:?}"
        );
    }
    names.sort();
    assert_eq!(names, ["tokens.sqlite", "tokens.sqlite-shm", "tokens.sqlite-wal"]);
}

#[tokio::test]
async fn a_file_that_is_no_sqlite_file_is_refused_and_left_alone() {
    let (path, _folder) = sqlite_path();
    let text = "these are the notes of somebody, which are longer than the header of a database".repeat(10);
    std::fs::write(&path, &text).unwrap();
    let refused = SqliteStore::open(&path).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        format!("the SQLite file {path:?} cannot be opened: SQLite answered with its code 26")
    );
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
}

#[tokio::test]
async fn a_file_in_a_folder_that_is_not_there_is_refused() {
    let (path, folder) = sqlite_path();
    drop(folder);
    let refused = SqliteStore::open(&path).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        format!("the SQLite file {path:?} cannot be opened: entity not found")
    );
}

#[tokio::test]
async fn no_name_of_a_file_means_anything_else_to_sqlite() {
    let (_, folder) = sqlite_path();
    for name in [":memory:", "file:a?mode=memory", "a b%20c#d", "ü.sqlite"] {
        let path = folder.path().join(name);
        let store = SqliteStore::open(&path).await.unwrap();
        assert_eq!(store.commit(&put_new("a", "{}")).await.unwrap(), Outcome::Done);
        drop(store);
        let file = OpenOptions::new().read(true).open(&path).unwrap();
        assert!(file.metadata().unwrap().len() > 0, "{name}");
    }
}

#[tokio::test]
async fn tables_of_a_younger_program_are_refused() {
    let younger = "INSERT INTO resource_protector_migrations (version) VALUES (1000)";
    let (path, _folder) = sqlite_path();
    SqliteStore::open(&path).await.unwrap().close().await;
    let mut connection = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(&path)
        .connect()
        .await
        .unwrap();
    connection.execute(younger).await.unwrap();
    let refused = SqliteStore::open(&path).await.unwrap_err().to_string();
    assert!(refused.ends_with("it is too old"), "{refused}");

    let url = postgres_schema().await;
    PostgresStore::connect(&url).await.unwrap().close().await;
    let mut connection = sqlx::PgConnection::connect(&url).await.unwrap();
    connection.execute(younger).await.unwrap();
    let refused = PostgresStore::connect(&url).await.unwrap_err().to_string();
    assert!(refused.ends_with("it is too old"), "{refused}");
}

/// What a role may do that is no more than a service that goes on with its tables needs.
#[tokio::test]
async fn a_role_without_the_right_to_create_goes_on_with_the_tables_there_are() {
    let url = postgres_schema().await;
    PostgresStore::connect(&url).await.unwrap().close().await;
    let mut connection = sqlx::PgConnection::connect(&url).await.unwrap();
    let schema: String = sqlx::query_scalar("SELECT current_schema()::text")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    let role = format!(
        "CREATE ROLE {schema} LOGIN; GRANT USAGE ON SCHEMA {schema} TO {schema}; \
        GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {schema}"
    );
    connection.execute(role.as_str()).await.unwrap();
    let url = url.replacen("postgres@", &format!("{schema}@"), 1);
    let store = PostgresStore::connect(&url).await.unwrap();
    assert_eq!(store.commit(&put_new("a", "{}")).await.unwrap(), Outcome::Done);
    assert_eq!(store.delete_expired(std::time::SystemTime::now()).await.unwrap(), 0);
}

#[tokio::test]
async fn no_url_is_repeated() {
    for url in [
        "postgres://u:hidden@[",
        "mysql://u:hidden@h",
        "postgres://u:hidden@h?sslmode=hidden",
    ] {
        let refused = PostgresStore::connect(url).await.unwrap_err();
        assert_eq!(
            refused.to_string(),
            "the URL for PostgreSQL cannot be used: expected `postgres://user:password@host/database`, got something else, \
             which is not shown, since it may have a password in it"
        );
        let refused = RedisStore::new(url, "t").unwrap_err();
        assert_eq!(
            refused.to_string(),
            "url: expected `redis://user:password@host:6379/0`, got something else, which is not shown, since it may have a \
             password in it"
        );
    }
    for store in [format!("{:?}", redis_store()), format!("{:?}", postgres_store().await)] {
        assert!(!store.contains("127.0.0.1"), "{store}");
    }
}

#[test]
fn a_redis_store_over_tls_is_refused_by_name_and_told_what_to_do() {
    for scheme in ["rediss", "REDISS", "valkeys"] {
        let refused = RedisStore::new(&format!("{scheme}://u:hidden@redis.test:6380/0"), "t").unwrap_err();
        assert_eq!(
            refused.to_string(),
            "url: expected `redis://`, got a URL with TLS, which `RedisStore` does not speak: lead `redis://` through a tunnel \
             that encrypts, such as stunnel, or take `PostgresStore`"
        );
    }
    assert!(RedisStore::new("redis://u:hidden@redis.test:6379/0", "t").is_ok());
}

#[test]
fn a_redis_name_that_could_leave_its_hash_slot_is_refused() {
    for name in ["", "a}b", "a b", "{", "ä", &"a".repeat(65)] {
        assert_eq!(
            RedisStore::new("redis://127.0.0.1/", name).unwrap_err().option(),
            "name"
        );
    }
}

// For people.

const SESSION: &str = r#"{"subject":"ana","client_id":"app","started_at":17,"revoked_at":null,"note":"x"}"#;

fn session(body: &str) -> Change {
    let expires_at = Some(std::time::UNIX_EPOCH + Duration::from_secs(86_400));
    let row = Row {
        expires_at,
        ..row(body)
    };
    Change::new().step(key("a"), Was::Absent, Becomes::Put(row))
}

const SESSIONS: &str = "SELECT subject, client_id, CAST(started_at AS text), CAST(revoked_at AS text), \
    CAST(expires_at AS text) FROM resource_protector_sessions";

#[tokio::test]
async fn people_can_read_sessions_in_sqlite() {
    let (path, _folder) = sqlite_path();
    let store = SqliteStore::open(&path).await.unwrap();
    store.commit(&session(SESSION)).await.unwrap();
    let mut connection = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(&path)
        .connect()
        .await
        .unwrap();
    let row = sqlx::query(SESSIONS).fetch_one(&mut connection).await.unwrap();
    let columns: Vec<Option<String>> = (0..5).map(|column| row.get(column)).collect();
    let expected = [Some("ana"), Some("app"), Some("17"), None, Some("1970-01-02T00:00:00Z")];
    assert_eq!(columns.iter().map(Option::as_deref).collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn people_can_read_sessions_in_postgresql_also_beside_one_with_a_nul() {
    let url = postgres_schema().await;
    let store = PostgresStore::connect(&url).await.unwrap();
    store.commit(&session(SESSION)).await.unwrap();
    store.commit(&put_new("b", r#"{"subject":"\u0000"}"#)).await.unwrap();
    let mut connection = sqlx::PgConnection::connect(&url).await.unwrap();
    connection.execute("SET TIME ZONE 'UTC'").await.unwrap();
    let rows = sqlx::query(&format!("{SESSIONS} ORDER BY subject"))
        .fetch_all(&mut connection)
        .await
        .unwrap();
    let columns: Vec<Option<String>> = (0..5).map(|column| rows[0].get(column)).collect();
    let expected = [
        Some("ana"),
        Some("app"),
        Some("17"),
        None,
        Some("1970-01-02 00:00:00+00"),
    ];
    assert_eq!(columns.iter().map(Option::as_deref).collect::<Vec<_>>(), expected);
    assert_eq!(rows.len(), 2);
}
