//! The table of events in the documentation is complete.

use std::{collections::BTreeSet, fs, path::Path};

/// What stands between these, wherever it does.
fn all_between<'a>(text: &'a str, start: &str, end: &str) -> BTreeSet<&'a str> {
    text.split(start)
        .skip(1)
        .filter_map(|rest| Some(rest.split_once(end)?.0))
        .collect()
}

fn sources(folder: &Path) -> String {
    let mut text = String::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            text += &sources(&path);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text += &fs::read_to_string(path).unwrap();
        }
    }
    text
}

#[test]
fn every_event_with_a_name_is_in_the_documentation_and_none_is_there_that_is_no_more() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let said = sources(&folder);
    let told = all_between(&said, "event = \"", "\"");
    assert!(told.len() > 15, "{told:?}");
    let documentation = fs::read_to_string(folder.join("lib.rs")).unwrap();
    let (_, table) = documentation.split_once("//! | target | event |").unwrap();
    let (table, _) = table.split_once("\n\n").unwrap();
    let cells = table.lines().filter_map(|row| row.split('|').nth(2));
    let documented: BTreeSet<_> = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
    assert_eq!(documented, told);
}
