//! The walker answers every tracked vector (`corpora/vectors`) as the architecture does.

#[path = "../examples/check_vectors/format.rs"]
mod format;

use std::path::PathBuf;

fn check(name: &str) {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "../corpora/vectors", name]
        .iter()
        .collect();
    let text = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    // A file without a query is an error too.
    let report = format::check(name, &text)
        .unwrap_or_else(|error| panic!("{name}:{}: {}", error.line, error.what));
    assert!(
        report.disagreements.is_empty(),
        "{name}: {}",
        report.disagreements.join("\n")
    );
}

macro_rules! files {
    ($($test:ident: $name:literal)*) => {
        $(
            #[test]
            fn $test() {
                check($name);
            }
        )*

        const NAMES: &[&str] = &[$($name),*];
    };
}

files! {
    access_on_cortex_a76: "access-a76.jsonl"
    access_on_max: "access-max.jsonl"
    at_on_cortex_a57: "at-a57.jsonl"
    at_on_cortex_a76: "at-a76.jsonl"
    at_on_max_without_lpa2: "at-max-nolpa2.jsonl"
    at_on_max: "at-max.jsonl"
    at_on_neoverse_n1: "at-n1.jsonl"
}

#[test]
fn no_file_is_left_out() {
    let directory: PathBuf = [env!("CARGO_MANIFEST_DIR"), "../corpora/vectors"]
        .iter()
        .collect();
    let mut found: Vec<String> = std::fs::read_dir(directory)
        .expect("corpora/vectors exists")
        .map(|entry| entry.expect("it is readable").file_name())
        .map(|name| name.into_string().expect("names are text"))
        .filter(|name| name.ends_with(".jsonl"))
        .collect();
    found.sort();
    assert_eq!(found, NAMES);
}

const MACHINE: &str = r#"{"features": {"pamax": 40, "lpa2_4k": false, "lpa2_16k": false,
    "g16": true, "haf": true, "dbm": true, "xnx": true, "ttst": false, "fwb": false, "bbm": 0}}"#;

/// One group with stage 2 off, so that the output is the input.
fn group(query: &str) -> String {
    let machine = MACHINE.replace('\n', "");
    let registers = r#""vtcr":"0x0","vttbr":"0x0","hcr":"0x80000000""#;
    format!("{machine}\n{{{registers},\"mem\":[],\"q\":[{query}]}}\n")
}

#[test]
fn a_wrong_answer_is_counted() {
    let good = format::check("at-x", &group(r#"["0x8","r","ok 0x8"]"#)).unwrap();
    assert_eq!((good.passed, good.disagreements.len()), (1, 0));
    let bad = format::check("at-x", &group(r#"["0x8","r","ok 0x10"]"#)).unwrap();
    assert_eq!((bad.passed, bad.disagreements.len()), (0, 1));
}

#[test]
fn malformed_queries_name_their_line() {
    for query in [
        r#"["8","r","ok 0x8"]"#,
        r#"["0x8","y","ok 0x8"]"#,
        r#"["0x8","r","ok 0x8 sh=2"]"#,
        r#"["0x8","r","trans@4"]"#,
        r#"["0x8","r","ok 0x10000000000000000"]"#,
        r#"["0x8","r"]"#,
    ] {
        let error = format::check("at-x", &group(query)).expect_err(query);
        assert_eq!(error.line, 2, "{query}");
    }
}

#[test]
fn a_file_without_a_query_is_malformed() {
    assert_eq!(format::check("at-x", "").unwrap_err().line, 1);
    let machine = MACHINE.replace('\n', "");
    assert_eq!(format::check("at-x", &machine).unwrap_err().line, 1);
    assert_eq!(format::check("at-x", &group("")).unwrap_err().line, 2);
}

#[test]
fn an_answer_that_is_left_open_is_no_agreement() {
    let open = group(r#"["0x8","r","trans@0"]"#)
        .replace(r#""vtcr":"0x0""#, r#""vtcr":"0xc000""#)
        .replace("0x80000000", "0x80000001");
    let report = format::check("at-x", &open).unwrap();
    assert_eq!(report.passed, 0);
    assert!(report.disagreements[0].contains("unpredictable (Granule)"));
}
