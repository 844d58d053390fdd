//! What a subject did, in order: one event for each instruction that matters to
//! another observer of the tables, and for each page that changes hands.

/// TLB invalidations, by instruction name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tlbi {
    /// `TLBI IPAS2E1IS, Xt`.
    Ipas2e1is,
    /// `TLBI VMALLE1IS`.
    Vmalle1is,
    /// `TLBI VMALLS12E1IS`.
    Vmalls12e1is,
    /// `TLBI RIPAS2E1IS, Xt`.
    Ripas2e1is,
    /// `TLBI VAE2IS, Xt`; in AArch32 `TLBIMVAHIS`, whose operand is the address.
    Vae2is,
    /// `TLBI RVAE2IS, Xt`.
    Rvae2is,
    /// `TLBI ALLE2IS`; in AArch32 `TLBIALLHIS`.
    Alle2is,
}

impl Tlbi {
    /// All of them, in the order of their wire numbers.
    pub const ALL: [Tlbi; 7] = [
        Tlbi::Ipas2e1is,
        Tlbi::Vmalle1is,
        Tlbi::Vmalls12e1is,
        Tlbi::Ripas2e1is,
        Tlbi::Vae2is,
        Tlbi::Rvae2is,
        Tlbi::Alle2is,
    ];
}

/// Barriers, by instruction and domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Barrier {
    /// `DSB ISHST`.
    DsbIshst,
    /// `DSB ISH`.
    DsbIsh,
    /// `ISB`.
    Isb,
}

impl Barrier {
    /// All of them, in the order of their wire numbers.
    pub const ALL: [Barrier; 3] = [Barrier::DsbIshst, Barrier::DsbIsh, Barrier::Isb];
}

/// Cache maintenance by address, by instruction name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CacheOperation {
    /// `DC CVAC, Xt`: clean to the point of coherency.
    Cvac,
    /// `DC CIVAC, Xt`: clean and invalidate to the point of coherency.
    Civac,
    /// `DC CVAU, Xt`: clean to the point of unification.
    Cvau,
}

impl CacheOperation {
    /// All of them, in the order of their wire numbers.
    pub const ALL: [CacheOperation; 3] = [
        CacheOperation::Cvac,
        CacheOperation::Civac,
        CacheOperation::Cvau,
    ];
}

/// One event. Addresses are physical, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// An 8-byte store to table memory.
    Store {
        /// Where.
        at: u64,
        /// What was there.
        old: u64,
        /// What is there now.
        new: u64,
        /// Whether it was a store-release.
        release: bool,
    },
    /// An atomic exchange of 8 bytes of table memory that took place, acquiring and
    /// releasing.
    Exchange {
        /// Where.
        at: u64,
        /// What was there.
        old: u64,
        /// What is there now.
        new: u64,
    },
    /// Zeroing of table memory by plain stores.
    Zero {
        /// Where.
        at: u64,
        /// How much.
        bytes: u64,
    },
    /// A TLB invalidation with its raw operand (0 where the instruction has none).
    Tlbi {
        /// Which instruction.
        operation: Tlbi,
        /// Its `Xt`.
        operand: u64,
    },
    /// A barrier.
    Barrier(Barrier),
    /// Cache maintenance of every line that holds a byte of a range.
    Cache {
        /// Which instruction.
        operation: CacheOperation,
        /// First physical address.
        at: u64,
        /// How much; 1 for the line that holds the address.
        bytes: u64,
    },
    /// `IC IALLUIS`.
    InstructionCaches,
    /// A write of `VTCR_EL2`.
    WriteVtcr(u64),
    /// A write of `VTTBR_EL2`.
    WriteVttbr(u64),
    /// A write of `TCR_EL2`, or of HTCR.
    WriteTcr(u64),
    /// A write of `TTBR0_EL2`, or of HTTBR.
    WriteTtbr0(u64),
    /// A write of `MAIR_EL2`, or of HMAIR0.
    WriteMair(u64),
    /// The dirty log was told that this range was written to.
    Dirty {
        /// First IPA.
        ipa: u64,
        /// How much.
        bytes: u64,
    },
    /// The page source handed out `1 << order` pages.
    Allocate {
        /// First page.
        page: u64,
        /// Binary logarithm of the number of pages.
        order: u8,
    },
    /// The page source could not hand out `1 << order` pages.
    AllocateFailed {
        /// Binary logarithm of the number of pages.
        order: u8,
        /// Whether the sequence asked for this failure.
        injected: bool,
    },
    /// The page source took `1 << order` pages back.
    Release {
        /// First page.
        page: u64,
        /// Binary logarithm of the number of pages.
        order: u8,
    },
}

/// An event with the CPU that caused it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// CPU number.
    pub cpu: u8,
    /// What it did.
    pub event: Event,
}
