//! Tells the runner from which sources of the image it is built: it links the same
//! `hyp`, and compares only with an image of the same.

use std::path::Path;

#[path = "src/sources.rs"]
mod sources;

fn main() -> Result<(), String> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .ok_or("the package lies in no workspace")?;
    for source in sources::SOURCES {
        println!(
            "cargo::rerun-if-changed={}",
            workspace.join(source).display()
        );
    }
    println!("cargo::rerun-if-changed=build.rs");
    let hash =
        sources::hash(workspace).map_err(|(path, error)| format!("{}: {error}", path.display()))?;
    println!("cargo::rustc-env=TWOFOLD_SOURCES={hash}");
    Ok(())
}
