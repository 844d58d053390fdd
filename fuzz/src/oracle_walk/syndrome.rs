//! What `report` puts into syndrome registers, decoded again and held against the
//! answer. The encodings here are those of the registers' own descriptions (DDI 0487
//! K.a, D24: ESR_EL2, HPFAR_EL2, PAR_EL1), which run from bits to meaning.

use oracle::report::{
    Abort, Instruction, Known, Origin, Size, Stage1Walk, Transfer, el2_abort, par_s1e2, par_s12e1,
    stage2_abort,
};
use oracle::{stage1, walk};

use super::input::Input;

const EC_INSTRUCTION_LOWER: u64 = 0x20;
const EC_INSTRUCTION_SAME: u64 = 0x21;
const EC_DATA_LOWER: u64 = 0x24;
const EC_DATA_SAME: u64 = 0x25;

const ISV: u64 = 1 << 24;
const CM: u64 = 1 << 8;
const S1PTW: u64 = 1 << 7;
const WNR: u64 = 1 << 6;

/// Kind and level of a fault status code (ESR_EL2.DFSC and IFSC, PAR_EL1.FST).
fn decode(fsc: u64) -> Option<(walk::FaultKind, i8)> {
    use walk::FaultKind::{AccessFlag, AddressSize, ExternalAbort, Permission, Translation};
    let level = [0, 1, 2, 3][(fsc & 0b11) as usize];
    Some(match fsc {
        0b00_0000..=0b00_0011 => (AddressSize, level),
        0b00_0100..=0b00_0111 => (Translation, level),
        0b00_1000..=0b00_1011 => (AccessFlag, level),
        0b00_1100..=0b00_1111 => (Permission, level),
        0b01_0011 => (ExternalAbort, -1),
        0b01_0100..=0b01_0111 => (ExternalAbort, level),
        0b10_1001 => (AddressSize, -1),
        0b10_1011 => (Translation, -1),
        _ => return None,
    })
}

/// The kind that a status code can tell: it does not know stages.
fn told(kind: walk::FaultKind) -> walk::FaultKind {
    match kind {
        walk::FaultKind::Stage1AddressSize => walk::FaultKind::AddressSize,
        other => other,
    }
}

/// Whether all of these bits are known, and what they are.
fn known(register: &Known, bits: u64) -> Option<u64> {
    (register.mask & bits == bits).then_some(register.value & bits)
}

/// Bits that are not known read as zero.
fn is_well_formed(register: &Known) -> bool {
    register.value & !register.mask == 0 && register.allows(register.value)
}

/// Where and how the access was made whose fault is reported.
pub(super) fn origin(input: &Input, ipa: u64) -> Origin {
    let mode = input.report_mode();
    Origin {
        va: input.address(),
        ipa,
        walk: match mode & 0b11 {
            0 | 1 => None,
            2 => Some(Stage1Walk::Read),
            _ => Some(Stage1Walk::Update),
        },
        instruction: match mode >> 2 & 0b11 {
            0 => Instruction::Untold,
            1 => Instruction::NoSyndrome,
            _ => Instruction::Transfer(Transfer {
                size: [Size::Byte, Size::Halfword, Size::Word, Size::Doubleword]
                    [usize::from(mode >> 6)],
                sign_extend: mode & 0x10 != 0,
                register: mode,
                sixty_four: mode & 0x20 != 0,
                acquire_release: mode & 0x04 != 0,
            }),
        },
    }
}

/// Whether PAR_EL1 after `AT S12E1R` or `AT S12E1W` says what the answer says.
pub(super) fn par_of_stage2_agrees(answer: &walk::Answer) -> bool {
    let par = par_s12e1(answer);
    match (answer, par) {
        (walk::Answer::Unpredictable(_), par) => par.is_none(),
        (walk::Answer::Translation(found), Some(par)) => {
            success(&par, found.pa, found.attributes, found.shareability)
        }
        (walk::Answer::Fault(fault), Some(par)) => {
            fault_in_par(&par, (fault.kind, fault.level), fault.is_stage2())
        }
        (_, None) => false,
    }
}

/// The same for `AT S1E2R` and `AT S1E2W`.
pub(super) fn par_of_stage1_agrees(answer: &stage1::Answer) -> bool {
    let par = par_s1e2(answer);
    match (answer, par) {
        (stage1::Answer::Unpredictable(_), par) => par.is_none(),
        (stage1::Answer::Translation(found), Some(par)) => {
            success(&par, found.pa, found.attributes, found.shareability)
        }
        (stage1::Answer::Fault(fault), Some(par)) => {
            fault_in_par(&par, (fault.kind.into(), fault.level), false)
        }
        (_, None) => false,
    }
}

/// PAR_EL1 with F clear: ATTR, PA, SH.
fn success(par: &Known, pa: u64, attributes: u8, shareability: u8) -> bool {
    let address = ((1 << 52) - 1) & !0xfff;
    is_well_formed(par)
        && known(par, 1) == Some(0)
        && known(par, address) == Some(pa & address)
        && known(par, 0xff << 56) == Some(u64::from(attributes) << 56)
        && known(par, 0b11 << 7) == Some(u64::from(shareability) << 7)
}

/// PAR_EL1 with F set: FST, PTW, S. After an External abort there is an exception
/// instead, and PAR_EL1 is UNKNOWN.
fn fault_in_par(par: &Known, fault: (walk::FaultKind, i8), is_stage2: bool) -> bool {
    let (kind, level) = fault;
    if kind == walk::FaultKind::ExternalAbort {
        return *par == Known::UNKNOWN;
    }
    let status = known(par, 0b11_1111 << 1).and_then(|fst| decode(fst >> 1));
    is_well_formed(par)
        && known(par, 1) == Some(1)
        && known(par, 1 << 8) == Some(0)
        && known(par, 1 << 9) == Some(u64::from(is_stage2) << 9)
        && status == Some((told(kind), level))
}

/// Whether the exception that a Stage-2 fault is taken with says what the fault says.
pub(super) fn stage2_abort_agrees(
    fault: &walk::Fault,
    access: walk::Access,
    origin: &Origin,
) -> bool {
    let is_at = matches!(access, walk::Access::AtRead | walk::Access::AtWrite);
    let is_external = fault.kind == walk::FaultKind::ExternalAbort;
    let Some(abort) = stage2_abort(fault, access, origin) else {
        return !fault.is_stage2() || is_at && !is_external;
    };
    let class = match access {
        walk::Access::Execute { .. } => EC_INSTRUCTION_LOWER,
        walk::Access::Read | walk::Access::Write => EC_DATA_LOWER,
        walk::Access::AtRead | walk::Access::AtWrite => EC_DATA_SAME,
    };
    let is_write = access == walk::Access::Write;
    let on_walk = u64::from(origin.walk.is_some()) * S1PTW;
    fault.is_stage2()
        && (!is_at || is_external)
        && abort_agrees(&abort, class, (fault.kind, fault.level), origin.va)
        && known(&abort.esr, S1PTW) == Some(on_walk)
        && known(&abort.esr, CM) == Some(u64::from(is_at) * CM)
        && (origin.walk.is_some() || write_agrees(&abort, is_write || is_at))
        && syndrome_agrees(&abort, is_external, access, origin)
        && hpfar_agrees(&abort, fault.kind, origin)
}

/// ISV is set for nothing but a load or store that is told, and not on a walk.
fn syndrome_agrees(
    abort: &Abort,
    is_external: bool,
    access: walk::Access,
    origin: &Origin,
) -> bool {
    let is_data = matches!(access, walk::Access::Read | walk::Access::Write);
    let has_syndrome = is_data && !is_external && origin.walk.is_none();
    match origin.instruction {
        Instruction::Untold if has_syndrome => known(&abort.esr, ISV).is_none(),
        Instruction::Transfer(_) if has_syndrome => known(&abort.esr, ISV) == Some(ISV),
        _ => known(&abort.esr, ISV) == Some(0),
    }
}

/// FIPA holds the page of the IPA, wherever it holds anything.
fn hpfar_agrees(abort: &Abort, kind: walk::FaultKind, origin: &Origin) -> bool {
    use walk::FaultKind::{AccessFlag, AddressSize, ExternalAbort, Permission, Translation};
    let fipa = 0xfff_ffff_ffff << 4;
    let page = (origin.ipa >> 12 << 4) & fipa;
    match kind {
        Translation | AddressSize | AccessFlag => known(&abort.hpfar, fipa) == Some(page),
        Permission if origin.walk.is_some() => known(&abort.hpfar, fipa) == Some(page),
        Permission | ExternalAbort => abort.hpfar.mask & fipa == 0,
        walk::FaultKind::Stage1AddressSize => false,
    }
}

/// Whether the exception that a fault of EL2 itself is taken with says what it says.
pub(super) fn el2_abort_agrees(fault: &stage1::Fault, access: stage1::Access, va: u64) -> bool {
    let is_at = matches!(access, stage1::Access::AtRead | stage1::Access::AtWrite);
    let is_external = fault.kind == stage1::FaultKind::ExternalAbort;
    let Some(abort) = el2_abort(fault, access, va) else {
        return is_at && !is_external;
    };
    let class = match access {
        stage1::Access::Execute => EC_INSTRUCTION_SAME,
        _ => EC_DATA_SAME,
    };
    let is_write = access == stage1::Access::Write || is_at;
    (!is_at || is_external)
        && abort_agrees(&abort, class, (fault.kind.into(), fault.level), va)
        && write_agrees(&abort, is_write)
        && known(&abort.esr, S1PTW | ISV) == Some(0)
        && known(&abort.esr, CM) == Some(u64::from(is_at) * CM)
}

fn write_agrees(abort: &Abort, is_write: bool) -> bool {
    known(&abort.esr, WNR) == Some(u64::from(is_write) * WNR)
}

/// EC, IL, the status code, and FAR_EL2.
fn abort_agrees(abort: &Abort, class: u64, fault: (walk::FaultKind, i8), va: u64) -> bool {
    let Abort { esr, far, hpfar } = abort;
    let status = known(esr, 0b11_1111).and_then(decode);
    [esr, far, hpfar].into_iter().all(is_well_formed)
        && known(esr, 0b11_1111 << 26) == Some(class << 26)
        && known(esr, 1 << 25) == Some(1 << 25)
        && status == Some((told(fault.0), fault.1))
        && *far
            == (Known {
                value: va,
                mask: u64::MAX,
            })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_status_code_has_one_meaning() {
        let decoded: Vec<_> = (0..64).filter_map(decode).collect();
        let distinct: std::collections::HashSet<_> = decoded.iter().collect();
        assert_eq!((decoded.len(), distinct.len()), (23, 23));
    }

    #[test]
    fn another_level_or_kind_is_a_contradiction() {
        let par = Known {
            value: 1 << 11 | 1 << 9 | 0b00_0110 << 1 | 1,
            mask: !(0xffff << 48),
        };
        let translation = walk::FaultKind::Translation;
        assert!(fault_in_par(&par, (translation, 2), true));
        assert!(!fault_in_par(&par, (translation, 3), true));
        assert!(!fault_in_par(&par, (walk::FaultKind::Permission, 2), true));
        assert!(!fault_in_par(&par, (translation, 2), false));
    }

    #[test]
    fn another_address_or_attribute_is_a_contradiction() {
        let par = Known {
            value: 0xff << 56 | 0x5000_1000 | 0b11 << 7,
            mask: !(0b111 << 9),
        };
        assert!(success(&par, 0x5000_1234, 0xff, 3));
        assert!(!success(&par, 0x5000_2000, 0xff, 3));
        assert!(!success(&par, 0x5000_1000, 0x44, 3));
        assert!(!success(&par, 0x5000_1000, 0xff, 2));
    }
}
