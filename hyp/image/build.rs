//! Links the image by `image.ld`, with the addresses of the mailbox's description.

use ops::mailbox::{MAILBOX, POOL_BASE};

fn main() {
    let directory = std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets it for build scripts");
    println!("cargo:rerun-if-changed=image.ld");
    println!("cargo:rustc-link-arg-bins=--script={directory}/image.ld");
    println!(
        "cargo:rustc-link-arg-bins=--defsym=TWOFOLD_MAILBOX={:#x}",
        MAILBOX.base
    );
    println!("cargo:rustc-link-arg-bins=--defsym=TWOFOLD_POOL={POOL_BASE:#x}");
}
