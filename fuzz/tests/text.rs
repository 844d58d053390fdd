//! Sequences as text.

mod random;

use fuzz::text::{self, ErrorKind, ParseError};
use fuzz::{Expectation, Sequence};
use ops::{AccessOutcome, FaultKind, Granule, Machine, Outcome, Refusal};

/// The example of the format's own documentation, in canonical form.
const EXAMPLE: &str = "\
machine granule=4K pa=40 ipa=40 start=1 pool=0x48000000+64 memory=0x50000000+64M stub=0x1000 walks=noncoherent cache=8
vm a
map a ipa=0x8000000000 pa=0x50000000 size=4K prot=rw- mem=normal pages           -> ok
access a ipa=0x8000000000 write                                                  -> ok pa=0x50000000
unmap a ipa=0x8000000000 size=0x1001                                             -> misaligned
fail after=2
map a ipa=0x0 pa=0x50000000 size=2M prot=r-x mem=device                          -> no-pages done=0 need=1
access a ipa=0x8000000000 read                                                   -> fault translation level=1
free a                                                                           -> ok pages=0
";

/// Everything that the first version of the format did not have.
const SECOND_EXAMPLE: &str = "\
machine regime=el2 granule=16K pa=52 ipa=52 features=lpa2-16k+ttst+xnx+hd+bbm2+ds+contiguous pool=0x48000000+64 memory=0x50000000+64M
map b ipa=0x0 pa=0x50000000 size=4K prot=rwp mem=nc sw=5 pages
map b ipa=0x0 pa=0x50000000 size=4K prot=--u mem=strict
unmap-whole a ipa=0x0 size=4K                                                    -> dying
write-protect a ipa=0x0 size=4K
soften a ipa=0x0 size=4K
revive a ipa=0x0 size=4K
flush a ipa=0x0 size=4K
test-young a ipa=0x0 size=4K                                                     -> young
clear-young a ipa=0x0 size=4K                                                    -> old
coalesce a ipa=0x0 size=4K
split a ipa=0x0 size=4K                                                          -> no-pages done=8K need=1
destroy a ipa=0x0 size=4K
protect a ipa=0x0 size=4K prot=r-x                                               -> ok
annotate a ipa=0x0 size=4K owner=7                                               -> bad-owner
relax a ipa=0x123 prot=-w-                                                       -> not-mapped
make-young a ipa=0x123
leaf a ipa=0x123                                                                 -> entry level=3 owner=7
leaf a ipa=0x123                                                                 -> entry level=-1 empty
leaf a ipa=0x123                                                                 -> entry level=2 leaf pa=0x1000 prot=rw- mem=normal sw=0 young clean
leaf a ipa=0x123                                                                 -> entry level=2 softened pa=0x1000 prot=r-p mem=strict sw=15 old dirty
build a ipa=0x0 pa=0x0 level=2 prot=rw- mem=normal sw=1 pages                    -> busy
link a                                                                           -> nothing-built
discard a
conflict a                                                                       -> not-here
";

fn expectations(text: &str) -> Vec<Option<Expectation>> {
    text::parse(text)
        .unwrap()
        .steps
        .iter()
        .map(|step| step.expected)
        .collect()
}

fn error(text: &str) -> String {
    text::parse(text).expect_err(text).to_string()
}

#[test]
fn canonical_text_is_printed_as_it_was_read() {
    for example in [EXAMPLE, SECOND_EXAMPLE] {
        assert_eq!(text::parse(example).unwrap().to_string(), example);
    }
}

#[test]
fn random_sequences_survive_the_round_trip() {
    for seed in 0..5000 {
        let sequence = random::sequence(seed);
        let printed = sequence.to_string();
        assert_eq!(
            text::parse(&printed),
            Ok(sequence),
            "seed {seed}:\n{printed}"
        );
    }
}

#[test]
fn machine_line_alone_is_the_plain_machine() {
    assert_eq!(
        text::parse("machine"),
        Ok(Sequence {
            machine: Machine::PLAIN,
            steps: Vec::new()
        })
    );
}

#[test]
fn keys_come_in_any_order() {
    let machine = text::parse("machine pool=0x48000000+8 ipa=32 granule=16K")
        .unwrap()
        .machine;
    assert_eq!(
        (machine.granule, machine.ipa_bits, machine.pool.pages),
        (Granule::K16, 32, 8)
    );
    let one = text::parse("machine\nmap b mem=device prot=r-- pages size=1M pa=1 ipa=2").unwrap();
    let other =
        text::parse("machine\nmap b ipa=0x2 pa=0x1 size=1024K prot=r-- mem=device pages").unwrap();
    assert_eq!(one, other);
}

#[test]
fn comments_blank_lines_and_line_ends_do_not_matter() {
    let plain = text::parse("machine\nvm a\nfree a -> ok").unwrap();
    let dressed = text::parse(
        "# title\r\n\r\n  machine # which\r\n\tvm\ta#b\r\n\r\nfree a   ->\tok # all\r\n\r\n",
    )
    .unwrap();
    assert_eq!(plain, dressed);
}

#[test]
fn expectations_are_read() {
    let text = "machine\nvm a -> exists\nfree a -> ok pages=3\naccess a ipa=0 read -> no-vm\n\
        access a ipa=0 read -> fault stage1-address-size level=-1\nfail after=1 -> nothing\nvm b";
    let expected = [
        Some(Expectation::Outcome(Outcome::Refused(Refusal::Exists))),
        Some(Expectation::Outcome(Outcome::Freed { pages: 3 })),
        Some(Expectation::Outcome(Outcome::Refused(Refusal::NoVm))),
        Some(Expectation::Access(AccessOutcome::Fault {
            kind: FaultKind::Stage1AddressSize,
            level: -1,
        })),
        Some(Expectation::Outcome(Outcome::Nothing)),
        None,
    ];
    assert_eq!(expectations(text), expected);
}

/// Malformed lines, each with its message. Lines other than the machine's stand
/// behind a good one.
const MALFORMED: [(&str, &str); 66] = [
    (
        "machines",
        "line 2, column 1: expected vm, map, unmap, protect, annotate, relax, make-young, leaf, build, link, discard, conflict, access, free, fail, unmap-whole, write-protect, soften, revive, flush, test-young, clear-young, coalesce, split or destroy, found \"machines\"",
    ),
    (
        "vms a",
        "line 2, column 1: expected vm, map, unmap, protect, annotate, relax, make-young, leaf, build, link, discard, conflict, access, free, fail, unmap-whole, write-protect, soften, revive, flush, test-young, clear-young, coalesce, split or destroy, found \"vms\"",
    ),
    (
        "machine granule=8K",
        "line 1, column 17: expected 4K, 16K or 64K, found \"8K\"",
    ),
    (
        "machine granule",
        "line 1, column 9: expected granule=, pa=, ipa=, start=, pool=, memory=, stub=, walks=, cache=, regime= or features=, found \"granule\"",
    ),
    (
        "machine granule=",
        "line 1, column 17: expected 4K, 16K or 64K, found nothing",
    ),
    (
        "machine pa=41",
        "line 1, column 9: pa=41 is not a physical address size that PARange can state (32, 36, 40, 42, 44, 48 or 52)",
    ),
    (
        "machine pa=300",
        "line 1, column 12: expected a number from 0 to 255, found \"300\"",
    ),
    (
        "machine ipa=-1",
        "line 1, column 13: expected a number from 0 to 255, found \"-1\"",
    ),
    (
        "machine start=x",
        "line 1, column 15: expected a level such as 1, from -128 to 127, found \"x\"",
    ),
    (
        "machine start=200",
        "line 1, column 15: expected a level such as 1, from -128 to 127, found \"200\"",
    ),
    (
        "machine pool=0x48000000",
        "line 1, column 14: expected BASE+PAGES, found \"0x48000000\"",
    ),
    (
        "machine pool=0x48000000+0",
        "line 1, column 9: a pool of 0 pages is outside 1 to 1024",
    ),
    (
        "machine pool=0x48000000+70000",
        "line 1, column 25: expected a number from 0 to 65535, found \"70000\"",
    ),
    (
        "machine pool=0x48000001+1",
        "line 1, column 9: pool= is 0x48000001 to 0x48001001, which does not start at a multiple of the granule, 0x1000",
    ),
    (
        "machine memory=0x50000000+4Q",
        "line 1, column 27: expected a size such as 4K or 0x1000, below 2^64, found \"4Q\"",
    ),
    (
        "machine memory=0x50000000+16777216T",
        "line 1, column 27: expected a size such as 4K or 0x1000, below 2^64, found \"16777216T\"",
    ),
    (
        "machine memory=0x40000000+4K",
        "line 1, column 9: memory= is 0x40000000 to 0x40001000, on the hypervisor's memory, 0x40000000 to 0x48000000",
    ),
    (
        "machine walks=no",
        "line 1, column 15: expected coherent or noncoherent, found \"no\"",
    ),
    (
        "machine cache=65536",
        "line 1, column 15: expected a number from 0 to 65535, found \"65536\"",
    ),
    (
        "machine stub=4K",
        "line 1, column 14: expected an address such as 0x1000, below 2^64, found \"4K\"",
    ),
    (
        "machine pa=40 pa=40",
        "line 1, column 15: pa= is given twice",
    ),
    (
        "machine colour=red",
        "line 1, column 9: expected granule=, pa=, ipa=, start=, pool=, memory=, stub=, walks=, cache=, regime= or features=, found \"colour=red\"",
    ),
    (
        "machine vm a",
        "line 1, column 9: expected granule=, pa=, ipa=, start=, pool=, memory=, stub=, walks=, cache=, regime= or features=, found \"vm\"",
    ),
    (
        "machine -> ok",
        "line 1, column 9: expected the end of the line, found \"->\"",
    ),
    (
        "vm",
        "line 2, column 3: expected a VM: a, b, c or d, found nothing",
    ),
    (
        "vm e",
        "line 2, column 4: expected a VM: a, b, c or d, found \"e\"",
    ),
    (
        "vm ab",
        "line 2, column 4: expected a VM: a, b, c or d, found \"ab\"",
    ),
    (
        "vm a b",
        "line 2, column 6: expected the end of the line or \"->\", found \"b\"",
    ),
    ("map a", "line 2, column 6: expected ipa=, found nothing"),
    (
        "map a ipa=0x1g pa=0 size=4K prot=rw- mem=normal",
        "line 2, column 11: expected an address such as 0x1000, below 2^64, found \"0x1g\"",
    ),
    (
        "map a ipa=0x10000000000000000 pa=0 size=4K prot=rw- mem=normal",
        "line 2, column 11: expected an address such as 0x1000, below 2^64, found \"0x10000000000000000\"",
    ),
    (
        "map a ipa=0 pa=0 size=+4K prot=rw- mem=normal",
        "line 2, column 23: expected a size such as 4K or 0x1000, below 2^64, found \"+4K\"",
    ),
    (
        "map a ipa=0 pa=0 size=4K prot=wr- mem=normal",
        "line 2, column 31: expected permissions such as rw-, r-x or ---, found \"wr-\"",
    ),
    (
        "map a ipa=0 pa=0 size=4K prot=rw- mem=wc",
        "line 2, column 39: expected normal, device, nc or strict, found \"wc\"",
    ),
    (
        "map a ipa=0 pa=0 size=4K prot=rw- mem=normal sw=0 pages pages",
        "line 2, column 57: expected the end of the line or \"->\", found \"pages\"",
    ),
    (
        "unmap a ipa=0",
        "line 2, column 14: expected size=, found nothing",
    ),
    (
        "unmap a ipa=0 size=4K -> maybe",
        "line 2, column 26: expected ok, no-pages or a refusal such as denied, found \"maybe\"",
    ),
    (
        "access a ipa=0",
        "line 2, column 15: expected read, write or execute, found nothing",
    ),
    (
        "access a ipa=0 fetch",
        "line 2, column 16: expected read, write or execute, found \"fetch\"",
    ),
    (
        "access a ipa=0 read -> ok",
        "line 2, column 26: expected pa=, found nothing",
    ),
    (
        "access a ipa=0 read -> fault page level=1",
        "line 2, column 30: expected translation, address-size, access-flag, permission or stage1-address-size, found \"page\"",
    ),
    (
        "free a -> ok pages=4294967296",
        "line 2, column 20: expected a number from 0 to 4294967295, found \"4294967296\"",
    ),
    (
        "free a ->",
        "line 2, column 10: expected ok, no-pages or a refusal such as denied, found nothing",
    ),
    (
        "fail after=65536",
        "line 2, column 12: expected a number from 0 to 65535, found \"65536\"",
    ),
    (
        "fail after=1 -> ok",
        "line 2, column 17: expected \"nothing\", found \"ok\"",
    ),
    (
        "map a ipa=0 pa=0 size=4K prot=rw- mem=normal -> no-pages done=0",
        "line 2, column 64: expected need=, found nothing",
    ),
    (
        "machine regime=el1",
        "line 1, column 16: expected stage2, el2, aarch32 or aarch32-hyp, found \"el1\"",
    ),
    (
        "machine features=xnx+sve",
        "line 1, column 22: expected lpa2-4k, lpa2-16k, ttst, xnx, fwb, haf, hd, ttl, range, vmid16, idc, dic, bbm1, bbm2, ds or contiguous, found \"sve\"",
    ),
    (
        "machine features=",
        "line 1, column 18: expected lpa2-4k, lpa2-16k, ttst, xnx, fwb, haf, hd, ttl, range, vmid16, idc, dic, bbm1, bbm2, ds or contiguous, found nothing",
    ),
    (
        "machine features=haf+xnx+haf",
        "line 1, column 26: haf is given twice",
    ),
    (
        "machine features=bbm1+bbm2",
        "line 1, column 9: bbm3 is not a level of FEAT_BBM (0, 1, 2)",
    ),
    (
        "map a ipa=0 pa=0 size=4K prot=rw- mem=normal sw=16",
        "line 2, column 49: expected a number from 0 to 15, found \"16\"",
    ),
    (
        "map a ipa=0 pa=0 size=4K prot=rwy mem=normal",
        "line 2, column 31: expected permissions such as rw-, r-x or ---, found \"rwy\"",
    ),
    (
        "soften a ipa=0",
        "line 2, column 15: expected size=, found nothing",
    ),
    (
        "protect a ipa=0 size=4K",
        "line 2, column 24: expected prot=, found nothing",
    ),
    (
        "annotate a ipa=0 size=4K owner=256",
        "line 2, column 32: expected a number from 0 to 255, found \"256\"",
    ),
    (
        "relax a ipa=0 size=4K",
        "line 2, column 15: expected prot=, found \"size=4K\"",
    ),
    (
        "build a ipa=0 pa=0 prot=rw- mem=normal",
        "line 2, column 39: expected level=, found nothing",
    ),
    (
        "link a ipa=0",
        "line 2, column 8: expected the end of the line or \"->\", found \"ipa=0\"",
    ),
    (
        "test-young a ipa=0 size=4K -> ok",
        "line 2, column 31: expected young, old or a refusal such as no-vm, found \"ok\"",
    ),
    (
        "soften a ipa=0 size=4K -> young",
        "line 2, column 27: expected ok, no-pages or a refusal such as denied, found \"young\"",
    ),
    (
        "leaf a ipa=0 -> leaf",
        "line 2, column 17: expected entry level= or a refusal such as no-vm, found \"leaf\"",
    ),
    (
        "leaf a ipa=0 -> entry empty",
        "line 2, column 23: expected level=, found \"empty\"",
    ),
    (
        "leaf a ipa=0 -> entry level=2 table",
        "line 2, column 31: expected empty, owner=, leaf or softened, found \"table\"",
    ),
    (
        "leaf a ipa=0 -> entry level=2 leaf pa=0 prot=rw- mem=normal sw=0 clean",
        "line 2, column 71: expected young or old, found nothing",
    ),
    (
        "leaf a ipa=0 -> entry level=2 leaf pa=0 prot=rw- mem=normal sw=0 young old",
        "line 2, column 72: expected dirty or clean, found \"old\"",
    ),
];

#[test]
fn malformed_text_is_refused_with_place_and_expectation() {
    for (line, message) in MALFORMED {
        let text = if line.starts_with("machine ") {
            line.to_owned()
        } else {
            format!("machine\n{line}")
        };
        assert_eq!(error(&text), message, "{line}");
    }
}

#[test]
fn first_line_must_be_the_machine() {
    let message = "expected the machine line, \"machine granule=…\", found";
    assert_eq!(error(""), format!("line 1, column 1: {message} nothing"));
    assert_eq!(
        error("# nothing\n\n"),
        format!("line 2, column 1: {message} nothing")
    );
    assert_eq!(
        error("\n  vm a"),
        format!("line 2, column 3: {message} \"vm\"")
    );
}

#[test]
fn longest_sequence_is_read_and_one_more_operation_refused() {
    let longest = format!("machine\n{}", "vm a\n".repeat(256));
    assert_eq!(text::parse(&longest).unwrap().steps.len(), 256);
    let expected = ParseError {
        line: 258,
        column: 1,
        kind: ErrorKind::TooMany { most: 256 },
    };
    assert_eq!(text::parse(&(longest + "vm a")), Err(expected));
}

#[test]
fn column_counts_characters() {
    assert_eq!(
        error("machine\nvm ä é"),
        "line 2, column 4: expected a VM: a, b, c or d, found \"ä\""
    );
    assert_eq!(
        error("machine\nmap a\u{a0}ä"),
        "line 2, column 7: expected ipa=, pa=, size=, prot=, mem=, sw= or pages, found \"ä\""
    );
}

#[test]
fn long_words_are_shortened_in_messages() {
    let long = format!("machine\nvm {}", "ä".repeat(1 << 20));
    let shown = format!("{}…", "ä".repeat(40));
    assert_eq!(
        error(&long),
        format!("line 2, column 4: expected a VM: a, b, c or d, found {shown:?}")
    );
}

#[test]
fn long_lines_end_in_an_error_soon() {
    let long = format!("machine {}", "pa=40 ".repeat(1 << 20));
    assert_eq!(error(&long), "line 1, column 15: pa= is given twice");
}

/// Texts made of the format's own words in any order, cut and joined anywhere.
#[test]
fn hostile_text_ends_in_a_sequence_or_an_error() {
    const CHARACTERS: [char; 10] = ['\n', ' ', '=', '+', '-', '0', 'x', 'é', '\0', '\u{2028}'];
    let mut rng = fastrand::Rng::with_seed(1);
    let mut read = 0;
    for _ in 0..20_000 {
        let mut text: Vec<char> = EXAMPLE.chars().collect();
        for _ in 0..rng.usize(1..4) {
            let at = rng.usize(0..text.len());
            match rng.u8(0..3) {
                0 => drop(text.drain(at..(at + rng.usize(0..30)).min(text.len()))),
                1 => {
                    text[at] = CHARACTERS[rng.usize(0..CHARACTERS.len())];
                }
                _ => text.extend_from_within(at..(at + rng.usize(0..200)).min(text.len())),
            }
        }
        let text: String = text.into_iter().collect();
        if let Ok(sequence) = text::parse(&text) {
            read += 1;
            assert_eq!(text::parse(&sequence.to_string()), Ok(sequence), "{text}");
        }
    }
    assert!(
        (100..19_000).contains(&read),
        "{read} of 20000 read: too one-sided to show anything"
    );
}
