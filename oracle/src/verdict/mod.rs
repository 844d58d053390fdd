//! What is wrong, which rule it breaks, and how a person reads it.
//!
//! A [`Finding`] is what a check returns; a [`Verdict`] is the finding with its
//! surroundings, as plain data, and its `Display` is the summary that a person
//! reads first; [`json`] is the same for programs. It leaves out what the oracle does
//! not know: the sequence's text, how to replay it, and what other machines do.

#[cfg(feature = "json")]
pub mod json;
mod registers;
mod show;
pub(crate) use show::{Shown, memory_word, permissions, prot_word};

use std::fmt;

use crate::operation::{Machine, Operation};
use crate::walk::{Answer, Step};

pub use registers::{Field, control_fields, control_register};

/// What kind of thing is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// The guest reaches a page that it was not given.
    Isolation,
    /// An IPA translates to another PA than it should.
    WrongPa,
    /// Permissions, memory type or shareability differ.
    WrongAttributes,
    /// A fault of another kind or level than it should be.
    WrongFault,
    /// An IPA that should translate faults.
    LostMapping,
    /// A TLB can hold what is no longer in the tables.
    StaleTlb,
    /// A live descriptor changed from valid to valid.
    BreakBeforeMake,
    /// A barrier is missing.
    Barrier,
    /// Cache maintenance is missing.
    Cache,
    /// Another observer can see a descriptor that nobody stored.
    TornUpdate,
    /// A page is held by nobody, and not free.
    Leak,
    /// A page is used that may belong to somebody else.
    UseAfterFree,
    /// A refused operation changed something.
    PartialOnError,
    /// An operation answers otherwise than the contract says.
    ReturnValue,
    /// A system register holds another value than it should.
    Register,
    /// The machine disagrees with the walker.
    MachineDiffers,
    /// Two parts of the oracle disagree.
    OracleDiffers,
    /// An operation does not end.
    NoProgress,
}

impl Class {
    /// The word that reports use.
    pub const fn word(self) -> &'static str {
        match self {
            Class::Isolation => "isolation",
            Class::WrongPa => "wrong-pa",
            Class::WrongAttributes => "wrong-attributes",
            Class::WrongFault => "wrong-fault",
            Class::LostMapping => "lost-mapping",
            Class::StaleTlb => "stale-tlb",
            Class::BreakBeforeMake => "break-before-make",
            Class::Barrier => "barrier",
            Class::Cache => "cache",
            Class::TornUpdate => "torn-update",
            Class::Leak => "leak",
            Class::UseAfterFree => "use-after-free",
            Class::PartialOnError => "partial-on-error",
            Class::ReturnValue => "return-value",
            Class::Register => "register",
            Class::MachineDiffers => "machine-differs",
            Class::OracleDiffers => "oracle-differs",
            Class::NoProgress => "no-progress",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// One field in which two views of the same thing differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The field, as the contract or the architecture names it.
    pub field: &'static str,
    /// What the contract demands.
    pub demanded: String,
    /// What was found.
    pub found: String,
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What kind of thing is wrong.
    pub class: Class,
    /// The clause of `docs/contract.md` ("M9"), or a rule of DDI 0487 ("R_WHZWS"),
    /// that is broken.
    pub rule: &'static str,
    /// One sentence with the values, without its full stop.
    pub what: String,
    /// The VM whose tables are concerned.
    pub vm: Option<usize>,
    /// The first IPA that is concerned.
    pub ipa: Option<u64>,
    /// How many bytes from `ipa` are concerned, where that is known; else 0.
    pub bytes: u64,
    /// The fields that differ, where two views were compared.
    pub differences: Vec<Difference>,
}

impl Finding {
    /// A finding about no address in particular.
    pub fn new(class: Class, rule: &'static str, what: String) -> Finding {
        Finding {
            class,
            rule,
            what,
            vm: None,
            ipa: None,
            bytes: 0,
            differences: Vec::new(),
        }
    }

    /// States whose tables, and where in them.
    #[must_use]
    pub fn at(mut self, vm: usize, ipa: u64, bytes: u64) -> Finding {
        self.vm = Some(vm);
        self.ipa = Some(ipa);
        self.bytes = bytes;
        self
    }

    /// States whose tables.
    #[must_use]
    pub fn of(mut self, vm: usize) -> Finding {
        self.vm = Some(vm);
        self
    }

    /// Adds a field that differs.
    #[must_use]
    pub fn differs(mut self, field: &'static str, demanded: String, found: String) -> Finding {
        self.differences.push(Difference {
            field,
            demanded,
            found,
        });
        self
    }

    /// Where the broken rule stands.
    pub fn source(&self) -> &'static str {
        match self.rule {
            _ if self.class == Class::OracleDiffers => "the oracle against itself",
            "expectation" => "the sequence",
            rule if rule.starts_with("D8.") || rule.starts_with("R_") => "DDI 0487 K.a",
            _ => "docs/contract.md",
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.class, self.what, self.rule)
    }
}

impl std::error::Error for Finding {}

/// How many pages are in which state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PageCounts {
    /// In the page source.
    pub free: u32,
    /// Taken from the page source, in no table yet.
    pub cached: u32,
    /// Root tables.
    pub roots: u32,
    /// Other tables that a root leads to.
    pub linked: u32,
    /// Tables of subtrees that are built and not linked yet.
    pub built: u32,
    /// Tables that left, and are not free yet.
    pub unlinked: u32,
}

/// The operation that was judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guilty {
    /// Its number in the sequence, as the caller counts.
    pub index: usize,
    /// The caller's text for it.
    pub text: String,
    /// The operation itself.
    pub operation: Operation,
}

/// A descriptor that a walk reads, and who stored it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lookup {
    /// What the walk reads and decides.
    pub step: Step,
    /// The number of the operation that stored the descriptor, as the caller counts.
    /// `None` where it is not what any operation stored there last.
    pub stored_by: Option<usize>,
}

/// How much of an address space its tables map otherwise than the contract demands.
/// TLBs may hold more than that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    /// The VM.
    pub vm: usize,
    /// Number of ranges.
    pub ranges: u64,
    /// Their bytes together; `u64::MAX` stands for that many or more.
    pub bytes: u64,
}

/// Both views of one IPA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Views {
    /// The VM.
    pub vm: usize,
    /// The IPA.
    pub ipa: u64,
    /// What the model says, in a line; empty where the operation was not applied.
    pub model: String,
    /// The descriptors that a walk reads.
    pub steps: Vec<Lookup>,
    /// What the walk ends in.
    pub answer: Answer,
}

/// A finding with its surroundings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What was found.
    pub finding: Finding,
    /// The operation, or `None` where the whole sequence had been executed.
    pub guilty: Option<Guilty>,
    /// The machine.
    pub machine: Machine,
    /// The caller's own line for the machine, which is then shown in place of ours.
    pub machine_line: Option<String>,
    /// `VTCR_EL2` that the contract demands, or the control register of the machine's
    /// regime in its place, where the configuration is legal.
    pub control: Option<u64>,
    /// Model and walk, where the finding names an IPA and the VM has tables.
    pub views: Option<Views>,
    /// How far tables and model differ, where that is known.
    pub reach: Option<Reach>,
    /// The page ledger.
    pub pages: PageCounts,
}

impl Verdict {
    /// A short name for verdicts of the same kind: it depends on class, rule and
    /// kind of operation, and on no number.
    pub fn id(&self) -> String {
        let operation = self.guilty.as_ref().map(|guilty| &guilty.operation);
        let parts = [
            self.finding.class.word(),
            self.finding.rule,
            operation.map_or("end", show::operation_word),
        ];
        let hash = parts.iter().flat_map(|part| part.bytes().chain([0]));
        // FNV-1a, folded to 24 bits.
        let hash = hash.fold(0x811c_9dc5_u32, |hash, byte| {
            (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
        });
        format!("TF-{:06x}", (hash >> 24) ^ (hash & 0x00ff_ffff))
    }
}
