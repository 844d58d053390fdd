//! The machine of a sequence: configuration, page pool, guest memory.
//!
//! Only what makes a sequence *runnable* is checked here (`Machine::check`).
//! Whether the architecture allows the configuration is for the subject and the
//! model to say, when the sequence creates a VM.

use crate::{Execute, MemoryType, Operation, Prot, Vm};

/// A translation granule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Granule {
    /// 4 KiB pages.
    K4,
    /// 16 KiB pages.
    K16,
    /// 64 KiB pages.
    K64,
}

impl Granule {
    /// All granules, in the order of their wire tags.
    pub const ALL: [Granule; 3] = [Granule::K4, Granule::K16, Granule::K64];

    /// Size of a page in bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        match self {
            Granule::K4 => 1 << 12,
            Granule::K16 => 1 << 14,
            Granule::K64 => 1 << 16,
        }
    }
}

/// The pages from which tables are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Physical address of the first page, in bytes; a multiple of the granule.
    pub base: u64,
    /// Number of pages, each of the size of the granule.
    pub pages: u16,
}

/// A window of physical memory, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Physical address of the first byte.
    pub base: u64,
    /// Length in bytes.
    pub bytes: u64,
}

impl Window {
    /// First address behind the window, or `None` where that exceeds 64 bits.
    #[must_use]
    pub const fn end(self) -> Option<u64> {
        self.base.checked_add(self.bytes)
    }

    /// Whether `address` lies in the window.
    #[must_use]
    pub const fn contains(self, address: u64) -> bool {
        address >= self.base && address - self.base < self.bytes
    }

    /// Whether the two windows share a byte.
    #[must_use]
    pub const fn overlaps(self, other: Window) -> bool {
        self.bytes != 0
            && other.bytes != 0
            && (self.contains(other.base) || other.contains(self.base))
    }
}

/// Physical memory that belongs to the hypervisor on every machine: its image,
/// its stacks, the mailbox and the sentinel page. Never a guest's.
pub const HYPERVISOR: Window = Window {
    base: 0x4000_0000,
    bytes: 0x0800_0000,
};

/// The page (64 KiB, the largest granule) to which poisoned descriptors point.
/// It is filled with poison itself, so that a walk which enters a freed table at
/// any level ends here.
pub const SENTINEL: Window = Window {
    base: 0x47ff_0000,
    bytes: 0x1_0000,
};

/// What every 8 bytes of a free page hold: a valid descriptor to the sentinel.
/// As a page it grants everything; as a table it leads to more of the same.
#[must_use]
pub const fn poison() -> u64 {
    // AF, SH=inner, S2AP=rw, MemAttr=normal write-back, and the two type bits.
    SENTINEL.base | 1 << 10 | 3 << 8 | 3 << 6 | 0xf << 2 | 3
}

/// Which tables a sequence is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Regime {
    /// Guests' Stage-2 under an AArch64 hypervisor.
    Stage2,
    /// EL2's own stage 1: one address space, `a`, whose addresses are VAs.
    El2,
    /// Guests' Stage-2 under a hypervisor in AArch32 (LPAE).
    Aarch32,
    /// Hyp mode's own stage 1.
    Aarch32Hyp,
}

impl Regime {
    /// All regimes, in the order of their wire tags.
    pub const ALL: [Regime; 4] = [
        Regime::Stage2,
        Regime::El2,
        Regime::Aarch32,
        Regime::Aarch32Hyp,
    ];

    /// Whether its tables are a hypervisor's own, not a guest's.
    #[must_use]
    pub const fn is_own(self) -> bool {
        matches!(self, Regime::El2 | Regime::Aarch32Hyp)
    }
}

/// What the machine implements beside granule and physical address size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Features {
    /// FEAT_LPA2 for the 4K granule.
    pub lpa2_4k: bool,
    /// FEAT_LPA2 for the 16K granule.
    pub lpa2_16k: bool,
    /// FEAT_TTST: small address spaces.
    pub ttst: bool,
    /// FEAT_XNX: execute-never per EL.
    pub xnx: bool,
    /// FEAT_S2FWB, in use.
    pub fwb: bool,
    /// FEAT_HAFDBS, access flag, in use.
    pub haf: bool,
    /// FEAT_HAFDBS, dirty state; of no effect without `haf`.
    pub hd: bool,
    /// FEAT_BBM level: 0, 1 or 2.
    pub bbm: u8,
    /// FEAT_TTL: level hints in TLB invalidations.
    pub ttl: bool,
    /// FEAT_TLBIRANGE.
    pub tlb_range: bool,
    /// FEAT_VMID16, in use.
    pub vmid16: bool,
    /// CTR_EL0.IDC: the data cache need not be cleaned for the instruction caches.
    pub idc: bool,
    /// CTR_EL0.DIC: the instruction caches need not be invalidated.
    pub dic: bool,
}

/// The machine line of a sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Which tables the sequence is about.
    pub regime: Regime,
    /// Translation granule of every VM of the sequence.
    pub granule: Granule,
    /// Physical address size in bits, as `ID_AA64MMFR0_EL1.PARange` can state it:
    /// 32, 36, 40, 42, 44, 48 or 52.
    pub pa_bits: u8,
    /// Size of the address space in bits; any value, legal or not.
    pub ipa_bits: u8,
    /// Level of the root table; `None` asks for the fewest levels.
    pub start_level: Option<i8>,
    /// Whether descriptors are to have 52-bit addresses (DS) in the 4K or 16K granule.
    pub ds: bool,
    /// What the machine implements.
    pub features: Features,
    /// Whether the contiguous hint is to be used.
    pub contiguous: bool,
    /// Whether the walker snoops this CPU's caches; where it does not, tables
    /// are cleaned to the point of coherency.
    pub coherent_walks: bool,
    /// Pages that the CPU's page cache is filled to before each operation that
    /// may need some; `None` stands for twice the levels below the root.
    pub cache_pages: Option<u16>,
    /// Pages for tables.
    pub pool: Pool,
    /// The guest's memory. Addresses outside are translated, but never accessed
    /// on a machine.
    pub memory: Window,
    /// Where the probe code is mapped in VM a, as operation 0 of the sequence:
    /// read-execute, one page, to the first page of `memory`.
    pub stub: Option<u64>,
}

/// Why a machine line cannot be run at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MachineError {
    /// No FEAT_BBM level.
    Bbm(u8),
    /// No PARange encoding states this size.
    PaBits(u8),
    /// The pool holds no page, or more than `Machine::MAX_POOL_PAGES`.
    PoolPages(u16),
    /// The pool's base is not a multiple of the granule, or the pool overlaps
    /// the hypervisor, the end of physical memory or, without 52-bit addresses, 2^48.
    PoolPlace(u64),
    /// Guest memory is smaller than a page, not aligned to the granule, or
    /// overlaps the pool, the hypervisor or the end of physical memory.
    MemoryPlace(u64),
}

impl core::fmt::Display for MachineError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            MachineError::Bbm(level) => {
                write!(f, "bbm{level} is not a level of FEAT_BBM (0, 1, 2)")
            }
            MachineError::PaBits(bits) => write!(
                f,
                "pa={bits} is not a physical address size that PARange can state (32, 36, 40, 42, 44, 48 or 52)"
            ),
            MachineError::PoolPages(pages) => write!(
                f,
                "a pool of {pages} pages is outside 1 to {}",
                Machine::MAX_POOL_PAGES
            ),
            MachineError::PoolPlace(base) => write!(
                f,
                "the pool at {base:#x} is not aligned to the granule, or overlaps the hypervisor's memory or the end of physical memory"
            ),
            MachineError::MemoryPlace(base) => write!(
                f,
                "guest memory at {base:#x} is not aligned to the granule, holds no page, or overlaps the pool, the hypervisor's memory or the end of physical memory"
            ),
        }
    }
}

impl core::error::Error for MachineError {}

impl Machine {
    /// Sizes in bits that PARange can state.
    pub const PA_BITS: [u8; 7] = [32, 36, 40, 42, 44, 48, 52];

    /// The largest pool.
    pub const MAX_POOL_PAGES: u16 = 1024;

    /// The plainest machine, from which generators and texts start.
    pub const PLAIN: Machine = Machine {
        regime: Regime::Stage2,
        granule: Granule::K4,
        pa_bits: 40,
        ipa_bits: 40,
        start_level: None,
        ds: false,
        features: Features {
            lpa2_4k: false,
            lpa2_16k: false,
            ttst: false,
            xnx: false,
            fwb: false,
            haf: false,
            hd: false,
            bbm: 0,
            ttl: false,
            tlb_range: false,
            vmid16: false,
            idc: false,
            dic: false,
        },
        contiguous: false,
        coherent_walks: true,
        cache_pages: None,
        pool: Pool {
            base: 0x4800_0000,
            pages: 64,
        },
        memory: Window {
            base: 0x5000_0000,
            bytes: 64 << 20,
        },
        stub: None,
    };

    /// The pool as a window of physical memory.
    #[must_use]
    pub const fn pool_window(&self) -> Window {
        Window {
            base: self.pool.base,
            bytes: self.pool.pages as u64 * self.granule.bytes(),
        }
    }

    /// Checks that the sequence can be run.
    ///
    /// # Errors
    /// The first of the reasons that `MachineError` lists.
    pub fn check(&self) -> Result<(), MachineError> {
        if self.features.bbm > 2 {
            return Err(MachineError::Bbm(self.features.bbm));
        }
        if !Self::PA_BITS.contains(&self.pa_bits) {
            return Err(MachineError::PaBits(self.pa_bits));
        }
        if self.pool.pages == 0 || self.pool.pages > Self::MAX_POOL_PAGES {
            return Err(MachineError::PoolPages(self.pool.pages));
        }
        let pool = self.pool_window();
        // Only the formats of 52-bit addresses name tables above 48 bits.
        let is_wide = self.ds || self.granule == Granule::K64;
        let is_nameable = is_wide || pool.end().is_some_and(|end| end <= 1 << 48);
        if !self.is_placed(pool) || !is_nameable {
            return Err(MachineError::PoolPlace(pool.base));
        }
        let too_small = self.memory.bytes < self.granule.bytes();
        if too_small || !self.is_placed(self.memory) || self.memory.overlaps(pool) {
            return Err(MachineError::MemoryPlace(self.memory.base));
        }
        Ok(())
    }

    /// Operation 0 of a sequence: what the machine needs to probe at all. With a
    /// stub the creation of VM a and the page with the probe code (contract S1); in
    /// EL2's regime its creation and the hypervisor's own mappings (contract E8).
    pub fn operation_0(&self) -> impl Iterator<Item = Operation> + use<> {
        const CODE_BYTES: u64 = 2 << 20;
        let own = |from: u64, bytes: u64, write: bool| {
            let pages_only = false;
            setup_map(from, from, bytes, write, pages_only)
        };
        let maps = match (self.regime, self.stub) {
            (Regime::El2, _) => {
                let code = own(HYPERVISOR.base, CODE_BYTES, false);
                let data = own(
                    HYPERVISOR.base + CODE_BYTES,
                    HYPERVISOR.bytes - CODE_BYTES,
                    true,
                );
                [Some(code), Some(data)]
            }
            (Regime::Stage2, Some(ipa)) => {
                let pages_only = true;
                let (pa, bytes) = (self.memory.base, self.granule.bytes());
                [Some(setup_map(ipa, pa, bytes, false, pages_only)), None]
            }
            _ => [None, None],
        };
        let create = maps[0].map(|_| Operation::Create { vm: Vm::A });
        create.into_iter().chain(maps.into_iter().flatten())
    }

    fn is_placed(&self, window: Window) -> bool {
        let aligned = window.base.is_multiple_of(self.granule.bytes());
        let fits = window.end().is_some_and(|end| end <= 1 << self.pa_bits);
        aligned && fits && !window.overlaps(HYPERVISOR)
    }
}

/// A mapping of operation 0: code, or data that may be written.
const fn setup_map(ipa: u64, pa: u64, size: u64, write: bool, pages_only: bool) -> Operation {
    Operation::Map {
        vm: Vm::A,
        ipa,
        pa,
        size,
        prot: Prot {
            read: true,
            write,
            execute: if write { Execute::Never } else { Execute::Both },
        },
        memory: MemoryType::Normal,
        software: 0,
        pages_only,
    }
}
