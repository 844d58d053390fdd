//! Leaves that are made invalid for a while and keep what they were. Clause W4.

use super::Stage2;
use super::error::Error;
use crate::addr::Ipa;
use crate::cpu::Cpu;
use crate::pages::PageSource;
use crate::platform::Platform;

impl Stage2<'_> {
    /// Makes every leaf that a range overlaps invalid, whole, so that accesses fault,
    /// and keeps in it what it was, for `revive`. Clause W4.
    ///
    /// # Errors
    /// `NoSpace`, `Dying`, `Range`.
    pub fn soften<P: Platform, S: PageSource>(
        &self,
        cpu: &mut Cpu<'_, P, S>,
        ipa: Ipa,
        bytes: u64,
    ) -> Result<(), Error> {
        self.edit_range(cpu, ipa, bytes, |editor, range| {
            // Leaves of a group may be revived one by one: without the hint (O2).
            editor.change_leaves(range, |leaf| leaf.softened().without_contiguous());
            Ok(())
        })
    }

    /// Makes every softened leaf that a range overlaps the leaf again that it was.
    /// Clause W4.
    ///
    /// # Errors
    /// `NoSpace`, `Dying`, `Range`.
    pub fn revive<P: Platform, S: PageSource>(
        &self,
        cpu: &mut Cpu<'_, P, S>,
        ipa: Ipa,
        bytes: u64,
    ) -> Result<(), Error> {
        self.edit_range(cpu, ipa, bytes, |editor, range| {
            editor.change_entries(range, |_, found| found.revived().unwrap_or(found));
            Ok(())
        })
    }
}
