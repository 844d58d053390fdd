//! Annotate: the name of an owner in the place of leaves. Section N.

use super::editor::Editor;
use super::error::Error;
use super::fill::{Content, fill, largest_leaf};
use super::space::Space;
use super::{Stage2, check};
use crate::addr::Ipa;
use crate::cpu::Cpu;
use crate::descriptor::Descriptor;
use crate::geometry::Level;
use crate::pages::PageSource;
use crate::platform::Platform;
use crate::walk::{Run, Slot};
use core::num::NonZeroU8;

impl Stage2<'_> {
    /// Makes exactly a range translate nothing and say who owns it, an owner from 1
    /// to 255, in the largest entries that fit. Clauses N1 to N3.
    ///
    /// # Errors
    /// `NoSpace`, `Dying`, `Range` or `Owner`; `NoPages` where the cache ran short:
    /// the first `done` bytes are annotated.
    pub fn annotate<P: Platform, S: PageSource>(
        &self,
        cpu: &mut Cpu<'_, P, S>,
        ipa: Ipa,
        bytes: u64,
        owner: u8,
    ) -> Result<(), Error> {
        self.with_guest(cpu, |guest, cpu| {
            let range = check::range(&guest.space.geometry, ipa, bytes)?;
            let owner = NonZeroU8::new(owner).ok_or(Error::Owner(owner))?;
            let mut editor = Editor::new(cpu, &guest.space);
            let largest = largest_leaf(&guest.space, 0, false);
            let result = fill(&mut editor, range, largest, &Annotation::of(owner));
            editor.finish();
            result
        })
    }
}

/// The same annotation in every entry.
struct Annotation(Descriptor);

impl Annotation {
    fn of(owner: NonZeroU8) -> Annotation {
        Annotation(Descriptor::annotation(owner))
    }
}

impl<P: Platform, S: PageSource> Content<P, S> for Annotation {
    fn is_said(&self, _: &Space, found: Descriptor, _: Level, _: Ipa) -> bool {
        found == self.0
    }

    /// A valid entry is broken by the annotation itself; what was broken waits for
    /// the invalidation at the end.
    fn write(&self, editor: &mut Editor<'_, '_, P, S>, run: &Run, count: u16) {
        editor.isolate(run.covered_by(count), |_, _| true);
        let (mut replaced, mut made) = (0, 0);
        let mut slot = Slot::of(run, 0);
        for _ in 0..count {
            let found = editor.read(slot.at);
            if found == Descriptor::INVALID {
                editor.cpu.platform().store(slot.at, self.0.raw());
                made += 1;
            } else if found != self.0 {
                editor.remove_entry(run, slot, found, self.0);
                replaced += 1;
            }
            slot = slot.next(run);
        }
        if made + replaced > 0 {
            editor.made(run, count, made);
        }
    }
}
