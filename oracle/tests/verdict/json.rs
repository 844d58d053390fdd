//! The JSON that `docs/verdict.md` describes: a change of a snapshot is a change of
//! the schema, and may need another version.

use oracle::verdict::Verdict;
use oracle::verdict::json::{Document, VERSION};

use crate::support::{verdict_of_map, wrong_second_page};
use crate::trace::*;

const DESCRIPTION: &str = include_str!("../../../docs/verdict.md");

fn json(verdict: &Verdict) -> String {
    serde_json::to_string_pretty(&Document::from(verdict)).expect("strings and numbers only")
}

#[test]
fn a_wrong_translation() {
    let mut verdict = verdict_of_map(&wrong_second_page());
    verdict.machine_line = Some("machine granule=4K pa=40 ipa=40 pool=0x48000000+64".into());
    insta::assert_snapshot!("wrong-pa", json(&verdict));
}

#[test]
fn a_missing_barrier() {
    let mut events = map_two_pages();
    assert_eq!(events.pop(), Some(ISHST));
    insta::assert_snapshot!("barrier", json(&verdict_of_map(&events)));
}

#[test]
fn every_document_states_its_version() {
    let text = json(&verdict_of_map(&wrong_second_page()));
    let value: serde_json::Value = serde_json::from_str(&text).expect("what was written");
    assert_eq!(value["version"], VERSION);
}

/// The names of all fields of a value.
fn names(value: &serde_json::Value, into: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(fields) => {
            for (name, value) in fields {
                into.push(name.clone());
                names(value, into);
            }
        }
        serde_json::Value::Array(items) => items.iter().for_each(|item| names(item, into)),
        _ => {}
    }
}

#[test]
fn every_field_is_described() {
    let text = json(&verdict_of_map(&wrong_second_page()));
    let mut found = Vec::new();
    names(
        &serde_json::from_str(&text).expect("what was written"),
        &mut found,
    );
    assert!(found.len() > 50, "{found:?}");
    let is_described = |name: &String| {
        let parts = DESCRIPTION.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        parts.into_iter().any(|part| part == name)
    };
    found.retain(|name| !is_described(name));
    assert_eq!(found, [""; 0]);
}
