//! What ends a command without a verdict, and the exit codes.

use crate::build::BuildError;
use crate::image::ImageError;
use crate::output::shown;
use crate::qemu::QemuError;
use std::path::PathBuf;

/// The exit codes of our commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// Everything agrees.
    Agrees = 0,
    /// Something diverges.
    Diverges = 1,
    /// Wrong usage or input.
    Input = 2,
    /// The surroundings failed: QEMU is missing, died, timed out.
    Surroundings = 3,
}

/// Why there is no verdict.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file is not what the command takes; the text names file, place and what
    /// was expected.
    #[error("{0}")]
    Input(String),
    /// The ELF file is not the image.
    #[error("{}: {source}", shown(path))]
    Image {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        source: ImageError,
    },
    /// There is no image.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The emulator failed.
    #[error(transparent)]
    Qemu(#[from] QemuError),
}

impl Error {
    /// The exit code of a command that ends with this.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Error::Input(_) | Error::Image { .. } => Exit::Input,
            Error::Build(_) | Error::Qemu(_) => Exit::Surroundings,
        }
    }
}
