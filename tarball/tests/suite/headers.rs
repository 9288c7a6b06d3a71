//! Headers that lie, and archives that end early or late.

use tarball::{HeaderFault, TarFault, UnpackErrorKind, UnpackOptions};

use crate::support::{Block, Fault, Leaves, Sandbox, Tar, case, put, run, sum};

const HEADER: &str = "tar error: archive/tar: invalid tar header";
const EOF: &str = "tar error: unexpected EOF";

fn sized(field: &'static [u8], content: &[u8]) -> Vec<u8> {
    Tar::new()
        .entry(b"a", b'0', content, |b| put(b, 124, field))
        .end()
}

#[test]
pub(crate) fn sizes() {
    let number = &format!("{HEADER}: bad number");
    run(&[
        case(
            "negative",
            sized(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", b""),
            Fault(number, &[]),
        ),
        case(
            "negative octal",
            sized(b"-0000000001\0", b""),
            Fault(number, &[]),
        ),
        case(
            "beyond 63 bits",
            sized(b"\x80\0\0\0\x80\0\0\0\0\0\0\0", b""),
            Fault(number, &[]),
        ),
        case(
            "all ones but the sign",
            sized(b"\xbf\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", b""),
            Fault(number, &[]),
        ),
        case(
            "not octal",
            sized(b"00000000009\0", b""),
            Fault(number, &[]),
        ),
        case(
            "hexadecimal",
            sized(b"0x000000010\0", b""),
            Fault(number, &[]),
        ),
        case(
            "two numbers",
            sized(b"0000001 007\0", b""),
            Fault(number, &[]),
        ),
        case("blank", sized(b"            ", b""), Fault(number, &[])),
        case("zeros", sized(&[0; 12], b""), Fault(number, &[])),
        case(
            "base 256",
            sized(b"\x80\0\0\0\0\0\0\0\0\0\0\x01", b"x"),
            Leaves(&["a=x"]),
        ),
        case(
            "padded with blanks",
            sized(b"         1 \0", b"x"),
            Leaves(&["a=x"]),
        ),
        case(
            "an exbibyte",
            sized(b"\x80\0\0\0\x10\0\0\0\0\0\0\0", b""),
            Fault(
                "archive exceeds the limit of 1073741824 bytes in one file",
                &[],
            ),
        ),
        case(
            "100 GiB that are not there",
            sized(b"\x80\0\0\0\0\0\0\x19\0\0\0\0", b""),
            Fault(
                "archive exceeds the limit of 1073741824 bytes in one file",
                &[],
            ),
        ),
        case(
            "512 MiB that are not there",
            sized(b"04000000000\0", b""),
            Fault(EOF, &[]),
        ),
        case(
            "a blank one on a directory",
            Tar::new()
                .entry(b"d/", b'5', b"", |b| b[124..136].fill(b' '))
                .end(),
            Leaves(&["d/"]),
        ),
        case(
            "one on a directory",
            Tar::new()
                .entry(b"d/", b'5', b"content", |_| {})
                .file("a", "x")
                .end(),
            Fault(
                &format!("{HEADER}: entry of a type without content declares a size"),
                &[],
            ),
        ),
        case(
            "one on an old directory",
            Tar::new().entry(b"d/", 0, b"content", |_| {}).end(),
            Fault(
                &format!("{HEADER}: entry of a type without content declares a size"),
                &[],
            ),
        ),
    ]);
}

#[test]
pub(crate) fn checksums() {
    let bad = &format!("{HEADER}: checksum does not match");
    let mut wrong = Tar::new().file("a", "x").end();
    wrong[0] = b'b';
    let mut absent = Tar::new().file("a", "x").end();
    absent[148..156].fill(0);
    let mut second = Tar::new().file("a", "x").file("b", "y").end();
    second[1024] = b'c';
    let mut signed = Tar::new().entry(b"a\xff", b'0', b"x", |_| {}).end();
    let sum: i32 = signed[..512]
        .iter()
        .enumerate()
        .map(|(i, &b)| {
            if (148..156).contains(&i) {
                32
            } else {
                i32::from(b as i8)
            }
        })
        .sum();
    signed[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    run(&[
        case("wrong", wrong, Fault(bad, &[])),
        case("absent", absent, Fault(bad, &[])),
        case("wrong in the second entry", second, Fault(bad, &["a=x"])),
        case("of signed bytes", signed, Leaves(&["a\u{fffd}=x"])),
        case(
            "noise",
            (0..2048u32).map(|i| (i * 7 % 251) as u8 + 1).collect(),
            Fault(bad, &[]),
        ),
        case(
            "text",
            "this is not a tar archive. ".repeat(40).into_bytes(),
            Fault(bad, &[]),
        ),
        case("too little of anything", b"short".to_vec(), Fault(EOF, &[])),
    ]);
}

/// An archive whose file content is another archive; a reader with the wrong size sees the inner.
fn inner() -> Vec<u8> {
    let mut inner = Tar::new().file("hidden", "h").0;
    inner.resize(1024, 0);
    inner
}

#[test]
pub(crate) fn sizes_given_twice_hide_nothing() {
    let zero = |b: &mut Block| put(b, 124, b"00000000000\0");
    let number = &format!("{HEADER}: bad number");
    let pax_size = |value: &'static [u8], content: &[u8]| {
        Tar::new()
            .pax(&[("size", value)])
            .entry(b"a", b'0', content, zero)
    };
    run(&[
        case(
            "the pax size counts",
            pax_size(b"1024", &inner()).file("b", "x").end(),
            Leaves(&["a of 1024 bytes", "b=x"]),
        ),
        case(
            "also where it is the smaller",
            Tar::new()
                .pax(&[("size", b"1")])
                .entry(b"a", b'0', b"x", |b| put(b, 124, b"00000002000\0"))
                .file("b", "y")
                .end(),
            Leaves(&["a=x", "b=y"]),
        ),
        case("negative", pax_size(b"-1", b"").end(), Fault(number, &[])),
        case("signed", pax_size(b"+1", b"x").end(), Fault(number, &[])),
        case("none", pax_size(b"", b"").end(), Fault(number, &[])),
        case(
            "beyond 64 bits",
            pax_size(b"18446744073709551616", b"").end(),
            Fault(number, &[]),
        ),
        case(
            "huge",
            pax_size(b"18446744073709551615", b"").end(),
            Fault("archive exceeds the limit of 1073741824…", &[]),
        ),
        case(
            "on a directory",
            Tar::new()
                .pax(&[("size", b"1024")])
                .dir("d/")
                .content(&inner())
                .end(),
            Fault(
                &format!("{HEADER}: entry of a type without content declares a size"),
                &[],
            ),
        ),
        case(
            "given twice",
            Tar::new()
                .pax(&[("size", b"0"), ("size", b"1024")])
                .entry(b"a", b'0', &inner(), zero)
                .end(),
            Fault(&format!("{HEADER}: property given twice"), &[]),
        ),
    ]);
}

#[test]
pub(crate) fn ends() {
    let one = || Tar::new().file("a", "x");
    let with = |tail: &[u8]| [one().0.as_slice(), tail].concat();
    let mut padded = one();
    let hidden = Tar::new().file("hidden", "h").0;
    padded.0[513..1024].copy_from_slice(&hidden[1..512]);
    run(&[
        case("empty stream", Vec::new(), Leaves(&[])),
        case("empty archive", Tar::new().end(), Leaves(&[])),
        case("no end mark", one().0, Fault(EOF, &["a=x"])),
        case("one zero block", with(&[0; 512]), Leaves(&["a=x"])),
        case("half a zero block", with(&[0; 100]), Fault(EOF, &["a=x"])),
        case(
            "one and a half zero blocks",
            with(&[0; 700]),
            Fault(EOF, &["a=x"]),
        ),
        case(
            "a zero block in the middle",
            with(&[&[0; 512][..], &Tar::new().file("b", "y").end()].concat()),
            Fault(&format!("{HEADER}: lone zero block"), &["a=x"]),
        ),
        case(
            "padding as tapes need it",
            with(&[0; 9216]),
            Leaves(&["a=x"]),
        ),
        case(
            "noise after the end",
            with(&[&[0; 1024][..], b"noise"].concat()),
            Leaves(&["a=x"]),
        ),
        case(
            "an archive after the end",
            with(&[&[0; 1024][..], &Tar::new().file("b", "y").end()].concat()),
            Leaves(&["a=x"]),
        ),
        case("an archive in the padding", padded.end(), Leaves(&["a=x"])),
        case(
            "an end mark inside a file",
            Tar::new()
                .entry(b"a", b'0', &[0; 2048], |_| {})
                .file("b", "y")
                .end(),
            Leaves(&["a of 2048 bytes", "b=y"]),
        ),
    ]);
}

#[test]
fn cut_at_every_byte() {
    let whole = Tar::new()
        .dir("d/")
        .file("d/a", "first")
        .pax(&[("path", b"d/named elsewhere")])
        .file("b", &"second".repeat(100))
        .end();
    let content = whole.len() - 1024;
    // Inside a block one place is like the other, so there every seventh byte will do.
    let telling = |cut: &usize| cut.is_multiple_of(7) || !(20..492).contains(&(cut % 512));
    for cut in (1..content + 512).filter(telling) {
        let sandbox = Sandbox::new();
        let error = sandbox
            .unpack(&whole[..cut], &UnpackOptions::default())
            .unwrap_err();
        assert!(
            matches!(
                error.kind(),
                UnpackErrorKind::Tar {
                    source: TarFault::Truncated
                }
            ),
            "cut at {cut}: {}",
            error.message()
        );
        // What is counted is there, and nothing else is.
        let files = sandbox.tree().iter().filter(|l| !l.ends_with('/')).count() as u64;
        assert_eq!(error.progress().files, files, "cut at {cut}");
    }
    assert!(
        Sandbox::new()
            .unpack(&whole, &UnpackOptions::default())
            .is_ok()
    );
}

#[test]
fn a_flipped_bit_anywhere_is_harmless() {
    let whole = Tar::new()
        .dir("d/")
        .file("d/a", "1")
        .pax(&[("path", b"e/b")])
        .file("b", "2")
        .symlink("l", "d")
        .end();
    let options = UnpackOptions {
        links: tarball::Links::Inside,
        ..UnpackOptions::default()
    };
    let sandbox = Sandbox::new();
    for at in 0..whole.len() {
        let mut archive = whole.clone();
        archive[at] ^= 1 << (at % 8);
        let (start, end) = (at / 512 * 512, whole.len() - 1024);
        let is_header = start < end && whole[start + 257..].starts_with(b"ustar");
        // With a checksum that is right again: the flip would come to nothing otherwise.
        let in_sum = (148..156).contains(&(at % 512));
        if is_header && !in_sum {
            sum((&mut archive[start..start + 512]).try_into().unwrap());
        }
        let _ = tarball::unpack(&archive[..], &sandbox.dir(), &options).map_err(|e| {
            assert!(e.is_input_fault() || is_header, "{}", e.message());
        });
    }
    sandbox.assert_untouched();
    sandbox.assert_clean(&[]);
}

#[test]
fn faults_are_told_apart() {
    let archive = Tar::new()
        .file("a", "1")
        .pax(&[("path", b"b"), ("path", b"c")])
        .file("x", "")
        .end();
    let error = Sandbox::new()
        .unpack(&archive, &UnpackOptions::default())
        .unwrap_err();
    assert!(matches!(
        error.kind(),
        UnpackErrorKind::Tar {
            source: TarFault::Header(HeaderFault::Duplicate)
        }
    ));
    assert_eq!(error.progress().files, 1);
    assert_eq!(error.progress().bytes, 1);
}
