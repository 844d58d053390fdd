//! A verdict for programs: the schema that `docs/verdict.md` describes, in its own
//! types, so that the oracle's can change without it.
//!
//! Addresses, descriptors, registers and sizes in bytes are strings, "0x" and
//! hexadecimal digits, since many readers of JSON keep 53 bits of a number. It leaves
//! out the writing itself: any serializer of `serde` does that.

use serde::{Serialize, Serializer};

use super::show::{action_word, memory_word, regime_word};
use super::{Difference, Finding, Guilty, Lookup, PageCounts, Reach, Verdict, Views};
use super::{control_fields, control_register, prot_word};
use crate::arch::Granule;
use crate::operation::{self, AccessKind, Operation, Regime, Span};
use crate::walk::{self, Decision, FaultKind};

/// The version of the schema. It goes up when a field changes its meaning or goes
/// away; a field that is added keeps it.
pub const VERSION: u32 = 1;

/// A verdict in the form of the schema.
#[derive(Debug, Serialize)]
pub struct Document<'a> {
    version: u32,
    id: String,
    class: &'static str,
    rule: Rule,
    what: &'a str,
    machine: Machine<'a>,
    #[serde(rename = "vtcr")]
    control: Option<Control>,
    operation: Option<Asked<'a>>,
    place: Place,
    differences: Vec<Differs<'a>>,
    views: Option<Both<'a>>,
    reach: Option<Far>,
    pages: Pages,
}

/// A number that a string of hexadecimal digits stands for.
#[derive(Clone, Copy, Debug)]
struct Hex(u64);

impl Serialize for Hex {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:#x}", self.0))
    }
}

#[derive(Debug, Serialize)]
struct Rule {
    name: &'static str,
    source: &'static str,
}

#[derive(Debug, Serialize)]
struct Machine<'a> {
    line: Option<&'a str>,
    regime: &'static str,
    granule_bytes: u32,
    pa_bits: u8,
    ipa_bits: u8,
    start_level: Option<i8>,
    ds: bool,
    features: Features,
    contiguous: bool,
    coherent_walks: bool,
    bbm: u8,
    cache_pages: Option<u16>,
    pool: Memory,
    hypervisor: Memory,
    sentinel: Memory,
}

#[derive(Debug, Serialize)]
struct Features {
    lpa2_4k: bool,
    lpa2_16k: bool,
    ttst: bool,
    xnx: bool,
    fwb: bool,
    haf: bool,
    hd: bool,
    ttl: bool,
    tlb_range: bool,
    vmid16: bool,
    idc: bool,
    dic: bool,
}

#[derive(Debug, Serialize)]
struct Memory {
    base: Hex,
    bytes: Hex,
}

#[derive(Debug, Serialize)]
struct Control {
    register: &'static str,
    value: Hex,
    fields: Vec<Field>,
}

#[derive(Debug, Serialize)]
struct Field {
    name: &'static str,
    value: u64,
}

#[derive(Debug, Serialize)]
struct Asked<'a> {
    number: usize,
    text: &'a str,
    vm: usize,
    asks: Asks,
}

#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
enum Asks {
    Create {
        vmid: u16,
    },
    Map {
        ipa: Hex,
        pa: Hex,
        bytes: Hex,
        prot: String,
        memory: &'static str,
        software: u8,
        pages_only: bool,
    },
    Unmap {
        ipa: Hex,
        bytes: Hex,
    },
    Range {
        action: &'static str,
        ipa: Hex,
        bytes: Hex,
    },
    Protect {
        ipa: Hex,
        bytes: Hex,
        prot: String,
    },
    Annotate {
        ipa: Hex,
        bytes: Hex,
        owner: u8,
    },
    Relax {
        ipa: Hex,
        prot: String,
    },
    MakeYoung {
        ipa: Hex,
    },
    Leaf {
        ipa: Hex,
    },
    Build {
        ipa: Hex,
        pa: Hex,
        level: i8,
        prot: String,
        memory: &'static str,
        software: u8,
        pages_only: bool,
    },
    Link,
    Discard,
    Conflict,
    Free,
    Access {
        ipa: Hex,
        access: &'static str,
    },
}

#[derive(Debug, Serialize)]
struct Place {
    vm: Option<usize>,
    ipa: Option<Hex>,
    bytes: Option<Hex>,
}

#[derive(Debug, Serialize)]
struct Differs<'a> {
    field: &'static str,
    demanded: &'a str,
    found: &'a str,
}

#[derive(Debug, Serialize)]
struct Both<'a> {
    vm: usize,
    ipa: Hex,
    model: &'a str,
    walk: Vec<Read>,
    answer: Answer,
}

#[derive(Debug, Serialize)]
struct Read {
    level: i8,
    at: Hex,
    descriptor: Option<Hex>,
    next_table: Option<Hex>,
    stored_by: Option<usize>,
}

#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
enum Answer {
    Translation {
        pa: Hex,
        level: i8,
        bytes: Hex,
        read: bool,
        write: bool,
        execute_el1: bool,
        execute_el0: bool,
        attributes: Hex,
        shareability: u8,
    },
    Fault {
        fault: &'static str,
        level: i8,
    },
    Unpredictable {
        why: String,
    },
}

#[derive(Debug, Serialize)]
struct Far {
    vm: usize,
    ranges: u64,
    bytes: Hex,
}

#[derive(Debug, Serialize)]
struct Pages {
    free: u32,
    cached: u32,
    roots: u32,
    linked: u32,
    built: u32,
    unlinked: u32,
}

impl<'a> From<&'a Verdict> for Document<'a> {
    fn from(verdict: &'a Verdict) -> Document<'a> {
        let finding = &verdict.finding;
        Document {
            version: VERSION,
            id: verdict.id(),
            class: finding.class.word(),
            rule: Rule {
                name: finding.rule,
                source: finding.source(),
            },
            what: &finding.what,
            machine: machine(verdict),
            control: verdict
                .control
                .map(|value| control(verdict.machine.regime, value)),
            operation: verdict.guilty.as_ref().map(asked),
            place: place(finding),
            differences: finding.differences.iter().map(differs).collect(),
            views: verdict.views.as_ref().map(both),
            reach: verdict.reach.map(far),
            pages: pages(verdict.pages),
        }
    }
}

fn machine(verdict: &Verdict) -> Machine<'_> {
    let operation::Machine {
        regime,
        granule,
        pa_bits,
        ipa_bits,
        start_level,
        ds,
        contiguous,
        coherent_walks,
        bbm,
        cache_pages,
        pool,
        hypervisor,
        sentinel,
        ..
    } = verdict.machine;
    Machine {
        line: verdict.machine_line.as_deref(),
        regime: regime_word(regime),
        granule_bytes: match granule {
            Granule::K4 => 1 << 12,
            Granule::K16 => 1 << 14,
            Granule::K64 => 1 << 16,
        },
        pa_bits,
        ipa_bits,
        start_level,
        ds,
        features: features(&verdict.machine),
        contiguous,
        coherent_walks,
        bbm,
        cache_pages,
        pool: memory(pool),
        hypervisor: memory(hypervisor),
        sentinel: memory(sentinel),
    }
}

fn features(machine: &operation::Machine) -> Features {
    Features {
        lpa2_4k: machine.features.lpa2_4k,
        lpa2_16k: machine.features.lpa2_16k,
        ttst: machine.features.ttst,
        xnx: machine.features.xnx,
        fwb: machine.features.fwb,
        haf: machine.features.haf,
        hd: machine.features.dbm,
        ttl: machine.ttl,
        tlb_range: machine.tlb_range,
        vmid16: machine.vmid16,
        idc: machine.idc,
        dic: machine.dic,
    }
}

fn memory(span: Span) -> Memory {
    Memory {
        base: Hex(span.base),
        bytes: Hex(span.bytes),
    }
}

fn control(regime: Regime, value: u64) -> Control {
    let field = |field: super::Field| Field {
        name: field.name,
        value: field.value,
    };
    Control {
        register: control_register(regime),
        value: Hex(value),
        fields: control_fields(regime, value).map(field).collect(),
    }
}

fn asked(guilty: &Guilty) -> Asked<'_> {
    let (vm, asks) = asks(&guilty.operation);
    Asked {
        number: guilty.index,
        text: &guilty.text,
        vm,
        asks,
    }
}

fn asks(operation: &Operation) -> (usize, Asks) {
    (operation.vm(), what(operation))
}

fn what(operation: &Operation) -> Asks {
    match *operation {
        Operation::Create { vmid, .. } => Asks::Create { vmid },
        Operation::Map {
            ipa,
            pa,
            size,
            prot,
            memory,
            software,
            pages_only,
            ..
        } => Asks::Map {
            ipa: Hex(ipa),
            pa: Hex(pa),
            bytes: Hex(size),
            prot: prot_word(prot),
            memory: memory_word(memory),
            software,
            pages_only,
        },
        Operation::Unmap { ipa, size, .. } => {
            let (ipa, bytes) = (Hex(ipa), Hex(size));
            Asks::Unmap { ipa, bytes }
        }
        Operation::Range {
            action, ipa, size, ..
        } => {
            let (action, ipa, bytes) = (action_word(action), Hex(ipa), Hex(size));
            Asks::Range { action, ipa, bytes }
        }
        Operation::Protect {
            ipa, size, prot, ..
        } => {
            let (ipa, bytes, prot) = (Hex(ipa), Hex(size), prot_word(prot));
            Asks::Protect { ipa, bytes, prot }
        }
        Operation::Annotate {
            ipa, size, owner, ..
        } => {
            let (ipa, bytes) = (Hex(ipa), Hex(size));
            Asks::Annotate { ipa, bytes, owner }
        }
        Operation::Relax { ipa, prot, .. } => {
            let (ipa, prot) = (Hex(ipa), prot_word(prot));
            Asks::Relax { ipa, prot }
        }
        Operation::MakeYoung { ipa, .. } => Asks::MakeYoung { ipa: Hex(ipa) },
        Operation::Leaf { ipa, .. } => Asks::Leaf { ipa: Hex(ipa) },
        Operation::Build {
            ipa,
            pa,
            level,
            prot,
            memory,
            software,
            pages_only,
            ..
        } => Asks::Build {
            ipa: Hex(ipa),
            pa: Hex(pa),
            level,
            prot: prot_word(prot),
            memory: memory_word(memory),
            software,
            pages_only,
        },
        Operation::Link { .. } => Asks::Link,
        Operation::Discard { .. } => Asks::Discard,
        Operation::Conflict { .. } => Asks::Conflict,
        Operation::Free { .. } => Asks::Free,
        Operation::Access { ipa, kind, .. } => {
            let access = match kind {
                AccessKind::Read => "read",
                AccessKind::Write => "write",
                AccessKind::Execute => "execute",
            };
            let ipa = Hex(ipa);
            Asks::Access { ipa, access }
        }
    }
}

fn place(finding: &Finding) -> Place {
    Place {
        vm: finding.vm,
        ipa: finding.ipa.map(Hex),
        bytes: (finding.bytes != 0).then_some(Hex(finding.bytes)),
    }
}

fn differs(difference: &Difference) -> Differs<'_> {
    Differs {
        field: difference.field,
        demanded: &difference.demanded,
        found: &difference.found,
    }
}

fn both(views: &Views) -> Both<'_> {
    Both {
        vm: views.vm,
        ipa: Hex(views.ipa),
        model: &views.model,
        walk: views.steps.iter().map(read).collect(),
        answer: answer(&views.answer),
    }
}

fn read(lookup: &Lookup) -> Read {
    let step = &lookup.step;
    Read {
        level: step.level,
        at: Hex(step.at),
        descriptor: step.descriptor.map(Hex),
        next_table: match step.decision {
            Decision::Table { next } => Some(Hex(next)),
            Decision::End(_) => None,
        },
        stored_by: lookup.stored_by,
    }
}

fn answer(answer: &walk::Answer) -> Answer {
    match *answer {
        walk::Answer::Translation(translation) => Answer::Translation {
            pa: Hex(translation.pa),
            level: translation.level,
            bytes: Hex(translation.size),
            read: translation.read,
            write: translation.write,
            execute_el1: translation.execute_el1,
            execute_el0: translation.execute_el0,
            attributes: Hex(translation.attributes.into()),
            shareability: translation.shareability,
        },
        walk::Answer::Fault(fault) => Answer::Fault {
            fault: match fault.kind {
                FaultKind::Translation => "translation",
                FaultKind::AddressSize => "address-size",
                FaultKind::AccessFlag => "access-flag",
                FaultKind::Permission => "permission",
                FaultKind::Stage1AddressSize => "stage1-address-size",
                FaultKind::ExternalAbort => "external-abort",
            },
            level: fault.level,
        },
        walk::Answer::Unpredictable(why) => Answer::Unpredictable {
            why: format!("{why:?}"),
        },
    }
}

fn far(reach: Reach) -> Far {
    Far {
        vm: reach.vm,
        ranges: reach.ranges,
        bytes: Hex(reach.bytes),
    }
}

fn pages(counts: PageCounts) -> Pages {
    Pages {
        free: counts.free,
        cached: counts.cached,
        roots: counts.roots,
        linked: counts.linked,
        built: counts.built,
        unlinked: counts.unlinked,
    }
}
