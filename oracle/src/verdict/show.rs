//! The summary of a verdict as text: cause first, at most 25 lines, no colours.

use std::fmt;

use super::{Finding, Guilty, Lookup, Reach, Verdict, Views, control_fields, control_register};
use crate::arch::Granule;
use crate::operation::{Action, Machine, MemoryType, Operation, Prot, Regime};
use crate::walk::{Answer, Decision, Fault, FaultKind, Step, Translation};

/// More fields than this do not fit the summary; the rest is counted.
const SHOWN_DIFFERENCES: usize = 8;

/// Levels -1 to 3.
const SHOWN_STEPS: usize = 5;

/// An operation's kind.
pub(super) fn operation_word(operation: &Operation) -> &'static str {
    match operation {
        Operation::Create { .. } => "create",
        Operation::Map { .. } => "map",
        Operation::Unmap { .. } => "unmap",
        Operation::Range { action, .. } => action_word(*action),
        Operation::Protect { .. } => "protect",
        Operation::Annotate { .. } => "annotate",
        Operation::Relax { .. } => "relax",
        Operation::MakeYoung { .. } => "make-young",
        Operation::Leaf { .. } => "leaf",
        Operation::Build { .. } => "build",
        Operation::Link { .. } => "link",
        Operation::Discard { .. } => "discard",
        Operation::Conflict { .. } => "conflict",
        Operation::Free { .. } => "free",
        Operation::Access { .. } => "access",
    }
}

/// The contract's word for an operation on a range.
pub(super) fn action_word(action: Action) -> &'static str {
    match action {
        Action::UnmapWhole => "unmap-whole",
        Action::WriteProtect => "write-protect",
        Action::Soften => "soften",
        Action::Revive => "revive",
        Action::Flush => "flush",
        Action::TestYoung => "test-young",
        Action::ClearYoung => "clear-young",
        Action::Coalesce => "coalesce",
        Action::Split => "split",
        Action::Destroy => "destroy",
    }
}

/// The word for a regime.
pub(super) fn regime_word(regime: Regime) -> &'static str {
    match regime {
        Regime::Stage2 => "stage2",
        Regime::El2 => "el2",
        Regime::Aarch32 => "aarch32",
        Regime::Aarch32Hyp => "aarch32-hyp",
    }
}

/// The word for a memory type.
pub(crate) fn memory_word(memory: MemoryType) -> &'static str {
    match memory {
        MemoryType::Normal => "normal",
        MemoryType::Device => "device",
        MemoryType::NonCacheable => "non-cacheable",
        MemoryType::DeviceStrict => "device-strict",
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let finding = &self.finding;
        writeln!(f, "{} {}: {}", self.id(), finding.class, finding.what)?;
        match &self.machine_line {
            Some(line) => writeln!(f, "  {line}")?,
            None => show_machine(f, &self.machine)?,
        }
        if let Some(control) = self.control {
            let regime = self.machine.regime;
            write!(f, "  {:<10} {control:#x}:", control_register(regime))?;
            control_fields(regime, control).try_for_each(|field| write!(f, " {field}"))?;
            writeln!(f)?;
        }
        show_guilty(f, self.guilty.as_ref())?;
        show_range(f, finding)?;
        if let Some(views) = &self.views {
            show_views(f, views)?;
        }
        if let Some(reach) = &self.reach {
            show_reach(f, reach)?;
        }
        writeln!(f, "  rule       {}, {}", finding.source(), finding.rule)?;
        let pages = &self.pages;
        write!(
            f,
            "  pages      {} free, {} cached, {} in roots, {} in tables, {} built, {} unlinked",
            pages.free, pages.cached, pages.roots, pages.linked, pages.built, pages.unlinked
        )
    }
}

fn show_machine(f: &mut fmt::Formatter<'_>, machine: &Machine) -> fmt::Result {
    let granule = match machine.granule {
        Granule::K4 => "4K",
        Granule::K16 => "16K",
        Granule::K64 => "64K",
    };
    write!(
        f,
        "  machine    granule={granule} pa={} ipa={}",
        machine.pa_bits, machine.ipa_bits
    )?;
    if machine.regime != Regime::Stage2 {
        write!(f, " regime={}", regime_word(machine.regime))?;
    }
    if let Some(level) = machine.start_level {
        write!(f, " start={level}")?;
    }
    for (feature, present) in features(machine) {
        if present {
            write!(f, " {feature}")?;
        }
    }
    if machine.bbm != 0 {
        write!(f, " bbm={}", machine.bbm)?;
    }
    let coherent = if machine.coherent_walks { "" } else { "not " };
    writeln!(
        f,
        " pool={:#x}+{:#x} walks {coherent}coherent",
        machine.pool.base, machine.pool.bytes
    )
}

fn features(machine: &Machine) -> [(&'static str, bool); 14] {
    let features = machine.features;
    [
        ("ds", machine.ds),
        ("lpa2-4k", features.lpa2_4k),
        ("lpa2-16k", features.lpa2_16k),
        ("ttst", features.ttst),
        ("xnx", features.xnx),
        ("fwb", features.fwb),
        ("haf", features.haf),
        ("hd", features.dbm),
        ("contiguous", machine.contiguous),
        ("ttl", machine.ttl),
        ("tlb-range", machine.tlb_range),
        ("vmid16", machine.vmid16),
        ("idc", machine.idc),
        ("dic", machine.dic),
    ]
}

fn show_guilty(f: &mut fmt::Formatter<'_>, guilty: Option<&Guilty>) -> fmt::Result {
    match guilty {
        Some(guilty) => writeln!(f, "  operation  {}: {}", guilty.index, guilty.text),
        None => writeln!(f, "  operation  none: found after the last one"),
    }
}

fn show_range(f: &mut fmt::Formatter<'_>, finding: &Finding) -> fmt::Result {
    if let Some(ipa) = finding.ipa {
        write!(f, "  range      ipa={ipa:#x}")?;
        if finding.bytes != 0 {
            write!(f, " size={:#x}", finding.bytes)?;
        }
        writeln!(f)?;
    }
    for difference in finding.differences.iter().take(SHOWN_DIFFERENCES) {
        writeln!(
            f,
            "  differs    {}: contract {}, found {}",
            difference.field, difference.demanded, difference.found
        )?;
    }
    match finding.differences.len().saturating_sub(SHOWN_DIFFERENCES) {
        0 => Ok(()),
        more => writeln!(f, "  differs    in {more} more fields"),
    }
}

fn show_views(f: &mut fmt::Formatter<'_>, views: &Views) -> fmt::Result {
    if !views.model.is_empty() {
        writeln!(f, "  model      {:#x}: {}", views.ipa, views.model)?;
    }
    for step in views.steps.iter().take(SHOWN_STEPS) {
        writeln!(f, "  walk       {}", Shown(step))?;
    }
    writeln!(f, "  walk       ends: {}", Shown(&views.answer))
}

fn show_reach(f: &mut fmt::Formatter<'_>, reach: &Reach) -> fmt::Result {
    let Reach { ranges, bytes, .. } = *reach;
    match ranges {
        0 => writeln!(f, "  reach      the tables map no address wrongly"),
        1 => writeln!(f, "  reach      {bytes:#x} bytes are mapped wrongly"),
        _ => writeln!(
            f,
            "  reach      {bytes:#x} bytes in {ranges} ranges are mapped wrongly"
        ),
    }
}

/// Text for the walker's types, which have none of their own.
pub(crate) struct Shown<'a, T>(pub(crate) &'a T);

impl fmt::Display for Shown<'_, Lookup> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Shown(&self.0.step).fmt(f)?;
        match (self.0.stored_by, self.0.step.descriptor) {
            (Some(number), _) => write!(f, ", stored by operation {number}"),
            (None, Some(_)) => write!(f, ", stored by no operation"),
            (None, None) => Ok(()),
        }
    }
}

impl fmt::Display for Shown<'_, Step> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Step { level, at, .. } = self.0;
        write!(f, "level {level}: [{at:#x}] = ")?;
        match self.0.descriptor {
            Some(descriptor) => write!(f, "{descriptor:#018x}")?,
            None => write!(f, "external abort")?,
        }
        match self.0.decision {
            Decision::Table { next } => write!(f, ", table at {next:#x}"),
            Decision::End(_) => Ok(()),
        }
    }
}

impl fmt::Display for Shown<'_, Answer> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Answer::Translation(translation) => Shown(translation).fmt(f),
            Answer::Fault(fault) => Shown(fault).fmt(f),
            Answer::Unpredictable(why) => write!(f, "left open by the architecture ({why:?})"),
        }
    }
}

impl fmt::Display for Shown<'_, Translation> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let translation = self.0;
        let permitted = permissions(
            translation.read,
            translation.write,
            translation.execute_el1,
            translation.execute_el0,
        );
        write!(
            f,
            "pa={:#x} {permitted} attributes={:#04x} sh={} level={}",
            translation.pa, translation.attributes, translation.shareability, translation.level
        )
    }
}

impl fmt::Display for Shown<'_, Fault> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.0.kind {
            FaultKind::Translation => "translation fault",
            FaultKind::AddressSize => "address size fault",
            FaultKind::AccessFlag => "access flag fault",
            FaultKind::Permission => "permission fault",
            FaultKind::Stage1AddressSize => "stage-1 address size fault",
            FaultKind::ExternalAbort => "external abort on the walk",
        };
        write!(f, "{kind} level={}", self.0.level)
    }
}

/// [`permissions`] of what the contract says.
pub(crate) fn prot_word(prot: Prot) -> String {
    let Prot {
        read,
        write,
        execute,
    } = prot;
    permissions(read, write, execute.at_el1(), execute.at_el0())
}

/// `rwx` with a dash for what is missing; where EL1 and EL0 differ in execution,
/// `x1` or `x0` names the one that may.
pub(crate) fn permissions(read: bool, write: bool, el1: bool, el0: bool) -> String {
    let execute = match (el1, el0) {
        (true, true) => "x",
        (true, false) => "x1",
        (false, true) => "x0",
        (false, false) => "-",
    };
    let letter = |permitted, letter| if permitted { letter } else { "-" };
    format!("{}{}{execute}", letter(read, "r"), letter(write, "w"))
}
