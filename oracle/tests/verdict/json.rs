//! The JSON that `docs/verdict.md` describes: a change of a snapshot is a change of
//! the schema, and may need another version.

use oracle::verdict::Verdict;
use oracle::verdict::json::{Document, VERSION};

use crate::support::{verdict_of_map, wrong_second_page};
use crate::trace::*;

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
