//! Extended headers of both kinds, and global ones.

use crate::support::{Fault, Leaves, Tar, case, put, record, run};

const HEADER: &str = "tar error: archive/tar: invalid tar header";
const EOF: &str = "tar error: unexpected EOF";

#[test]
pub(crate) fn global_headers_change_nothing() {
    let global = |records: &[u8]| Tar::new().entry(b"pax_global_header", b'g', records, |_| {});
    let comment = record("comment", &[b'0'; 40]);
    run(&[
        case(
            "as git writes it",
            global(&comment).file("a", "x").end(),
            Leaves(&["a=x"]),
        ),
        case(
            "without a name",
            Tar::new()
                .entry(b"", b'g', &comment, |_| {})
                .file("a", "x")
                .end(),
            Leaves(&["a=x"]),
        ),
        case(
            "a path",
            global(&record("path", b"../x"))
                .file("a", "x")
                .file("b", "y")
                .end(),
            Leaves(&["a=x", "b=y"]),
        ),
        case(
            "a size",
            global(&record("size", b"0")).file("a", "x").end(),
            Leaves(&["a=x"]),
        ),
        case(
            "a target",
            global(&record("linkpath", b"/etc")).file("a", "x").end(),
            Leaves(&["a=x"]),
        ),
        case(
            "nonsense",
            global(b"this is no record").file("a", "x").end(),
            Leaves(&["a=x"]),
        ),
        case("alone", global(&comment).end(), Leaves(&[])),
        case(
            "too long",
            Tar::new()
                .entry(b"", b'g', b"", |b| put(b, 124, b"00004000001\0"))
                .end(),
            Fault(
                "archive exceeds the limit of 1048576 bytes in an extended header",
                &[],
            ),
        ),
    ]);
}

#[test]
pub(crate) fn extended_headers() {
    let bad = &format!("{HEADER}: malformed extended header record");
    let twice = &format!("{HEADER}: property given twice");
    let dangling = &format!("{HEADER}: extended header without an entry");
    let raw = |text: &[u8]| Tar::new().pax_raw(text).file("a", "x").end();
    let long = |flag: u8, text: &[u8]| Tar::new().entry(b"././@LongLink", flag, text, |_| {});
    let many = (0..100).fold(Tar::new(), |tar, i| {
        tar.long_name(format!("n{i}").as_bytes())
    });
    run(&[
        case(
            "a name",
            Tar::new()
                .pax(&[("path", "ä/b".as_bytes())])
                .file("a", "x")
                .end(),
            Leaves(&["ä/", "ä/b=x"]),
        ),
        case(
            "an empty name is the header's own",
            Tar::new().pax(&[("path", b"")]).file("a", "x").end(),
            Leaves(&["a=x"]),
        ),
        case(
            "unknown keys",
            Tar::new()
                .pax(&[
                    ("SCHILY.xattr.user.x", b"\0\xff\n="),
                    ("hdrcharset", b"BINARY"),
                ])
                .file("a", "x")
                .end(),
            Leaves(&["a=x"]),
        ),
        case("nothing at all", raw(b""), Leaves(&["a=x"])),
        case("length too small", raw(b"7 path=b\n"), Fault(bad, &[])),
        case("length too large", raw(b"99 path=b\n"), Fault(bad, &[])),
        case("length zero", raw(b"0 path=b\n"), Fault(bad, &[])),
        case(
            "length of 64 bits",
            raw(b"18446744073709551615 path=b\n"),
            Fault(bad, &[]),
        ),
        case("length of many digits", raw(&[b'1'; 400]), Fault(bad, &[])),
        case(
            "length that reaches into the next record",
            raw(b"20 path=b\n10 path=c\n"),
            Leaves(&["b\n10 path=c=x"]),
        ),
        case("no length", raw(b"path=b\n"), Fault(bad, &[])),
        case("no equals sign", raw(b"8 pathb\n"), Fault(bad, &[])),
        case("no key", raw(b"5 =b\n"), Fault(bad, &[])),
        case("no newline", raw(b"10 path=bc"), Fault(bad, &[])),
        case(
            "padded with nuls",
            raw(b"10 path=b\n\0\0\0"),
            Fault(bad, &[]),
        ),
        case(
            "path twice",
            Tar::new()
                .pax(&[("path", b"b"), ("path", b"../c")])
                .file("a", "x")
                .end(),
            Fault(twice, &[]),
        ),
        case(
            "two in a row",
            Tar::new()
                .pax(&[("path", b"b")])
                .pax(&[("path", b"c")])
                .file("a", "x")
                .end(),
            Fault(twice, &[]),
        ),
        case(
            "a global one between",
            Tar::new()
                .pax(&[("path", b"b")])
                .entry(b"g", b'g', b"", |_| {})
                .file("a", "x")
                .end(),
            Fault(dangling, &[]),
        ),
        case(
            "none follows",
            Tar::new().file("z", "x").pax(&[("path", b"b")]).end(),
            Fault(dangling, &["z=x"]),
        ),
        case(
            "nothing follows",
            Tar::new().file("z", "x").pax(&[("path", b"b")]).0,
            Fault(EOF, &["z=x"]),
        ),
        case(
            "long name",
            Tar::new().long_name(b"long").file("a", "x").end(),
            Leaves(&["long=x"]),
        ),
        case(
            "long name, none follows",
            Tar::new().long_name(b"long").end(),
            Fault(dangling, &[]),
        ),
        case(
            "long name first, nothing follows",
            Tar::new().long_name(b"long").0,
            Fault(EOF, &[]),
        ),
        case(
            "long name twice",
            Tar::new()
                .long_name(b"b")
                .long_name(b"c")
                .file("a", "x")
                .end(),
            Fault(twice, &[]),
        ),
        case(
            "100 long names",
            many.file("a", "x").end(),
            Fault(twice, &[]),
        ),
        case(
            "long target alone",
            long(b'K', b"t\0").end(),
            Fault(dangling, &[]),
        ),
        case(
            "long target on a file",
            long(b'K', b"../../t\0").file("a", "x").end(),
            Leaves(&["a=x"]),
        ),
        case(
            "an empty long name",
            long(b'L', b"\0").file("a", "x").end(),
            Fault("tar file contained invalid name \"\"", &[]),
        ),
        case(
            "a long name of a gibibyte",
            Tar::new()
                .entry(b"", b'L', b"", |b| put(b, 124, b"10000000000\0"))
                .end(),
            Fault(
                "archive exceeds the limit of 1048576 bytes in an extended header",
                &[],
            ),
        ),
        case(
            "a long name of a mebibyte that is not there",
            Tar::new()
                .entry(b"", b'L', b"", |b| put(b, 124, b"00004000000\0"))
                .0,
            Fault(EOF, &[]),
        ),
        case(
            "of negative size",
            Tar::new()
                .entry(b"", b'x', b"", |b| put(b, 124, &[0xff; 12]))
                .end(),
            Fault(&format!("{HEADER}: bad number"), &[]),
        ),
    ]);
}

#[test]
pub(crate) fn names_in_two_formats() {
    let archive = Tar::new()
        .long_name(b"b")
        .pax(&[("path", b"../c")])
        .file("a", "x")
        .end();
    run(&[case(
        "pax and GNU",
        archive,
        Fault(&format!("{HEADER}: property given twice"), &[]),
    )]);
}
