//! The bodies of the fuzz targets, over bytes made here.

use proptest::collection::vec;
use proptest::prelude::*;

use crate::bodies;
use crate::support::Tar;

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn archive(bytes in vec(any::<u8>(), 0..2000), flag in 0usize..5) {
        bodies::archive(&bytes);
        let flag = b"x0Lg5"[flag];
        bodies::archive(&Tar::new().entry(b"a", flag, &bytes, |_| {}).file("b", "x").end());
    }

    #[test]
    fn entries(bytes in vec(any::<u8>(), 0..90)) {
        bodies::entries(&bytes);
    }

    #[test]
    fn ignore(rules in "([ab*?!/\\[\\]\\\\ #-]{0,6}\n){0,6}", names in "([ab/]{1,6}\n){1,6}") {
        bodies::ignore(format!("{rules}\0{names}").as_bytes());
    }
}
