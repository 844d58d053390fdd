//! A hypervisor in AArch32: its registers, what it cannot have, and that its tables
//! are those of the 4K granule.

mod support;

use hyp::addr::{Ipa, Pa, PaRange, Va};
use hyp::cpu::{Cpu, OwnRegisters, Registers};
use hyp::el2::{self, El2, Mapping};
use hyp::geometry::{Configuration, ExecutionState, Features, Geometry, GeometryError, Granule};
use hyp::pages::{PageInfo, Pool};
use support::{Machine, POOL, POOL_PAGES, RW, configuration, mapping, with_vm_of};

const PAGE: u64 = 4096;

fn stage2(ipa_bits: u8, start_level: Option<i8>) -> Configuration {
    Configuration {
        state: ExecutionState::Aarch32,
        ipa_bits,
        start_level,
        ..configuration(true)
    }
}

fn hyp_mode(va_bits: u8) -> el2::Configuration {
    el2::Configuration {
        state: ExecutionState::Aarch32,
        granule: Granule::K4,
        va_bits,
        pa_bits: 40,
        start_level: None,
        ds: false,
        coherent_walks: true,
        features: Features::default(),
    }
}

#[test]
fn vtcr_of_known_configurations() {
    for (ipa_bits, start_level, vtcr) in [
        // T0SZ=-8 with S=1, SL0=1, IRGN0=ORGN0=1, SH0=3, RES1.
        (40, None, 0x8000_3558),
        // T0SZ=-1, S=1: level 2 with four tables, or level 1.
        (33, None, 0x8000_351f),
        (33, Some(1), 0x8000_355f),
        // T0SZ=-3, S=1, the smallest IPA size that level 2 cannot have.
        (35, None, 0x8000_355d),
        // T0SZ=0 and T0SZ=7, S=0, SL0=0.
        (32, None, 0x8000_3500),
        (25, None, 0x8000_3507),
        // T0SZ=1, SL0=1.
        (31, Some(1), 0x8000_3541),
    ] {
        let geometry = Geometry::new(&stage2(ipa_bits, start_level)).unwrap();
        assert_eq!(geometry.vtcr(), vtcr, "{ipa_bits} {start_level:?}");
    }
}

#[test]
fn a_guest_is_loaded_by_vtcr_and_vttbr() {
    with_vm_of(&stage2(40, None), |vm, cpu, machine| {
        let registers = Registers {
            vtcr: 0x8000_3558,
            vttbr: 1 << 48 | POOL,
        };
        assert_eq!(vm.registers(machine), Some(registers));
        assert_eq!(vm.load(cpu), Ok(()));
        assert_eq!(
            machine.take_log(),
            ["vtcr 0x80003558", "vttbr 0x1000048000000", "isb"]
        );
    });
}

#[test]
fn a_guest_has_the_tables_of_the_4k_granule() {
    let mut logs = [stage2(40, None), configuration(true)].map(|configuration| {
        let mut log = Vec::new();
        with_vm_of(&configuration, |vm, cpu, machine| {
            vm.map(cpu, &mapping(0x1000, 0x5000_0000, PAGE, RW))
                .unwrap();
            vm.unmap(cpu, Ipa::new(0x1000), PAGE).unwrap();
            log = machine.take_log();
            log.retain(|line| !line.starts_with('v'));
        });
        log
    });
    assert!(logs[0].len() > 6);
    let aarch64 = logs[1].split_off(0);
    assert_eq!(logs[0], aarch64);
}

#[test]
fn a_stage_2_that_aarch32_lacks_is_refused() {
    let good = stage2(40, None);
    let vmid16 = Features {
        vmid16: true,
        ..Features::default()
    };
    for (configuration, error) in [
        (
            Configuration {
                granule: Granule::K16,
                ..good
            },
            GeometryError::Granule(Granule::K16),
        ),
        (
            Configuration {
                pa_bits: 48,
                ..good
            },
            GeometryError::PaSize(48),
        ),
        (
            Configuration { ds: true, ..good },
            GeometryError::Ds(Granule::K4),
        ),
        (
            Configuration {
                features: vmid16,
                ..good
            },
            GeometryError::Features(vmid16),
        ),
        (stage2(41, None), GeometryError::IpaSize(41)),
        (stage2(24, None), GeometryError::IpaSize(24)),
        (stage2(40, Some(2)), GeometryError::StartLevel(2)),
        (stage2(40, Some(0)), GeometryError::StartLevel(0)),
        (stage2(25, Some(3)), GeometryError::StartLevel(3)),
        (stage2(30, Some(1)), GeometryError::StartLevel(1)),
    ] {
        assert_eq!(Geometry::new(&configuration), Err(error));
    }
}

#[test]
fn registers_of_hyp_mode() {
    for (va_bits, start, htcr) in [
        // T0SZ=0, IRGN0=ORGN0=1, SH0=3, RES1 bits 31 and 23.
        (32, 1, 0x8080_3500),
        (31, 1, 0x8080_3501),
        (30, 2, 0x8080_3502),
        (25, 2, 0x8080_3507),
    ] {
        let geometry = el2::Geometry::new(&hyp_mode(va_bits)).unwrap();
        assert_eq!(geometry.shape().start().number(), start);
        let expected = OwnRegisters {
            mair: 0x0044_04ff,
            tcr: htcr,
            ttbr0: 0x12_3456_7000,
        };
        let root = Pa::new(0x12_3456_7000);
        assert_eq!(geometry.registers(root), Ok(expected), "{va_bits}");
    }
}

#[test]
fn a_hyp_mode_that_no_machine_has_is_refused() {
    let good = hyp_mode(32);
    let ttl = Features {
        ttl: true,
        ..Features::default()
    };
    for (configuration, error) in [
        (hyp_mode(33), GeometryError::IpaSize(33)),
        (hyp_mode(24), GeometryError::IpaSize(24)),
        (
            el2::Configuration {
                pa_bits: 36,
                ..good
            },
            GeometryError::PaSize(36),
        ),
        (
            el2::Configuration {
                granule: Granule::K64,
                ..good
            },
            GeometryError::Granule(Granule::K64),
        ),
        (
            el2::Configuration {
                features: ttl,
                ..good
            },
            GeometryError::Features(ttl),
        ),
        (
            el2::Configuration {
                start_level: Some(2),
                ..good
            },
            GeometryError::StartLevel(2),
        ),
    ] {
        assert_eq!(el2::Geometry::new(&configuration), Err(error));
    }
}

#[test]
fn hyp_mode_maps_with_el2s_leaves_and_invalidates_by_the_address_itself() {
    let machine = Machine::new();
    let info: Vec<PageInfo> = (0..POOL_PAGES).map(|_| PageInfo::new()).collect();
    let pool = Pool::new(Pa::new(POOL), 12, &info).expect("the pool is aligned");
    let mut cpu = Cpu::new(&machine, &pool);
    let hyp = El2::new();
    hyp.create(&mut cpu, &hyp_mode(32)).unwrap();
    cpu.top_up(4);
    machine.take_log();
    let registers = PaRange::new(Pa::new(0x10_1c09_0000), 2 * PAGE).unwrap();
    hyp.map(&mut cpu, &Mapping::io(Va::new(0xfffe_0000), registers))
        .unwrap();
    let log = machine.take_log();
    // The 2 zeroed tables and their links, then AttrIndx=1, AP[1], AF and XN.
    assert!(log[4].ends_with(" 0x4000101c090447"), "{log:?}");
    assert!(log[5].ends_with(" 0x4000101c091447"), "{log:?}");
    hyp.unmap(&mut cpu, Va::new(0xfffe_1000), PAGE).unwrap();
    assert_eq!(machine.take_log()[2], "tlbi vae2is 0xfffe1000");
}
