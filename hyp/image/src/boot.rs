//! From reset to `main`: one CPU at EL2 with a stack, vectors and zeroed memory.
//!
//! Other CPUs stop here. A CPU that does not start at EL2 says so and ends.

use core::arch::global_asm;

global_asm!(
    ".pushsection .text.boot, \"ax\"",
    ".global _start",
    "_start:",
    // Affinity 0 boots, all others wait for ever.
    "mrs x0, mpidr_el1",
    "ldr x1, =0xff00ffffff",
    "tst x0, x1",
    "b.ne 3f",
    "msr daifset, #0xf",
    "ldr x0, =image_stack_end",
    "mov sp, x0",
    "mrs x0, currentel",
    "cmp x0, #(2 << 2)",
    "b.ne {not_at_el2}",
    // RES1 bits only: MMU, caches and alignment checks off.
    "ldr x0, =0x30c50830",
    "msr sctlr_el2, x0",
    "ldr x0, =image_vectors",
    "msr vbar_el2, x0",
    "isb",
    "ldr x0, =image_bss_start",
    "ldr x1, =image_bss_end",
    "2: cmp x0, x1",
    "b.hs 1f",
    "stp xzr, xzr, [x0], #16",
    "b 2b",
    "1: b {main}",
    "3: wfe",
    "b 3b",
    ".ltorg",
    ".popsection",
    not_at_el2 = sym not_at_el2,
    main = sym crate::main,
);

extern "C" fn not_at_el2() -> ! {
    panic!("the machine did not start the image at EL2: it needs virtualization=on");
}
