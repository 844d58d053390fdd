//! One walk, from address to answer.

use super::leaf::{Hierarchical, Permissions, READ_ONLY, UNTRANSLATED};
use super::{Access, Answer, Entry, Fault, FaultKind, Memory, Stage1, Translation, Update, Why};
use crate::descriptor::{ACCESS_FLAG, Unusable};
use crate::params::Early;
use crate::walk::{Decision, Reported, Step};

impl Stage1 {
    /// Translates one access: AArch64.S1Translate, AArch64.S1Walk.
    pub fn translate<M: Memory + ?Sized>(&self, memory: &M, va: u64, access: Access) -> Answer {
        self.walk(memory, va, access, |_| ())
    }

    /// The same. `observe` gets each step as it is decided.
    #[inline]
    pub(super) fn walk<M: Memory + ?Sized>(
        &self,
        memory: &M,
        va: u64,
        access: Access,
        mut observe: impl FnMut(Step<Answer>),
    ) -> Answer {
        let va = self.without_tag(va, access);
        if let Some(early) = self.state.before_lookup(va, self.params.input_bits) {
            return self.early(early, va);
        }
        let mut level = self.params.start_level;
        // AArch64.S1SLTTEntryAddress; no bits are left above the root's index.
        let mut at = self.base | (va >> self.params.lsb(level)) << 3;
        let mut above = Hierarchical::default();
        // It ends: there is no table at the final level.
        loop {
            let descriptor = self.fetch(memory, at);
            let decision = match descriptor {
                None => Decision::End(Answer::unusable(Unusable::ExternalAbort, level)),
                Some(descriptor) => {
                    let place = Place {
                        level,
                        at,
                        descriptor,
                        above,
                    };
                    self.decide(place, va, access)
                }
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
                    above = descriptor.map_or(above, |table| self.below(above, table));
                    level += 1;
                    at = self.params.entry_address(level, next, va);
                }
            }
        }
    }

    /// One turn of the loop in AArch64.S1Walk.
    #[inline]
    fn decide(&self, place: Place, va: u64, access: Access) -> Decision<Answer> {
        let level = place.level;
        match self.params.entry(level, place.descriptor) {
            Entry::Invalid => Decision::End(Answer::fault(FaultKind::Translation, level)),
            Entry::Table { next } if self.params.is_oversize(next) => {
                Decision::End(Answer::unusable(Unusable::AddressSize, level))
            }
            Entry::Table { next } => Decision::Table { next },
            Entry::Leaf { pa } => Decision::End(self.finish(place, pa, va, access)),
        }
    }

    fn early(&self, early: Early, va: u64) -> Answer {
        match early {
            Early::Translation => Answer::fault(FaultKind::Translation, self.params.unread_level),
            Early::AddressSize => Answer::fault(FaultKind::AddressSize, 0),
            Early::Open(why) => Answer::Unpredictable(why),
            // AArch64.S1DisabledOutput
            Early::Untranslated if va >> self.pa_bits != 0 => {
                Answer::fault(FaultKind::AddressSize, 0)
            }
            Early::Untranslated => {
                let size = 1 << self.pa_bits;
                Answer::Translation(translation(va, 0, size, Permissions::ALL, UNTRANSLATED))
            }
        }
    }

    /// The rest of AArch64.S1Translate, after AArch64.S1Walk has found a leaf. `base`
    /// is the address field of the descriptor.
    fn finish(&self, place: Place, base: u64, va: u64, access: Access) -> Answer {
        let Place {
            level,
            descriptor,
            above,
            ..
        } = place;
        let pa = match self.params.output(level, descriptor, base, va) {
            Ok(pa) => pa,
            Err(unusable) => return Answer::unusable(unusable, level),
        };
        let permissions = self.permissions(descriptor, above);
        if !permissions.permit(access) {
            // AArch64.SettingAccessFlagPermitted: CONSTRAINED UNPREDICTABLE.
            return Answer::Fault(Fault {
                kind: FaultKind::Permission,
                level,
                permitted_update: self.update(place, descriptor | ACCESS_FLAG),
            });
        }
        let reported = match self.reported(descriptor) {
            Ok(reported) => reported,
            Err(why) => return Answer::Unpredictable(why),
        };
        if access == Access::Execute && self.is_device(descriptor) {
            return Answer::Unpredictable(Why::FetchFromDevice);
        }
        let mut new = descriptor | ACCESS_FLAG;
        // AArch64.SettingDirtyStatePermitted
        if access == Access::Write && self.params.has_dirty_state(descriptor) {
            new &= !READ_ONLY;
        }
        let size = 1 << self.params.lsb(level);
        Answer::Translation(Translation {
            guarded: self.is_guarded(descriptor),
            update: self.update(place, new),
            ..translation(pa, level, size, permissions, reported)
        })
    }

    /// AArch64.S1NextWalkStateLeaf: GP.
    pub(super) const fn is_guarded(&self, descriptor: u64) -> bool {
        self.controls.has_guarded_pages && descriptor >> 50 & 1 != 0
    }

    /// The update that makes the descriptor `new`, where it changes anything.
    fn update(&self, place: Place, new: u64) -> Option<Update> {
        (new != place.descriptor).then(|| Update {
            at: place.at,
            new: self.in_memory(new),
        })
    }
}

/// A leaf descriptor, where it stands, and what the tables above it say.
#[derive(Clone, Copy)]
struct Place {
    level: i8,
    at: u64,
    descriptor: u64,
    above: Hierarchical,
}

/// A translation by no guarded page, without an update.
fn translation(
    pa: u64,
    level: i8,
    size: u64,
    permissions: Permissions,
    reported: Reported,
) -> Translation {
    Translation {
        pa,
        level,
        size,
        read: true,
        write: permissions.write,
        execute: permissions.execute,
        guarded: false,
        attributes: reported.attributes,
        shareability: reported.shareability,
        update: None,
    }
}
