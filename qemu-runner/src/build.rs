//! Builds the EL2 image when its sources are not the ones that it was built from:
//! their hash lies beside it.
//!
//! The surrounding build (`cargo test`, `cargo fuzz`) exports flags for the
//! host; they are taken out of the environment, so that the image is the same
//! whoever asks for it. Left out: choosing a profile, since there is one image.

use crate::output::{shown, tell};
use crate::sources;
use std::ffi::OsStr;
use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The target of the image.
const TARGET: &str = "aarch64-unknown-none-softfloat";

/// The hash of the sources that this program was built from.
const OWN_SOURCES: &str = env!("TWOFOLD_SOURCES");

/// What the image is built from, for `cargo clean`: its own times say whether
/// cargo compiles them again, and those may be wrong.
const PACKAGES: [&str; 4] = ["image", "hyp", "driver", "ops"];

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
    /// The host's side of a comparison would not be the machine's.
    #[error("qemu-runner was built from other sources of hyp: build it again")]
    OtherSources,
    /// The environment variable has another value than the two that it can have.
    #[error("{TOOLCHAIN_VARIABLE} is {0:?}; it can be `rustup` or `debian`")]
    UnknownToolchain(String),
    /// No toolchain has a `core` for the target.
    #[error(
        "no toolchain has `core` for {TARGET}: run ./setup.sh, which adds it or installs Debian's rust-web-src"
    )]
    NoCore,
    /// A program that the build needs cannot be started.
    #[error("cannot start `{}` to build the image: {source}", shown(program))]
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
    #[error("{}: {source}", shown(path))]
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

/// Builds the image if its sources have changed, and answers where it is. Several
/// runners at once build once: the others wait for the first.
///
/// # Errors
/// `BuildError`; after `Failed` or `Start` there is no image.
pub fn image() -> Result<PathBuf, BuildError> {
    let workspace = crate::workspace::root().ok_or(BuildError::NoWorkspace)?;
    let hash = sources::hash(&workspace).map_err(|(path, source)| file_error(&path, source))?;
    if hash != OWN_SOURCES {
        return Err(BuildError::OtherSources);
    }
    // Asking a compiler what it has takes longer than a boot: not where nobody
    // has named one and an image is there.
    if std::env::var_os(TOOLCHAIN_VARIABLE).is_none_or(|name| name.is_empty()) {
        for toolchain in [Toolchain::Rustup, Toolchain::Debian] {
            let elf = elf_in(&toolchain.target_directory(&workspace));
            if is_of(&elf, &hash) {
                return Ok(elf);
            }
        }
    }
    let toolchain = Toolchain::choose(&workspace)?;
    let target = toolchain.target_directory(&workspace);
    let elf = elf_in(&target);
    if is_of(&elf, &hash) {
        return Ok(elf);
    }
    let _lock = lock(&target)?;
    if !is_of(&elf, &hash) {
        forget(&elf)?;
        clean(toolchain, &workspace, &target)?;
        build(toolchain, &workspace, &target)?;
        let path = hash_beside(&elf);
        std::fs::write(&path, &hash).map_err(|source| file_error(&path, source))?;
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

fn clean(toolchain: Toolchain, workspace: &Path, target: &Path) -> Result<(), BuildError> {
    let mut command = cargo(toolchain, workspace);
    command.args(["clean", "--quiet", "--release", "--locked"]);
    command.args(PACKAGES.iter().flat_map(|package| ["--package", package]));
    run_cargo(command, workspace, target)
}

fn build(toolchain: Toolchain, workspace: &Path, target: &Path) -> Result<(), BuildError> {
    let mut command = cargo(toolchain, workspace);
    command.args(["build", "--release", "--locked"]);
    tell(format_args!("building the image in {} …", shown(target)));
    run_cargo(command, workspace, target)
}

fn run_cargo(mut command: Command, workspace: &Path, target: &Path) -> Result<(), BuildError> {
    command.current_dir(workspace.join("hyp/image"));
    command.env("CARGO_TARGET_DIR", target);
    command.args(["--target", TARGET]);
    // The runner's own standard output carries verdicts only.
    command.stdin(Stdio::null()).stdout(Stdio::null());
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

fn hash_beside(elf: &Path) -> PathBuf {
    elf.with_extension("sources")
}

/// Whether the ELF is there and was built from sources with this hash.
fn is_of(elf: &Path, hash: &str) -> bool {
    let built_from = std::fs::read_to_string(hash_beside(elf));
    elf.is_file() && built_from.is_ok_and(|built_from| built_from == hash)
}

/// Removes the hash: what is being built is of no known sources until it is done.
fn forget(elf: &Path) -> Result<(), BuildError> {
    let path = hash_beside(elf);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(file_error(&path, error)),
        _ => Ok(()),
    }
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
    fn an_image_of_other_sources_is_no_image() {
        let directory = tempfile::tempdir().unwrap();
        let elf = directory.path().join("image");
        assert!(!is_of(&elf, "0123"));
        std::fs::write(&elf, "ELF").unwrap();
        assert!(!is_of(&elf, "0123"), "nothing says what it was built from");
        std::fs::write(hash_beside(&elf), "0123").unwrap();
        assert!(is_of(&elf, "0123") && !is_of(&elf, "0124"));
        forget(&elf).unwrap();
        assert!(!is_of(&elf, "0123"));
    }
}
