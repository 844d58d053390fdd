//! Legal configurations, registers, creation and loading.

use crate::bench::{
    PAGE, ROOT, RX, configuration, level, mapping, plain, shapes, with_el2, with_lpa2,
};
use crate::support::POOL;
use hyp::addr::Pa;
use hyp::cpu::OwnRegisters;
use hyp::el2::{Configuration, CreateError, El2, Geometry};
use hyp::geometry::{GeometryError, Granule};

#[test]
fn the_registers_of_known_configurations() {
    for (configuration, tcr) in [
        // T0SZ=25, IRGN0=ORGN0=1, SH0=3, PS=2, RES1 bits 31 and 23.
        (configuration(Granule::K4, 39, 40), 0x8082_3519),
        // T0SZ=16, PS=5.
        (configuration(Granule::K4, 48, 48), 0x8085_3510),
        // T0SZ=22, TG0=1, PS=3.
        (configuration(Granule::K64, 42, 42), 0x8083_7516),
        // T0SZ=17, TG0=2, PS=4.
        (configuration(Granule::K16, 47, 44), 0x8084_b511),
        // T0SZ=16, TG0=2, PS=5.
        (configuration(Granule::K16, 48, 48), 0x8085_b510),
        // T0SZ=12, PS=6, DS.
        (with_lpa2(Granule::K4, 52, 52), 0x1_8086_350c),
        // T0SZ=12, TG0=1, PS=6.
        (configuration(Granule::K64, 52, 52), 0x8086_750c),
    ] {
        let registers = Geometry::new(&configuration).unwrap().registers(ROOT);
        let expected = OwnRegisters {
            mair: 0x0044_04ff,
            tcr,
            ttbr0: POOL,
        };
        assert_eq!(registers, Ok(expected), "{configuration:?}");
    }
}

#[test]
fn a_52_bit_root_has_its_high_bits_at_bit_2() {
    let root = Pa::new(0xa_0000_0001_0000);
    for wide in [
        configuration(Granule::K64, 42, 52),
        with_lpa2(Granule::K4, 48, 52),
    ] {
        let registers = Geometry::new(&wide).unwrap().registers(root);
        assert_eq!(registers.map(|r| r.ttbr0), Ok(0x1_0028));
    }
}

#[test]
fn the_start_level_follows_from_the_va_size() {
    for (configuration, start) in [
        (configuration(Granule::K64, 42, 42), 2),
        (configuration(Granule::K64, 43, 42), 1),
        (configuration(Granule::K4, 30, 40), 2),
        (configuration(Granule::K4, 39, 40), 1),
        (configuration(Granule::K4, 40, 40), 0),
        (configuration(Granule::K4, 48, 36), 0),
        (with_lpa2(Granule::K4, 49, 36), -1),
        (configuration(Granule::K16, 25, 32), 3),
        (configuration(Granule::K16, 47, 40), 1),
        (configuration(Granule::K16, 48, 40), 0),
    ] {
        let shape = *Geometry::new(&configuration).unwrap().shape();
        assert_eq!(shape.start(), level(start), "{configuration:?}");
        assert_eq!(shape.root_order(), 0, "{configuration:?}");
    }
}

#[test]
fn configurations_that_no_machine_has_are_refused() {
    for (configuration, error) in [
        (
            configuration(Granule::K4, 49, 52),
            GeometryError::IpaSize(49),
        ),
        (
            configuration(Granule::K64, 49, 48),
            GeometryError::IpaSize(49),
        ),
        (
            configuration(Granule::K4, 24, 40),
            GeometryError::IpaSize(24),
        ),
        (
            configuration(Granule::K4, 39, 41),
            GeometryError::PaSize(41),
        ),
        (
            Configuration {
                ds: true,
                ..plain()
            },
            GeometryError::Ds(Granule::K4),
        ),
        (
            Configuration {
                start_level: Some(0),
                ..plain()
            },
            GeometryError::StartLevel(0),
        ),
    ] {
        assert_eq!(Geometry::new(&configuration), Err(error));
    }
    let asked = Configuration {
        start_level: Some(1),
        ..plain()
    };
    assert!(Geometry::new(&asked).is_ok());
}

#[test]
fn new_tables_are_one_page_that_reads_zero_and_are_not_loaded() {
    for configuration in shapes() {
        with_el2(&configuration, 0, |bench, cpu| {
            let words = configuration.granule.bytes() / 8;
            assert!((0..words).all(|word| bench.word(ROOT.forward(8 * word)) == 0));
            assert_eq!(bench.pages_in_use(cpu), 1);
            assert_eq!(bench.machine.take_log(), [""; 0]);
        });
    }
}

#[test]
fn creating_twice_or_without_a_page_is_refused() {
    with_el2(&plain(), 0, |bench, cpu| {
        let again = bench.el2.create(cpu, &plain());
        assert_eq!(again, Err(CreateError::Exists));
        cpu.top_up(u32::MAX);
        let other = El2::new().create(cpu, &plain());
        assert_eq!(other, Err(CreateError::NoMemory));
        let k16 = El2::new().create(cpu, &configuration(Granule::K16, 47, 44));
        assert_eq!(k16, Err(CreateError::PageSize(4096)));
    });
}

#[test]
fn load_writes_what_differs_and_free_takes_the_root_out() {
    with_el2(&plain(), 10, |bench, cpu| {
        bench
            .el2
            .map(cpu, &mapping(0, 0x4000_0000, PAGE, RX))
            .unwrap();
        bench.machine.take_log();
        assert!(bench.el2.load(cpu));
        assert_eq!(
            bench.machine.take_log(),
            ["mair 0x4404ff", "tcr 0x80823519", "ttbr0 0x48000000", "isb"]
        );
        assert!(bench.el2.load(cpu));
        assert_eq!(bench.machine.take_log(), [""; 0]);
        bench.el2.free(cpu);
        let log = bench.machine.take_log();
        assert_eq!(log[0], "str 0x48000000 0x0");
        assert_eq!(
            log[1..],
            [
                "dsb ishst",
                "tlbi alle2is",
                "dsb ish",
                "isb",
                "ttbr0 0x0",
                "isb"
            ]
        );
    });
}

#[test]
fn a_root_is_in_memory_before_it_can_be_named() {
    for (coherent_walks, lines, barrier) in [(true, 0, "dsb ishst"), (false, 64, "dsb ish")] {
        let machine = Configuration {
            coherent_walks,
            ..plain()
        };
        with_el2(&machine, 0, |bench, cpu| {
            bench.el2.free(cpu);
            bench.machine.take_log();
            bench.el2.create(cpu, &machine).unwrap();
            let log = bench.machine.take_log();
            assert_eq!(log[0], "zero 0x48000000");
            assert!(
                log[1..=lines]
                    .iter()
                    .all(|line| line.starts_with("dc cvac"))
            );
            assert_eq!(log[lines + 1..], [barrier]);
        });
    }
}
