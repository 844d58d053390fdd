//! Builds the EL2 image when its sources are newer than it.
//!
//! The surrounding build (`cargo test`, `cargo fuzz`) exports flags for the
//! host; they are taken out of the environment, so that the image is the same
//! whoever asks for it. Left out: choosing a profile, since there is one image.

use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::SystemTime;

/// The target of the image.
const TARGET: &str = "aarch64-unknown-none-softfloat";

/// Directories whose files decide what the image does.
/// (`hyp` has `hyp/image` in it.)
const SOURCES: [&str; 3] = ["hyp", "fuzz/ops", "fuzz/driver"];

/// The environment variable that picks a toolchain.
pub const TOOLCHAIN_VARIABLE: &str = "TWOFOLD_IMAGE_TOOLCHAIN";

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The sources are not where they were, nor upwards from here.
    #[error(
        "no workspace with hyp/image here or upwards; run this from the checkout, or name an image with --image"
    )]
    NoWorkspace,
    /// The environment variable has another value than the two that it can have.
    #[error("{TOOLCHAIN_VARIABLE} is `{0}`; it can be `rustup` or `debian`")]
    UnknownToolchain(String),
    /// No toolchain has a `core` for the target.
    #[error(
        "no toolchain has `core` for {TARGET}: run ./setup.sh, which adds it or installs Debian's rust-web-src"
    )]
    NoCore,
    /// A program that the build needs cannot be started.
    #[error("cannot start `{program}` to build the image: {source}")]
    Start {
        /// The program.
        program: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Cargo has printed why.
    #[error("building the image failed ({0}); cargo's messages are above")]
    Failed(std::process::ExitStatus),
    /// A file or directory cannot be used.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
}

/// Whose compiler builds the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Toolchain {
    /// The one that rustup picks in the workspace, with its own `core`.
    Rustup,
    /// Debian's `cargo-web` and `rustc-web`, which build `core` from source.
    Debian,
}

impl Toolchain {
    /// The toolchain that the environment asks for, otherwise the first of the
    /// two that has what it takes.
    ///
    /// # Errors
    /// `UnknownToolchain`, `NoCore`.
    pub fn choose(workspace: &Path) -> Result<Toolchain, BuildError> {
        match std::env::var(TOOLCHAIN_VARIABLE) {
            Ok(name) if name == "rustup" => Ok(Toolchain::Rustup),
            Ok(name) if name == "debian" => Ok(Toolchain::Debian),
            Ok(name) if !name.is_empty() => Err(BuildError::UnknownToolchain(name)),
            _ if rustup_has_core(workspace) => Ok(Toolchain::Rustup),
            _ if Path::new(DEBIAN_CORE).exists() => Ok(Toolchain::Debian),
            _ => Err(BuildError::NoCore),
        }
    }

    /// Each has its own, so that neither throws out what the other built.
    fn target_directory(self, workspace: &Path) -> PathBuf {
        workspace.join(match self {
            Toolchain::Rustup => "target/image-rustup",
            Toolchain::Debian => "target/image-debian",
        })
    }
}

const DEBIAN_CARGO: &str = "/usr/bin/cargo";
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_CORE: &str = "/usr/lib/rustlib/src/rust/library/core/Cargo.toml";

/// Builds the image if a source is newer, and answers where it is. Several
/// runners at once build once: the others wait for the first.
///
/// # Errors
/// `BuildError`; what an earlier build left stays.
pub fn image() -> Result<PathBuf, BuildError> {
    let workspace = crate::workspace::root().ok_or(BuildError::NoWorkspace)?;
    // Asking a compiler what it has takes longer than a boot: not where nobody
    // has named one and an image is there.
    if std::env::var_os(TOOLCHAIN_VARIABLE).is_none_or(|name| name.is_empty()) {
        for toolchain in [Toolchain::Rustup, Toolchain::Debian] {
            let elf = elf_in(&toolchain.target_directory(&workspace));
            if is_fresh(&workspace, &elf)? {
                return Ok(elf);
            }
        }
    }
    let toolchain = Toolchain::choose(&workspace)?;
    let target = toolchain.target_directory(&workspace);
    let elf = elf_in(&target);
    if is_fresh(&workspace, &elf)? {
        return Ok(elf);
    }
    let _lock = lock(&target)?;
    if !is_fresh(&workspace, &elf)? {
        let start = SystemTime::now();
        run_cargo(toolchain, &workspace, &target)?;
        date(&elf, start)?;
    }
    Ok(elf)
}

fn elf_in(target: &Path) -> PathBuf {
    target.join(TARGET).join("release/image")
}

fn lock(target: &Path) -> Result<File, BuildError> {
    std::fs::create_dir_all(target).map_err(|source| file_error(target, source))?;
    let path = target.join(".twofold-build-lock");
    let file = File::create(&path).map_err(|source| file_error(&path, source))?;
    file.lock().map_err(|source| file_error(&path, source))?;
    Ok(file)
}

fn run_cargo(toolchain: Toolchain, workspace: &Path, target: &Path) -> Result<(), BuildError> {
    let mut command = cargo(toolchain, workspace);
    command.current_dir(workspace.join("hyp/image"));
    command.env("CARGO_TARGET_DIR", target);
    command.args(["build", "--release", "--locked", "--target", TARGET]);
    // The runner's own standard output carries verdicts only.
    command.stdin(Stdio::null()).stdout(Stdio::null());
    eprintln!("building the image in {} …", target.display());
    let status = crate::children::run(&mut command).map_err(|source| BuildError::Start {
        program: command.get_program().into(),
        source,
    })?;
    if status.success() {
        Ok(())
    } else {
        Err(BuildError::Failed(status))
    }
}

fn cargo(toolchain: Toolchain, workspace: &Path) -> Command {
    match toolchain {
        Toolchain::Rustup => scrubbed(rustup_proxy("cargo")),
        Toolchain::Debian => {
            let mut command = scrubbed(DEBIAN_CARGO);
            command
                .env("RUSTC", DEBIAN_RUSTC)
                .env("RUSTC_BOOTSTRAP", "1");
            command.args([
                "-Zbuild-std=core",
                "-Zbuild-std-features=compiler-builtins-mem",
            ]);
            if let Some(linker) = linker(workspace) {
                let variable = format!(
                    "CARGO_TARGET_{}_LINKER",
                    TARGET.to_uppercase().replace('-', "_")
                );
                command.env(variable, linker);
            }
            command
        }
    }
}

/// A command without what a surrounding cargo, rustup or cargo-fuzz exports;
/// the places of their files (`CARGO_HOME`, `RUSTUP_HOME`) stay.
fn scrubbed(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if is_surrounding(&name.to_string_lossy()) {
            command.env_remove(name);
        }
    }
    command
}

fn is_surrounding(name: &str) -> bool {
    const KEPT: [&str; 2] = ["CARGO_HOME", "RUSTUP_HOME"];
    const PREFIXES: [&str; 4] = ["CARGO", "__CARGO", "RUSTUP", "RUSTC"];
    const NAMES: [&str; 4] = [
        "RUSTFLAGS",
        "RUSTDOC",
        "RUSTDOCFLAGS",
        "RUST_RECURSION_COUNT",
    ];
    !KEPT.contains(&name)
        && (PREFIXES.iter().any(|prefix| name.starts_with(prefix)) || NAMES.contains(&name))
}

/// rustup's proxy of this name by its place, since Debian's program of the same
/// name may come first in PATH.
fn rustup_proxy(name: &str) -> PathBuf {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| std::env::home_dir().map(|home| home.join(".cargo")));
    let proxy = home.map(|home| home.join("bin").join(name));
    proxy
        .filter(|path| path.is_file())
        .unwrap_or_else(|| name.into())
}

fn rustup_has_core(workspace: &Path) -> bool {
    let Some(libraries) = rustc_prints(workspace, &["target-libdir", "--target", TARGET]) else {
        return false;
    };
    let entries = std::fs::read_dir(libraries).into_iter().flatten().flatten();
    entries
        .into_iter()
        .any(|entry| entry.file_name().to_string_lossy().starts_with("libcore-"))
}

/// The linker for Debian's compiler: Debian's own, or the one inside of
/// rustup's toolchain. `None` leaves it to the image's configuration.
fn linker(workspace: &Path) -> Option<PathBuf> {
    let debian = Path::new("/usr/bin/ld.lld");
    if debian.exists() {
        return Some(debian.into());
    }
    let libraries = rustc_prints(workspace, &["target-libdir"])?;
    Some(libraries.parent()?.join("bin/rust-lld")).filter(|path| path.exists())
}

fn rustc_prints(workspace: &Path, arguments: &[&str]) -> Option<PathBuf> {
    let mut command = scrubbed(rustup_proxy("rustc"));
    command
        .current_dir(workspace)
        .arg("--print")
        .args(arguments)
        .stderr(Stdio::null());
    let output = command
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    Some(PathBuf::from(String::from_utf8(output.stdout).ok()?.trim()))
}

/// Whether the ELF is there and no source is newer.
fn is_fresh(workspace: &Path, elf: &Path) -> Result<bool, BuildError> {
    let Ok(built) = std::fs::metadata(elf).and_then(|metadata| metadata.modified()) else {
        return Ok(false);
    };
    for directory in SOURCES {
        if has_newer(&workspace.join(directory), built)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Cargo leaves the ELF alone when only a comment changed; its time then has to
/// move by hand, or every run would build. The start of the build is the time:
/// a source that changed while it ran is newer.
fn date(elf: &Path, start: SystemTime) -> Result<(), BuildError> {
    let set = |file: File| file.set_modified(start);
    File::options()
        .append(true)
        .open(elf)
        .and_then(set)
        .map_err(|source| file_error(elf, source))
}

fn has_newer(directory: &Path, than: SystemTime) -> Result<bool, BuildError> {
    let entries = std::fs::read_dir(directory).map_err(|source| file_error(directory, source))?;
    for entry in entries {
        let entry = entry.map_err(|source| file_error(directory, source))?;
        let name = entry.file_name();
        if name == "target" || name == "tests" || name == "benches" {
            continue;
        }
        let metadata = entry
            .metadata()
            .map_err(|source| file_error(&entry.path(), source))?;
        let newer = if metadata.is_dir() {
            has_newer(&entry.path(), than)?
        } else {
            metadata.modified().is_ok_and(|modified| modified > than)
        };
        if newer {
            return Ok(true);
        }
    }
    Ok(false)
}

fn file_error(path: &Path, source: std::io::Error) -> BuildError {
    BuildError::File {
        path: path.into(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_of_a_surrounding_cargo_do_not_reach_the_image() {
        for name in [
            "RUSTFLAGS",
            "CARGO_ENCODED_RUSTFLAGS",
            "CARGO",
            "RUSTUP_TOOLCHAIN",
            "RUSTC_WRAPPER",
        ] {
            assert!(is_surrounding(name), "{name} must go");
        }
    }

    #[test]
    fn homes_and_the_rest_of_the_environment_stay() {
        for name in [
            "CARGO_HOME",
            "RUSTUP_HOME",
            "PATH",
            "HOME",
            "RUST_BACKTRACE",
            TOOLCHAIN_VARIABLE,
        ] {
            assert!(!is_surrounding(name), "{name} must stay");
        }
    }

    #[test]
    fn a_source_newer_than_the_image_is_seen() {
        let directory = tempfile::tempdir().unwrap();
        let nested = directory.path().join("src");
        std::fs::create_dir(&nested).unwrap();
        let source = File::create(nested.join("lib.rs")).unwrap();
        let time = SystemTime::now();
        source.set_modified(time).unwrap();
        let second = std::time::Duration::from_secs(1);
        assert!(has_newer(directory.path(), time - second).unwrap());
        assert!(!has_newer(directory.path(), time + second).unwrap());
    }
}
