//! Cache maintenance for memory that becomes a guest's, or reaches it in another
//! way: section K, and flush (W5).

use super::Stage2;
use super::error::Error;
use super::space::Space;
use crate::addr::{Ipa, Pa};
use crate::cpu::Cpu;
use crate::descriptor::{Descriptor, Execute, MemoryType};
use crate::pages::PageSource;
use crate::platform::Platform;

impl Stage2<'_> {
    /// Cleans and invalidates to the point of coherency the memory behind every leaf
    /// that a range overlaps, whole, where the guest may reach it past the caches.
    /// Clause W5.
    ///
    /// # Errors
    /// `NoSpace`, `Dying`, `Range`.
    pub fn flush<P: Platform, S: PageSource>(
        &self,
        cpu: &mut Cpu<'_, P, S>,
        ipa: Ipa,
        bytes: u64,
    ) -> Result<(), Error> {
        self.edit_range(cpu, ipa, bytes, |editor, range| {
            let (platform, space) = (editor.cpu.platform(), editor.space);
            let mut any = false;
            editor.for_each_leaf(range, |level, leaf| {
                if space.needs_coherency(leaf.memory()) {
                    let bytes = space.geometry.shape().entry_bytes(level);
                    platform.dc_civac(space.format.address(leaf), bytes);
                    any = true;
                }
            });
            if any {
                platform.dsb_ish();
            }
            Ok(())
        })
    }
}

impl Space {
    /// What comes before leaves like `leaf`, which map `bytes` from `pa` on, are
    /// stored. Clauses K1 to K3.
    pub(super) fn maintain<P: Platform>(&self, platform: &P, pa: Pa, bytes: u64, leaf: Descriptor) {
        let executable = leaf.prot().execute != Execute::Never;
        if self.needs_coherency(leaf.memory()) {
            platform.dc_civac(pa, bytes);
            platform.dsb_ish();
            if executable {
                self.invalidate_instructions(platform);
            }
        } else if executable {
            self.clean_code(platform, pa, bytes);
            self.publish_code(platform);
        }
    }

    /// Whether the guest may reach the memory past the caches: non-cacheable memory,
    /// and normal memory of which its own stage 1 can make that, unless FEAT_S2FWB
    /// forbids it.
    const fn needs_coherency(&self, memory: MemoryType) -> bool {
        match memory {
            MemoryType::Normal => !self.geometry.features().fwb,
            MemoryType::NonCacheable => true,
            MemoryType::DeviceNgnre | MemoryType::DeviceNgnrne => false,
        }
    }

    /// The first half of clause K2, for one of the ranges that become executable.
    pub(super) fn clean_code<P: Platform>(&self, platform: &P, pa: Pa, bytes: u64) {
        if !self.geometry.features().idc {
            platform.dc_cvau(pa, bytes);
        }
    }

    /// The second half of clause K2, once for all of them.
    pub(super) fn publish_code<P: Platform>(&self, platform: &P) {
        let features = self.geometry.features();
        // Data caches that need no cleaning still have to have seen the stores before the
        // instruction caches are told to look again.
        if !features.idc || !features.dic {
            platform.dsb_ish();
        }
        self.invalidate_instructions(platform);
    }

    fn invalidate_instructions<P: Platform>(&self, platform: &P) {
        if !self.geometry.features().dic {
            platform.ic_ialluis();
            platform.dsb_ish();
        }
    }
}
