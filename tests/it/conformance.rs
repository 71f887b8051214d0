//! `docs/conformance.md` is complete, and every test it names exists.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    ops::RangeInclusive,
    path::Path,
};

/// Requirement lines that concern the packages so far.
const REQUIREMENTS: [RangeInclusive<u32>; 7] = [1..=48, 59..=72, 117..=123, 141..=148, 151..=175, 178..=178, 249..=281];

/// The acceptance cases.
const CASES: RangeInclusive<u32> = 1..=190;

/// What is promised beyond these.
const PROMISES: RangeInclusive<u32> = 1..=19;

fn expected() -> BTreeSet<String> {
    let requirements = REQUIREMENTS.into_iter().flatten().map(|n| format!("R{n:03}"));
    let cases = CASES.map(|n| format!("case {n}"));
    let promises = PROMISES.map(|n| format!("own {n}"));
    requirements.chain(cases).chain(promises).collect()
}

/// The rows of all tables: identifier → proof.
fn rows(document: &str) -> BTreeMap<String, String> {
    let mut rows = BTreeMap::new();
    for line in document
        .lines()
        .filter(|line| ["| R", "| case ", "| own "].iter().any(|kind| line.starts_with(kind)))
    {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [id, _, proof] = cells[..] else {
            panic!("not three cells: {line}")
        };
        assert!(
            rows.insert(id.to_owned(), proof.to_owned()).is_none(),
            "{id} stands twice"
        );
    }
    rows
}

/// The names of all tests of both packages, Rust and Python.
fn tests() -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut names = BTreeSet::new();
    let mut folders = ["src", "tests", "issuer/src", "issuer/tests"]
        .map(|name| root.join(name))
        .to_vec();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() && !name.starts_with('.') {
                folders.push(path);
            } else if name.ends_with(".rs") && is_compiled(&path) {
                names.extend(rust_tests(&fs::read_to_string(&path).unwrap()));
            } else if name.ends_with(".py") {
                let text = fs::read_to_string(&path).unwrap();
                let tests = text
                    .lines()
                    .filter_map(|line| line.strip_prefix("def ")?.split('(').next());
                names.extend(tests.filter(|name| name.starts_with("test_")).map(str::to_owned));
            }
        }
    }
    names
}

/// A file of `tests/it` counts only if the `main.rs` beside it names it.
fn is_compiled(path: &Path) -> bool {
    let name = path.file_stem().unwrap().to_str().unwrap();
    let folder = path.parent().unwrap();
    if !folder.ends_with("tests/it") || name == "main" {
        return true;
    }
    let main = fs::read_to_string(folder.join("main.rs")).unwrap();
    main.lines().any(|line| line == format!("mod {name};"))
}

fn rust_tests(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut is_test = false;
    for line in text.lines().map(str::trim) {
        if line.starts_with("#[") {
            is_test |= line == "#[test]" || line.starts_with("#[tokio::test");
        } else {
            let name = line.strip_prefix("async fn ").or_else(|| line.strip_prefix("fn "));
            names.extend(
                name.filter(|_| is_test)
                    .and_then(|name| name.split('(').next())
                    .map(str::to_owned),
            );
            is_test = false;
        }
    }
    names
}

#[test]
fn every_requirement_and_case_has_its_tests_or_a_reason_why_not() {
    let document = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/conformance.md")).unwrap();
    let (rows, tests) = (rows(&document), tests());
    let listed: BTreeSet<String> = rows.keys().cloned().collect();
    assert_eq!(listed, expected());
    for (id, proof) in &rows {
        if let Some(reason) = proof.strip_prefix("waived: ") {
            assert!(reason.len() > 20, "{id}: a waiver has a reason");
            continue;
        }
        let named: Vec<&str> = proof.split('`').skip(1).step_by(2).collect();
        assert!(!named.is_empty(), "{id} names no test: {proof}");
        for test in named {
            assert!(tests.contains(test), "{id}: there is no test {test}");
        }
    }
}

#[test]
fn the_tests_of_this_very_file_are_found() {
    let tests = tests();
    assert!(tests.contains("the_tests_of_this_very_file_are_found"));
    assert!(tests.iter().any(|test| test.starts_with("test_")), "Python tests, too");
    assert!(
        tests.contains("of_two_exchanges_at_once_one_succeeds"),
        "of both packages"
    );
    assert!(!tests.contains("rust_tests"));
}
