//! The sources of the image, and a hash by which two states of them are told
//! apart. Times cannot do that: a checkout or a copy may put an older file in the
//! place of a newer one.
//!
//! The build script includes this file, so it uses `std` and nothing else.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Files and directories, from the workspace's root, that decide what the image
/// does. The runner links all but `hyp/image` itself.
pub(crate) const SOURCES: [&str; 13] = [
    "Cargo.toml",
    "rust-toolchain.toml",
    "hyp/Cargo.toml",
    "hyp/src",
    "hyp/image/Cargo.toml",
    "hyp/image/Cargo.lock",
    "hyp/image/build.rs",
    "hyp/image/image.ld",
    "hyp/image/src",
    "fuzz/ops/Cargo.toml",
    "fuzz/ops/src",
    "fuzz/driver/Cargo.toml",
    "fuzz/driver/src",
];

/// The hash of names and contents, as 16 hexadecimal digits.
///
/// # Errors
/// The path that cannot be read, and what the system says.
pub(crate) fn hash(workspace: &Path) -> Result<String, (PathBuf, io::Error)> {
    let mut hash = Fnv::new();
    for source in SOURCES {
        add(&mut hash, &workspace.join(source), source)?;
    }
    Ok(format!("{:016x}", hash.0))
}

/// Adds a file, or a directory's entries in the order of their names. Hidden ones, such
/// as an editor's swap files, are no sources.
fn add(hash: &mut Fnv, path: &Path, name: &str) -> Result<(), (PathBuf, io::Error)> {
    let told = |error| (path.to_path_buf(), error);
    if !path.is_dir() {
        hash.add(name.as_bytes());
        hash.add(&fs::read(path).map_err(told)?);
        return Ok(());
    }
    let entries = fs::read_dir(path).map_err(told)?;
    let mut names = entries
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<io::Result<Vec<_>>>()
        .map_err(told)?;
    names.retain(|name| !name.starts_with('.'));
    names.sort();
    for entry in names {
        add(hash, &path.join(&entry), &format!("{name}/{entry}"))?;
    }
    Ok(())
}

/// FNV-1a of 64 bits: nobody forges sources, they only change.
struct Fnv(u64);

impl Fnv {
    fn new() -> Fnv {
        Fnv(0xcbf2_9ce4_8422_2325)
    }

    /// Adds a string and its length, so that no two lists of strings run together
    /// to the same bytes.
    fn add(&mut self, bytes: &[u8]) {
        let length = (bytes.len() as u64).to_le_bytes();
        for byte in length.iter().chain(bytes) {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A workspace with every source in it: a directory with one file, or a file.
    fn workspace() -> tempfile::TempDir {
        let workspace = tempfile::tempdir().unwrap();
        for source in SOURCES {
            let path = workspace.path().join(source);
            let file = match source.ends_with("src") {
                true => path.join("lib.rs"),
                false => path,
            };
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, source).unwrap();
        }
        workspace
    }

    #[test]
    fn each_source_counts_by_name_and_bytes_and_not_by_time() {
        let workspace = workspace();
        let before = hash(workspace.path()).unwrap();
        for source in SOURCES {
            let path = workspace.path().join(source);
            let file = if path.is_dir() {
                path.join("lib.rs")
            } else {
                path
            };
            let bytes = fs::read(&file).unwrap();
            fs::write(&file, "changed").unwrap();
            assert_ne!(hash(workspace.path()).unwrap(), before, "{source}");
            fs::write(&file, bytes).unwrap();
            assert_eq!(hash(workspace.path()).unwrap(), before, "{source}");
        }
        let from = workspace.path().join("hyp/src/lib.rs");
        fs::rename(&from, workspace.path().join("hyp/src/mod.rs")).unwrap();
        assert_ne!(hash(workspace.path()).unwrap(), before);
    }

    #[test]
    fn an_editors_hidden_files_change_nothing() {
        let workspace = workspace();
        let before = hash(workspace.path()).unwrap();
        let sources = workspace.path().join("hyp/src");
        fs::write(sources.join(".lib.rs.swp"), "unsaved").unwrap();
        // Emacs locks a file by a link to nowhere.
        std::os::unix::fs::symlink("user@host.1", sources.join(".#lib.rs")).unwrap();
        fs::create_dir(sources.join(".cache")).unwrap();
        fs::write(sources.join(".cache/lib.rs"), "hidden").unwrap();
        assert_eq!(hash(workspace.path()).unwrap(), before);
    }

    #[test]
    fn a_missing_source_is_named() {
        let workspace = workspace();
        let path = workspace.path().join("hyp/Cargo.toml");
        fs::remove_file(&path).unwrap();
        assert_eq!(hash(workspace.path()).unwrap_err().0, path);
    }
}
