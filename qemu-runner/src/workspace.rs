//! Where the workspace is: the runner builds the image from its sources and
//! finds the corpora in it.

use std::path::{Path, PathBuf};

/// The workspace's root directory: the one that this program was built from
/// if it is still there, otherwise the nearest one upwards from the current
/// directory. `None` where neither has an image to build.
#[must_use]
pub fn root() -> Option<PathBuf> {
    let built_from = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .map(Path::to_path_buf);
    let current = std::env::current_dir().ok();
    let upwards = current
        .iter()
        .flat_map(|directory| directory.ancestors())
        .map(Path::to_path_buf);
    built_from
        .into_iter()
        .chain(upwards)
        .find(|directory| is_root(directory))
}

fn is_root(directory: &Path) -> bool {
    directory.join("hyp/image/Cargo.toml").is_file() && directory.join("fuzz/ops").is_dir()
}
