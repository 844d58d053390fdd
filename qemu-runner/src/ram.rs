//! The machine's RAM: one shared mapping that the emulator maps as well.
//!
//! The file has no name, so that nothing is left behind whatever ends the
//! runner; the emulator opens it through `/proc`. It is in memory without being in
//! `/dev/shm`, which may be full, and it is sealed at its length: an access behind
//! the end of a file ends the process by SIGBUS. The guest may change any byte at any
//! time: every access here is a single atomic load or store of 8 bytes,
//! and nothing hands out a reference into the mapping.

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use std::ffi::c_void;
use std::fs::File;
use std::io;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

/// Physical address of the first byte of RAM on QEMU's `virt` machine.
pub const BASE: u64 = 0x4000_0000;
/// Length of RAM in bytes.
pub const BYTES: u64 = 1 << 30;

const LENGTH: NonZeroUsize = NonZeroUsize::new(1 << 30).unwrap();

/// An access that is not 8-byte aligned or not in RAM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:#x} is not a place of 8 aligned bytes in RAM")]
pub struct OutOfRam(pub u64);

/// The whole of RAM, zero at first and sparse.
pub struct Ram {
    file: File,
    memory: NonNull<c_void>,
}

// SAFETY: `memory` is a mapping of its own that lives as long as the value, and
// it is only accessed by atomic loads and stores, which any thread may make.
unsafe impl Send for Ram {}

impl Ram {
    /// New RAM.
    ///
    /// # Errors
    /// What the system says when it has no file or no addresses for it.
    pub fn new() -> io::Result<Ram> {
        let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
        let file = File::from(memfd_create(c"twofold-ram", flags)?);
        file.set_len(BYTES)?;
        let seals = SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SEAL;
        fcntl(&file, FcntlArg::F_ADD_SEALS(seals))?;
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new mapping at an address that the kernel chooses, of a file
        // that is as long as the mapping and stays so; nothing else in this process
        // maps it.
        let memory = unsafe { mmap(None, LENGTH, protection, MapFlags::MAP_SHARED, &file, 0)? };
        Ok(Ram { file, memory })
    }

    /// A path under which a child process can open the RAM while this value lives.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        crate::qemu::path_of(&self.file)
    }

    /// Loads 8 bytes (little-endian), with acquire order.
    ///
    /// # Errors
    /// `OutOfRam`.
    pub fn load(&self, at: u64) -> Result<u64, OutOfRam> {
        Ok(u64::from_le(self.cell(at)?.load(Ordering::Acquire)))
    }

    /// Stores 8 bytes (little-endian), with release order.
    ///
    /// # Errors
    /// `OutOfRam`, without effect.
    pub fn store(&self, at: u64, value: u64) -> Result<(), OutOfRam> {
        self.cell(at)?.store(value.to_le(), Ordering::Release);
        Ok(())
    }

    /// Copies `bytes` into RAM; the rest of the last 8 bytes becomes zero.
    ///
    /// # Errors
    /// `OutOfRam`; what fits before it is copied.
    pub fn copy_in(&self, at: u64, bytes: &[u8]) -> Result<(), OutOfRam> {
        let mut to = at;
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.store(to, u64::from_le_bytes(word))?;
            to = to.checked_add(8).ok_or(OutOfRam(to))?;
        }
        Ok(())
    }

    /// Copies from RAM into `bytes`.
    ///
    /// # Errors
    /// `OutOfRam`; what comes before it is copied.
    pub fn copy_out(&self, at: u64, bytes: &mut [u8]) -> Result<(), OutOfRam> {
        let mut from = at;
        for chunk in bytes.chunks_mut(8) {
            let word = self.load(from)?.to_le_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
            from = from.checked_add(8).ok_or(OutOfRam(from))?;
        }
        Ok(())
    }

    fn cell(&self, at: u64) -> Result<&AtomicU64, OutOfRam> {
        let offset = at.checked_sub(BASE).ok_or(OutOfRam(at))?;
        if offset % 8 != 0 || offset >= BYTES {
            return Err(OutOfRam(at));
        }
        let offset = usize::try_from(offset).map_err(|_| OutOfRam(at))?;
        // SAFETY: `offset` is a multiple of 8 below the mapping's length, which
        // is one of 8 too, and the mapping is page-aligned and readable and
        // writable as long as `self` lives. All accesses to it are atomic.
        Ok(unsafe {
            self.memory
                .cast::<u8>()
                .add(offset)
                .cast::<AtomicU64>()
                .as_ref()
        })
    }
}

/// The tables in RAM, for the oracle's walker: the very bytes that the emulated
/// MMU walks.
impl oracle::walk::Memory for Ram {
    fn read(&self, at: u64) -> Option<u64> {
        self.load(at).ok()
    }
}

impl Drop for Ram {
    fn drop(&mut self) {
        // SAFETY: `new` mapped exactly this, and references into it do not
        // outlive `self`. A failure leaves the mapping for the process's end.
        let _ = unsafe { munmap(self.memory, LENGTH.get()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_copied_in_comes_out() {
        let ram = Ram::new().unwrap();
        let text = b"thirteen byte";
        ram.copy_in(BASE + 0x1000, text).unwrap();
        let mut back = [0; 13];
        ram.copy_out(BASE + 0x1000, &mut back).unwrap();
        assert_eq!(&back, text);
    }

    #[test]
    fn places_outside_are_refused() {
        let ram = Ram::new().unwrap();
        for at in [0, BASE - 8, BASE + 4, BASE + BYTES, u64::MAX - 7] {
            assert_eq!(ram.load(at), Err(OutOfRam(at)));
            assert_eq!(ram.store(at, 1), Err(OutOfRam(at)));
        }
    }

    #[test]
    fn the_file_is_open_to_others_by_its_path() {
        let ram = Ram::new().unwrap();
        ram.store(BASE, 0x1122).unwrap();
        let mut first = [0; 8];
        io::Read::read_exact(&mut File::open(ram.path()).unwrap(), &mut first).unwrap();
        assert_eq!(u64::from_le_bytes(first), 0x1122);
    }

    #[test]
    fn nobody_makes_it_shorter_under_the_mapping() {
        let ram = Ram::new().unwrap();
        let other = File::options().write(true).open(ram.path()).unwrap();
        let error = other.set_len(0x1000).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
        assert_eq!(ram.load(BASE + BYTES - 8), Ok(0));
    }
}
