//! Each known deviation shows on the machine, where this version of the emulator has it:
//! with the entry the machine agrees, or is not asked, and without it differs. An entry
//! that nothing needs any more fails here.

use fuzz::host::Engine;
use qemu_runner::cpu::Cpu;
use qemu_runner::deviations::{self, Deviation};
use qemu_runner::host::{self, Emulated};
use qemu_runner::image::Image;
use qemu_runner::machine::Boot;
use qemu_runner::qemu::{Qemu, Version};
use qemu_runner::{build, witness};
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(60);

/// A version before all of them.
const PERFECT: Version = Version { major: 0, minor: 0 };

const AT_SETS_DIRTY: &str = "\
machine features=haf+hd
vm a
map a ipa=0x200000 pa=0x50200000 size=4K prot=rw- mem=normal
access a ipa=0x200000 write
leaf a ipa=0x200000
";

const FWB_DEVICE_TYPE: &str = "\
machine features=fwb
vm a
map a ipa=0x200000 pa=0x50200000 size=4K prot=rw- mem=device
access a ipa=0x200000 read
";

const FWB_SHAREABILITY: &str = "\
machine features=fwb
vm a
map a ipa=0x200000 pa=0x50200000 size=4K prot=rw- mem=normal
access a ipa=0x200000 read
";

const LEVEL_MINUS_1: &str = "\
machine granule=4K pa=52 ipa=50 start=-1 features=lpa2-4k+ds
vm a
map a ipa=0x200000 pa=0x50200000 size=4K prot=rw- mem=normal
access a ipa=0x200000 read
";

const LEVEL_0_OF_16K: &str = "\
machine granule=16K pa=52 ipa=50 start=0 features=lpa2-16k+ds
vm a
map a ipa=0x200000 pa=0x50200000 size=16K prot=rw- mem=normal
access a ipa=0x200000 read
";

const EL2_PAR_SHAREABILITY: &str = "\
machine regime=el2 ipa=39
map a ipa=0x200000 pa=0x9000000 size=4K prot=rw- mem=device
access a ipa=0x200000 read
";

/// Whether the machine differs from what is predicted for this version; `None` where it
/// is not asked.
fn differs(text: &str, qemu: &Qemu, image: &Image, version: Version) -> Option<bool> {
    let sequence = fuzz::text::parse(text).unwrap();
    let cpu = Cpu::for_machine(&sequence.machine);
    let mut boot = Boot::start(qemu, image, cpu).unwrap();
    let mut engine = Engine::new();
    let emulated = Emulated {
        description: boot.description(),
        version,
    };
    let run = host::run(&mut engine, &sequence, emulated);
    if deviations::of_run(&run.events, version).is_some() {
        return None;
    }
    let witnessed = witness::witness(&engine, &run, &mut boot, &sequence).unwrap();
    Some(witnessed.is_err())
}

#[test]
fn each_deviation_is_needed_and_is_enough() {
    let qemu = Qemu::find(TIMEOUT).unwrap();
    let image = Image::open(&build::image().unwrap()).unwrap();
    let shown: [(&Deviation, &str); 6] = [
        (&deviations::AT_SETS_DIRTY, AT_SETS_DIRTY),
        (&deviations::FWB_DEVICE_TYPE, FWB_DEVICE_TYPE),
        (&deviations::FWB_SHAREABILITY, FWB_SHAREABILITY),
        (&deviations::EL2_PAR_SHAREABILITY, EL2_PAR_SHAREABILITY),
        (&deviations::LEVEL_MINUS_1, LEVEL_MINUS_1),
        (&deviations::LEVEL_0_OF_16K, LEVEL_0_OF_16K),
    ];
    for (deviation, text) in shown {
        let name = deviation.name;
        let with = differs(text, &qemu, &image, qemu.version);
        assert_ne!(with, Some(true), "{name} on QEMU {}", qemu.version);
        if deviation.applies(qemu.version) {
            let without = differs(text, &qemu, &image, PERFECT);
            assert_eq!(without, Some(true), "{name} on QEMU {}", qemu.version);
        }
    }
}
