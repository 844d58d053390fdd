//! The access flag: test-young and clear-young (W6), make-young (Y3).

use super::Stage2;
use super::check;
use super::editor::Editor;
use super::error::Error;
use crate::addr::Ipa;
use crate::cpu::Cpu;
use crate::descriptor::Descriptor;
use crate::pages::PageSource;
use crate::platform::Platform;

impl Stage2<'_> {
    /// Whether any leaf that a range overlaps is young. Clause W6.
    ///
    /// # Errors
    /// `NoSpace`, `Dying`, `Range`.
    pub fn test_young<P: Platform, S: PageSource>(
        &self,
        cpu: &mut Cpu<'_, P, S>,
        ipa: Ipa,
        bytes: u64,
    ) -> Result<bool, Error> {
        self.edit_range(cpu, ipa, bytes, |editor, range| {
            let mut young = false;
            editor.for_each_leaf(range, |_, leaf| young |= leaf.is_young());
            Ok(young)
        })
    }

    /// Makes every leaf that a range overlaps old, and answers whether any of them was
    /// young. Clause W6.
    ///
    /// # Errors
    /// `NoSpace`, `Dying`, `Range`.
    pub fn clear_young<P: Platform, S: PageSource>(
        &self,
        cpu: &mut Cpu<'_, P, S>,
        ipa: Ipa,
        bytes: u64,
    ) -> Result<bool, Error> {
        self.edit_range(cpu, ipa, bytes, |editor, range| {
            let mut young = false;
            editor.change_leaves(range, |leaf| {
                young |= leaf.is_young();
                leaf.without_young()
            });
            Ok(young)
        })
    }

    /// Sets the access flag of the leaf that covers an address. Clauses Y1 to Y3.
    ///
    /// # Errors
    /// `NoSpace`, `Dying`, `Range` or `NotMapped`.
    pub fn make_young<P: Platform, S: PageSource>(
        &self,
        cpu: &mut Cpu<'_, P, S>,
        ipa: Ipa,
    ) -> Result<(), Error> {
        self.with_guest(cpu, |guest, cpu| {
            check::address(&guest.space.geometry, ipa)?;
            guest.space.leaf_at(cpu.platform(), ipa)?;
            let mut editor = Editor::new(cpu, &guest.space);
            let page = guest.space.tables.page_around(ipa);
            editor.change_leaves(page, Descriptor::with_young);
            editor.finish();
            Ok(())
        })
    }
}
