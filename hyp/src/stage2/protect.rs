//! Permissions of leaves, in place: write-protect (W3), protect (T1) and relax (Y4).

use super::editor::Editor;
use super::error::Error;
use super::split::Cuts;
use super::{Stage2, check};
use crate::addr::{Ipa, IpaRange};
use crate::cpu::Cpu;
use crate::descriptor::{Descriptor, Execute, Prot};
use crate::pages::PageSource;
use crate::platform::Platform;

impl Stage2<'_> {
    /// Takes the permission to write from every leaf that a range overlaps, whole,
    /// and leaves all else of them. It needs no page. Clause W3.
    ///
    /// # Errors
    /// `NoSpace`, `Dying`, `Range`.
    pub fn write_protect<P: Platform, S: PageSource>(
        &self,
        cpu: &mut Cpu<'_, P, S>,
        ipa: Ipa,
        bytes: u64,
    ) -> Result<(), Error> {
        self.edit_range(cpu, ipa, bytes, |editor, range| {
            editor.change_leaves(range, Descriptor::without_write);
            Ok(())
        })
    }

    /// Gives the leaves of exactly a range these permissions, splitting the blocks
    /// that it cuts; a device's leaf gets no permission to fetch. Clause T1.
    ///
    /// # Errors
    /// `NoSpace`, `Dying`, `Range` or `Attributes`; `NoPages` with `done` 0 where the
    /// cache holds fewer pages than splitting needs.
    pub fn protect<P: Platform, S: PageSource>(
        &self,
        cpu: &mut Cpu<'_, P, S>,
        ipa: Ipa,
        bytes: u64,
        prot: Prot,
    ) -> Result<(), Error> {
        self.with_guest(cpu, |guest, cpu| {
            let range = check::range(&guest.space.geometry, ipa, bytes)?;
            check::prot(guest, prot)?;
            let mut editor = Editor::new(cpu, &guest.space);
            let split = editor.split_ends(range, Cuts::Blocks);
            if split.is_ok() {
                let permissions = guest.space.format.permissions(prot);
                let change = |leaf: Descriptor| leaf.with_permissions(permissions);
                if prot.execute != Execute::Never {
                    editor.maintain_new_code(range, change);
                }
                editor.change_leaves(range, change);
            }
            editor.finish();
            split
        })
    }

    /// Adds permissions to those of the leaf that covers an address. Clauses Y1, Y2
    /// and Y4.
    ///
    /// # Errors
    /// `NoSpace`, `Dying`, `Attributes`, `Range` or `NotMapped`.
    pub fn relax<P: Platform, S: PageSource>(
        &self,
        cpu: &mut Cpu<'_, P, S>,
        ipa: Ipa,
        prot: Prot,
    ) -> Result<(), Error> {
        self.with_guest(cpu, |guest, cpu| {
            check::prot(guest, prot)?;
            check::address(&guest.space.geometry, ipa)?;
            let leaf = guest.space.leaf_at(cpu.platform(), ipa)?;
            let format = guest.space.format;
            format.check_prot(prot, leaf.memory())?;
            let permissions = format.permissions(leaf.prot().union(prot));
            let change = |leaf: Descriptor| leaf.with_permissions(permissions);
            let mut editor = Editor::new(cpu, &guest.space);
            let page = guest.space.tables.page_around(ipa);
            editor.maintain_new_code(page, change);
            editor.change_leaves(page, change);
            editor.finish();
            Ok(())
        })
    }
}

impl<P: Platform, S: PageSource> Editor<'_, '_, P, S> {
    /// Clause K2 for leaves that are to permit execution where they did not.
    fn maintain_new_code(&mut self, range: IpaRange, change: impl Fn(Descriptor) -> Descriptor) {
        let (platform, space) = (self.cpu.platform(), self.space);
        let mut any = false;
        self.for_each_leaf(range, |level, leaf| {
            if change(leaf).prot().adds_execution_to(leaf.prot()) {
                let bytes = space.geometry.shape().entry_bytes(level);
                space.clean_code(platform, space.format.address(leaf), bytes);
                any = true;
            }
        });
        if any {
            space.publish_code(platform);
        }
    }
}
