//! What the fuzz target does, with files a fuzzer would find soon.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too, may stop a test")]

mod read_support;
#[path = "read_support/beside_flate2.rs"]
mod same;

use proptest::prelude::*;
use read_support::*;
use same::beside_flate2;

fn files() -> Vec<Vec<u8>> {
    let two = [sized(&text(300), None), plain(b"plain")].concat();
    vec![
        Vec::new(),
        vec![0],
        b"\x1f\x8b".to_vec(),
        plain(b""),
        [plain(b"padded"), vec![0; 20]].concat(),
        [plain(b"garbage"), b"follows".to_vec()].concat(),
        sized(&noise(200), Some(u32::MAX)),
        sized(b"twin", Some(2 * sized(b"twin", None).len() as u32)).repeat(2),
        bgzf(&text(500)).repeat(3),
        member_with(31, b"XY\x03\0abc", &text(100)),
        plain(&vec![0; 2 << 20]),
        two[..two.len() - 3].to_vec(),
        two,
    ]
}

#[test]
fn known_files_in_every_way() {
    for file in files() {
        for how in (0..=u8::MAX).step_by(43) {
            beside_flate2(&[&[how], &file[..]].concat());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(12) })]

    #[test]
    fn damaged_files(
        file in prop::sample::select(files()),
        how in any::<u8>(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = [&[how], &file[..]].concat();
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        beside_flate2(&bytes);
    }
}
