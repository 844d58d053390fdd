//! What an operation stores and refuses, by the machine's features.

mod support;

use hyp::descriptor::{AttributesError, Execute, MemoryType, Prot};
use hyp::geometry::{Configuration, Features, GeometryError, Granule};
use hyp::stage2::{CreateError, Error, Mapping, Stage2};
use support::{RW, configuration, mapping, vmid, with_features, with_vm, with_vm_of};

const PAGE: u64 = 4096;
const S2AP_WRITE: u64 = 1 << 7;
const SH: u64 = 3 << 8;
const DBM: u64 = 1 << 51;

fn page() -> Mapping {
    mapping(0x1000, 0x5000_0000, PAGE, RW)
}

/// The leaf that a mapping of one page comes to in a new VM.
fn leaf(configuration: &Configuration, mapping: &Mapping) -> u64 {
    let mut stored = None;
    with_vm_of(configuration, |vm, cpu, machine| {
        vm.map(cpu, mapping).unwrap();
        let log = machine.take_log();
        let last = log.iter().rfind(|line| line.starts_with("stlr ")).unwrap();
        let (_, value) = last.rsplit_once(" 0x").unwrap();
        stored = Some(u64::from_str_radix(value, 16).unwrap());
    });
    stored.unwrap()
}

#[test]
fn a_leaf_carries_the_bits_of_software() {
    let mut tagged = page();
    tagged.software = 0b1010;
    let plain = leaf(&configuration(true), &page());
    assert_eq!(leaf(&configuration(true), &tagged), plain | 0b1010 << 55);
}

#[test]
fn attributes_that_no_leaf_can_have_are_refused_before_anything_is_touched() {
    let mut too_wide = page();
    too_wide.software = 16;
    let mut el1_only = page();
    el1_only.prot.execute = Execute::El1;
    let mut executable_device = page();
    executable_device.memory = MemoryType::DeviceNgnrne;
    executable_device.prot.execute = Execute::Both;
    let mut nothing = page();
    nothing.prot = Prot {
        read: false,
        write: false,
        execute: Execute::Never,
    };
    with_vm(true, |vm, cpu, machine| {
        for (mapping, error) in [
            (too_wide, AttributesError::Software(16)),
            (el1_only, AttributesError::NoXnx(Execute::El1)),
            (
                executable_device,
                AttributesError::ExecutableDevice(Execute::Both),
            ),
            (nothing, AttributesError::NothingPermitted),
        ] {
            assert_eq!(vm.map(cpu, &mapping), Err(Error::Attributes(error)));
        }
        assert_eq!(machine.take_log(), [""; 0]);
    });
}

#[test]
fn a_writable_leaf_starts_clean_where_hardware_records_stores() {
    let records = with_features(Features {
        haf: true,
        hd: true,
        ..Features::default()
    });
    let clean = leaf(&records, &page());
    assert_eq!(clean & (DBM | S2AP_WRITE), DBM);
    let without = leaf(&configuration(true), &page());
    assert_eq!(without & (DBM | S2AP_WRITE), S2AP_WRITE);
}

#[test]
fn with_ds_the_shareability_bits_are_the_address_s() {
    let ds = Configuration {
        pa_bits: 52,
        ds: true,
        ..with_features(Features {
            lpa2_4k: true,
            ..Features::default()
        })
    };
    let high = mapping(0x1000, 0xb_0000_0000_1000, PAGE, RW);
    let stored = leaf(&ds, &high);
    assert_eq!(stored & (SH | 3 << 48), 0b10 << 8 | 0b11 << 48);
    let low = leaf(&ds, &page());
    assert_eq!(low & SH, 0);
    assert_eq!(leaf(&configuration(true), &page()) & SH, SH);
}

#[test]
fn a_wide_vmid_is_refused_before_a_page_is_taken() {
    with_vm(true, |_, cpu, machine| {
        let refused = Stage2::new().create(cpu, &configuration(true), vmid(256), &[]);
        assert_eq!(refused, Err(CreateError::Vmid(vmid(256))));
        assert_eq!(machine.take_log(), [""; 0]);
        let wide = with_features(Features {
            vmid16: true,
            ..Features::default()
        });
        let vm = Stage2::new();
        vm.create(cpu, &wide, vmid(0xabcd), &[]).unwrap();
        let registers = vm.registers(cpu.platform()).unwrap();
        assert_eq!(registers.vttbr >> 48, 0xabcd);
        assert_eq!(registers.vtcr >> 19 & 1, 1);
    });
}

#[test]
fn ds_of_a_granule_without_lpa2_is_refused() {
    with_vm(true, |_, cpu, _| {
        let mut ds = configuration(true);
        ds.ds = true;
        ds.features.lpa2_16k = true;
        let refused = Stage2::new().create(cpu, &ds, vmid(2), &[]);
        let error = GeometryError::Ds(Granule::K4);
        assert_eq!(refused, Err(CreateError::Configuration(error)));
    });
}
