//! One walk, from address to answer.

use super::attributes::Reported;
use super::leaf::{Leaf, Permissions, WRITE_PERMISSION};
use super::trace::{Decision, Step};
use super::{Access, Answer, Entry, Fault, FaultKind, Memory, Stage2, Translation, Update, Why};
use crate::descriptor::{ACCESS_FLAG, Unusable};
use crate::params::Early;

impl Stage2 {
    /// Translates one access.
    pub fn translate<M: Memory + ?Sized>(&self, memory: &M, ipa: u64, access: Access) -> Answer {
        self.walk(memory, ipa, access, |_| ())
    }

    /// AArch64.S2Translate, AArch64.S2Walk. `observe` gets each step as it is decided.
    #[inline]
    pub(super) fn walk<M: Memory + ?Sized>(
        &self,
        memory: &M,
        ipa: u64,
        access: Access,
        mut observe: impl FnMut(Step),
    ) -> Answer {
        if let Some(answer) = self.before_lookup(ipa) {
            return answer;
        }
        let mut level = self.params.start_level;
        // AArch64.S2SLTTEntryAddress: the index is as wide as the root, concatenated
        // tables included; `before_lookup` has refused all bits above.
        let mut at = self.base | (ipa >> self.params.lsb(level)) << 3;
        // It ends: there is no table at the final level.
        loop {
            let descriptor = memory.read(at);
            let decision = match descriptor {
                None => Decision::End(unusable(Unusable::ExternalAbort, level)),
                Some(descriptor) => self.decide(level, at, descriptor, ipa, access),
            };
            observe(Step {
                level,
                at,
                descriptor,
                decision,
            });
            match decision {
                Decision::End(answer) => return answer,
                Decision::Table { next } => {
                    level += 1;
                    at = self.params.entry_address(level, next, ipa);
                }
            }
        }
    }

    /// What stage 1 and the configuration decide alone.
    #[inline]
    fn before_lookup(&self, ipa: u64) -> Option<Answer> {
        // AArch64.S1DisabledOutput
        if ipa >> self.stage1_bits != 0 {
            return Some(fault(FaultKind::Stage1AddressSize, 0));
        }
        let early = self.state.before_lookup(ipa, self.params.input_bits)?;
        Some(self.early(early, ipa))
    }

    /// Out of the way of walks that read descriptors.
    #[cold]
    fn early(&self, early: Early, ipa: u64) -> Answer {
        match early {
            Early::Translation => fault(FaultKind::Translation, self.params.unread_level),
            Early::AddressSize => fault(FaultKind::AddressSize, 0),
            Early::Untranslated => self.untranslated(ipa),
            Early::Open(why) => Answer::Unpredictable(why),
        }
    }

    /// The answer where stage 2 is off.
    fn untranslated(&self, ipa: u64) -> Answer {
        let leaf = Leaf {
            pa: ipa,
            permissions: Permissions::ALL,
        };
        let reported = self.controls.stage1_attributes();
        Answer::Translation(translation(leaf, reported, 0, 1 << self.stage1_bits, None))
    }

    /// One turn of the loop in AArch64.S2Walk.
    #[inline]
    fn decide(&self, level: i8, at: u64, descriptor: u64, ipa: u64, access: Access) -> Decision {
        match self.params.entry(level, descriptor) {
            Entry::Invalid => Decision::End(fault(FaultKind::Translation, level)),
            Entry::Table { next } if self.params.is_oversize(next) => {
                Decision::End(unusable(Unusable::AddressSize, level))
            }
            Entry::Table { next } => Decision::Table { next },
            Entry::Leaf { pa } => {
                let place = Place {
                    level,
                    at,
                    descriptor,
                };
                Decision::End(self.finish(place, pa, ipa, access))
            }
        }
    }

    /// The rest of AArch64.S2Translate, after AArch64.S2Walk has found a leaf.
    #[inline]
    fn finish(&self, place: Place, base: u64, ipa: u64, access: Access) -> Answer {
        let Place {
            level, descriptor, ..
        } = place;
        let leaf = match self.leaf(level, descriptor, base, ipa) {
            Ok(leaf) => leaf,
            Err(reason) => return unusable(reason, level),
        };
        if !leaf.permissions.permit(access) {
            // AArch64.SettingAccessFlagPermitted: CONSTRAINED UNPREDICTABLE.
            return Answer::Fault(Fault {
                kind: FaultKind::Permission,
                level,
                permitted_update: place.update(descriptor | ACCESS_FLAG),
            });
        }
        let reported = match self.reported(descriptor) {
            Ok(reported) => reported,
            Err(why) => return Answer::Unpredictable(why),
        };
        let is_fetch = matches!(access, Access::Execute { .. });
        if is_fetch && self.controls.fetches_from_device(descriptor) {
            return Answer::Unpredictable(Why::FetchFromDevice);
        }
        let mut new = descriptor | ACCESS_FLAG;
        // AArch64.SettingDirtyStatePermitted
        if access == Access::Write && self.params.has_dirty_state(descriptor) {
            new |= WRITE_PERMISSION;
        }
        let size = 1 << self.params.lsb(level);
        Answer::Translation(translation(leaf, reported, level, size, place.update(new)))
    }
}

/// A descriptor and where it stands.
#[derive(Clone, Copy)]
struct Place {
    level: i8,
    at: u64,
    descriptor: u64,
}

impl Place {
    /// The update that makes the descriptor `new`, where it changes anything. (AF can
    /// only be clear here where hardware sets it.)
    fn update(&self, new: u64) -> Option<Update> {
        (new != self.descriptor).then_some(Update { at: self.at, new })
    }
}

fn fault(kind: FaultKind, level: i8) -> Answer {
    Answer::Fault(Fault::new(kind, level))
}

fn unusable(reason: Unusable, level: i8) -> Answer {
    match reason {
        Unusable::AddressSize => fault(FaultKind::AddressSize, level),
        Unusable::AccessFlag => fault(FaultKind::AccessFlag, level),
        Unusable::ExternalAbort => fault(FaultKind::ExternalAbort, level),
        Unusable::Open(why) => Answer::Unpredictable(why),
    }
}

fn translation(
    leaf: Leaf,
    reported: Reported,
    level: i8,
    size: u64,
    update: Option<Update>,
) -> Translation {
    Translation {
        pa: leaf.pa,
        level,
        size,
        read: leaf.permissions.read,
        write: leaf.permissions.write,
        execute_el1: leaf.permissions.execute_el1,
        execute_el0: leaf.permissions.execute_el0,
        attributes: reported.attributes,
        shareability: reported.shareability,
        update,
    }
}
