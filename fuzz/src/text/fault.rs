//! Why no sequence can be run on a machine, in the words of the machine line: which key
//! is wrong, and for which one reason.
//!
//! Left out: whether it is wrong. `Machine::check` decides that, and in its order.

use std::fmt::{self, Display, Formatter};

use ops::{HYPERVISOR, Machine, MachineError, Window};

/// What is wrong with a machine line as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MachineFault {
    /// `features=`: both levels of FEAT_BBM, which is none.
    Bbm(u8),
    /// `pa=`: no PARange encoding states this size.
    PaBits(u8),
    /// `pool=`: no page, or more than `Machine::MAX_POOL_PAGES`.
    PoolPages(u16),
    /// `pool=` or `memory=`: the window cannot lie there.
    Place {
        /// Which of the two.
        key: &'static str,
        /// The window.
        window: Window,
        /// Why it cannot.
        reason: Misplaced,
    },
}

/// Why a window cannot lie where it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misplaced {
    /// It starts between two pages of this size in bytes.
    Misaligned(u64),
    /// It is smaller than a page of this size in bytes.
    NoPage(u64),
    /// It ends behind physical memory, of so many bits.
    BehindMemory(u8),
    /// It ends behind 48 bits, which only 52-bit addresses name.
    BehindTables,
    /// It overlaps the hypervisor's memory.
    OnHypervisor,
    /// It overlaps the pool, which is here.
    OnPool(Window),
}

impl MachineFault {
    /// What `check` found wrong with this machine.
    pub(super) fn of(machine: &Machine, error: MachineError) -> MachineFault {
        let pool = machine.pool_window();
        let place = |key, window, last| MachineFault::Place {
            key,
            window,
            reason: reason(machine, window).unwrap_or(last),
        };
        match error {
            MachineError::Bbm(level) => MachineFault::Bbm(level),
            MachineError::PaBits(bits) => MachineFault::PaBits(bits),
            MachineError::PoolPages(pages) => MachineFault::PoolPages(pages),
            MachineError::PoolPlace(_) => place("pool", pool, Misplaced::BehindTables),
            MachineError::MemoryPlace(_) => {
                place("memory", machine.memory, Misplaced::OnPool(pool))
            }
        }
    }

    /// The key at fault.
    pub(super) fn key(&self) -> &'static str {
        match self {
            MachineFault::Bbm(_) => "features",
            MachineFault::PaBits(_) => "pa",
            MachineFault::PoolPages(_) => "pool",
            MachineFault::Place { key, .. } => key,
        }
    }
}

/// The first reason that holds for a window of either key.
fn reason(machine: &Machine, window: Window) -> Option<Misplaced> {
    let granule = machine.granule.bytes();
    let is_in_memory = window.end().is_some_and(|end| end <= 1 << machine.pa_bits);
    if window.bytes < granule {
        Some(Misplaced::NoPage(granule))
    } else if !window.base.is_multiple_of(granule) {
        Some(Misplaced::Misaligned(granule))
    } else if !is_in_memory {
        Some(Misplaced::BehindMemory(machine.pa_bits))
    } else if window.overlaps(HYPERVISOR) {
        Some(Misplaced::OnHypervisor)
    } else {
        None
    }
}

impl Display for MachineFault {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            MachineFault::Bbm(level) => MachineError::Bbm(*level).fmt(f),
            MachineFault::PaBits(bits) => MachineError::PaBits(*bits).fmt(f),
            MachineFault::PoolPages(pages) => MachineError::PoolPages(*pages).fmt(f),
            MachineFault::Place {
                key,
                window,
                reason,
            } => {
                write!(f, "{key}= is {}, ", Bounds(*window))?;
                reason.fmt(f)
            }
        }
    }
}

/// Completes "pool= is …, ".
impl Display for Misplaced {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Misplaced::Misaligned(granule) => {
                write!(
                    f,
                    "which does not start at a multiple of the granule, {granule:#x}"
                )
            }
            Misplaced::NoPage(granule) => write!(f, "which is less than a page, {granule:#x}"),
            Misplaced::BehindMemory(bits) => {
                write!(
                    f,
                    "and physical memory ends at {:#x} (pa={bits})",
                    1_u64 << bits
                )
            }
            Misplaced::BehindTables => write!(
                f,
                "and tables above {:#x} take granule=64K or features=ds",
                1_u64 << 48
            ),
            Misplaced::OnHypervisor => {
                write!(f, "on the hypervisor's memory, {}", Bounds(HYPERVISOR))
            }
            Misplaced::OnPool(pool) => write!(f, "on the pool, {}", Bounds(*pool)),
        }
    }
}

/// First address and the one behind the last, which may exceed 64 bits.
struct Bounds(Window);

impl Display for Bounds {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Bounds(Window { base, bytes }) = *self;
        let end = u128::from(base) + u128::from(bytes);
        write!(f, "{base:#x} to {end:#x}")
    }
}

#[cfg(test)]
mod tests {
    use crate::text::parse;

    /// Machine lines, each with the column of its error and what it says.
    const REFUSED: [(&str, usize, &str); 14] = [
        (
            "machine ipa=40 pa=41",
            16,
            "pa=41 is not a physical address size that PARange can state (32, 36, 40, 42, 44, 48 or 52)",
        ),
        (
            "machine pool=0x48000000+1025",
            9,
            "a pool of 1025 pages is outside 1 to 1024",
        ),
        (
            "machine granule=16K pool=0x48001000+1",
            21,
            "pool= is 0x48001000 to 0x48005000, which does not start at a multiple of the granule, 0x4000",
        ),
        (
            "machine pa=32 pool=0xfffff000+2",
            15,
            "pool= is 0xfffff000 to 0x100001000, and physical memory ends at 0x100000000 (pa=32)",
        ),
        (
            "machine pool=0xfffffffffffff000+1",
            9,
            "pool= is 0xfffffffffffff000 to 0x10000000000000000, and physical memory ends at 0x10000000000 (pa=40)",
        ),
        (
            "machine ipa=40 features=bbm2+bbm1",
            16,
            "bbm3 is not a level of FEAT_BBM (0, 1, 2)",
        ),
        (
            "machine pa=52 pool=0xfffffffff000+2",
            15,
            "pool= is 0xfffffffff000 to 0x1000000001000, and tables above 0x1000000000000 take granule=64K or features=ds",
        ),
        (
            "machine pool=0x47fff000+1",
            9,
            "pool= is 0x47fff000 to 0x48000000, on the hypervisor's memory, 0x40000000 to 0x48000000",
        ),
        (
            "machine granule=64K memory=0x50000000+4K",
            21,
            "memory= is 0x50000000 to 0x50001000, which is less than a page, 0x10000",
        ),
        (
            "machine memory=0x50000800+4K",
            9,
            "memory= is 0x50000800 to 0x50001800, which does not start at a multiple of the granule, 0x1000",
        ),
        (
            "machine memory=0x50000000+1024G pa=40",
            9,
            "memory= is 0x50000000 to 0x10050000000, and physical memory ends at 0x10000000000 (pa=40)",
        ),
        (
            "machine memory=0x3ffff000+8K",
            9,
            "memory= is 0x3ffff000 to 0x40001000, on the hypervisor's memory, 0x40000000 to 0x48000000",
        ),
        (
            "machine memory=0x48000000+256K",
            9,
            "memory= is 0x48000000 to 0x48040000, on the pool, 0x48000000 to 0x48040000",
        ),
        (
            "machine ipa=40 pool=0x53fff000+2",
            16,
            "memory= is 0x50000000 to 0x54000000, on the pool, 0x53fff000 to 0x54001000",
        ),
    ];

    #[test]
    fn one_reason_is_named_at_its_key() {
        for (line, column, reason) in REFUSED {
            let error = parse(line).expect_err(line);
            assert_eq!((error.line, error.column), (1, column), "{line}");
            assert_eq!(error.kind.to_string(), reason, "{line}");
        }
    }
}
