//! Holds the arrows of `ARCHITECTURE.md`: which package may import which.
//!
//! Each package must have exactly the edges listed here, of every kind (normal,
//! build and dev), so that an edge that is missing, and with it a misspelt name,
//! fails as well as one too many. Leaves out the edges to packages that are not ours.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// What each package of the workspace imports of ours.
const ARROWS: &[(&str, &[&str])] = &[
    ("ops", &[]),
    ("hyp", &[]),
    ("oracle", &[]),
    ("driver", &["hyp", "ops"]),
    ("fuzz", &["driver", "hyp", "ops", "oracle"]),
    ("qemu-runner", &["fuzz", "ops", "oracle"]),
];

/// What the image imports of ours. It is no member of the workspace.
const IMAGE_ARROWS: &[&str] = &["driver", "hyp", "ops"];

/// The workspace's directory.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The packages that `cargo metadata` reports for a manifest.
fn packages(manifest: &str) -> Vec<Value> {
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["metadata", "--format-version=1", "--no-deps", "--offline"])
        .arg("--manifest-path")
        .arg(root().join(manifest))
        .output()
        .expect("cargo starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "cargo metadata {manifest}: {errors}"
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo prints JSON");
    metadata["packages"].as_array().expect("packages").clone()
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().expect("a string")
}

fn dependencies(package: &Value) -> &[Value] {
    package["dependencies"].as_array().expect("dependencies")
}

/// The imports of a package that are ours: those with a path, or with a name of ours.
fn ours(package: &Value) -> BTreeSet<&str> {
    dependencies(package)
        .iter()
        .filter(|edge| edge["path"].is_string() || names().contains(text(edge, "name")))
        .map(|edge| text(edge, "name"))
        .collect()
}

fn names() -> BTreeSet<&'static str> {
    ARROWS.iter().map(|&(name, _)| name).collect()
}

#[test]
fn every_package_of_the_workspace_has_exactly_its_arrows() {
    let packages = packages("Cargo.toml");
    let found: BTreeMap<&str, BTreeSet<&str>> = packages
        .iter()
        .map(|package| (text(package, "name"), ours(package)))
        .collect();
    let expected: BTreeMap<&str, BTreeSet<&str>> = ARROWS
        .iter()
        .map(|&(name, to)| (name, to.iter().copied().collect()))
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn the_image_has_exactly_its_arrows() {
    let packages = packages("hyp/image/Cargo.toml");
    assert_eq!(packages.len(), 1, "the image is a package of its own");
    assert_eq!(ours(&packages[0]), IMAGE_ARROWS.iter().copied().collect());
}

#[test]
fn qemu_runner_takes_fuzz_without_libfuzzer() {
    let packages = packages("Cargo.toml");
    let runner = packages
        .iter()
        .find(|package| text(package, "name") == "qemu-runner");
    let edges: Vec<&Value> = dependencies(runner.expect("qemu-runner"))
        .iter()
        .filter(|edge| text(edge, "name") == "fuzz")
        .collect();
    assert!(!edges.is_empty());
    for edge in edges {
        assert_eq!(edge["uses_default_features"], Value::Bool(false), "{edge}");
        assert!(
            !edge["features"].to_string().contains("libfuzzer"),
            "{edge}"
        );
    }
}

#[test]
fn libfuzzer_is_an_optional_import_of_fuzz_alone() {
    for package in packages("Cargo.toml") {
        let edges: Vec<&Value> = dependencies(&package)
            .iter()
            .filter(|edge| text(edge, "name") == "libfuzzer-sys")
            .collect();
        if text(&package, "name") == "fuzz" {
            assert_eq!(edges.len(), 1);
            assert_eq!(edges[0]["optional"], Value::Bool(true));
        } else {
            assert!(edges.is_empty(), "{}", package["name"]);
        }
    }
}

#[test]
fn fuzz_targets_are_out_of_the_way_of_cargo_test_and_of_stable() {
    let packages = packages("Cargo.toml");
    let fuzz = packages
        .iter()
        .find(|package| text(package, "name") == "fuzz")
        .expect("fuzz");
    let targets = fuzz["targets"].as_array().expect("targets");
    let bins: Vec<&Value> = targets
        .iter()
        .filter(|target| target["kind"][0] == "bin")
        .collect();
    assert!(!bins.is_empty());
    for bin in bins {
        assert_eq!(bin["test"], Value::Bool(false), "{bin}");
        assert_eq!(bin["doc"], Value::Bool(false), "{bin}");
        assert_eq!(
            bin["required-features"],
            serde_json::json!(["libfuzzer"]),
            "{bin}"
        );
    }
}
